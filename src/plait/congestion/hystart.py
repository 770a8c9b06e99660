"""HyStart++ (RFC 9406): leave slow start when round trips lengthen, before a queue overflows."""

from __future__ import annotations

from typing import Final

from plait.units import ENDLESS, MILLISECOND, Nanos

MIN_RTT_THRESH: Final = 4 * MILLISECOND
MAX_RTT_THRESH: Final = 16 * MILLISECOND
MIN_RTT_DIVISOR: Final = 8
N_RTT_SAMPLE: Final = 8
CSS_GROWTH_DIVISOR: Final = 4
CSS_ROUNDS: Final = 5

_INFINITY: Final = ENDLESS


class HyStart:
    """Follows the RTT round by round; the names are those of RFC 9406, 4.2."""

    def __init__(self) -> None:
        self.css = False
        """In conservative slow start."""

        self._last_round: Nanos = _INFINITY
        self._current_round: Nanos = _INFINITY
        self._css_baseline: Nanos = _INFINITY
        self._samples = 0
        self._css_rounds = 0

    def on_round(self) -> bool:
        """Begin a round trip; return whether slow start is over."""
        self._last_round = self._current_round
        self._current_round = _INFINITY
        self._samples = 0
        if self.css:
            self._css_rounds += 1
        return self._css_rounds >= CSS_ROUNDS

    def on_rtt(self, rtt: Nanos) -> None:
        """Take a sample; enter or leave conservative slow start."""
        self._current_round = min(self._current_round, rtt)
        self._samples += 1
        if self._samples < N_RTT_SAMPLE or self._last_round == _INFINITY:
            return
        if self.css:
            if self._current_round < self._css_baseline:
                self.css = False
                self._css_rounds = 0
                self._css_baseline = _INFINITY
            return
        threshold = max(MIN_RTT_THRESH, min(self._last_round // MIN_RTT_DIVISOR, MAX_RTT_THRESH))
        if self._current_round >= self._last_round + threshold:
            self._css_baseline = self._current_round
            self._css_rounds = 0
            self.css = True
