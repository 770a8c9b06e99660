"""The default scheduler, and the classes of subflows that every scheduler has to respect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.scheduling import LowestRtt, SubflowView, schedulers
from plait.scheduling.base import usable

BURST = 60_000


def view(
    index: int, *, room: int = 50_000, srtt: int = 10, backup: bool = False, stale: bool = False
) -> SubflowView:
    return SubflowView(index, room, BURST, 1000, 100_000, 0, srtt, 0, backup, stale)


views = st.lists(
    st.builds(
        view,
        st.integers(0, 7),
        room=st.sampled_from([0, 1, 1000, 200_000]),
        srtt=st.integers(0, 9),
        backup=st.booleans(),
        stale=st.booleans(),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda one: one.index,
)

CHOICES = {
    "least RTT": ([view(0, srtt=20), view(1, srtt=10)], 1),
    "overflow": ([view(0, srtt=20), view(1, srtt=10, room=0)], 0),
    "the first of equals": ([view(0), view(1)], 0),
    "no backup while another works": ([view(0, srtt=20), view(1, backup=True)], 0),
    "no backup even if the other is full": ([view(0, room=0), view(1, backup=True)], None),
    "a backup alone": ([view(1, backup=True)], 1),
    "a backup when the other is stale": ([view(0, stale=True), view(1, backup=True)], 1),
    "a stale one when all are": ([view(0, stale=True)], 0),
    "nobody has room": ([view(0, room=0)], None),
}


@pytest.mark.rfc("8684", "3.3.8", "M8684-3.3.8-02")
@pytest.mark.rfc("8684", "3.3.8", "M8684-3.3.8-04")
@pytest.mark.parametrize(("subflows", "chosen"), CHOICES.values(), ids=CHOICES.keys())
def test_choice(subflows: list[SubflowView], chosen: int | None) -> None:
    grants = LowestRtt().schedule(0, 100, 1000, 1000, subflows)
    assert [grant.index for grant in grants] == ([] if chosen is None else [chosen])


@given(views)
def test_usable_is_one_class_of_subflows_and_never_none(subflows: list[SubflowView]) -> None:
    chosen = usable(subflows)
    assert chosen
    assert len({(one.stale, one.backup) for one in chosen}) <= 2
    if any(not one.stale for one in subflows):
        assert not any(one.stale for one in chosen)
    if any(not one.backup for one in chosen):
        assert not any(one.backup for one in chosen)


def test_is_found_by_name() -> None:
    assert schedulers.find("default") is LowestRtt
