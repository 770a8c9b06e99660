"""Round-trip time and retransmission time-out (RFC 6298)."""

from __future__ import annotations

from typing import Final

from plait.tcp.settings import TcpSettings
from plait.units import MILLISECOND, SECOND, Nanos

SYN_LOSS_RTO: Final = 3 * SECOND
"""RTO at the start of a connection that had to repeat its SYN (RFC 6298, 5.7)."""


class RttEstimator:
    """Keeps SRTT, RTTVAR and the RTO they give; all in nanoseconds."""

    __slots__ = ("_max_rto", "_min_rto", "latest", "min_rtt", "rto", "rttvar", "srtt")

    def __init__(self, settings: TcpSettings) -> None:
        self.srtt: Nanos = 0
        """0 before the first sample."""

        self.rttvar: Nanos = 0
        self.min_rtt: Nanos = 0
        self.latest: Nanos = 0
        self.rto: Nanos = min(settings.initial_rto, settings.max_rto)
        self._min_rto = settings.min_rto
        self._max_rto = settings.max_rto

    def on_sample(self, rtt: Nanos, samples: int = 1) -> None:
        """Take a measurement of data that was not retransmitted (RFC 6298, 2 and 3).

        Args:
            rtt: The measurement.
            samples: How many a round trip is expected to give, which share the gains of one (RFC
                7323, appendix G).
        """
        rtt = max(rtt, 1)
        self.latest = rtt
        if self.srtt == 0:
            self.srtt = self.min_rtt = rtt
            self.rttvar = rtt // 2
        else:
            self.min_rtt = min(self.min_rtt, rtt)
            share = max(samples, 1)
            self.rttvar += (abs(self.srtt - rtt) - self.rttvar) // (4 * share)
            self.srtt += (rtt - self.srtt) // (8 * share)
        rto = self.srtt + max(MILLISECOND, 4 * self.rttvar)
        self.rto = min(max(rto, self._min_rto), self._max_rto)

    def back_off(self) -> None:
        """Double the RTO, until the next sample (RFC 6298, 5.5)."""
        self.rto = min(2 * self.rto, self._max_rto)

    def restart_after_syn_loss(self) -> None:
        """Begin with an RTO for data that a lost SYN makes advisable (RFC 6298, 5.7)."""
        self.rto = min(SYN_LOSS_RTO, self._max_rto)

    def backed_off(self, times: int) -> Nanos:
        """Return the RTO as it would be after `times` more time-outs (RFC 6298, 5.5)."""
        return min(self.rto << min(times, 16), self._max_rto)
