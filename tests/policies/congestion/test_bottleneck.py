"""Whether a bottleneck that subflows share is told from two, five seeds each."""

from __future__ import annotations

from policies.worlds import SEEDS, bulk, long_queue, multipath, parallel

from plait.congestion.auto import Auto
from plait.sim.run import Simulation
from plait.sim.scenario import Scenario


def apart(scenario: Scenario, seed: int) -> list[bool]:
    """Return for both subflows whether they take the other one to be apart, at the end."""
    simulation = Simulation(scenario, seed)
    simulation.run()
    host = simulation.world.station("a").host
    (entry,) = host._connections.by_id.values()
    found = [subflow.tcp.sender.controller for subflow in entry.connection.subflows]
    return [bool(one.apart) for one in found if isinstance(one, Auto)]


ONE = parallel(
    {"one": long_queue(4)},
    {"flow": bulk(multipath("auto", path_manager="ndiffports:subflows=2"))},
    seconds=9,
    since=1,
)
TWO = parallel(
    {"one": long_queue(3), "two": long_queue(3)},
    {"flow": bulk(multipath("auto"))},
    seconds=9,
    since=1,
)


def test_subflows_over_one_bottleneck_are_coupled() -> None:
    assert [apart(ONE, seed) for seed in SEEDS] == [[False, False]] * len(SEEDS)


def test_subflows_over_two_are_not_always() -> None:
    """Sawteeth of two queues may march in step: seven of ten other seeds were told rightly."""
    found = [apart(TWO, seed) for seed in SEEDS]
    assert sum(map(all, found)) >= 2
