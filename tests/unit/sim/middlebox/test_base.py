from __future__ import annotations

from typing import Any, Final

import pytest
from support.boxes import FLOW, segment, stream, through
from support.world import NEAR

from plait.sim.middlebox import Middlebox, Transparent, middleboxes
from plait.sim.packet import Opaque, Packet, too_big

NEEDS: Final[dict[str, dict[str, Any]]] = {
    "alg": {"find": "a", "replace": "bb"},
    "nat": {"address": NEAR[1]},
    "strict-nat": {"address": NEAR[1]},
}
"""Arguments without a default."""


def make(name: str) -> Middlebox:
    return middleboxes.find(name)(**NEEDS.get(name, {}))


@pytest.mark.parametrize("name", middleboxes.names())
def test_every_box_says_who_has_seen_it(name: str) -> None:
    words = middleboxes.find(name).__doc__ or ""
    sources = ("RFC", "IMC'11", "HotMiddlebox'13")
    assert name == "transparent" or any(source in words for source in sources)


@pytest.mark.parametrize("name", middleboxes.names())
def test_no_box_touches_what_is_not_tcp(name: str) -> None:
    packet = Opaque(FLOW, 1500)
    (crossing,) = make(name).process(0, packet, outbound=True)
    assert crossing.packet is packet
    assert crossing.outbound


@pytest.mark.parametrize("name", middleboxes.names())
@pytest.mark.parametrize("outbound", [True, False])
def test_packets_are_shared_so_boxes_change_copies(name: str, outbound: bool) -> None:
    original = segment(payload=stream(4000))
    original.window = 60000
    original.ecn = 1
    twin = segment(payload=stream(4000))
    twin.window = 60000
    twin.ecn = 1
    make(name).process(0, original, outbound=outbound)
    assert original == twin


def test_a_transparent_box_changes_nothing() -> None:
    packets: list[Packet] = [segment(payload=b"data"), too_big(segment(), 1280)]
    for packet in packets:
        (crossing,) = Transparent().process(0, packet, outbound=False)
        assert crossing.packet is packet
        assert not crossing.outbound


@pytest.mark.rfc("8684", "6", "M8684-6-01")
def test_both_paths_through_a_transparent_box() -> None:
    outcome = through(Transparent(), stream(300_000), stream(100_000, 2), near=NEAR)
    assert outcome.mptcp
    assert outcome.ups == 2
    assert outcome.received == stream(300_000)
    assert outcome.answered == stream(100_000, 2)
