"""What a simulation measures while it runs, in memory that does not grow with the packets."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from plait.addresses import Path
from plait.errors import UsageError
from plait.host.events import JoinFailed, LossReason, SubflowDown, SubflowUp
from plait.mptcp.info import ConnectionInfo, SubflowInfo
from plait.sim.clock import Clock
from plait.units import Nanos, Octets

if TYPE_CHECKING:
    from plait.sim.link import Link
    from plait.sim.traffic import Endpoint

SERIES: Final = ("cwnd", "srtt", "subflows", "queue")
"""What can be recorded at every interval besides the deliveries of flows."""


class SubflowRecord:
    """A subflow, or all subflows between two addresses where a flow has many connections.

    Attributes:
        received: Payload octets that arrived, as the receiving host counts them.
        sent: Payload octets sent, retransmissions counted.
        retransmissions: Segments sent again.
        cwnd: Congestion window of the sender when last looked at, in octets.
        srtt_us: Smoothed round-trip time likewise, in microseconds.
        series: By name, pairs of a time in nanoseconds and a value.
    """

    def __init__(self) -> None:
        self.received: Octets = 0
        self.sent: Octets = 0
        self.retransmissions = 0
        self.cwnd: Octets = 0
        self.srtt_us = 0
        self.series: dict[str, list[tuple[Nanos, int]]] = {}


class FlowRecord:
    """One flow of a scenario: a connection, several, or cross traffic.

    Args:
        name: As the scenario calls it.
        interval: Nanoseconds that each element of `deliveries` stands for.
        single: It has one connection; subflows between the same addresses are told apart.
        series: Which of `SERIES` to keep.
        verify: Receivers compare every octet.
    """

    def __init__(
        self,
        name: str,
        interval: Nanos,
        *,
        single: bool = True,
        series: tuple[str, ...] = (),
        verify: bool = False,
    ) -> None:
        self.name = name
        self.verify = verify
        self.damaged = False
        self.delivered: Octets = 0
        self.deliveries: list[Octets] = []
        self.started: Nanos | None = None
        self.established: Nanos | None = None
        self.completed: Nanos | None = None
        self.opened = 0
        self.ended = 0
        self.multipath = 0
        self.fallbacks: dict[str, int] = {}
        self.losses: dict[str, int] = {}
        self.failed_joins: dict[str, int] = {}
        self.answers: list[Nanos] = []
        self.delays: list[Nanos] = []
        self.longest_gap: Nanos = 0
        """Between two deliveries."""

        self.latest: Nanos | None = None
        """When the last delivery was."""

        self.gaps: dict[str, Nanos] = {}
        """By window: the longest gap that ended in it; of windows that are over, open ones too."""

        self.windows: set[str] = set()
        """Those that are open."""

        self.subflows: dict[str, SubflowRecord] = {}
        self._produced: deque[tuple[Octets, Nanos]] = deque()
        self._interval = interval
        self._single = single
        self._series = series
        self._live: dict[tuple[str, int], Endpoint] = {}
        self._seen: dict[tuple[str, int], dict[Path, SubflowInfo]] = {}
        self._last: dict[tuple[str, int], ConnectionInfo] = {}
        self._labels: dict[Path, str] = {}
        self._alike: dict[str, int] = {}

    # ---- what happens

    def on_start(self, now: Nanos) -> None:
        """The first packet is about to leave."""
        if self.started is None:
            self.started = now

    def on_open(self, now: Nanos, endpoint: Endpoint) -> None:
        """One end of a connection is open."""
        self._live[_key(endpoint)] = endpoint
        if endpoint.initiator:
            self.opened += 1
            if self.established is None:
                self.established = now

    def on_delivery(self, now: Nanos, length: Octets) -> None:
        """The receiving application has read octets of the flow."""
        self.delivered += length
        if self.latest is not None:
            self.longest_gap = max(self.longest_gap, now - self.latest)
            for window in self.windows:
                self.gaps[window] = max(self.gaps.get(window, 0), now - self.latest)
        self.latest = now
        produced = self._produced
        while produced and produced[0][0] <= self.delivered:
            self.delays.append(now - produced.popleft()[1])
        at = now // self._interval
        deliveries = self.deliveries
        while len(deliveries) <= at:
            deliveries.append(0)
        deliveries[at] += length

    def on_production(self, now: Nanos, stop: Octets) -> None:
        """The sending application has octets up to `stop` to write, sent or not."""
        self._produced.append((stop, now))

    def late(self) -> int:
        """Return how much of what was produced has not arrived."""
        return len(self._produced)

    def on_answer(self, now: Nanos, took: Nanos) -> None:
        """A request was answered completely."""
        self.answers.append(took)

    def on_complete(self, now: Nanos) -> None:
        """All octets of a connection, or all answers, are there."""
        self.completed = now

    def on_subflow(
        self, now: Nanos, endpoint: Endpoint, event: SubflowUp | SubflowDown | JoinFailed
    ) -> None:
        """A subflow came or went: look, while its numbers are known."""
        if isinstance(event, JoinFailed):
            self.failed_joins[event.end.value] = self.failed_joins.get(event.end.value, 0) + 1
        self.watch(now, endpoint)

    def on_end(self, now: Nanos, endpoint: Endpoint, reason: LossReason | None) -> None:
        """One end of a connection is gone."""
        key = _key(endpoint)
        self._live.pop(key, None)
        self._seen.pop(key, None)
        info = self._last.pop(key, None)
        if not endpoint.initiator:
            return
        self.ended += 1
        if reason is not None:
            self.losses[reason.value] = self.losses.get(reason.value, 0) + 1
        if info is not None:
            self._judge(info)

    def finish(self, now: Nanos) -> None:
        """Look for the last time."""
        self.sample(now)
        for key in list(self._last):
            endpoint = self._live.get(key)
            if endpoint is not None and endpoint.initiator:
                self._judge(self._last.pop(key))

    def on_window(self, now: Nanos, name: str, opened: bool) -> None:
        """A window begins or ends."""
        if opened:
            self.windows.add(name)
            return
        self.windows.discard(name)
        if self.latest is not None and self.completed is None:
            self.gaps[name] = max(self.gaps.get(name, 0), now - self.latest)

    # ---- looking at connections

    def sample(self, now: Nanos) -> None:
        """Look at every live connection and extend the series."""
        for endpoint in list(self._live.values()):
            self.watch(now, endpoint)
            if self._series and self._single:
                self._extend(now, endpoint)

    def watch(self, now: Nanos, endpoint: Endpoint) -> None:
        """Add what the subflows of a connection did since it was last looked at."""
        try:
            info = endpoint.station.host.info(endpoint.connection_id)
        except UsageError:
            return  # it ended in this very turn
        key = _key(endpoint)
        self._last[key] = info
        seen = self._seen.setdefault(key, {})
        for subflow in info.subflows:
            before = seen.get(subflow.path)
            seen[subflow.path] = subflow
            record = self._record(subflow.path, initiator=endpoint.initiator)
            if endpoint.receives:
                record.received += subflow.tcp.bytes_received
                record.received -= before.tcp.bytes_received if before else 0
                continue
            record.cwnd = subflow.tcp.snd_cwnd * subflow.tcp.snd_mss
            record.srtt_us = subflow.tcp.rtt
            record.sent += subflow.tcp.bytes_sent - (before.tcp.bytes_sent if before else 0)
            again = before.tcp.total_retrans if before else 0
            record.retransmissions += subflow.tcp.total_retrans - again

    def _record(self, path: Path, *, initiator: bool) -> SubflowRecord:
        label = self._label(path, initiator=initiator)
        record = self.subflows.get(label)
        if record is None:
            record = self.subflows[label] = SubflowRecord()
        return record

    def _label(self, path: Path, *, initiator: bool) -> str:
        """Return the addresses of a path as its initiator sees them; ports differ by seed."""
        if not initiator:
            path = Path(path.remote, path.remote_port, path.local, path.local_port)
        label = f"{path.local} > {path.remote}"
        if not self._single:
            return label
        if path not in self._labels:
            count = self._alike[label] = self._alike.get(label, 0) + 1
            self._labels[path] = label if count == 1 else f"{label} ({count})"
        return self._labels[path]

    def _extend(self, now: Nanos, endpoint: Endpoint) -> None:
        """Add the present values to the series."""
        for subflow in self._last[_key(endpoint)].subflows:
            record = self._record(subflow.path, initiator=endpoint.initiator)
            values = (
                {"subflows": record.received}
                if endpoint.receives
                else {"cwnd": record.cwnd, "srtt": record.srtt_us}
            )
            for name, value in values.items():
                points = record.series.setdefault(name, []) if name in self._series else None
                if points is not None and (not points or points[-1][0] < now):
                    points.append((now, value))

    def _judge(self, info: ConnectionInfo) -> None:
        """Count whether a connection was Multipath TCP to its end."""
        if info.is_mptcp:
            self.multipath += 1
        else:
            reason = info.fallback_reason or "unknown"
            self.fallbacks[reason] = self.fallbacks.get(reason, 0) + 1


class LinkRecord:
    """One direction of a link, and the length of its queue if that is wanted."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.queue: list[tuple[Nanos, Octets]] = []


