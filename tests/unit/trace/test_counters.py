"""Counters and their Linux names."""

from __future__ import annotations

from dataclasses import fields

from plait.trace.counters import LINUX_NAMES, Counters


def test_every_counter_has_one_linux_name() -> None:
    assert [field.name for field in fields(Counters)] == list(LINUX_NAMES)
    assert len(set(LINUX_NAMES.values())) == len(LINUX_NAMES)


def test_names_differ_by_case_and_underscores_only() -> None:
    for name, spelling in LINUX_NAMES.items():
        assert name.replace("_", "") == spelling.lower()
        assert name == name.lower()


def test_snapshot_has_linuxs_spelling() -> None:
    counters = Counters()
    assert set(counters.snapshot().values()) == {0}
    counters.mp_capable_syn_rx += 1
    counters.mp_join_ack_hmac_failure += 2
    counters.retrans_segs += 3
    told = {name: count for name, count in counters.snapshot().items() if count}
    assert told == {"MPCapableSYNRX": 1, "MPJoinAckHMacFailure": 2, "RetransSegs": 3}


def test_snapshots_do_not_change() -> None:
    counters = Counters()
    before = counters.snapshot()
    counters.in_segs += 1
    assert before["InSegs"] == 0
    assert before != counters.snapshot()
