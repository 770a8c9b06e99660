from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.boxes import ONE, Place, lossy, payload_of, segment, stream, through
from support.world import NEAR, World

from plait.errors import UsageError
from plait.host.settings import Settings
from plait.sim.middlebox import Coalescer, Crossing, Middlebox, Splitter
from plait.units import MILLISECOND, SECOND
from plait.wire.mptcp.dss import MAPPING, Dss
from plait.wire.segment import ACK, FIN, PSH, Segment

DATA = stream(300_000)
BACK = stream(200_000, 2)

Make: TypeAlias = Callable[[], Middlebox]


def mapped(seq: int, payload: bytes, dsn: int = 7, flags: int = ACK) -> Segment:
    made = segment(seq, payload, flags=flags)
    made.dss = Dss(MAPPING, dsn=dsn, ssn=1, length=len(payload))
    made.ts_val = 3
    return made


def segments(crossings: list[Crossing]) -> list[Segment]:
    return [each.packet for each in crossings if isinstance(each.packet, Segment)]


@given(
    length=st.integers(1, 5000),
    size=st.integers(1, 1500),
    options=st.sampled_from(["all", "first"]),
)
def test_pieces_are_the_segment(length: int, size: int, options: str) -> None:
    whole = mapped(2**32 - 100, stream(length), flags=ACK | PSH | FIN)
    pieces = segments(Splitter(size=size, options=options).process(0, whole, outbound=True))
    assert b"".join(map(payload_of, pieces)) == stream(length)
    assert [piece.seq for piece in pieces] == [
        (whole.seq + at) % 2**32 for at in range(0, length, size)
    ]
    assert [bool(piece.flags & FIN) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    kept = [piece.dss is not None for piece in pieces]
    assert kept == [options == "all" or number == 0 for number in range(len(pieces))]
    assert {piece.ts_val for piece in pieces} == {3}


def test_a_wrong_choice_is_told() -> None:
    with pytest.raises(UsageError, match="last"):
        Splitter(options="last")


def test_what_is_joined_keeps_the_first_options() -> None:
    box = Coalescer(limit=12)
    assert box.process(0, mapped(100, b"four", 1), outbound=True) == []
    assert box.process(1, mapped(104, b"more", 5, ACK | PSH), outbound=True) == []
    (joined,) = segments(box.process(2, mapped(108, b"last", 9), outbound=True))
    assert payload_of(joined) == b"fourmorelast"
    assert joined.seq == 100
    assert joined.dss is not None
    assert joined.dss.dsn == 1
    assert joined.flags == ACK | PSH
    assert box.next_timeout() is None


APART = {
    "a gap": mapped(105, b"more"),
    "too long": mapped(104, b"nine octets"),
    "FIN": mapped(104, b"more", flags=ACK | FIN),
    "pure ACK": segment(104),
}


@pytest.mark.parametrize("second", APART.values(), ids=APART.keys())
def test_what_is_not_joined_goes_behind(second: Segment) -> None:
    box = Coalescer(limit=12)
    box.process(0, mapped(100, b"four"), outbound=True)
    out = segments(box.process(1, second, outbound=True))
    due = box.next_timeout()
    out += segments(box.handle_timeout(due)) if due is not None else []
    assert [packet.seq for packet in out] == [100, second.seq]


def test_waiting_ends() -> None:
    box = Coalescer(hold=10)
    box.process(5, mapped(100, b"four"), outbound=False)
    assert box.next_timeout() == 15
    assert box.handle_timeout(14) == []
    (crossing,) = box.handle_timeout(15)
    assert not crossing.outbound
    assert box.next_timeout() is None


@given(lengths=st.lists(st.integers(0, 1460), max_size=40), limit=st.integers(1, 5000))
def test_no_octet_is_lost(lengths: list[int], limit: int) -> None:
    box = Coalescer(limit=limit)
    data = stream(sum(lengths))
    out: list[Segment] = []
    at = 0
    for length in lengths:
        out += segments(box.process(0, segment(at, data[at : at + length]), outbound=True))
        at += length
    out += segments(box.handle_timeout(SECOND))
    assert b"".join(map(payload_of, out)) == data
    assert all(packet.length <= max(limit, *lengths) for packet in out)


BOXES: dict[str, Make] = {
    "split, options on all": partial(Splitter, size=501),
    "split, options on the first": partial(Splitter, size=501, options="first"),
    "split to the octet": partial(Splitter, size=1461 // 7, options="first"),
    "coalesced": partial(Coalescer, limit=4 * 1460),
    "coalesced over a round trip": partial(Coalescer, limit=60_000, hold=20 * MILLISECOND),
}


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-02")
@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-26")
@pytest.mark.rfc("8684", "6", "M8684-6-01")
@pytest.mark.rfc("8041", "3.1", "M8041-3.1-2")
@pytest.mark.parametrize("make", BOXES.values(), ids=BOXES.keys())
@pytest.mark.parametrize("checksum", [True, False], ids=["checksums", "no checksums"])
@pytest.mark.parametrize("paths", [1, 2])
@pytest.mark.parametrize("every", [10**9, 23], ids=["", "lossy"])
def test_mappings_do_not_belong_to_packets(
    make: Make, checksum: bool, paths: int, every: int
) -> None:
    outcome = through(
        make(),
        DATA,
        BACK,
        near=NEAR[:paths],
        settings=Settings(checksum=checksum),
        hook=lossy(every),
    )
    assert outcome.mptcp
    assert outcome.ups == paths
    assert outcome.received == DATA
    assert outcome.answered == BACK


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-12")
@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-13")
@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-26")
@pytest.mark.parametrize("checksum", [True, False], ids=["checksums", "no checksums"])
@pytest.mark.parametrize("paths", [1, 2])
def test_data_whose_mapping_was_lost_comes_again(checksum: bool, paths: int) -> None:
    world = World(Settings(checksum=checksum), near=NEAR[:paths], whole=False)
    Place(world, Coalescer(limit=4000), ONE, world.initiator)
    world.start(subflows=paths)
    messages = [stream(200, seed) for seed in range(40)]
    for message in messages:  # each has a mapping of its own, and only one of seven gets through
        world.initiator.to_send += message
        world.initiator.serve(world.now)
        world.initiator.station.step(world.now)
    world.run(20 * SECOND)
    assert bytes(world.listener.received) == b"".join(messages)
    assert world.initiator.host.counters.mptcp_retrans > 0
    assert world.initiator.host.info(world.initiator.connection_id).is_mptcp
