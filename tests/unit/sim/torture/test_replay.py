from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support.build import interpreted
from support.torture import PLAIN

from plait.errors import DecodeError
from plait.mptcp import incoming
from plait.sim.packet import serialize
from plait.sim.torture.generate import generate
from plait.sim.torture.replay import Session, _mutate, record, replay
from plait.trace.pcap import ip_packet, read_pcap
from plait.wire.packet import parse_packet
from plait.wire.segment import Segment

CAPTURES = sorted((Path(__file__).parents[3] / "data" / "captures").glob("*.pcap"))


def from_capture(file: Path) -> Session:
    """Both directions of a capture, as if all of it had reached one host."""
    arrivals = []
    with file.open("rb") as capture:
        for number, frame in enumerate(read_pcap(capture)):
            try:
                packet = parse_packet(ip_packet(frame) or b"", checksum_valid=True)
            except DecodeError:
                continue
            if isinstance(packet, Segment):
                arrivals.append((number * 1_000_000, packet))
    settings = record(PLAIN).settings
    return Session(settings=settings, entropy=bytes(32), arrivals=tuple(arrivals))


@pytest.mark.parametrize("file", CAPTURES, ids=lambda file: str(file.stem))
def test_captures_do_no_harm(file: Path) -> None:
    session = from_capture(file)
    assert session.arrivals
    assert [one for one in (replay(session, seed) for seed in range(10)) if not one.passed] == []


@interpreted
def test_a_session_is_lived_through_again(monkeypatch: pytest.MonkeyPatch) -> None:
    session = record(PLAIN)
    delivered = 0
    true = incoming._deliver

    def deliver(connection: Any, dsn: int, pieces: Any, length: int) -> None:
        nonlocal delivered
        delivered += length
        true(connection, dsn, pieces, length)

    monkeypatch.setattr(incoming, "_deliver", deliver)
    for seed in range(10):
        replay(session, seed)
    assert delivered > 100_000


@interpreted
def test_what_raises_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("planted")

    session = record(PLAIN)
    monkeypatch.setattr(incoming, "_on_infinite_mapping", fail)
    found = [replay(session, seed).invariant for seed in range(120)]
    assert "raise" in found


def test_mutations_can_be_sent() -> None:
    draw = Random(1)
    for _, segment in record(replace(generate(4), faults=())).arrivals[:60]:
        for _ in range(20):
            serialize(_mutate(_mutate(segment, draw), draw))
