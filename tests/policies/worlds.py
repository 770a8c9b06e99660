"""Worlds in which the claims of coupled congestion control can be seen.

They are small, for the time they take: what counts is the product of bandwidth and delay, some tens
of packets for each flow, and the number of round trips.  Queues drop at random as they fill, or
delays tremble, so that flows which are alike do not march in step and each seed is another run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from plait.sim.run import run
from plait.sim.scenario import (
    FlowSpec,
    HostSpec,
    LinkSpec,
    RouterSpec,
    RouteSpec,
    Scenario,
    Shape,
    WindowSpec,
)

SEEDS: Final = (1, 2, 3, 4, 5)
PAYLOAD: Final = 1428 / 1500
"""Share of a packet of Multipath TCP that is payload: 40 octets of headers, 32 of options."""

COALESCE_MS: Final = 3
"""What hosts wait for further packets, which saves a quarter of the time a run takes."""

BACK_MS: Final = 20
"""What ACKs take where flows share links that have no delay of their own."""


def multipath(congestion: str, **others: Any) -> dict[str, Any]:
    """Return settings of a connection, with a subflow from each address and no checksums."""
    return {
        "congestion": congestion,
        "checksum": False,
        "path_manager": "interfaces",
        **others,
    }


def single(congestion: str = "reno") -> dict[str, Any]:
    """Return the settings of one TCP connection."""
    return {"mptcp": False, "congestion": congestion}


def parallel(
    paths: Mapping[str, Shape], flows: Mapping[str, FlowSpec], *, seconds: float, since: float
) -> Scenario:
    """Return two hosts, `a` and `b`, with a link for each path; the first is where flows begin.

    Data goes from `a` to `b`; ACKs have all the capacity they want, and may go another way.  The
    window `steady` is measured from `since` on.
    """
    hosts = {
        name: HostSpec(addresses={path: (f"10.0.{at}.{last}",) for at, path in enumerate(paths)})
        for last, name in enumerate(("a", "b"), 1)
    }
    return Scenario(
        duration_s=seconds,
        hosts=hosts,
        links={
            path: LinkSpec(between=("a", "b"), forth=shape, back=Shape(delay_ms=shape.delay_ms))
            for path, shape in paths.items()
        },
        flows=dict(flows),
        windows={"steady": WindowSpec(start_s=since, stop_s=seconds)},
    )


def bulk(settings: Mapping[str, Any], *, path: int = 0, start_s: float = 0.0) -> FlowSpec:
    """Return a flow from `a` to `b` that never ends, its first subflow on the path so numbered."""
    return FlowSpec(
        source="a",
        destination=("b",),
        local=f"10.0.{path}.1",
        remote=f"10.0.{path}.2",
        settings=dict(settings),
        start_s=start_s,
    )


def long_queue(rate_mbit: float, delay_ms: float = 20) -> Shape:
    """Return a link whose queue drops what it cannot hold, and whose delay trembles."""
    return Shape(rate_mbit=rate_mbit, delay_ms=delay_ms, queue_ms=60, jitter_ms=2)


def short_queue(rate_mbit: float, delay_ms: float = 30) -> Shape:
    """Return a link whose queue drops at random, so that all flows see the same loss."""
    return Shape(
        rate_mbit=rate_mbit,
        delay_ms=delay_ms,
        queue="red",
        queue_packets=90,
        red_low=8,
        red_high=30,
    )


def meshed(
    settings: Mapping[str, Any],
    links: Sequence[Shape],
    routes: Sequence[Sequence[Sequence[int]]],
    *,
    seconds: float,
    since: float,
    pad_ms: float = 0.0,
) -> Scenario:
    """Return flows `f0`, `f1` ... over links `l0`, `l1` ... that they share.

    Args:
        settings: Of all flows.
        links: What the shared links are like.
        routes: For each flow its paths, each the numbers of the links it takes in their order.
        seconds: How long all goes on.
        since: When measuring begins.
        pad_ms: Delay of paths of one link, in the place of the second one's queue.
    """
    hosts: dict[str, HostSpec] = {}
    wires: dict[str, LinkSpec] = {}
    onward: dict[str, list[RouteSpec]] = {}
    for number, shape in enumerate(links):
        wires[f"l{number}"] = LinkSpec(between=(f"x{number}", f"y{number}"), forth=shape)
        onward[f"x{number}"] = []
        onward[f"y{number}"] = []
    for flow, paths in enumerate(routes):
        source, target, back = f"s{flow}", f"d{flow}", f"back{flow}"
        local: dict[str, tuple[str, ...]] = {
            f"s{flow}p{at}": (f"10.{flow}.{at}.1",) for at in range(len(paths))
        }
        hosts[source] = HostSpec(addresses=local, settings=dict(settings), coalesce_ms=COALESCE_MS)
        wires[back] = LinkSpec(between=(target, source), forth=Shape(delay_ms=BACK_MS))
        for at, path in enumerate(paths):
            _lay(wires, onward, flow, at, path, pad_ms)
        hosts[target] = HostSpec(
            addresses={f"d{flow}p0": (f"10.{flow}.99.1",)},
            routes=(RouteSpec(to=f"10.{flow}.0.0/16", via=(back,)),),
            settings=dict(settings),
            coalesce_ms=COALESCE_MS,
        )
    return Scenario(
        duration_s=seconds,
        hosts=hosts,
        routers={name: RouterSpec(routes=tuple(there)) for name, there in onward.items()},
        links=wires,
        flows={
            f"f{flow}": FlowSpec(source=f"s{flow}", destination=(f"d{flow}",), start_s=0.1 * flow)
            for flow in range(len(routes))
        },
        windows={"steady": WindowSpec(start_s=since, stop_s=seconds)},
    )


def _lay(
    wires: dict[str, LinkSpec],
    onward: dict[str, list[RouteSpec]],
    flow: int,
    at: int,
    path: Sequence[int],
    pad_ms: float,
) -> None:
    """Connect the ends of a flow by one of its paths, and route it along."""
    source, target = f"10.{flow}.{at}.1", f"10.{flow}.99.1"
    access = Shape(delay_ms=pad_ms if len(path) == 1 else 0)
    wires[f"s{flow}p{at}"] = LinkSpec(between=(f"s{flow}", f"x{path[0]}"), forth=access)
    wires[f"d{flow}p{at}"] = LinkSpec(between=(f"y{path[-1]}", f"d{flow}"), forth=Shape())
    for link, after in zip(path, [*path[1:], -1], strict=True):
        onward[f"x{link}"].append(RouteSpec(to=target, source=source, via=(f"l{link}",)))
        via = f"d{flow}p{at}" if after < 0 else f"l{link}l{after}"
        onward[f"y{link}"].append(RouteSpec(to=target, source=source, via=(via,)))
        if after >= 0:
            wires[via] = LinkSpec(between=(f"y{link}", f"x{after}"), forth=Shape())


def ring(settings: Mapping[str, Any], *, seconds: float, since: float) -> Scenario:
    """Return three links of 12 Mbit/s, and three flows with one link and the other two as paths.

    The theory compares paths by their loss alone, so that both get about the same round-trip time.
    """
    link = Shape(rate_mbit=12, queue_packets=15, jitter_ms=2)
    routes = [[[at], [(at + 1) % 3, (at + 2) % 3]] for at in range(3)]
    return meshed(settings, [link] * 3, routes, seconds=seconds, since=since, pad_ms=8)


def chain(settings: Mapping[str, Any], *, seconds: float, since: float) -> Scenario:
    """Return links of 5, 12, 10 and 3 Mbit/s, and three flows with two neighbors each as paths."""
    links = [Shape(rate_mbit=rate, queue_ms=25, jitter_ms=2) for rate in (5, 12, 10, 3)]
    routes = [[[at], [at + 1]] for at in range(3)]
    return meshed(settings, links, routes, seconds=seconds, since=since)


def total(results: Sequence[dict[str, Any]], flow: str, window: str = "steady") -> float:
    """Return the mean over several runs of what a flow moved in a window, in Mbit/s of packets."""
    rates = [result["windows"][window]["flows"][flow]["goodput"] for result in results]
    return float(sum(rates)) / len(rates) / 1e6 / PAYLOAD


def over_seeds(scenario: Scenario) -> list[dict[str, Any]]:
    """Return the result of each seed."""
    return [run(scenario, seed) for seed in SEEDS]
