"""Round-trip time and retransmission time-out (RFC 6298)."""

from __future__ import annotations

from plait.tcp.settings import TcpSettings
from plait.units import MILLISECOND, Nanos


class RttEstimator:
    """Keeps SRTT, RTTVAR and the RTO they give; all in nanoseconds."""

    def __init__(self, settings: TcpSettings) -> None:
        self.srtt: Nanos = 0
        """0 before the first sample."""

        self.rttvar: Nanos = 0
        self.min_rtt: Nanos = 0
        self.latest: Nanos = 0
        self.rto: Nanos = min(settings.initial_rto, settings.max_rto)
        self._min_rto = settings.min_rto
        self._max_rto = settings.max_rto

    def on_sample(self, rtt: Nanos) -> None:
        """Take a measurement of data that was not retransmitted (RFC 6298, 2 and 3)."""
        rtt = max(rtt, 1)
        self.latest = rtt
        if self.srtt == 0:
            self.srtt = self.min_rtt = rtt
            self.rttvar = rtt // 2
        else:
            self.min_rtt = min(self.min_rtt, rtt)
            self.rttvar += (abs(self.srtt - rtt) - self.rttvar) // 4
            self.srtt += (rtt - self.srtt) // 8
        rto = self.srtt + max(MILLISECOND, 4 * self.rttvar)
        self.rto = min(max(rto, self._min_rto), self._max_rto)

    def backed_off(self, times: int) -> Nanos:
        """Return the RTO after it expired `times` times in a row (RFC 6298, 5.5)."""
        return min(self.rto << min(times, 16), self._max_rto)
