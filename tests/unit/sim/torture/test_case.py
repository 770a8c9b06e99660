from __future__ import annotations

from dataclasses import replace

import pytest
from support.torture import PLAIN

from plait.sim.seed import Seed
from plait.sim.torture.case import Fault, build
from plait.sim.torture.generate import generate
from plait.sim.world import World


@pytest.mark.parametrize("seed", range(1, 40))
def test_every_seed_is_a_world(seed: int) -> None:
    case = generate(seed)
    assert generate(seed) == case
    World(build(case), Seed(seed))
    World(build(case.without(frozenset(range(len(case.faults))))), Seed(seed))


def test_seeds_differ() -> None:
    assert len({repr(generate(seed)) for seed in range(1, 40)}) == 39


def test_both_versions_are_drawn() -> None:
    drawn = [
        generate(seed).settings(host).get("mptcp_versions") for seed in range(40) for host in "ab"
    ]
    assert {"v0", "v1", "both", None} == set(drawn)


def test_boxes_of_a_path_stand_in_a_row() -> None:
    boxes = tuple(Fault(kind="box", path=1, name=name) for name in ("transparent", "bleach-ecn"))
    scenario = build(replace(PLAIN, faults=boxes))
    assert scenario.links["p1"].between == ("a", "box0")
    assert scenario.links["box0-out"].between == ("box0", "box1")
    assert scenario.links["box1-out"].between == ("box1", "r")
    assert scenario.links["p0"].between == ("a", "r")


def test_faults_are_counted_from_0_when_they_are_taken_away() -> None:
    faults = tuple(Fault(kind="settings", values={"max_subflows": n}) for n in range(3))
    kept = replace(PLAIN, faults=faults).without(frozenset({0, 2})).faults
    assert kept == (faults[1],)


@pytest.mark.parametrize(
    ("host", "chosen"), [("a", 700), ("b", None), ("", 700)], ids=["a", "b", "both"]
)
def test_settings_reach_their_host(host: str, chosen: int | None) -> None:
    fault = Fault(kind="settings", host=host, values={"send_buffer": 700})
    assert replace(PLAIN, faults=(fault,)).settings("a").get("send_buffer") == chosen
