from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.build import interpreted
from support.torture import PLAIN

from plait.host.connections import Connections
from plait.sim.scenario import EventSpec
from plait.sim.torture.case import Fault, PartyPlan, TalkPlan
from plait.sim.torture.rig import STALL, Rig, run_case
from plait.sim.torture.shrink import shrink
from plait.sim.torture.talk import PERIOD, expected
from plait.sim.torture.wrap import KEYS
from plait.trace.pcap import read_pcap
from plait.units import SECOND
from plait.wire.crypto import idsn


def without_flows_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Connections, "forget_subflow", lambda *_: None)


@pytest.mark.rfc("8684", "3.3.4", "M8684-3.3.4-02")
@pytest.mark.rfc("8684", "6", "M8684-6-02")
def test_a_plain_case_passes() -> None:
    verdict = run_case(PLAIN)
    assert verdict.passed
    assert verdict.outcomes == ("closed", "closed")
    assert verdict.segments > 60


def test_a_case_goes_the_same_way_twice() -> None:
    faults = (Fault(kind="shape", path=0, values={"loss": 0.05}),)
    assert run_case(replace(PLAIN, faults=faults)) == run_case(replace(PLAIN, faults=faults))


def test_a_loss_without_a_cause_fails() -> None:
    refusing = Fault(kind="box", name="drop-unknown-syn", values={"reset": True})
    assert run_case(replace(PLAIN, faults=(refusing,))).invariant == "outcome"
    assert run_case(replace(PLAIN, faults=(replace(refusing, fatal=True),))).passed


def test_a_path_that_stays_down_is_a_stall() -> None:
    down = (Fault(kind="event", events=(EventSpec(at_s=0.03, link="s0", up=False),)),)
    verdict = run_case(replace(PLAIN, faults=down))
    assert verdict.invariant == "stall"
    assert STALL <= verdict.at_s * SECOND < 2 * STALL


@interpreted
def test_whatever_raises_is_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("planted")

    monkeypatch.setattr(Connections, "forget_subflow", fail)
    verdict = run_case(PLAIN)
    assert verdict.invariant == "raise"
    assert "KeyError: 'planted' (fail" in verdict.text


@interpreted
def test_shrinking_takes_away_what_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    without_flows_forgotten(monkeypatch)
    faults = (
        Fault(kind="shape", path=0, values={"loss": 0.01}),
        Fault(kind="settings", values={"sack": False}),
        Fault(kind="shape", path=1, values={"jitter_ms": 1}, fatal=True),
    )
    case = replace(PLAIN, faults=faults)
    gone, verdict = shrink(case, run_case(case))
    assert gone == {0, 1}
    assert verdict.invariant == "residue"


@interpreted
def test_shrinking_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    without_flows_forgotten(monkeypatch)
    faults = tuple(Fault(kind="shape", values={"jitter_ms": 1}) for _ in range(5))
    case = replace(PLAIN, faults=faults)
    gone, _ = shrink(case, run_case(case), runs=2)
    assert gone == {0, 1}


def test_a_capture_holds_what_the_initiator_saw(tmp_path: Path) -> None:
    file = tmp_path / "one.pcap"
    verdict = run_case(PLAIN, file)
    with file.open("rb") as capture:
        frames = sum(1 for _ in read_pcap(capture))
    assert verdict.segments == frames


def test_a_reader_notices_every_displacement() -> None:
    here = expected(7919, 100, 1400)
    assert all(expected(7919, 100 + (1 << bits), 1400) != here for bits in range(64))
    assert expected(7919, 100 + PERIOD, 1400) == here


def test_the_keys_make_numbers_wrap_early() -> None:
    assert all(idsn(key) & 0xFFFF_FFFF >= (1 << 32) - 8192 for key in KEYS)
    wrapping = replace(PLAIN, faults=(Fault(kind="wrap", host="a"),))
    rig = Rig(wrapping)
    assert rig.run().passed


def test_signals_reach_the_connections_that_have_the_subflow() -> None:
    spare, leave = (
        Fault(kind="signal", host="a", path=1, name=name, values={"at_ms": at})
        for name, at in (("spare", 100), ("leave", 150))
    )
    party = PartyPlan(octets=3_000_000)
    talks = (TalkPlan(start=0, initiator=party, listener=party),)
    rig = Rig(replace(PLAIN, talks=talks, faults=(spare, leave)))
    assert rig.run().passed
    assert str(leave) == "a, subflow 1: leave(at_ms=150)"
    counters = rig.listener.host.counters
    assert counters.mp_prio_rx > 1
    assert counters.rm_addr == 1
