from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.boxes import FLOW, segment

from plait.errors import UsageError
from plait.sim.middlebox.flows import FlowTable, Numbering, connection_of, refuse, sides
from plait.wire.segment import ACK, FIN, RST, SYN


def test_both_directions_name_one_connection() -> None:
    back = FLOW[4:8] + FLOW[:4] + FLOW[10:] + FLOW[8:10]
    assert connection_of(segment(), outbound=True) == FLOW
    assert connection_of(segment(flow=back), outbound=False) == FLOW


def test_a_wrong_direction_is_told() -> None:
    assert sides("both") == {True, False}
    with pytest.raises(UsageError, match="upward"):
        sides("upward")


def test_the_least_recently_used_flow_is_forgotten() -> None:
    table: FlowTable[list[int]] = FlowTable(list, limit=2)
    first = table.at(b"one")
    second = table.at(b"two")
    assert table.at(b"one") is first
    table.at(b"three")
    assert len(table) == 2
    assert table.get(b"two") is None
    assert table.at(b"two") is not second


@given(initial=st.integers(0, 2**32 - 1), lengths=st.lists(st.integers(1, 65000), max_size=50))
def test_positions_count_from_the_syn_across_the_wrap(initial: int, lengths: list[int]) -> None:
    numbers = Numbering()
    assert numbers.see(segment(initial, flags=SYN)) == 0
    position = 1
    for length in lengths:
        assert numbers.see(segment(numbers.number(position), bytes(length))) == position
        position += length
        assert numbers.edge == position


def test_a_new_syn_on_the_same_flow_starts_anew() -> None:
    numbers = Numbering()
    numbers.see(segment(100, flags=SYN))
    numbers.see(segment(101, bytes(5000)))
    assert numbers.see(segment(7_000_000, flags=SYN)) == 0
    assert numbers.edge == 1


@pytest.mark.parametrize(
    ("flags", "expected"),
    [(SYN, (0, 1001, RST | ACK)), (ACK | FIN, (77, 0, RST)), (RST, None)],
    ids=["SYN", "FIN", "RST"],
)
def test_refusal(flags: int, expected: tuple[int, int, int] | None) -> None:
    out = refuse(segment(1000, ack=77 if flags & ACK else 0, flags=flags), outbound=True)
    found = [(crossing.packet, crossing.outbound) for crossing in out]
    if expected is None:
        assert not found
        return
    ((packet, outbound),) = found
    assert not outbound
    assert (packet.seq, packet.ack, packet.flags) == expected  # type: ignore[union-attr]  # a RST
