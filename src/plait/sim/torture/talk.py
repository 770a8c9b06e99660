"""The applications of the torture rig: both sides write noise, read, close or abort."""

from __future__ import annotations

from random import Random
from typing import Final

from plait.buffers import Buffer
from plait.host.events import LossReason
from plait.sim.clock import Timer
from plait.sim.station import Application
from plait.sim.torture.case import PartyPlan, TalkPlan
from plait.sim.torture.violation import Violation
from plait.units import Nanos, Octets

PERIOD: Final = 65_521
"""Octets before the noise repeats: a prime, so that no power of two is taken for another place."""

_NOISE: Final = Random(1).randbytes(PERIOD) * 3  # noqa: S311 - the same everywhere on purpose


def expected(salt: int, position: Octets, length: Octets) -> bytes:
    """Return `length` octets, 128 KiB at most, from `position` on of the stream `salt` names."""
    start = (position + salt) % PERIOD
    return _NOISE[start : start + length]


class Party(Application):
    """One side of a connection.

    Args:
        name: For messages.
        plan: What it does.
        salt: Names the stream it writes.
        peer_salt: Names the stream it reads.

    Attributes:
        sent: Octets the host took.
        received: Octets read, each of them compared.
        opened: The connection is open or was.
        ended: The connection is gone.
        reason: Why, if not cleanly.
        progressed: When anything last moved.
    """

    def __init__(self, name: str, plan: PartyPlan, salt: int, peer_salt: int) -> None:
        super().__init__()
        self.name = name
        self.plan = plan
        self.salt = salt
        self.peer_salt = peer_salt
        self.sent: Octets = 0
        self.received: Octets = 0
        self.opened = False
        self.ended = False
        self.aborted = False
        self.reason: LossReason | None = None
        self.progressed: Nanos = 0
        self._closed = False
        self._writer: Timer | None = None
        self._reader: Timer | None = None

    def on_open(self, now: Nanos) -> None:
        """Begin to write."""
        self.opened = True
        self.progressed = now
        clock = self.station.clock
        self._writer = Timer(clock, self._on_write_time)
        self._reader = Timer(clock, self._on_read_time)
        self._write(now)

    def on_writable(self, now: Nanos) -> None:
        """Go on writing."""
        if not self.plan.pause and not self.aborted:
            self._write(now)

    def on_readable(self, now: Nanos) -> None:
        """Read now, or soon if this side is slow."""
        if self.aborted:
            return  # the event was on its way
        if self.plan.read_pause and self._reader is not None:
            self._reader.arm(now + self.plan.read_pause)
        else:
            while self._read(now):
                pass

    def on_end(self, now: Nanos, reason: LossReason | None) -> None:
        """Take note."""
        self.ended = True
        self.reason = reason
        self.progressed = now
        for timer in (self._writer, self._reader):
            if timer is not None:
                timer.cancel()

    def _abort(self, now: Nanos) -> None:
        if not self.ended and self.opened:
            self.aborted = True
            self.station.host.abort(now, self.connection_id)
            self.station.owe()

    # ---- writing and reading

    def _write(self, now: Nanos) -> None:
        host = self.station.host
        plan = self.plan
        while self.sent < plan.octets and not self._closed:
            length = min(plan.write, plan.octets - self.sent)
            taken = host.write(now, self.connection_id, expected(self.salt, self.sent, length))
            self.sent += taken
            if taken:
                self.progressed = now
            if plan.abort_at is not None and self.sent >= plan.abort_at:
                self._closed = True
                self._abort(now)
                return
            if plan.pause and self._writer is not None:
                self._writer.arm(now + plan.pause)
                return
            if taken < length:
                return
        if self.sent == plan.octets and (not plan.close_late or host.at_end(self.connection_id)):
            self._close(now)

    def _close(self, now: Nanos) -> None:
        if not self._closed:
            self._closed = True
            self.progressed = now
            self.station.host.close(now, self.connection_id)

    def _read(self, now: Nanos) -> bool:
        """Read once; return whether there may be more."""
        host = self.station.host
        chunks = host.read_chunks(now, self.connection_id, self.plan.read)
        for chunk in chunks:
            if not self._is_expected(chunk):
                raise Violation(
                    "stream", now, f"{self.name} read other octets after {self.received}"
                )
            self.received += len(chunk)
            self.progressed = now
        if self.ended:
            return False
        if host.at_end(self.connection_id):
            self.progressed = now
            if self.sent == self.plan.octets:
                self._close(now)
            return False
        return bool(chunks)

    def _is_expected(self, chunk: Buffer) -> bool:
        at = self.received
        return all(
            bytes(chunk[start : start + PERIOD])
            == expected(self.peer_salt, at + start, min(PERIOD, len(chunk) - start))
            for start in range(0, len(chunk), PERIOD)
        )

    def _on_write_time(self) -> None:
        if not self.ended:
            self._write(self.station.clock.now)
            self.station.owe()

    def _on_read_time(self) -> None:
        if self.ended or self._reader is None:
            return
        now = self.station.clock.now
        more = self._read(now)
        self.station.owe()
        if more:
            self._reader.arm(now + self.plan.read_pause)


class Talk:
    """Both sides of one connection."""

    def __init__(self, number: int, plan: TalkPlan) -> None:
        self.plan = plan
        self.number = number
        salt = 7919 * (2 * number + 1)
        self.initiator = Party(f"initiator {number}", plan.initiator, salt, 2 * salt)
        self.listener = Party(f"listener {number}", plan.listener, 2 * salt, salt)

    @property
    def parties(self) -> tuple[Party, Party]:
        """Return both sides."""
        return self.initiator, self.listener

    @property
    def over(self) -> bool:
        """Return whether both sides are told of the end; a side never told of the begin is."""
        return self.initiator.ended and (self.listener.ended or not self.listener.opened)
