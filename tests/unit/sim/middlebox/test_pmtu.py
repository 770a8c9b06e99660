from __future__ import annotations

import pytest
from support.boxes import segment, stream, through
from support.world import NEAR

from plait.sim.middlebox import PmtuBlackHole, PmtuLimit
from plait.sim.packet import packet_octets
from plait.units import MILLISECOND
from plait.wire.icmp import DESTINATION_UNREACHABLE, FRAGMENTATION_NEEDED, IcmpError

DATA = stream(300_000)
BACK = stream(200_000, 2)
FITS = segment(payload=bytes(1240))
TOO_LONG = segment(1000, payload=bytes(1241))


def test_the_limit_counts_headers() -> None:
    assert packet_octets(FITS) == 1280
    for kind in (PmtuBlackHole, PmtuLimit):
        (crossing,) = kind(mtu=1280).process(0, FITS, outbound=True)
        assert crossing.packet is FITS
    assert PmtuBlackHole(mtu=1280).process(0, TOO_LONG, outbound=True) == []
    assert PmtuBlackHole(mtu=1280, direction="inbound").process(0, TOO_LONG, outbound=True)


def test_a_friendly_hop_tells_the_sender() -> None:
    (crossing,) = PmtuLimit(mtu=1280).process(0, TOO_LONG, outbound=True)
    assert not crossing.outbound
    assert crossing.packet == IcmpError(
        version=4,
        type=DESTINATION_UNREACHABLE,
        code=FRAGMENTATION_NEEDED,
        mtu=1280,
        flow=TOO_LONG.flow,
        seq=1000,
    )


@pytest.mark.rfc("8684", "3.3.6")
@pytest.mark.parametrize("kind", [PmtuBlackHole, PmtuLimit])
@pytest.mark.parametrize("direction", ["both", "outbound", "inbound"])
def test_data_that_does_not_fit_goes_over_the_other_path(
    kind: type[PmtuBlackHole], direction: str
) -> None:
    box = kind(direction=direction)
    slow = 30 * MILLISECOND
    outcome = through(box, DATA, BACK, near=NEAR, crossing=NEAR[1:], slow=slow)
    assert outcome.mptcp
    assert outcome.ups == 2
    assert outcome.received == DATA
    assert outcome.answered == BACK
