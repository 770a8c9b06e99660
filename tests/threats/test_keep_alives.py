"""Making a host talk: floods of keep-alives and of segments it has to answer."""

from __future__ import annotations

import pytest
from support.attack import unharmed
from support.script import UNCHECKED, MpPeer

from plait.units import SECOND
from plait.wire.segment import ACK, SYN, Segment

PROVOCATIONS = {
    "a keep-alive": (ACK, b"", -1),
    "far ahead": (ACK, b"", 1 << 24),
    "a SYN": (SYN, b"", 0),
    "a SYN far ahead": (SYN, b"", 1 << 24),
}


@pytest.mark.rfc("5961", "7", "B5961-02")
@pytest.mark.parametrize(("flags", "data", "at"), PROVOCATIONS.values(), ids=PROVOCATIONS.keys())
@pytest.mark.parametrize("batch", [True, False])
def test_a_flood_gets_one_answer_and_a_second_later_another(
    flags: int, data: bytes, at: int, batch: bool
) -> None:
    peer = MpPeer(UNCHECKED)

    def flood(count: int) -> int:
        first = peer.first
        answers: list[Segment] = []
        made = [first.segment(flags, data, seq=first.nxt + at) for _ in range(count)]
        if flags & SYN:
            first.nxt -= first.nxt - 1
        for part in [made] if batch else [[one] for one in made]:
            answers += peer.script.receive(part)
        return len(answers)

    assert flood(1) == 1  # a peer that means it is answered
    assert flood(1000) == 0
    peer.script.wait(SECOND)
    assert flood(1000) == 1
    assert unharmed(peer)


@pytest.mark.parametrize("batch", [True, False])
def test_old_octets_get_no_more_than_they_cost(batch: bool) -> None:
    """Each has to be acknowledged (RFC 9293, 3.10.7.4), but a batch of them once."""
    peer = MpPeer(UNCHECKED)
    first = peer.first
    made = [first.segment(ACK, b"x", seq=first.nxt - 1) for _ in range(500)]
    answers: list[Segment] = []
    for part in [made] if batch else [[one] for one in made]:
        answers += peer.script.receive(part)
    assert len(answers) == (1 if batch else 500)
    assert all(one.length == 0 for one in answers)
    assert unharmed(peer)
