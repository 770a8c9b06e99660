"""A fence around controllers that did not come with plait: they may fail, the stream may not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from plait.congestion.base import AckSample, CongestionController, LossSample, RateSample
from plait.errors import PlaitError
from plait.registry import is_ours
from plait.units import Nanos, Octets


class Guarded(CongestionController):
    """Passes everything on, and reads the window back after each hook.

    Once the other raises, or its window is less than a segment, it is asked no more; until another
    controller takes its place, losses halve the window and nothing lets it grow.
    """

    def __init__(self, inner: CongestionController, on_fault: Callable[[str], None]) -> None:
        """Guard `inner`; `on_fault` hears what it does wrong, once."""
        super().__init__(inner.mss)
        self.inner = inner
        self.failed = False
        self._on_fault = on_fault
        self._ask(lambda: None)

    def couple(self, others: Iterable[CongestionController]) -> None:
        """Introduce it to the others themselves."""
        known = [other.inner if isinstance(other, Guarded) else other for other in others]
        self._ask(lambda: self.inner.couple(known))

    def adopt(self, before: CongestionController) -> None:
        """Let it take the place of another one."""
        super().adopt(before)
        self._ask(lambda: self.inner.adopt(before))

    def leave(self) -> None:
        """Let it go."""
        self._ask(self.inner.leave)

    def on_mss(self, mss: Octets) -> None:
        """Tell it of the segment size."""
        self._ask(lambda: self.inner.on_mss(mss))
        self.mss = mss

    def on_ack(self, sample: AckSample) -> None:
        """Tell it what was acknowledged."""
        self._ask(lambda: self.inner.on_ack(sample))

    def on_rate(self, sample: RateSample) -> None:
        """Tell it the rate."""
        self._ask(lambda: self.inner.on_rate(sample))

    def on_lost(self, sample: LossSample) -> None:
        """Tell it of a range that was lost."""
        self._ask(lambda: self.inner.on_lost(sample))

    def on_departure(
        self, now: Nanos, in_flight: Octets, srtt: Nanos, *, app_limited: bool
    ) -> None:
        """Tell it that data leaves."""
        self._ask(lambda: self.inner.on_departure(now, in_flight, srtt, app_limited=app_limited))

    def on_recovery_end(self, now: Nanos) -> None:
        """Tell it that losses are repaired."""
        self._ask(lambda: self.inner.on_recovery_end(now))

    def on_loss(self, now: Nanos, in_flight: Octets) -> None:
        """Have it reduce the window."""
        if not self._ask(lambda: self.inner.on_loss(now, in_flight)):
            self.ssthresh = self.cwnd = max(in_flight // 2, 2 * self.mss)

    def on_timeout(self, now: Nanos, in_flight: Octets) -> None:
        """Have it begin anew."""
        if not self._ask(lambda: self.inner.on_timeout(now, in_flight)):
            self.ssthresh = max(in_flight // 2, 2 * self.mss)
            self.cwnd = self.mss

    def on_congestion_mark(self, now: Nanos, in_flight: Octets) -> None:
        """Have it reduce the window, or take it for a loss."""
        if not self._ask(lambda: self.inner.on_congestion_mark(now, in_flight)):
            self.ssthresh = self.cwnd = max(in_flight // 2, 2 * self.mss)

    def checkpoint(self) -> None:
        """Have it remember its state."""
        super().checkpoint()
        self._ask(self.inner.checkpoint)

    def on_spurious_loss(self, now: Nanos) -> None:
        """Have it return to that state."""
        if not self._ask(lambda: self.inner.on_spurious_loss(now)):
            super().on_spurious_loss(now)

    def on_idle(self, now: Nanos) -> None:
        """Have it restart cautiously."""
        if not self._ask(lambda: self.inner.on_idle(now)):
            super().on_idle(now)

    def _ask(self, hook: Callable[[], None]) -> bool:
        """Call a hook and take over what it decided; return whether it did its part."""
        if self.failed:
            return False
        inner = self.inner
        inner.mss, inner.cwnd, inner.ssthresh = self.mss, self.cwnd, self.ssthresh
        try:
            hook()
            self._read()
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
            self.failed = True
            self._on_fault(repr(error))
        return not self.failed

    def _read(self) -> None:
        """Take over what the other decided.  Raises PlaitError if it makes no sense."""
        inner = self.inner
        for name in ("cwnd", "ssthresh", "pacing_rate"):
            value = getattr(inner, name)
            if type(value) is not int or value < (inner.mss if name == "cwnd" else 0):
                raise PlaitError(f"{name} is {value!r}")
        self.cwnd, self.ssthresh = inner.cwnd, inner.ssthresh
        self.pacing_rate, self.holds_back = inner.pacing_rate, bool(inner.holds_back)


class GuardedSampling(Guarded):
    """The same for controllers that sample the delivery rate."""

    samples: ClassVar[bool] = True


def guarded(made: CongestionController, on_fault: Callable[[str], None]) -> CongestionController:
    """Return a controller as it is if it comes with plait, else behind a fence."""
    if is_ours(made):
        return made
    return GuardedSampling(made, on_fault) if made.samples else Guarded(made, on_fault)
