"""Windows that are as one."""

from __future__ import annotations

import pytest
from support.coupling import MSS, group

from plait.congestion.coupled import FullyCoupled


def test_full_coupling_takes_half_of_all_from_the_path_of_the_loss() -> None:
    members = group(FullyCoupled, (10 * MSS, 30 * MSS), (0.1, 0.1))
    assert [one.growth(MSS) / MSS for one in members] == pytest.approx([1 / 40, 1 / 40])
    members[1].on_loss(0, 30 * MSS)
    assert [one.cwnd // MSS for one in members] == [10, 10]
    members[0].on_loss(0, 10 * MSS)
    assert [one.cwnd // MSS for one in members] == [1, 10]
