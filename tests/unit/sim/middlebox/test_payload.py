from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.boxes import FLOW, ONE, SPAN, Outcome, Place, payload_of, segment, stream, through
from support.world import NEAR, World

from plait.host.events import Closed, Lost
from plait.host.reset import reverse_flow
from plait.host.settings import Settings
from plait.sim.middlebox import Corrupter, Middlebox, PayloadAlg
from plait.units import MILLISECOND, Nanos
from plait.wire.mptcp.mp_fail import MpFail
from plait.wire.segment import SYN, Segment

DATA = stream(300_000)
BACK = stream(200_000, 2)
PLAIN = Settings(mptcp=False)
SLOW = 30 * MILLISECOND
FIND = "PORT 10,0,1,1"
LONGER = "PORT 192,0,2,133"
SHORTER = "PORT 1,2,3"
LETTER = stream(100_000) + FIND.encode() + stream(100_000, 3)


def passed(box: Middlebox, packet: Segment, *, outbound: bool = True) -> Segment:
    (crossing,) = box.process(0, packet, outbound=outbound)
    assert isinstance(crossing.packet, Segment)
    return crossing.packet


def fails(outcome: Outcome) -> int:
    """Return how many MP_FAILs both hosts sent."""
    return sum(
        isinstance(option, MpFail)
        for end in outcome.world.ends
        for _, sent in end.line.sent
        for option in sent.options
    )


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.integers(0, 200))
def test_the_same_octets_are_hit_however_they_are_cut(lengths: list[int], offset: int) -> None:
    box = Corrupter(offset=offset, length=3)
    passed(box, segment(2**32 - 50, flags=SYN))
    at = 0
    out = b""
    for length in lengths:
        seq = (2**32 - 49 + at) % 2**32
        out += payload_of(passed(box, segment(seq, bytes(length))))
        at += length
    assert out == bytes(0xFF if offset <= place < offset + 3 else 0 for place in range(at))


def test_the_other_direction_is_spared() -> None:
    box = Corrupter(direction="inbound")
    passed(box, segment(0, flags=SYN))
    assert payload_of(passed(box, segment(1, b"data"))) == b"data"


EDITS: Final = {"longer": ("cat", "elephant"), "shorter": ("elephant", "cat"), "gone": ("cat", "")}


@pytest.mark.parametrize(("find", "replace"), EDITS.values(), ids=EDITS.keys())
def test_sequence_numbers_stay_consistent(find: str, replace: str) -> None:
    box = PayloadAlg(find=find, replace=replace)
    growth = len(replace) - len(find)
    passed(box, segment(0, flags=SYN))
    text = f"a {find} and a {find}.".encode()
    edited = passed(box, segment(1, text))
    assert payload_of(edited) == text.replace(find.encode(), replace.encode())
    assert edited.length == len(text) + 2 * growth
    end = 1 + len(text)
    following = passed(box, segment(end, b"and so on"))
    assert following.seq == end + 2 * growth
    assert passed(box, segment(1, text)).payload == edited.payload
    back = segment(flow=reverse_flow(FLOW), ack=following.seq)
    back.sack = ((following.seq + 2, following.seq + 5),)
    answer = passed(box, back, outbound=False)
    assert answer.ack == end
    assert answer.sack == ((end + 2, end + 5),)


@given(st.integers(0, 60))
def test_no_acknowledgment_runs_ahead(ack: int) -> None:
    box = PayloadAlg(find="cat", replace="elephant")
    passed(box, segment(0, flags=SYN))
    passed(box, segment(1, b"a cat and a cat."))
    found = passed(box, segment(flow=reverse_flow(FLOW), ack=ack), outbound=False).ack
    # The SYN, then the text: what was edited is acknowledged once all of it is.
    original = [0, 1, 2, *[3] * 8, *range(6, 13), *[13] * 8, *range(16, 18)]
    assert found == (original[ack] if ack < len(original) else ack - 10)


