"""Applications over TCP and Multipath TCP: one stream, or requests and what answers them.

Whatever is sent is one endless block of noise, so that receivers can check every octet they get.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import Final

from plait.errors import UsageError
from plait.host.events import JoinFailed, LossReason, SubflowDown, SubflowUp
from plait.sim.clock import Timer
from plait.sim.recorder import FlowRecord
from plait.sim.station import Application
from plait.units import ENDLESS, SECOND, Nanos, Octets

BLOCK: Final = 1 << 16
"""Octets of noise before it repeats, and of one write at most."""

HEADER: Final = struct.Struct("!QQ")
"""Begins a request: octets of the request, header counted, and octets of the answer."""

_NOISE: Final = Random(0).randbytes(BLOCK)  # noqa: S311 - the same everywhere on purpose
_TWICE: Final = _NOISE * 2
_READ: Final = 1 << 24
_TICK: Final = SECOND // 100
"""How often an application with a rate writes."""


def noise(position: Octets, length: Octets) -> bytes:
    """Return up to `length` octets of what every sender sends at `position` of its stream."""
    start = position % BLOCK
    if start == 0 and length >= BLOCK:
        return _NOISE
    return _TWICE[start : start + min(length, BLOCK)]


class Endpoint(Application):
    """An application that writes noise and reads what comes.

    Args:
        record: What is told of the flow.
        receives: Octets that arrive here are the flow's goodput.
    """

    def __init__(self, record: FlowRecord, *, receives: bool) -> None:
        super().__init__()
        self.record = record
        self.receives = receives
        self.sent: Octets = 0
        self.to_send: Octets = 0
        """Octets granted to `push`, those sent included."""

        self.received: Octets = 0
        self.finished = False

    def on_open(self, now: Nanos) -> None:
        """Take note, and begin."""
        self.record.on_open(now, self)
        self.push(now)

    def on_writable(self, now: Nanos) -> None:
        """Go on writing."""
        self.push(now)

    def on_subflow(self, now: Nanos, event: SubflowUp | SubflowDown | JoinFailed) -> None:
        """Take note."""
        self.record.on_subflow(now, self, event)

    def on_end(self, now: Nanos, reason: LossReason | None) -> None:
        """Take note."""
        self.record.on_end(now, self, reason)

    def push(self, now: Nanos) -> None:
        """Write up to `to_send`, as much as there is room for."""
        host = self.station.host
        while self.sent < self.to_send:
            data = noise(self.sent, self.to_send - self.sent)
            taken = host.write(now, self.connection_id, data)
            self.sent += taken
            if taken < len(data):
                return

    def on_readable(self, now: Nanos) -> None:
        """Read all there is, check it, and take note."""
        host = self.station.host
        chunks = host.read_chunks(now, self.connection_id, _READ)
        length = 0
        for chunk in chunks:
            if self.record.verify:
                self._check(chunk)
            self.received += len(chunk)
            length += len(chunk)
        if length:
            if self.receives:
                self.record.on_delivery(now, length)
            self.on_data(now, length)
        if host.at_end(self.connection_id):
            self.record.watch(now, self)
            if self.receives:
                self.record.on_complete(now)
            self.finish(now)

    def on_data(self, now: Nanos, length: Octets) -> None:
        """Another `length` octets were read."""

    def finish(self, now: Nanos) -> None:
        """Close our direction, once."""
        if not self.finished:
            self.finished = True
            self.record.watch(now, self)
            self.station.host.close(now, self.connection_id)
            self.station.owe()

    def _check(self, chunk: bytes | memoryview) -> None:
        at = self.received
        left = memoryview(chunk)
        while left:
            wanted = noise(at, len(left))
            if left[: len(wanted)] != wanted:
                self.record.damaged = True
            left = left[len(wanted) :]
            at += len(wanted)


class Source(Endpoint):
    """Sends so much, as fast as it may or at a rate, and closes.

    Args:
        total: Octets to send; None until `stop`.
        rate: Bits per second the application produces; None is no limit.
    """

    def __init__(self, record: FlowRecord, total: Octets | None, rate: int | None = None) -> None:
        super().__init__(record, receives=False)
        self._total = ENDLESS if total is None else total
        self._rate = rate
        self._began: Nanos = 0
        self._timer: Timer | None = None

    def on_open(self, now: Nanos) -> None:
        """Begin to send."""
        self._began = now
        if self._rate is None:
            self.to_send = self._total
        else:
            self._timer = Timer(self.station.clock, self._on_tick)
            self._timer.arm(now + _TICK)
        super().on_open(now)

    def push(self, now: Nanos) -> None:
        """Write, and close after the last octet."""
        super().push(now)
        if self.sent == self._total:
            self.finish(now)

    def stop(self, now: Nanos) -> None:
        """Send no more and close."""
        self._total = self.to_send = self.sent
        self.finish(now)

    def on_end(self, now: Nanos, reason: LossReason | None) -> None:
        """Stop the clockwork."""
        self.finished = True
        super().on_end(now, reason)

    def _on_tick(self) -> None:
        """Produce what the rate has made of the time so far."""
        if self.finished or self._rate is None or self._timer is None:
            return
        now = self.station.clock.now
        produced = (now - self._began) * self._rate // (8 * SECOND)
        if min(self._total, produced) > self.to_send:
            self.to_send = min(self._total, produced)
            self.record.on_production(now, self.to_send)
        self.push(now)
        self.station.owe()
        self._timer.arm(now + _TICK)


class Sink(Endpoint):
    """Reads all there is and closes when the peer does."""

    def __init__(self, record: FlowRecord) -> None:
        super().__init__(record, receives=True)


class Requester(Endpoint):
    """Asks for one thing after the other over one connection.

    Args:
        record: What is told of the flow.
        plan: Returns octets of the next request and of its answer, or None for no more.
        think: Nanoseconds between an answer and the next request.
        upload: The requests are the flow's goodput, not the answers.
        done: Called when the last answer is there or the connection is lost.
    """

    def __init__(
        self,
        record: FlowRecord,
        plan: Callable[[], tuple[Octets, Octets] | None],
        *,
        think: Nanos = 0,
        upload: bool = False,
        done: Callable[[Nanos], None] | None = None,
        asked_at: Nanos | None = None,
    ) -> None:
        super().__init__(record, receives=not upload)
        self._plan = plan
        self._think = think
        self._done = done
        self._asked_at = asked_at
        self._header = b""
        self._expected: Octets = 0

    def on_open(self, now: Nanos) -> None:
        """Ask for the first thing; its time counts from `asked_at`, the handshake included."""
        self.record.on_open(now, self)
        self._ask(now, now if self._asked_at is None else self._asked_at)

    def push(self, now: Nanos) -> None:
        """Write what is left of the header, then the body."""
        if self._header:
            taken = self.station.host.write(now, self.connection_id, self._header)
            self._header = self._header[taken:]
            if self._header:
                return
        super().push(now)

    def on_data(self, now: Nanos, length: Octets) -> None:
        """Count the answer, and ask again when it is complete."""
        self._expected -= length
        if self._expected > 0:
            return
        assert self._asked_at is not None
        self.record.on_answer(now, now - self._asked_at)
        if self._think:
            self.station.clock.call_at(now + self._think, self._on_thought)
        else:
            self._ask(now, now)

    def on_end(self, now: Nanos, reason: LossReason | None) -> None:
        """Say so to whoever waits for the answers."""
        self.finished = True
        super().on_end(now, reason)
        if reason is not None:
            self._tell(now)

    def stop(self, now: Nanos) -> None:
        """Ask no more."""
        self.finish(now)

    def _on_thought(self, _: None) -> None:
        if not self.finished:
            now = self.station.clock.now
            self._ask(now, now)
            self.station.owe()

    def _ask(self, now: Nanos, asked_at: Nanos) -> None:
        wanted = self._plan()
        if wanted is None:
            self.finish(now)
            self._tell(now)
            return
        request, answer = wanted
        if request < HEADER.size or answer < 1:
            raise UsageError(f"a request has {HEADER.size} octets or more, an answer at least 1")
        self._asked_at = asked_at
        self._expected = answer
        self._header = HEADER.pack(request, answer)
        self.to_send += request - HEADER.size
        self.push(now)

    def _tell(self, now: Nanos) -> None:
        if self._done is not None:
            done, self._done = self._done, None
            done(now)


class Responder(Endpoint):
    """Answers requests with as many octets as they ask for."""

    def __init__(self, record: FlowRecord, *, upload: bool = False) -> None:
        super().__init__(record, receives=upload)
        self._head = b""
        self._body: Octets = 0
        self._answer: Octets = 0

    def on_readable(self, now: Nanos) -> None:
        """Read headers and count bodies; contents are not looked at."""
        host = self.station.host
        for chunk in host.read_chunks(now, self.connection_id, _READ):
            if self.receives:
                self.record.on_delivery(now, len(chunk))
            self._take(bytes(chunk) if len(chunk) < BLOCK else chunk)
        self.push(now)
        if host.at_end(self.connection_id):
            self.record.watch(now, self)
            if self.receives:
                self.record.on_complete(now)
            self.finish(now)

    def _take(self, chunk: bytes | memoryview) -> None:
        while chunk:
            if self._body:
                used = min(self._body, len(chunk))
                self._body -= used
            else:
                used = min(HEADER.size - len(self._head), len(chunk))
                self._head += bytes(chunk[:used])
                if len(self._head) < HEADER.size:
                    return
                request, self._answer = HEADER.unpack(self._head)
                self._head = b""
                self._body = request - HEADER.size
            chunk = chunk[used:]
            if not self._body:
                self.to_send += self._answer
                self._answer = 0
