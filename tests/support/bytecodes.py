"""Counts the bytecodes that the hot steps of a stream take: a clock that no machine disturbs.

make bytecodes      # renews the figures stored, and prints them
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any, Final

from plait.host.events import Readable
from plait.host.host import Host
from plait.host.output import split
from plait.host.settings import Settings
from plait.units import MILLISECOND, Nanos, Octets
from plait.wire.segment import Segment

FIGURES: Final = Path(__file__).parents[1] / "data" / "bytecodes.json"
VERSION: Final = f"{sys.version_info.major}.{sys.version_info.minor}"

WORLDS: Final = {
    f"{size}, {paths}": (mtu, number)
    for size, mtu in (("super-segments", 65_535), ("MTU 1500", 1_500))
    for paths, number in (("one path", 1), ("two paths", 2))
}
"""What a network carries, and how many paths there are."""

CUBIC: Final = Settings(congestion="cubic")

RISE: Final = 1.1
"""What is too much, of the figure stored."""

_TOTAL: Final = {65_535: 8_000_000, 1_500: 1_000_000}
"""Octets of the stream, of which the first quarter is not counted."""

_BLOCK: Final = bytes(1 << 18)
_BATCH: Final = 8
"""Segments that arrive together."""

_PORT: Final = 80


class Stream:
    """A stream between two hosts, in lockstep: one sends, the other receives and acknowledges."""

    def __init__(self, mtu: Octets, paths: int, settings: Settings = CUBIC) -> None:
        self.near, self.far = Host(settings, bytes(32)), Host(settings, bytes(range(32)))
        self.mtu = mtu
        self.now: Nanos = 0
        self.received: Octets = 0
        self.segments = 0
        self.counting = False
        self.bytecodes: Counter[str] = Counter()
        for path in range(paths):
            self.near.on_local_address(0, ip_address(f"10.0.{path}.1"), present=True, mtu=mtu)
        self.far.on_local_address(0, ip_address("10.0.0.2"), present=True, mtu=mtu)
        self.far.listen(0, _PORT)
        self.near_id = self.near.connect(0, ip_address("10.0.0.2"), _PORT)

    def run(self) -> dict[str, int]:
        """Return the bytecodes of each step for a segment with data."""
        total = _TOTAL[self.mtu]
        self.carry(total // 4)
        self.counting = True
        self.carry(total)
        return {step: count // self.segments for step, count in sorted(self.bytecodes.items())}

    def carry(self, until: Octets) -> None:
        """Go on until so many octets have arrived."""
        while self.received < until:
            self._round()

    def _round(self) -> None:
        with self._counted("send"):
            data = self._send()
        if self.counting:
            self.segments += sum(segment.length > 0 for segment in data)
        self.now += MILLISECOND
        acks: list[Segment] = []
        for batch in _batches(data):
            with self._counted("receive"):
                acks += self._receive(batch)
        self.now += MILLISECOND
        for batch in _batches(acks):
            with self._counted("ack"):
                self._hear(batch)
        self._let_time_pass()

    def _send(self) -> list[Segment]:
        """Write what fits, and return the data that leave."""
        while self.near.write(self.now, self.near_id, _BLOCK):
            pass
        return self._sent_by(self.near)

    def _receive(self, batch: Sequence[Segment]) -> list[Segment]:
        """Take data, read them, and return the acknowledgments."""
        self.far.receive(self.now, batch)
        self._read()
        return self._sent_by(self.far)

    def _hear(self, batch: Sequence[Segment]) -> None:
        """Take acknowledgments."""
        self.near.receive(self.now, batch)

    def _sent_by(self, host: Host) -> list[Segment]:
        found: list[Segment] = []
        while batch := host.transmit(self.now):
            found += batch
        return found if self.mtu > 1 << 15 else [one for segment in found for one in split(segment)]

    def _read(self) -> None:
        for event in self.far.take_events():
            if isinstance(event, Readable):
                for chunk in self.far.read_chunks(self.now, event.connection_id, 1 << 20):
                    self.received += len(chunk)

    def _let_time_pass(self) -> None:
        self.near.take_events()
        for one in (self.near, self.far):
            due = one.next_timeout()
            if due is not None and due <= self.now:
                one.handle_timeout(self.now)

    @contextmanager
    def _counted(self, step: str) -> Iterator[None]:
        """Count the bytecodes of the body."""
        count = 0

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal count
            if event == "opcode":
                count += 1
            else:
                frame.f_trace_opcodes, frame.f_trace_lines = True, False
            return trace

        if self.counting:
            sys.settrace(trace)
        yield
        sys.settrace(None)
        self.bytecodes[step] += count


def _batches(segments: Sequence[Segment]) -> Iterator[Sequence[Segment]]:
    for at in range(0, len(segments), _BATCH):
        yield segments[at : at + _BATCH]


def measured() -> dict[str, dict[str, int]]:
    """Return the bytecodes of every step in every world."""
    return {name: Stream(*world).run() for name, world in WORLDS.items()}


def stored() -> dict[str, dict[str, dict[str, int]]]:
    """Return the figures of the repository, by the version of Python."""
    found: dict[str, dict[str, dict[str, int]]] = json.loads(FIGURES.read_text(encoding="utf-8"))
    return found


def risen(found: dict[str, int], known: dict[str, int]) -> list[str]:
    """Return the steps that take too many bytecodes, with both figures."""
    return [
        f"{step}: {count} bytecodes, {known[step]} before"
        for step, count in found.items()
        if count > RISE * known[step]
    ]


def main() -> None:
    """Renew the figures."""
    found = measured()
    known = stored() if FIGURES.exists() else {}
    FIGURES.write_text(json.dumps(known | {VERSION: found}, indent=1) + "\n", encoding="utf-8")
    for name, steps in found.items():
        sys.stdout.write(f"{name}: {steps}\n")


if __name__ == "__main__":
    main()