class Window:
    """A span of time with its own measurements: what was counted when it began and ended."""

    def __init__(self, name: str, start: Nanos, stop: Nanos) -> None:
        self.name = name
        self.start = start
        self.stop = stop
        self.before: dict[str, Octets] = {}
        self.after: dict[str, Octets] = {}


class Recorder:
    """Looks at flows and links at every interval, and at the edges of windows."""

    def __init__(self, clock: Clock, interval: Nanos, series: tuple[str, ...]) -> None:
        self.interval = interval
        self.series = series
        self.flows: dict[str, FlowRecord] = {}
        self.links: dict[str, LinkRecord] = {}
        self.windows: dict[str, Window] = {}
        self._clock = clock

    def start(self) -> None:
        """Look at every interval from now on."""
        self._clock.call_at(self._clock.now + self.interval, self._on_interval)

    def add_window(self, name: str, start: Nanos, stop: Nanos) -> None:
        """Measure a window that has not begun."""
        window = self.windows[name] = Window(name, start, stop)
        self._clock.call_at(start, self._on_edge, (name, window.before))
        self._clock.call_at(stop, self._on_edge, (name, window.after))

    def finish(self) -> None:
        """Look for the last time."""
        for flow in self.flows.values():
            flow.finish(self._clock.now)

    def _on_interval(self, _: None) -> None:
        now = self._clock.now
        for flow in self.flows.values():
            flow.sample(now)
        if "queue" in self.series:
            for record in self.links.values():
                record.queue.append((now, record.link.queued()))
        self._clock.call_at(now + self.interval, self._on_interval)

    def _on_edge(self, edge: tuple[str, dict[str, Octets]]) -> None:
        """Take down what flows delivered and links transmitted so far."""
        window, counts = edge
        now = self._clock.now
        for name, flow in self.flows.items():
            flow.sample(now)
            flow.on_window(now, window, opened=counts is self.windows[window].before)
            counts[f"flow/{name}"] = flow.delivered
            for label, subflow in flow.subflows.items():
                counts[f"flow/{name}/{label}"] = subflow.received
        for name, record in self.links.items():
            counts[f"link/{name}"] = record.link.transmitted()


def _key(endpoint: Endpoint) -> tuple[str, int]:
    return endpoint.station.name, endpoint.connection_id
