"""Proportional Rate Reduction (RFC 9937): how much to send while a loss is being repaired."""

from __future__ import annotations

from plait.units import Octets


class Prr:
    """Spreads the reduction of the window over the recovery; names as in RFC 9937, 6."""

    __slots__ = ("prr_delivered", "prr_out", "recover_fs")

    def __init__(self) -> None:
        self.recover_fs: Octets = 0
        """RecoverFS: what is in flight when recovery begins, the triggering ACK undone."""

        self.prr_delivered: Octets = 0
        self.prr_out: Octets = 0

    def start(self, recover_fs: Octets) -> None:
        """Begin a recovery."""
        self.recover_fs = max(recover_fs, 1)
        self.prr_delivered = 0
        self.prr_out = 0

    def on_ack(
        self, delivered: Octets, in_flight: Octets, ssthresh: Octets, mss: Octets, *, safe: bool
    ) -> Octets:
        """Return SndCnt: the octets that this ACK lets go.

        Args:
            delivered: DeliveredData of the ACK; nothing happens without.
            in_flight: Octets in flight after it.
            ssthresh: The window to end with.
            mss: SMSS.
            safe: SafeACK: SND.UNA advanced and no further loss showed.
        """
        self.prr_delivered += delivered
        if in_flight > ssthresh:
            proportional = -(-self.prr_delivered * ssthresh // self.recover_fs)
            count = proportional - self.prr_out
        else:
            count = max(self.prr_delivered - self.prr_out, delivered)
            if safe:
                count += mss
            count = min(count, ssthresh - in_flight)
        if self.prr_out == 0 and count <= 0:
            return mss
        return max(count, 0)

    def on_sent(self, length: Octets) -> None:
        """Count what was sent, new or again."""
        self.prr_out += length
