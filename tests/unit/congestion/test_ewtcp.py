"""Equally weighted windows."""

from __future__ import annotations

import pytest
from support.coupling import MSS, group

from plait.congestion.ewtcp import Ewtcp


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_n_equally_weighted_windows_grow_as_one_of_their_sum(count: int) -> None:
    members = group(Ewtcp, [10 * MSS] * count, [0.1] * count)
    together = sum(one.growth(MSS) for one in members)
    (alone,) = group(Ewtcp, (10 * MSS,), (0.1,))
    assert together == pytest.approx(alone.growth(MSS) / count)
