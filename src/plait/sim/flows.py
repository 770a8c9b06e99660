"""Starting the flows of a scenario: who connects to whom, when, and what runs over it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from plait.addresses import IpAddress
from plait.arguments import nanos, parse_address
from plait.errors import UsageError
from plait.host.settings import Settings
from plait.sim.box import Box
from plait.sim.cross import CrossTraffic
from plait.sim.making import bits, make_settings
from plait.sim.packet import Opaque
from plait.sim.recorder import FlowRecord, Recorder
from plait.sim.routing import check_reach
from plait.sim.scenario import FlowSpec
from plait.sim.seed import exponential
from plait.sim.station import Station
from plait.sim.traffic import HEADER, Endpoint, Requester, Responder, Sink, Source
from plait.sim.world import World
from plait.units import SECOND, Nanos, Octets

FIRST_PORT: Final = 5001
"""Of the flows that name none."""

_CROSS: Final = ("cbr", "onoff")
_SINGLE: Final = ("bulk", "stream", "requests")
_PARETO_SHAPE: Final = 1.5


class Flow:
    """One flow: checks where it goes, then starts and stops it on time.

    Args:
        world: Where it takes place.
        recorder: What is told of it.
        name: As the scenario calls it.
        number: Its place among the flows, which makes its port.
    """

    def __init__(self, world: World, recorder: Recorder, name: str, number: int) -> None:
        self.spec: FlowSpec = world.scenario.flows[name]
        self._world = world
        self._clock = world.clock
        self._source = _station(world, self.spec.source, "source")
        self._destinations = [
            _station(world, host, "destination") for host in self.spec.destination
        ]
        if self._source in self._destinations:
            raise UsageError("destination: is the source")
        self._local = _end(world, self.spec.local, [self._source], "local")
        self._remote = _end(world, self.spec.remote, self._destinations, "remote")
        self._port = self.spec.port or FIRST_PORT + number
        self._random = world.seed.random(f"flow/{name}")
        self._live: list[Endpoint] = []
        self._stopped = False
        self._check_ways()
        self.record = recorder.flows[name] = FlowRecord(
            name,
            recorder.interval,
            single=self.spec.kind in _SINGLE,
            series=recorder.series,
            verify=self.spec.verify,
        )
        self._schedule(number)

    # ---- where and when

    def _check_ways(self) -> None:
        """Raise UsageError unless packets get from one end to the other, and back."""
        ways = [(self._source, self._local, self._remote)]
        ways += [(station, self._remote, self._local) for station in self._destinations]
        for source, local, remote in ways:
            if local.version != remote.version:
                raise UsageError(f"no packets go from {local} to {remote}")
            probe = Opaque(local.packed + remote.packed + bytes(4), 0)
            try:
                check_reach(probe, source.way(probe))
            except UsageError as error:
                raise UsageError(f"no way from {local} to {remote}: {error}") from error

    def _schedule(self, number: int) -> None:
        spec = self.spec
        start = round(spec.start_s * SECOND)
        if spec.kind in _CROSS:
            cross = self._cross_traffic(number)
            self._clock.call_at(start, lambda _: cross.start(self._clock.now))
            stop: Callable[[Nanos], None] = cross.stop
        else:
            for station in self._destinations:
                station.listen(self._port, self._acceptor(), self._settings(station))
            self._clock.call_at(start, self._start)
            stop = self._stop
        if spec.stop_s is not None:
            self._clock.call_at(round(spec.stop_s * SECOND), lambda _: stop(self._clock.now))

    def _settings(self, station: Station) -> Settings:
        base = self._world.settings[station.name]
        try:
            return make_settings(self.spec.settings, base)
        except UsageError as error:
            raise UsageError(f"settings.{error}") from error

    def _cross_traffic(self, number: int) -> CrossTraffic:
        spec = self.spec
        assert spec.rate_mbit is not None
        bursts = spec.kind == "onoff"
        return CrossTraffic(
            self._clock,
            self.record,
            self._source,
            self._destinations[0],
            (self._local, self._remote),
            number,
            self._random,
            rate=bits(spec.rate_mbit),
            octets=spec.packet_octets,
            on=nanos(spec.on_ms) if bursts else 0,
            off=nanos(spec.off_ms) if bursts else 0,
        )

    # ---- what runs over it

    def _acceptor(self) -> Callable[[], Endpoint]:
        """Return what makes the application of the destination."""
        if self.spec.kind in {"bulk", "stream"}:
            return self._stream if self.spec.direction == "down" else self._sink
        return partial(Responder, self.record, upload=self.spec.direction == "up")

    def _start(self, _: None) -> None:
        now = self._clock.now
        self.record.on_start(now)
        kind = self.spec.kind
        if kind in {"bulk", "stream"}:
            self._connect(self._sink() if self.spec.direction == "down" else self._stream())
        elif kind == "requests":
            self._connect(self._requester(self._repeat(self.spec.count)))
        elif kind == "page":
            first, *rest = self.spec.objects
            self._fetch([first], lambda _: self._fetch(rest))
        else:
            self._arrive(None)

    def _connect(self, application: Endpoint) -> None:
        self._live.append(application)
        self._source.connect(
            application,
            self._remote,
            self._port,
            local=self._local,
            settings=self._settings(self._source),
        )

    def _stop(self, now: Nanos) -> None:
        """Let sources send no more, requesters ask no more, and nobody arrive."""
        self._stopped = True
        for endpoint in self._live:
            if isinstance(endpoint, Source | Requester):
                endpoint.stop(now)

    def _sink(self) -> Sink:
        return Sink(self.record)

    def _stream(self) -> Source:
        rate = self.spec.rate_mbit
        limit = bits(rate) if rate is not None and self.spec.kind == "stream" else None
        source = Source(self.record, self.spec.octets, limit)
        if self.spec.direction == "down":
            self._live.append(source)
        return source

    def _requester(
        self,
        plan: Callable[[], tuple[Octets, Octets] | None],
        done: Callable[[Nanos], None] | None = None,
        think: Nanos | None = None,
    ) -> Requester:
        return Requester(
            self.record,
            plan,
            think=nanos(self.spec.think_ms) if think is None else think,
            upload=self.spec.direction == "up",
            done=done,
            asked_at=self._clock.now,
        )

    def _repeat(self, count: int | None) -> Callable[[], tuple[Octets, Octets] | None]:
        """Plan requests of one size."""
        asked = 0

        def plan() -> tuple[Octets, Octets] | None:
            nonlocal asked
            asked += 1
            if count is not None and asked > count:
                return None
            return self.spec.request_octets, self.spec.answer_octets

        return plan

    def _fetch(self, sizes: list[Octets], after: Callable[[Nanos], None] | None = None) -> None:
        """Fetch objects over a few connections, each the next one as soon as it is free."""
        left = sizes[::-1]

        def plan() -> tuple[Octets, Octets] | None:
            return (self.spec.request_octets, left.pop()) if left else None

        for _ in range(min(self.spec.parallel, len(sizes))):
            self._connect(self._requester(plan, after, think=0))

    def _arrive(self, _: None) -> None:
        """Begin a short connection, and wait for the next."""
        if self._stopped:
            return
        self._live = [endpoint for endpoint in self._live if not endpoint.finished]
        self._connect(self._requester(self._once(self._draw_size())))
        assert self.spec.arrivals_per_s is not None
        gap = exponential(self._random, SECOND / self.spec.arrivals_per_s)
        self._clock.call_at(self._clock.now + int(gap), self._arrive)

    def _once(self, size: Octets) -> Callable[[], tuple[Octets, Octets] | None]:
        """Plan one transfer in the direction of the flow."""
        up = self.spec.direction == "up"
        plans = [(HEADER.size + size, 1) if up else (self.spec.request_octets, size)]
        return lambda: plans.pop() if plans else None

    def _draw_size(self) -> Octets:
        mean = self.spec.mean_octets
        if self.spec.sizes == "exponential":
            return max(1, int(exponential(self._random, mean)))
        if self.spec.sizes == "pareto":
            least = mean * (_PARETO_SHAPE - 1) / _PARETO_SHAPE
            return max(1, int(least / (1 - self._random.random()) ** (1 / _PARETO_SHAPE)))
        return mean


def _station(world: World, name: str, key: str) -> Station:
    try:
        return world.station(name)
    except UsageError as error:
        raise UsageError(f"{key}: {error}") from error


def _end(world: World, text: str | None, stations: list[Station], key: str) -> IpAddress:
    """Return the address at one end of a flow, the first that its hosts have if none is named."""
    common = [
        address
        for address, owners in world.addresses.items()
        if all(station in owners for station in stations)
    ]
    names = " and ".join(station.name for station in stations)
    if text is None:
        if not common:
            raise UsageError(f"{key}: {names} share no address")
        return common[0]
    address = parse_address(key, text)
    if address in common:
        return address
    for node in world.nodes.values():
        if isinstance(node, Box) and address in node.addresses:
            return address
    raise UsageError(f"{key}: {address} is no address of {names}")
