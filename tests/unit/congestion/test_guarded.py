"""Controllers that fail behind their fence: the window stays usable, and one complaint is heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.build import COMPILED, interpreted

from plait.congestion import AckSample, CongestionController, LossSample, RateSample
from plait.congestion.bbr import Bbr
from plait.congestion.guarded import Guarded, guarded
from plait.congestion.lia import Lia
from plait.congestion.reno import Reno
from plait.units import MILLISECOND, Nanos, Octets

MSS = 1000


class Foreign(Reno):
    """Comes from elsewhere, by the module it is in."""

    def on_ack(self, sample: AckSample) -> None:
        self.cwnd += sample.acked


def raises(*_: object, **__: object) -> None:
    raise ZeroDivisionError("by nobody")


def fence(inner: CongestionController) -> tuple[Guarded, list[str]]:
    faults: list[str] = []
    made = guarded(inner, faults.append)
    assert isinstance(made, Guarded)
    return made, faults


def sample(acked: Octets = MSS) -> AckSample:
    return AckSample(0, acked, 10 * MSS, 100 * MILLISECOND, app_limited=False)


@pytest.mark.parametrize("made", [Reno(MSS), Lia(MSS), Bbr(MSS)])
def test_what_comes_with_plait_needs_no_fence(made: CongestionController) -> None:
    assert guarded(made, pytest.fail) is made


def test_a_fence_shows_what_the_other_decides() -> None:
    one, faults = fence(Foreign(MSS))
    assert (one.cwnd, one.samples) == (10 * MSS, False)
    one.on_ack(sample(3 * MSS))
    assert one.cwnd == 13 * MSS
    one.checkpoint()
    one.on_loss(0, 12 * MSS)
    assert (one.cwnd, one.ssthresh) == (6 * MSS, 6 * MSS)
    one.on_spurious_loss(0)
    assert one.cwnd == 13 * MSS
    one.on_mss(500)
    assert one.inner.mss == one.mss == 500
    assert faults == []


def test_what_the_sender_did_to_the_window_is_known_inside() -> None:
    one, _ = fence(Foreign(MSS))
    one.cwnd = 4 * MSS
    one.on_ack(sample())
    assert one.cwnd == 5 * MSS


def test_one_that_samples_is_asked_as_one() -> None:
    class Sampling(Bbr):
        pass

    one, _ = fence(Sampling(MSS))
    assert one.samples


HOOKS: dict[str, Callable[[Guarded], None]] = {
    "couple": lambda one: one.couple([]),
    "adopt": lambda one: one.adopt(Reno(MSS)),
    "leave": lambda one: one.leave(),
    "on_mss": lambda one: one.on_mss(MSS),
    "on_ack": lambda one: one.on_ack(sample()),
    "on_rate": lambda one: one.on_rate(RateSample(0, MSS, MSS)),
    "on_lost": lambda one: one.on_lost(
        LossSample(0, MSS, MSS, MSS, 0, is_app_limited=False, sack=True)
    ),
    "on_departure": lambda one: one.on_departure(0, 0, 0, app_limited=False),
    "on_recovery_end": lambda one: one.on_recovery_end(0),
    "on_loss": lambda one: one.on_loss(0, 10 * MSS),
    "on_timeout": lambda one: one.on_timeout(0, 10 * MSS),
    "on_congestion_mark": lambda one: one.on_congestion_mark(0, 10 * MSS),
    "checkpoint": lambda one: one.checkpoint(),
    "on_spurious_loss": lambda one: one.on_spurious_loss(0),
    "on_idle": lambda one: one.on_idle(0),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_whichever_hook_raises_the_fence_takes_over(hook: str) -> None:
    kind: type[CongestionController] = type("Failing", (Foreign,), {hook: raises})
    one, faults = fence(kind(MSS))
    HOOKS[hook](one)
    assert one.failed
    assert faults == [repr(ZeroDivisionError("by nobody"))]
    one.cwnd = one.ssthresh = 20 * MSS
    one.on_ack(sample())
    assert one.cwnd == 20 * MSS
    one.checkpoint()
    one.on_loss(0, 20 * MSS)
    assert (one.cwnd, one.ssthresh) == (10 * MSS, 10 * MSS)
    one.on_spurious_loss(0)
    assert one.cwnd == 20 * MSS
    one.on_timeout(0, 20 * MSS)
    assert (one.cwnd, one.ssthresh) == (MSS, 10 * MSS)
    one.on_congestion_mark(0, 6 * MSS)
    assert one.cwnd == 3 * MSS
    one.cwnd = 40 * MSS
    one.on_idle(0)
    assert one.cwnd == 10 * MSS
    assert len(faults) == 1


NONSENSE: dict[str, Any] = {
    "no window": ("cwnd", 0),
    "less than a segment": ("cwnd", MSS - 1),
    "negative": ("cwnd", -1),
    "no number": ("cwnd", None),
    "a fraction": ("cwnd", 1.5 * MSS),
    "not finite": ("cwnd", float("nan")),
    "a truth": pytest.param("ssthresh", True, marks=interpreted),  # compiled, it becomes 1
    "a negative threshold": ("ssthresh", -1),
    "a negative rate": ("pacing_rate", -1),
}


@pytest.mark.parametrize(("attribute", "value"), NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_not_taken_over(attribute: str, value: object) -> None:
    class Absurd(Foreign):
        def on_ack(self, sample: AckSample) -> None:
            setattr(self, attribute, value)

    one, faults = fence(Absurd(MSS))
    one.on_ack(sample())
    assert one.failed
    assert len(faults) == 1
    refused = COMPILED and type(value) is not int  # already when it is assigned
    assert ("int object expected" if refused else attribute) in faults[0]
    assert (one.cwnd, one.pacing_rate) == (10 * MSS, 0)


def test_couples_know_each_other_and_not_their_fences() -> None:
    class Couple(Lia):
        pass

    first, _ = fence(Couple(MSS))
    second, _ = fence(Couple(MSS))
    second.couple([first, Reno(MSS)])
    assert isinstance(first.inner, Lia)
    assert first.inner.group == [first.inner, second.inner]


class Late(Foreign):
    """Fails after its first loss."""

    def on_loss(self, now: Nanos, in_flight: Octets) -> None:
        raise KeyError(in_flight)


def test_a_loss_that_is_not_heeded_is_heeded_by_the_fence() -> None:
    one, faults = fence(Late(MSS))
    one.on_loss(0, 3 * MSS)
    assert one.cwnd == one.ssthresh == 2 * MSS
    assert len(faults) == 1
