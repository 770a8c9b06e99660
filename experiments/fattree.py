"""Sixteen hosts in a FatTree of switches with four ports, each sending to another.

The tree could carry all of it at the full rate of its links, 5 Mbit/s, but its switches choose
among equal paths by a hash of addresses and ports. A TCP connection has one path, and where two
share a link each gets half. Subflows between the same addresses, as `ndiffports` makes them,
differ in their ports and so are spread; coupled congestion control (LIA) then moves the data off
the crowded links (Raiciu et al., SIGCOMM 2011). Who sends to whom is drawn anew for each seed, the
same for every row. The controls are plain TCP, and Multipath TCP with one subflow.
"""

from __future__ import annotations

from functools import partial
from random import Random
from statistics import mean
from typing import Any, Final

from experiments.study import Case, Measures, Study, Table
from plait.sim.scenario import FlowSpec, HostSpec, LinkSpec, RouterSpec, Scenario, Shape, WindowSpec

PORTS: Final = 4
"""Of each switch: there are as many pods, and half as many edges, or aggregations, in each."""

HALF: Final = PORTS // 2
RATE_MBIT: Final = 5.0
SHAPE: Final = Shape(rate_mbit=RATE_MBIT, delay_ms=0.5, queue_packets=20)

ROWS: Final[dict[str, dict[str, Any]]] = {
    "TCP": {"mptcp": False},
    "1 subflow": {"path_manager": "default", "congestion": "lia"},
    "2 subflows": {"path_manager": "ndiffports:subflows=2", "congestion": "lia"},
    "4 subflows": {"path_manager": "ndiffports:subflows=4", "congestion": "lia"},
}


def tree(seed: int, settings: dict[str, Any], *, duration_s: float = 4.0) -> Scenario:
    """Return the FatTree with a flow from each host to one other."""
    hosts: dict[str, HostSpec] = {}
    links: dict[str, LinkSpec] = {}
    switches = [f"core{number}" for number in range(HALF * HALF)]
    for pod in range(PORTS):
        for one in range(HALF):
            edge, aggregation = f"edge{pod}.{one}", f"aggregation{pod}.{one}"
            switches += [edge, aggregation]
            for other in range(HALF):
                host = f"host{pod}.{one}.{other}"
                hosts[host] = HostSpec(addresses={host: (f"10.{pod}.{one}.{other + 2}",)})
                links[host] = _link(host, edge)
                links[f"{edge}-{other}"] = _link(edge, f"aggregation{pod}.{other}")
                links[f"{aggregation}-{other}"] = _link(aggregation, f"core{one * HALF + other}")
    return Scenario(
        title="A permutation in a FatTree",
        duration_s=duration_s,
        interval_ms=1000,
        hosts=hosts,
        routers={name: RouterSpec(salt=number) for number, name in enumerate(switches)},
        links=links,
        flows={
            source: FlowSpec(source=source, destination=(destination,), settings=settings)
            for source, destination in permutation(list(hosts), seed).items()
        },
        windows={"steady": WindowSpec(start_s=1.0, stop_s=duration_s)},
    )


def permutation(hosts: list[str], seed: int) -> dict[str, str]:
    """Return for each host another, no two the same."""
    random = Random(seed)  # noqa: S311 - the same everywhere on purpose
    targets = list(hosts)
    while any(one == other for one, other in zip(hosts, targets, strict=True)):
        random.shuffle(targets)
    return dict(zip(hosts, targets, strict=True))


def share(result: dict[str, Any]) -> Measures:
    """Return what part of their links' rate flows got, in percent, headers not counted."""
    flows = result["windows"]["steady"]["flows"].values()
    shares = sorted(flow["goodput"] / RATE_MBIT / 1e4 for flow in flows)
    return {"mean": mean(shares), "lowest flow": shares[0], "highest flow": shares[-1]}


def cases(seed: int, quick: bool) -> list[Case]:
    """Return TCP and connections of several subflows between the same pairs."""
    duration = 2.5 if quick else 4.0
    made = partial(tree, seed, duration_s=duration)
    return [
        Case(table="tree", row=row, scenario=made(settings), measure=share)
        for row, settings in ROWS.items()
    ]


def _link(one: str, other: str) -> LinkSpec:
    return LinkSpec(between=(one, other), forth=SHAPE, back=SHAPE)


READING: Final = """\
More subflows find more of the free paths, and what the worst flow gets grows more than the mean.
One subflow under LIA gets a little less than TCP with CUBIC. Four are not the optimum: short
queues and a hash that may put several of them on one path cost the rest.
"""

STUDY: Final = Study(
    name="fattree",
    title="A FatTree with equal paths",
    text=__doc__,
    reading=READING,
    tables=(
        Table(
            name="tree",
            caption="Goodput in percent of the links' rate:",
            heading="connections",
            digits=1,
        ),
    ),
    cases=cases,
)
