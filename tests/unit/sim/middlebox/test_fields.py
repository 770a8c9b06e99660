from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import pytest
from support.boxes import FLOW, lossy, segment, stream, through
from support.world import NEAR

from plait.host.reset import reverse_flow
from plait.sim.middlebox import BleachEcn, Middlebox, StripTimestamps, WindowRewriter
from plait.wire.segment import ABSENT, ACK, CWR, ECE, SYN, Segment
from plait.wire.tcp_options import Option, WindowScale

DATA = stream(300_000)
BACK = stream(200_000, 2)

Make: TypeAlias = Callable[[], Middlebox]


def passed(box: Middlebox, packet: Segment, *, outbound: bool = True) -> Segment:
    (crossing,) = box.process(0, packet, outbound=outbound)
    assert isinstance(crossing.packet, Segment)
    return crossing.packet


@pytest.mark.parametrize(
    ("offers", "field"),
    [((3, 7), 1024), ((3, None), 8192), ((None, 7), 8192)],
    ids=["both scale", "peer does not", "we do not"],
)
def test_a_window_counts_with_its_scale(offers: tuple[int | None, ...], field: int) -> None:
    box = WindowRewriter(most=8192)
    for offer, flow, flags in zip(
        offers, (FLOW, reverse_flow(FLOW)), (SYN, SYN | ACK), strict=True
    ):
        syn = segment(flow=flow, flags=flags)
        options: tuple[Option, ...] = () if offer is None else (WindowScale(offer),)
        syn.options = options
        assert passed(box, syn, outbound=flow == FLOW).window == 8192
    assert passed(box, segment()).window == field
    small = segment()
    small.window = 100
    assert passed(box, small).window == 100


@pytest.mark.parametrize(("syn", "kept"), [(True, (False, False)), (False, (True, False))])
def test_timestamps_are_stripped(syn: bool, kept: tuple[bool, bool]) -> None:
    box = StripTimestamps(syn=syn)
    for flags, keep in zip((SYN, ACK), kept, strict=True):
        stamped = segment(flags=flags)
        stamped.ts_val = 5
        assert (passed(box, stamped).ts_val != ABSENT) is keep


@pytest.mark.parametrize(("flags", "left"), [(False, ACK | ECE | CWR), (True, ACK)])
def test_ecn_is_bleached(flags: bool, left: int) -> None:
    marked = segment(flags=ACK | ECE | CWR)
    marked.ecn = 3
    clean = passed(BleachEcn(flags=flags), marked)
    assert clean.ecn == 0
    assert clean.flags == left


BOXES: dict[str, Make] = {
    "window of 8 KB": WindowRewriter,
    "window of 8 KB, one way": partial(WindowRewriter, direction="inbound"),
    "window of 2000 octets": partial(WindowRewriter, most=2000),
    "no timestamps": StripTimestamps,
    "timestamps vanish": partial(StripTimestamps, syn=False),
    "timestamps vanish, outbound": partial(StripTimestamps, syn=False, direction="outbound"),
    "timestamps vanish, inbound": partial(StripTimestamps, syn=False, direction="inbound"),
    "no timestamps in SYNs, one way": partial(StripTimestamps, direction="inbound"),
    "no ECN": BleachEcn,
    "no ECN flags": partial(BleachEcn, flags=True),
}


@pytest.mark.rfc("8684", "6", "M8684-6-01")
@pytest.mark.parametrize("make", BOXES.values(), ids=BOXES.keys())
@pytest.mark.parametrize("every", [10**9, 23], ids=["", "lossy"])
def test_it_slows_down_at_worst(make: Make, every: int) -> None:
    outcome = through(make(), DATA, BACK, near=NEAR, hook=lossy(every))
    assert outcome.mptcp
    assert outcome.ups == 2
    assert not outcome.downs
    assert outcome.received == DATA
    assert outcome.answered == BACK
