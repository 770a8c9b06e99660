"""BALIA against numbers computed by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from support.coupling import MSS, group

from plait.congestion.balia import Balia

BALANCES = {
    "B1": ((10, 10), (0.1, 0.1), (0.025, 0.025), (5.0, 5.0)),
    "B2": ((20, 5), (0.1, 0.1), (0.032, 0.032), (10.0, 3.75)),
    "B3": ((10, 10), (0.02, 0.2), (0.082644628, 0.012727273), (5.0, 7.5)),
    "B4": ((10,), (0.1,), (0.1,), (5.0,)),
}


@pytest.mark.rfc("balia", "3", "BALIA-01")
@pytest.mark.rfc("balia", "3", "BALIA-02")
@pytest.mark.rfc("balia", "3", "BALIA-03")
@pytest.mark.rfc("balia", "3", "BALIA-05")
@pytest.mark.parametrize(
    ("windows", "rtts", "steps", "losses"), BALANCES.values(), ids=BALANCES.keys()
)
def test_balia(
    windows: Sequence[int], rtts: Sequence[float], steps: Sequence[float], losses: Sequence[float]
) -> None:
    octets = [window * MSS for window in windows]
    members = group(Balia, octets, rtts)
    assert [one.growth(MSS) / MSS for one in members] == pytest.approx(steps, abs=5e-9)
    for number, loss in enumerate(losses):
        one = group(Balia, octets, rtts)[number]
        one.on_loss(0, octets[number])
        assert one.cwnd == max(octets[number] - round(loss * MSS), one.floor())
