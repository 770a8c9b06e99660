"""What `docs/experiments.md` claims, on a reduced form of each experiment, with its controls."""

from __future__ import annotations

from statistics import mean

import pytest

from experiments import completion, delay, fattree, goodput, handover, harm
from experiments.study import Samples, gather, simulate


def value(samples: Samples, table: str, row: str, column: str) -> float:
    """Return the mean of a cell; every seed must have measured it."""
    values = [one for one in samples[table][row][column] if one is not None]
    assert len(values) == len(samples[table][row][column])
    return mean(values)


# ---- goodput


@pytest.fixture(scope="module")
def downloads() -> Samples:
    return gather(goodput.STUDY, [goodput.WIFI, "default", "smallest-delay"])


def test_two_networks_give_more_than_one(downloads: Samples) -> None:
    alone = value(downloads, "roomy", goodput.WIFI, "Mbit/s")
    assert value(downloads, "roomy", "default", "Mbit/s") > 1.05 * alone
    assert value(downloads, "roomy", "smallest-delay", "Mbit/s") < 1.05 * alone


def test_a_small_buffer_costs_multipath_tcp_more_than_tcp(downloads: Samples) -> None:
    for row, least in ((goodput.WIFI, 0.9), ("default", 0.0)):
        roomy = value(downloads, "roomy", row, "Mbit/s")
        assert least * roomy < value(downloads, "buffers", row, "64 KB") < 1.05 * roomy
    lost = value(downloads, "buffers", "default", "64 KB")
    assert lost < 0.95 * value(downloads, "roomy", "default", "Mbit/s")


# ---- hand-over


@pytest.fixture(scope="module")
def walks() -> Samples:
    return gather(handover.STUDY, [goodput.WIFI, "handover", "aggregate"])


@pytest.mark.parametrize(("intent", "most"), [("handover", 1000), ("aggregate", 500)])
def test_losing_a_path_loses_no_octet_and_little_time(
    walks: Samples, intent: str, most: float
) -> None:
    assert value(walks, "silent", intent, "arrived (%)") == 100
    assert 30 < value(walks, "silent", intent, "longest gap (ms)") < most


def test_plain_tcp_dies_with_its_path(walks: Samples) -> None:
    plain = walks["silent"][goodput.WIFI]
    assert plain["longest gap (ms)"] == plain["done after (s)"] == [None]
    assert 30 < value(walks, "silent", goodput.WIFI, "arrived (%)") < 70


# ---- completion


@pytest.fixture(scope="module")
def files() -> Samples:
    return gather(completion.STUDY, [completion.FIRST, "default", "round-robin", "active-standby"])


def test_equal_paths_share_a_file(files: Samples) -> None:
    alone = value(files, "equal", completion.FIRST, "1 MB")
    assert value(files, "equal", "default", "1 MB") < 0.75 * alone
    assert value(files, "equal", "active-standby", "1 MB") > 0.95 * alone


@pytest.mark.parametrize("size", ["64 KB", "1 MB"])
@pytest.mark.parametrize("scheduler", ["default", "round-robin", "active-standby"])
def test_no_scheduler_loses_much_to_an_unequal_path(
    files: Samples, scheduler: str, size: str
) -> None:
    alone = value(files, "unequal", completion.FIRST, size)
    assert value(files, "unequal", scheduler, size) < 1.1 * alone


# ---- delay


def test_redundancy_has_the_least_tail() -> None:
    others = ["default", "round-robin", "smallest-delay"]
    samples = gather(delay.STUDY, ["redundant", goodput.WIFI, goodput.CELL, *others], (1, 2, 3))
    tail = value(samples, "delays", "redundant", "p99")
    assert all(tail < value(samples, "delays", row, "p99") for row in others)
    assert tail < 0.75 * value(samples, "delays", goodput.WIFI, "p99")
    assert 3 * value(samples, "delays", "redundant", "p50") < value(
        samples, "delays", goodput.CELL, "p50"
    )
    assert all(set(row["missing"]) == {0.0} for row in samples["delays"].values())


# ---- FatTree


def test_subflows_find_the_free_paths_of_a_fattree() -> None:
    samples = gather(fattree.STUDY, ["TCP", "1 subflow", "4 subflows"])
    alone = value(samples, "tree", "TCP", "mean")
    assert value(samples, "tree", "4 subflows", "mean") > 1.2 * alone
    assert value(samples, "tree", "1 subflow", "mean") < 1.1 * alone


@pytest.mark.parametrize("seed", range(20))
def test_everyone_in_the_fattree_sends_to_somebody_else(seed: int) -> None:
    flows = fattree.tree(seed, {}).flows.values()
    pairs = {flow.source: flow.destination for flow in flows}
    assert len(pairs) == len({one for (one,) in pairs.values()}) == 16
    assert all((source,) != destination for source, destination in pairs.items())


# ---- harm


@pytest.fixture(scope="module")
def troubles() -> Samples:
    return gather(harm.STUDY, [goodput.WIFI, "intent interactive"])


def test_the_interactive_intent_is_spared_the_slow_path(troubles: Samples) -> None:
    late = value(troubles, "short", goodput.WIFI, "p95")
    assert value(troubles, "short", "intent interactive", "p95") < 1.3 * late
    turns = harm._short("round-robin", {"scheduler": "round-robin"}, quick=True)
    assert (simulate(turns, 1)["p95"] or 0) > 2 * late


def test_the_interactive_intent_is_spared_the_full_queue(troubles: Samples) -> None:
    for table in ("short", "full"):
        asked = value(troubles, table, goodput.WIFI, "answers")
        assert value(troubles, table, "intent interactive", "answers") > 0.85 * asked


def test_a_tiny_buffer_holds_enough(troubles: Samples) -> None:
    alone = value(troubles, "tiny", goodput.WIFI, "Mbit/s")
    assert value(troubles, "tiny", "intent interactive", "Mbit/s") > 0.7 * alone
