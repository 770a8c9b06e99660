"""DSNs and Data ACKs of 4 octets (RFC 8684, 3.3.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.script import UNCHECKED, MpPeer
from support.world import World

from plait.errors import UsageError
from plait.host.settings import Settings
from plait.mptcp.widths import MSL, Widths
from plait.units import MILLISECOND
from plait.wire.mptcp.dss import DATA_ACK_8, DATA_FIN, DSN_8, MAPPING
from plait.wire.seq import HALF32, MASK32

NARROW = Settings(dsn_octets=4, data_ack_octets=4)


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-16")
@pytest.mark.parametrize("dsn", [4, 8])
@pytest.mark.parametrize("ack", [4, 8])
def test_each_field_has_the_width_that_was_chosen(dsn: int, ack: int) -> None:
    peer = MpPeer(replace(UNCHECKED, dsn_octets=dsn, data_ack_octets=ack))
    (segment,) = peer.script.write(2, b"hello")
    (fin,) = peer.script.close(2)
    for one, position in ((segment, 1), (fin, 6)):
        assert one.dss is not None
        assert bool(one.dss.flags & DSN_8) is (dsn == 8)
        assert bool(one.dss.flags & DATA_ACK_8) is (ack == 8)
        whole = (peer.keys.remote_idsn + position) % (1 << 64)
        assert one.dss.dsn == (whole if dsn == 8 else whole & MASK32)
    assert fin.dss is not None
    assert fin.dss.flags & DATA_FIN


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-16")
@pytest.mark.parametrize("checksum", [True, False])
def test_hosts_of_different_widths_understand_each_other(checksum: bool) -> None:
    stream = bytes(range(256)) * 4000
    world = World(replace(NARROW, checksum=checksum), Settings(data_ack_octets=4))
    world.transfer(stream, back=stream[::-1])
    flags = {
        one.dss.flags & (MAPPING | DSN_8)
        for _, one in world.initiator.line.sent
        if one.dss is not None
    }
    assert flags == {0, MAPPING}
    assert all(end.empty for end in world.ends)


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-18")
@pytest.mark.parametrize(("rate", "wide"), [(8_000_000, False), (36_000_000, True)])
def test_the_rate_that_could_wrap_them_makes_them_wide(rate: int, wide: bool) -> None:
    widths = Widths(NARROW)
    for second in range(600):
        widths.settle(second * 1000 * MILLISECOND, second * rate, second * rate)
        if second > 2 * MSL // (1000 * MILLISECOND):
            assert (bool(widths.dsn), bool(widths.ack)) == (wide, wide)


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-18")
@given(st.lists(st.tuples(st.integers(0, 2 * MSL), st.integers(0, 1 << 31)), max_size=30))
def test_no_two_narrow_numbers_of_one_lifetime_are_half_the_space_apart(
    steps: list[tuple[int, int]],
) -> None:
    widths = Widths(NARROW)
    now = position = 0
    narrow: list[tuple[int, int]] = []
    for span, octets in steps:
        now += span
        position += octets
        widths.settle(now, position, position)
        if not widths.dsn:
            recent = [at for when, at in narrow if now - when < MSL]
            assert all(position - at < HALF32 for at in recent)
            narrow.append((now, position))


def test_no_other_width_exists() -> None:
    with pytest.raises(UsageError, match="dsn_octets: must be 4 or 8"):
        Settings(dsn_octets=6)
    with pytest.raises(UsageError, match="data_ack_octets: must be 4 or 8"):
        Settings(data_ack_octets=0)