BOXES: Final = {
    "first octet": (Corrupter, {}),
    "in the middle": (Corrupter, {"offset": 100_000}),
    "the other way": (Corrupter, {"offset": 100_000, "direction": "inbound"}),
    "longer": (PayloadAlg, {"find": FIND, "replace": LONGER}),
    "shorter": (PayloadAlg, {"find": FIND, "replace": SHORTER}),
    "equally long": (PayloadAlg, {"find": FIND, "replace": "PORT 10,9,9,9"}),
}


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-12")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-14")
@pytest.mark.rfc("8684", "6", "M8684-6-01")
@pytest.mark.rfc("8041", "3.1", "M8041-3.1-3")
@pytest.mark.parametrize(("kind", "options"), BOXES.values(), ids=BOXES.keys())
def test_on_the_only_subflow_it_is_as_with_tcp(
    kind: type[Middlebox], options: dict[str, object]
) -> None:
    outcome = through(kind(**options), LETTER, BACK)
    alike = through(kind(**options), LETTER, BACK, settings=PLAIN)
    assert (alike.received, alike.answered) != (LETTER, BACK)
    assert outcome.plain
    assert fails(outcome) == 2
    assert outcome.received == alike.received
    assert outcome.answered == alike.answered


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-21")
def test_after_fall_back_a_data_fin_does_not_end_the_stream() -> None:
    def overtaken(_: Nanos, sent: Segment) -> list[tuple[Nanos, Segment]]:
        return [(5 * MILLISECOND if sent.length else 0, sent)]

    short = LETTER[99_000:101_000]
    for settings in (None, PLAIN):
        box = PayloadAlg(find=FIND, replace=LONGER)
        outcome = through(box, short, BACK, settings=settings, hook=overtaken)
        assert outcome.received == short.replace(FIND.encode(), LONGER.encode())
        assert outcome.answered == BACK


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-08")
def test_without_checksums_nobody_notices() -> None:
    outcome = through(Corrupter(offset=99), DATA, BACK, settings=Settings(checksum=False))
    assert outcome.mptcp
    assert outcome.received == DATA[:99] + bytes((DATA[99] ^ 0xFF,)) + DATA[100:]
    assert outcome.answered == BACK


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-09")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-10")
@pytest.mark.rfc("8684", "3.7", "M8684-3.7-11")
@pytest.mark.parametrize(
    "box",
    [
        Corrupter(offset=20_000),
        Corrupter(offset=20_000, direction="both"),
        PayloadAlg(find=FIND, replace=LONGER),
        PayloadAlg(find=FIND, replace=SHORTER),
    ],
    ids=["octet", "both ways", "longer", "shorter"],
)
def test_on_one_of_two_subflows_it_ends_that_one_and_nothing_is_lost(box: Middlebox) -> None:
    outcome = through(box, LETTER, BACK, near=NEAR, crossing=NEAR[1:], slow=SLOW)
    assert outcome.mptcp
    assert outcome.downs == {NEAR[1]}
    assert fails(outcome) >= 1
    assert outcome.received == LETTER
    assert outcome.answered == BACK


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-19")
def test_a_join_on_its_way_is_given_up_with_multipath() -> None:
    outcome = through(Corrupter(offset=20_000), DATA, BACK, near=NEAR, crossing=ONE)
    alike = through(Corrupter(offset=20_000), DATA, BACK, settings=PLAIN)
    assert outcome.plain
    assert outcome.received == alike.received
    assert outcome.answered == BACK


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-15")
def test_data_that_came_again_is_not_taken_for_what_follows() -> None:
    """The end of the stream shrinks: its mapping waits until the data comes again behind it."""
    data = stream(1000) + FIND.encode() + stream(1000, 3)
    world = World(near=ONE, whole=False)
    Place(world, PayloadAlg(find=FIND, replace=SHORTER), ONE, world.initiator)
    world.initiator.to_send = data
    world.connect()
    world.run(SPAN)
    assert bytes(world.listener.received) == b""
    for end in world.ends:
        assert end.heard(Lost)
        assert not end.heard(Closed)
