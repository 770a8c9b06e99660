"""F-RTO against the steps of RFC 5682."""

from __future__ import annotations

import pytest

from plait.tcp.frto import Frto, Verdict

ADVANCE = {"advanced": True, "original": False, "news": True}
ORIGINAL = {"advanced": True, "original": True, "news": True}
SACKED = {"advanced": False, "original": True, "news": True}
DUPLICATE = {"advanced": False, "original": False, "news": True}

OPEN, SPURIOUS, GENUINE = Verdict.OPEN, Verdict.SPURIOUS, Verdict.GENUINE
STEPS = {
    "two ACKs that advance": (False, [(ADVANCE, OPEN), (ADVANCE, SPURIOUS)]),
    "a duplicate first": (False, [(DUPLICATE, GENUINE), (ADVANCE, OPEN)]),
    "a duplicate second": (False, [(ADVANCE, OPEN), (DUPLICATE, GENUINE), (ADVANCE, OPEN)]),
    "SACK, an original second": (True, [(ADVANCE, OPEN), (ORIGINAL, SPURIOUS)]),
    "SACK, an original SACKed second": (True, [(ADVANCE, OPEN), (SACKED, SPURIOUS)]),
    "SACK, duplicates before the first": (
        True,
        [(SACKED, OPEN), (ADVANCE, OPEN), (SACKED, SPURIOUS)],
    ),
    "SACK, only what was sent again": (True, [(ADVANCE, OPEN), (ADVANCE, GENUINE)]),
    "SACK, a duplicate second": (True, [(ADVANCE, OPEN), (DUPLICATE, GENUINE)]),
}


@pytest.mark.rfc("5682", "2.1", "B5682-01")
@pytest.mark.rfc("5682", "3.1", "B5682-01")
@pytest.mark.parametrize(("sack", "steps"), STEPS.values(), ids=STEPS.keys())
def test_steps(sack: bool, steps: list[tuple[dict[str, bool], Verdict]]) -> None:
    frto = Frto()
    frto.start()
    assert [frto.on_ack(**ack, sack=sack) for ack, _ in steps] == [told for _, told in steps]


def test_new_data_takes_the_place_of_repeats_only_between_both_acks() -> None:
    frto = Frto()
    assert not frto.holding
    frto.start()
    assert not frto.holding
    frto.on_ack(**ADVANCE, sack=True)
    assert frto.holding
    frto.on_ack(**SACKED, sack=True)
    assert not frto.holding
