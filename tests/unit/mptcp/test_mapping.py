"""The table of mappings against a model: the stream position of every subflow octet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.mptcp.mapping import MAX_MAPPINGS, Mapping, MappingTable, Verdict

UNCHECKED = -1
SUM = 7


def mapping(ssn: int, length: int, shift: int = 100, checksum: int = UNCHECKED) -> Mapping:
    return Mapping(ssn + shift, ssn, length, length, checksum)


def table(*known: Mapping) -> MappingTable:
    made = MappingTable()
    for one in known:
        assert made.add(one, 1) is Verdict.TAKEN
    return made


KNOWN = (mapping(11, 10), mapping(31, 10))

VERDICTS = {
    "before": (mapping(2, 9), Verdict.TAKEN),
    "between": (mapping(21, 10), Verdict.TAKEN),
    "after": (mapping(41, 10), Verdict.TAKEN),
    "the same": (mapping(11, 10), Verdict.KNOWN),
    "a part": (mapping(13, 4), Verdict.KNOWN),
    "the head": (mapping(11, 4), Verdict.KNOWN),
    "extends the tail": (mapping(11, 15), Verdict.TAKEN),
    "extends the head": (mapping(6, 10), Verdict.TAKEN),
    "spans both": (mapping(1, 60), Verdict.TAKEN),
    "fills the gap and touches both": (mapping(15, 20), Verdict.TAKEN),
    "the same octets elsewhere": (mapping(11, 10, shift=500), Verdict.CONFLICT),
    "one octet elsewhere": (mapping(20, 5, shift=500), Verdict.CONFLICT),
    "consumed": (mapping(-9, 10), Verdict.KNOWN),
    "begins in what is consumed": (mapping(-9, 15), Verdict.TAKEN),
}
CHECKED = VERDICTS | {
    "extends the tail": (mapping(11, 15), Verdict.CONFLICT),
    "extends the head": (mapping(6, 10), Verdict.CONFLICT),
    "spans both": (mapping(1, 60), Verdict.CONFLICT),
    "fills the gap and touches both": (mapping(15, 20), Verdict.CONFLICT),
    "begins in what is consumed": (mapping(-9, 15), Verdict.CONFLICT),
}


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-06")
@pytest.mark.parametrize(("new", "verdict"), VERDICTS.values(), ids=VERDICTS.keys())
def test_verdict(new: Mapping, verdict: Verdict) -> None:
    assert table(*KNOWN).add(new, 2) is verdict


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-06")
@pytest.mark.parametrize(("new", "verdict"), CHECKED.values(), ids=CHECKED.keys())
def test_verdict_with_checksums(new: Mapping, verdict: Verdict) -> None:
    made = table(*(mapping(one.ssn, one.length, checksum=SUM) for one in KNOWN))
    shift = new.dsn - new.ssn
    assert made.add(mapping(new.ssn, new.length, shift, SUM), 2) is verdict


@pytest.mark.rfc("8684", "3.3", "M8684-3.3-04")
def test_a_repetition_may_grow_by_the_data_fin() -> None:
    made = table(mapping(1, 10, checksum=SUM))
    grown = Mapping(101, 1, 10, 11, SUM + 1)
    assert made.add(grown, 1) is Verdict.KNOWN
    found = made.find(1)
    assert found is not None
    assert (found.dll, found.checksum) == (11, SUM + 1)


def test_the_number_that_wait_is_bounded() -> None:
    made = table(*(mapping(1 + 2 * at, 1) for at in range(MAX_MAPPINGS)))
    assert made.add(mapping(2, 1), 1) is Verdict.REFUSED
    assert made.add(mapping(1, 9), 1) is Verdict.REFUSED
    made.release(3)
    assert made.add(mapping(4, 1), 3) is Verdict.TAKEN


arrivals = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 12), st.sampled_from([100, 100, 100, 200])),
    max_size=20,
)


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-02")
@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-03")
@given(arrivals, st.integers(1, 45))
def test_finds_what_was_declared_first(news: list[tuple[int, int, int]], released: int) -> None:
    made = MappingTable()
    model: dict[int, int] = {}
    for ssn, length, shift in news:
        octets = {at: at + shift for at in range(ssn, ssn + length)}
        clash = any(model.get(at, to) != to for at, to in octets.items())
        verdict = made.add(mapping(ssn, length, shift), 1)
        if clash:
            assert verdict is Verdict.CONFLICT
        else:
            assert verdict is (Verdict.KNOWN if octets.keys() <= model.keys() else Verdict.TAKEN)
            model |= octets
    made.release(released)
    for at in range(released, 60):
        found = made.find(at)
        assert (None if found is None else found.dsn + at - found.ssn) == model.get(at)
        if at not in model:
            later = [other for other in model if other > at]
            assert made.next_start(at) == min(later, default=None)
