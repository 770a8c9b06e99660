"""What is derived from settings."""

from __future__ import annotations

from typing import Any

import pytest
from support.world import End, World

from plait.errors import UnknownNameError, UsageError
from plait.host.settings import Settings
from plait.units import SECOND
from plait.wire.mptcp.mp_capable import MpCapableSyn, MpCapableSynAck
from plait.wire.segment import UNMARKED, Marking, Segment


@pytest.mark.rfc("7323", "2.2", "B7323-01")
@pytest.mark.parametrize(
    ("receive_buffer", "scale"),
    [(700, 0), (65_535, 0), (65_536, 1), (1 << 20, 5), (4 << 20, 7), (1 << 40, 14)],
)
def test_the_window_scale_is_the_smallest_that_tells_the_buffer(
    receive_buffer: int, scale: int
) -> None:
    assert Settings(receive_buffer=receive_buffer).window_scale == scale


@pytest.mark.parametrize(
    ("tos", "ttl", "marking"),
    [
        (0, 64, UNMARKED),
        (3, 64, UNMARKED),
        (0xBB, 1, Marking(0xB8, 1)),
        (255, 255, Marking(252, 255)),
    ],
)
def test_marks_leave_the_bits_of_ecn_to_the_stack(tos: int, ttl: int, marking: Marking) -> None:
    assert Settings(tos=tos, ttl=ttl).marking == marking


@pytest.mark.parametrize("wrong", [{"tos": -1}, {"tos": 256}, {"ttl": 0}, {"ttl": 256}])
def test_marks_that_no_header_holds_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="must be between"):
        Settings(**wrong)  # type: ignore[arg-type]


@pytest.mark.rfc("6897", "4.5", "M6897-4.5-01")
@pytest.mark.rfc("6897", "5.2", "M6897-5.2-01")
@pytest.mark.rfc("6897", "5.3.2", "M6897-5.3.2-01")
@pytest.mark.rfc("6897", "5.3.2", "M6897-5.3.2-03")
@pytest.mark.rfc("6897", "5.3.2", "M6897-5.3.2-04")
@pytest.mark.parametrize("initiator", [True, False])
@pytest.mark.parametrize("listener", [True, False])
def test_multipath_is_offered_and_answered_where_it_is_on_and_both_sides_know(
    initiator: bool, listener: bool
) -> None:
    assert Settings().mptcp
    world = World(Settings(mptcp=initiator), Settings(mptcp=listener))
    world.start(subflows=2 if initiator and listener else 1)
    (syn, _), (answer, _) = (_first_two(end) for end in world.ends)
    assert _offers(syn) is initiator
    assert _offers(answer) is (initiator and listener)
    for end in world.ends:
        info = end.host.info(end.connection_id)
        assert info.is_mptcp is (initiator and listener)
        assert (info.fallback_reason is None) is info.is_mptcp


def _first_two(end: End) -> list[Segment]:
    return [segment for _, segment in end.line.sent[:2]]


def _offers(segment: Segment) -> bool:
    kinds = MpCapableSyn | MpCapableSynAck
    return any(isinstance(option, kinds) for option in segment.options)


@pytest.mark.rfc("6897", "4.4.3", "M6897-4.4.3-01")
def test_buffers_are_those_of_the_connection_however_many_subflows_it_has() -> None:
    settings = Settings(autotuning=False, receive_buffer=200_000, send_buffer=100_000)
    world = World(settings)
    world.start()
    world.listener.reading = False
    world.initiator.to_send = bytes(1_000_000)
    world.run(10 * SECOND)
    info = world.listener.host.info(world.listener.connection_id)
    assert info.bytes_received == 200_000
    assert len(world.initiator.to_send) == 1_000_000 - 300_000


@pytest.mark.parametrize("setting", ["syn_cookies", "fast_open"])
def test_unknown_words_are_refused(setting: str) -> None:
    words: dict[str, Any] = {setting: "maybe"}
    with pytest.raises(UnknownNameError, match="choose from"):
        Settings(**words)
