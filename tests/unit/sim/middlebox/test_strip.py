from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import pytest
from support.boxes import ONE, Place, segment, stream, through
from support.world import NEAR, World

from plait.errors import UsageError
from plait.host.events import LossReason, Lost
from plait.host.settings import Settings
from plait.sim.middlebox import (
    DropUnknownSyn,
    Middlebox,
    OverwriteOptions,
    StripData,
    StripLate,
    StripSyn,
    StripSynAck,
)
from plait.sim.middlebox.strip import kinds_of
from plait.units import MILLISECOND, SECOND
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.dss import DATA_ACK, Dss
from plait.wire.mptcp.mp_capable import MpCapableSyn
from plait.wire.mptcp.mp_tcprst import MIDDLEBOX_INTERFERENCE, MpTcprst
from plait.wire.segment import ABSENT, ACK, RST, SYN, Segment
from plait.wire.tcp_options import MPTCP, TIMESTAMPS, FastOpen, Mss, WindowScale

DATA = stream(300_000)
BACK = stream(200_000, 2)
SLOW = 30 * MILLISECOND
"""Makes the other path the worse one."""

Make: TypeAlias = Callable[[], Middlebox]


def syn(flags: int = SYN) -> Segment:
    made = segment(flags=flags)
    made.options = (Mss(1460), MpCapableSyn(), WindowScale(7))
    return made


def mapped(payload: bytes = b"data") -> Segment:
    made = segment(payload=payload)
    made.dss = Dss(DATA_ACK, 5)
    made.ts_val = 9
    made.options = (AddAddr(address_id=3, address=NEAR[1], echo=True),)
    return made


def passed(box: Middlebox, packet: Segment, *, outbound: bool = True) -> Segment:
    (crossing,) = box.process(0, packet, outbound=outbound)
    assert crossing.outbound is outbound
    assert isinstance(crossing.packet, Segment)
    return crossing.packet


PACKETS = {
    "SYN": (StripSyn(), syn(), True),
    "SYN/ACK": (StripSynAck(), syn(SYN | ACK), True),
    "not SYN/ACK": (StripSyn(), syn(SYN | ACK), False),
    "not SYN": (StripSynAck(), syn(), False),
    "not the other way": (StripSyn(direction="inbound"), syn(), False),
    "data": (StripData(), mapped(), True),
    "pure ACK": (StripData(), mapped(b""), True),
    "not a pure ACK": (StripData(pure_acks=False), mapped(b""), False),
    "not a SYN": (StripData(), syn(), False),
    "NOP": (OverwriteOptions(), mapped(), True),
    "EOL": (OverwriteOptions(filler="eol"), mapped(), True),
}


@pytest.mark.parametrize(("box", "packet", "gone"), PACKETS.values(), ids=PACKETS.keys())
def test_what_is_stripped(box: Middlebox, packet: Segment, gone: bool) -> None:
    left = passed(box, packet)
    assert (MPTCP not in kinds_of(left)) is gone
    assert kinds_of(packet) - kinds_of(left) == ({MPTCP} if gone else set())
    assert left.payload == packet.payload


def test_eol_hides_what_follows_it() -> None:
    left = passed(OverwriteOptions(filler="eol", kind=TIMESTAMPS), mapped())
    assert left.ts_val == ABSENT
    assert left.dss is None
    left = passed(OverwriteOptions(kind=TIMESTAMPS), mapped())
    assert left.ts_val == ABSENT
    assert left.dss is not None


def test_a_wrong_filler_is_told() -> None:
    with pytest.raises(UsageError, match="zero"):
        OverwriteOptions(filler="zero")


@pytest.mark.parametrize(
    "box", [StripLate(after_octets=8), StripLate(after_packets=2)], ids=["octets", "packets"]
)
def test_late_means_after_what_was_allowed(box: StripLate) -> None:
    kept = [passed(box, mapped()).dss is not None for _ in range(4)]
    assert kept == [True, True, False, False]


@pytest.mark.parametrize("reset", [False, True])
def test_unknown_options_on_syns_are_refused(reset: bool) -> None:
    box = DropUnknownSyn(reset=reset)
    plain = segment(flags=SYN)
    plain.options = (Mss(1460),)
    assert passed(box, plain) is plain
    for option in (MpCapableSyn(), FastOpen()):
        odd = segment(flags=SYN)
        odd.options = (option,)
        out = box.process(0, odd, outbound=True)
        assert [crossing.outbound for crossing in out] == [False] * reset
        assert all(crossing.packet.flags & RST for crossing in out)  # type: ignore[union-attr]  # a RST


