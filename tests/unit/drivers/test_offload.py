from __future__ import annotations

from ipaddress import ip_address

import pytest

from plait.addresses import Path
from plait.drivers.offload import cut
from plait.wire.segment import ACK, Segment

FLOW = Path(ip_address("10.0.0.1"), 1000, ip_address("10.0.0.2"), 80).flow_out()
HEADERS = 40

SIZES = {
    "fits": (960, 0, 0),
    "does not": (961, 0, 960),
    "pieces fit": (5000, 960, 960),
    "pieces do not": (5000, 1460, 960),
}


@pytest.mark.parametrize(("length", "size", "cut_to"), SIZES.values(), ids=SIZES.keys())
def test_what_does_not_fit_is_cut(length: int, size: int, cut_to: int) -> None:
    segment = Segment(FLOW, 1, 2, ACK, 3, (bytes(length),), length)
    segment.segment_size = size
    smaller = cut(segment, 960 + HEADERS)
    assert smaller.segment_size == cut_to
    assert smaller.payload is segment.payload
    assert segment.segment_size == size
