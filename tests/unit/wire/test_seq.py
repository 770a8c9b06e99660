"""Sequence numbers: wrapping, unwrapping and promotion."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.seq import (
    HALF32,
    MASK32,
    MASK64,
    promote,
    unwrap32,
    unwrap64,
    unwrap_low32,
    wrap32,
    wrap64,
)

DATA = Path(__file__).parents[2] / "data"
PROMOTIONS = json.loads((DATA / "vectors.json").read_text())["promotions"]

uint32 = st.integers(0, MASK32)
uint64 = st.integers(0, MASK64)
positions = st.integers(0, 1 << 70)
drifts32 = st.integers(-HALF32, HALF32 - 1)


@given(initial=uint32, near=positions, drift=drifts32)
def test_unwrap32_inverts_wrap32_within_half_the_space(initial: int, near: int, drift: int) -> None:
    position = near + drift
    assert unwrap32(wrap32(position, initial), initial, near) == position


@given(initial=uint64, near=positions, drift=st.integers(-(1 << 63), (1 << 63) - 1))
def test_unwrap64_inverts_wrap64_within_half_the_space(initial: int, near: int, drift: int) -> None:
    position = near + drift
    assert unwrap64(wrap64(position, initial), initial, near) == position


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-15")
@given(initial=uint64, near=positions, drift=drifts32)
def test_low_half_is_enough_within_half_the_space(initial: int, near: int, drift: int) -> None:
    position = near + drift
    low = wrap64(position, initial) & MASK32
    assert unwrap_low32(low, initial, near) == position


@given(initial=uint32, near=positions, number=uint32)
def test_unwrap32_never_goes_further_than_half_the_space(
    initial: int, near: int, number: int
) -> None:
    position = unwrap32(number, initial, near)
    assert wrap32(position, initial) == number
    assert -HALF32 <= position - near < HALF32


def test_numbers_from_before_the_initial_one_are_negative() -> None:
    assert unwrap32(0xFFFFFFFF, 0, 5) == -1


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-19")
@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-20")
@pytest.mark.parametrize("row", PROMOTIONS, ids=[row["case"] for row in PROMOTIONS])
def test_promotion(row: dict[str, str]) -> None:
    reference, field, result = (int(row[name], 16) for name in ("reference", "field", "result"))
    assert promote(reference, field) == result


@given(reference=st.integers(1 << 32, MASK64), drift=st.integers(1 - HALF32, HALF32 - 1))
def test_promotion_finds_every_number_near_the_reference(reference: int, drift: int) -> None:
    number = (reference + drift) & MASK64
    assert promote(reference, number & MASK32) == number
