"""Handing segments from one process to another that has the same addresses.

Each process has an inbox, a pair of sockets that keep messages apart; it reads from one end and the
others write to the other one.  A full inbox loses what comes, as a full queue of a network does.
A message is a packet as offload has it, super-segments whole, with an octet between its two headers
that tells how many processes may still be asked.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from plait.drivers.offload import READ_OCTETS, parse_whole, whole
from plait.drivers.virtio import HEADER_OCTETS
from plait.errors import DecodeError
from plait.wire.segment import Segment

BURST: Final = 64
"""Messages that one `read` takes at most."""


@dataclass(slots=True)
class ExchangeCounters:
    """What one process had to do with the others."""

    handed_over: int = 0
    """Segments given to another process."""

    taken_over: int = 0
    """Segments that came from others."""

    dropped: int = 0
    """Segments that the inbox of another process had no room for."""


class Exchange:
    """The inbox of one process and the way into all others.

    Args:
        inbox: Where messages for this process are read.
        outboxes: Where they are written to, by process; the own one is not used.
    """

    def __init__(self, inbox: socket.socket, outboxes: Sequence[socket.socket]) -> None:
        self.counters = ExchangeCounters()
        self._inbox = inbox
        self._outboxes = tuple(outboxes)

    @classmethod
    def make(cls, count: int) -> list[Self]:
        """Return those of so many processes, which are to be started with them."""
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(count)]
        for pair in pairs:
            for end in pair:
                end.settimeout(0)
        outboxes = [far for _, far in pairs]
        return [cls(near, outboxes) for near, _ in pairs]

    def fileno(self) -> int:
        """Return the descriptor that is readable when messages wait."""
        return self._inbox.fileno()

    def send(self, segment: Segment, to: int, passes: int) -> None:
        """Give a segment to another process, which may ask `passes` more."""
        try:
            self._outboxes[to].sendmsg(whole(segment, bytes((passes,))))
        except OSError:  # full, or the process has ended
            self.counters.dropped += 1
        else:
            self.counters.handed_over += 1

    def read(self) -> list[tuple[Segment, int]]:
        """Return segments that others gave, with the number of processes that may be asked."""
        taken: list[tuple[Segment, int]] = []
        for _ in range(BURST):
            try:
                message = self._inbox.recv(READ_OCTETS + 1)
            except BlockingIOError:
                break
            if not message:
                break
            try:
                parsed = parse_whole(message, 1)
            except DecodeError:  # options that do not fit any more, say
                self.counters.dropped += 1
                continue
            if isinstance(parsed, Segment):
                taken.append((parsed, message[HEADER_OCTETS]))
        self.counters.taken_over += len(taken)
        return taken

    def close(self) -> None:
        """Close all sockets, of this process; the others keep theirs."""
        for one in (self._inbox, *self._outboxes):
            one.close()
