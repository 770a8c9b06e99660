"""Random worlds: the seeds that every change must pass; `make torture` runs many more."""

from __future__ import annotations

import pytest

from plait.sim.torture.generate import generate
from plait.sim.torture.replay import record, replay
from plait.sim.torture.rig import run_case

BLOCK = 10
BLOCKS = 24


@pytest.mark.parametrize("block", range(BLOCKS))
def test_seeds_pass(block: int) -> None:
    first = 1 + block * BLOCK
    verdicts = [run_case(generate(seed)) for seed in range(first, first + BLOCK)]
    assert [verdict for verdict in verdicts if not verdict.passed] == []


@pytest.mark.parametrize("block", range(BLOCKS // 2))
def test_hosts_survive_mutated_replays(block: int) -> None:
    first = 1 + block * BLOCK
    verdicts = [replay(record(generate(seed)), seed) for seed in range(first, first + BLOCK)]
    assert [verdict for verdict in verdicts if not verdict.passed] == []