FIRST: dict[str, Make] = {
    "SYN": StripSyn,
    "SYN/ACK": StripSynAck,
    "all but SYNs": StripData,
    "all but SYNs, outbound": partial(StripData, direction="outbound"),
    "all but SYNs, inbound": partial(StripData, direction="inbound"),
    "payload, outbound": partial(StripData, direction="outbound", pure_acks=False),
    "payload, inbound": partial(StripData, direction="inbound", pure_acks=False),
    "late": partial(StripLate, after_octets=100_000),
    "late, outbound": partial(StripLate, after_octets=100_000, direction="outbound"),
    "late, inbound": partial(StripLate, after_octets=100_000, direction="inbound"),
    "from the fourth packet": partial(StripLate, after_packets=3),
    "from the seventh packet": partial(StripLate, after_packets=6),
    "NOP": OverwriteOptions,
    "EOL": partial(OverwriteOptions, filler="eol"),
    "SYN dropped": DropUnknownSyn,
}


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-01")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-06")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-07")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-22")
@pytest.mark.rfc("8684", "3.9.3", "M8684-3.9.3-01")
@pytest.mark.rfc("8684", "6", "M8684-6-03")
@pytest.mark.rfc("8041", "3.1", "M8041-3.1-4")
@pytest.mark.parametrize("make", FIRST.values(), ids=FIRST.keys())
@pytest.mark.parametrize("checksum", [True, False], ids=["checksums", "no checksums"])
def test_on_the_only_subflow_it_means_tcp(make: Make, checksum: bool) -> None:
    outcome = through(make(), DATA, BACK, settings=Settings(checksum=checksum))
    assert outcome.plain
    assert outcome.received == DATA
    assert outcome.answered == BACK


TINY = Settings(receive_buffer=20_000)

ONE_WAY: dict[str, tuple[Make, bytes, bytes]] = {
    "only ACKs come back": (
        partial(StripLate, after_octets=20_000, direction="inbound"),
        DATA,
        b"",
    ),
    "the peer fell back": (
        partial(StripLate, after_octets=20_000, direction="outbound", pure_acks=False),
        DATA,
        b"",
    ),
    "one octet each": (partial(StripData, direction="inbound"), b"a", b"b"),
    "all after the first octet": (partial(StripLate, after_octets=1), b"a", b""),
    "nothing to say, inbound": (partial(StripData, direction="inbound"), b"", b""),
    "nothing to say, outbound": (partial(StripData, direction="outbound"), b"", b""),
    "SYN/ACK dropped": (partial(DropUnknownSyn, direction="inbound"), DATA, BACK),
}


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-06")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-13")
@pytest.mark.parametrize(("make", "data", "back"), ONE_WAY.values(), ids=ONE_WAY.keys())
@pytest.mark.parametrize("settings", [Settings(), TINY], ids=["", "small buffers"])
def test_the_other_host_is_told(make: Make, data: bytes, back: bytes, settings: Settings) -> None:
    """With nothing to send, or nothing to hear, one host still falls back in time and ends."""
    outcome = through(make(), data, back, settings=settings)
    assert outcome.received == data
    assert outcome.answered == back
    assert max(end.events[-1][0] for end in outcome.world.ends) < 20 * SECOND


JOINS: dict[str, Make] = {
    "SYN": StripSyn,
    "SYN/ACK": StripSynAck,
    "third ACK": partial(StripData, direction="outbound"),
    "EOL": partial(OverwriteOptions, filler="eol"),
    "SYN dropped": DropUnknownSyn,
    "SYN refused": partial(DropUnknownSyn, reset=True),
}


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-02")
@pytest.mark.rfc("8684", "6", "M8684-6-03")
@pytest.mark.parametrize("make", JOINS.values(), ids=JOINS.keys())
def test_a_join_that_fails_leaves_the_path_unused(make: Make) -> None:
    outcome = through(make(), DATA, BACK, near=NEAR, crossing=NEAR[1:], slow=SLOW)
    assert outcome.mptcp
    assert outcome.ups == 1
    assert outcome.received == DATA
    assert outcome.answered == BACK


LATER: dict[str, Make] = {
    "both ways": partial(StripLate, after_octets=50_000),
    "outbound": partial(StripLate, after_octets=50_000, direction="outbound"),
    "inbound": partial(StripLate, after_octets=50_000, direction="inbound"),
    "Data ACKs": partial(StripData, direction="inbound"),
}


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-05")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-07")
@pytest.mark.parametrize("make", LATER.values(), ids=LATER.keys())
def test_on_one_of_two_subflows_it_ends_that_one(make: Make) -> None:
    outcome = through(make(), DATA, BACK, near=NEAR, crossing=NEAR[1:], slow=SLOW)
    assert outcome.mptcp
    assert outcome.ups == 2
    resets = [
        option.reason
        for end in outcome.world.ends
        for _, sent in end.line.sent
        for option in sent.options
        if isinstance(option, MpTcprst)
    ]
    assert set(resets) == {MIDDLEBOX_INTERFERENCE}
    assert outcome.received == DATA
    assert outcome.answered == BACK


def test_a_refused_syn_is_a_refused_connection() -> None:
    world = World(near=ONE)
    Place(world, DropUnknownSyn(reset=True), ONE, world.initiator)
    world.connect()
    world.run(SECOND)
    (event,) = world.initiator.events
    assert isinstance(event[1], Lost)
    assert event[1].reason is LossReason.REFUSED
