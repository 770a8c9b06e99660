from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from ipaddress import ip_address
from typing import Any

import pytest
from support.build import interpreted

from plait.addresses import IpAddress
from plait.aio.pump import Pump
from plait.drivers.base import Capabilities, Driver
from plait.drivers.memory import pair
from plait.host.events import Event, Readable, Writable
from plait.host.host import Host
from plait.host.settings import Settings
from plait.units import MILLISECOND, Nanos, Octets
from plait.wire.icmp import IcmpError
from plait.wire.segment import ACK, Segment

HERE = ip_address("10.0.0.1")
THERE = ip_address("10.0.0.2")
OUT = HERE.packed + THERE.packed + bytes(4)
IN = THERE.packed + HERE.packed + bytes(4)

pytestmark = interpreted


class ScriptedHost(Host):
    """A host that does what a test says and notes what it is asked."""

    def __init__(self) -> None:
        super().__init__(Settings(), bytes(32))
        self.outgoing: list[Segment] = []
        self.events: list[Event] = []
        self.deadline: Nanos | None = None
        self.received: list[int] = []
        self.timeouts = 0
        self.transmits = 0
        self.addresses: list[tuple[IpAddress, bool, Octets]] = []
        self.errors: list[int] = []
        self.deserted = 0

    def receive(self, now: Nanos, segments: Sequence[Segment]) -> None:
        self.received.append(len(segments))

    def transmit(self, now: Nanos, limit: int = 64) -> list[Segment]:
        self.transmits += 1
        out, self.outgoing = self.outgoing[:limit], self.outgoing[limit:]
        return out

    def next_timeout(self) -> Nanos | None:
        return self.deadline

    def handle_timeout(self, now: Nanos) -> None:
        assert self.deadline is not None
        assert now >= self.deadline
        self.deadline = None
        self.timeouts += 1

    def on_local_address(
        self, now: Nanos, address: IpAddress, present: bool, mtu: Octets = 1500
    ) -> None:
        self.addresses.append((address, present, mtu))

    def on_deserted(self, now: Nanos) -> None:
        self.deserted += 1

    def on_icmp_error(self, now: Nanos, error: IcmpError) -> None:
        self.errors.append(error.code)

    def take_events(self) -> list[Event]:
        taken, self.events = self.events, []
        return taken


class Timed(Driver):
    """A driver without descriptor, whose segments are due at times; it may break."""

    def __init__(self) -> None:
        super().__init__(Capabilities(mtu=1300, segmentation=True, checksum=True), [HERE])
        self.due: list[Nanos] = []
        self.broken = False

    def read_burst(self, now: Nanos, limit: int = 64) -> list[Segment]:
        if self.broken:
            raise OSError("gone")
        ready = [due for due in self.due if due <= now]
        self.due = [due for due in self.due if due > now]
        return [Segment(IN, 0, 0, ACK, 0) for _ in ready]

    def write_burst(self, now: Nanos, segments: Sequence[Segment]) -> None:
        raise AssertionError("nothing is sent here")

    def next_timeout(self) -> Nanos | None:
        return min(self.due, default=None)

    def fail(self, code: int) -> None:
        self._errors.append(IcmpError(version=4, type=3, code=code, mtu=0, flow=bytes(12), seq=0))


Scenario = Callable[[ScriptedHost, Pump], Coroutine[Any, Any, None]]


def run(scenario: Scenario, drivers: Sequence[Driver], deliver: Callable[..., None]) -> None:
    async def bounded() -> None:
        host = ScriptedHost()
        pump = Pump(asyncio.get_running_loop(), host, drivers, deliver)
        pump.start()
        try:
            async with asyncio.timeout(10):
                await scenario(host, pump)
        finally:
            pump.stop()
            for driver in drivers:
                driver.close()

    asyncio.run(bounded())


def ignore(_: list[Event]) -> None:
    pass


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110  what is waited for knows no events
        await asyncio.sleep(0)


def test_start_announces_addresses_and_owes_a_turn() -> None:
    async def scenario(host: ScriptedHost, _: Pump) -> None:
        assert host.addresses == [(HERE, True, 1300)]
        await asyncio.sleep(0)
        assert host.transmits == 1

    run(scenario, [Timed()], ignore)


def test_what_the_host_has_leaves_by_its_driver() -> None:
    here, there = pair([HERE], [THERE])

    async def scenario(host: ScriptedHost, pump: Pump) -> None:
        host.outgoing = [Segment(OUT, seq, 0, ACK, 0) for seq in range(150)]
        pump.turn(pump.now())
        assert [segment.seq for segment in there.read_burst(pump.now(), 200)] == list(range(150))

    run(scenario, [here], ignore)


def test_bursts_are_bounded_and_all_is_read() -> None:
    here, there = pair([HERE], [THERE])

    async def scenario(host: ScriptedHost, pump: Pump) -> None:
        there.write_burst(pump.now(), [Segment(IN, 0, 0, ACK, 0)] * 150)
        await until(lambda: sum(host.received) >= 150)
        assert host.received == [64, 64, 22]

    run(scenario, [here], ignore)


def test_many_debts_are_one_turn() -> None:
    async def scenario(host: ScriptedHost, pump: Pump) -> None:
        await asyncio.sleep(0)
        before = host.transmits
        for _ in range(10):
            pump.owe()
        assert host.transmits == before
        await asyncio.sleep(0)
        assert host.transmits == before + 1

    run(scenario, [Timed()], ignore)


def test_a_turn_answers_what_its_events_caused() -> None:
    here, there = pair([HERE], [THERE])
    told: list[Event] = []

    async def scenario(host: ScriptedHost, pump: Pump) -> None:
        pumps.append(pump)
        hosts.append(host)
        host.events = [Readable(1)]
        pump.turn(pump.now())
        assert told == [Readable(1), Writable(1)]
        assert len(there.read_burst(pump.now())) == 1

    def deliver(events: list[Event]) -> None:
        told.extend(events)
        if events == [Readable(1)]:
            hosts[0].outgoing = [Segment(OUT, 0, 0, ACK, 0)]
            hosts[0].events = [Writable(1)]
            pumps[0].owe()

    pumps: list[Pump] = []
    hosts: list[ScriptedHost] = []
    run(scenario, [here], deliver)


def test_endless_events_leave_the_loop_its_turn() -> None:
    pumps: list[Pump] = []
    hosts: list[ScriptedHost] = []

    def deliver(_: list[Event]) -> None:
        hosts[0].events = [Readable(1)]
        pumps[0].owe()

    async def scenario(host: ScriptedHost, pump: Pump) -> None:
        pumps.append(pump)
        hosts.append(host)
        host.events = [Readable(1)]
        pump.turn(pump.now())
        first = host.transmits
        await asyncio.sleep(0)
        assert first < host.transmits <= 2 * first + 1

    run(scenario, [Timed()], deliver)


def test_the_timer_serves_the_host_in_time() -> None:
    async def scenario(host: ScriptedHost, pump: Pump) -> None:
        start = pump.now()
        host.deadline = start + 20 * MILLISECOND
        pump.owe()
        await until(lambda: host.timeouts)
        assert pump.now() - start >= 20 * MILLISECOND

    run(scenario, [Timed()], ignore)


@pytest.mark.parametrize(("first", "second", "armings"), [(50, 20, 2), (20, 50, 1), (20, 20, 1)])
def test_only_a_nearer_deadline_arms_again(
    first: int, second: int, armings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(host: ScriptedHost, pump: Pump) -> None:
        loop = asyncio.get_running_loop()
        armed: list[float] = []
        call_later = loop.call_later

        def counting(delay: float, *arguments: Any) -> asyncio.TimerHandle:
            armed.append(delay)
            return call_later(delay, *arguments)

        monkeypatch.setattr(loop, "call_later", counting)
        start = pump.now()
        for deadline in (first, second):
            host.deadline = start + deadline * MILLISECOND
            pump.turn(pump.now())
        assert len(armed) == armings
        monkeypatch.undo()
        await until(lambda: host.timeouts)
        assert pump.now() - start >= second * MILLISECOND

    run(scenario, [Timed()], ignore)


def test_a_driver_with_a_clock_is_read_when_due() -> None:
    driver = Timed()

    async def scenario(host: ScriptedHost, pump: Pump) -> None:
        start = pump.now()
        driver.due = [start + 10 * MILLISECOND, start + 30 * MILLISECOND]
        pump.owe()
        assert pump.pending()
        await until(lambda: sum(host.received) >= 2)
        assert host.received == [1, 1]
        assert not pump.pending()
        assert pump.now() - start >= 30 * MILLISECOND

    run(scenario, [driver], ignore)


def test_icmp_errors_are_passed_on() -> None:
    driver = Timed()

    async def scenario(host: ScriptedHost, pump: Pump) -> None:
        driver.fail(1)
        driver.fail(4)
        driver.due = [pump.now()]
        pump.owe()
        await until(lambda: host.received)
        assert host.errors == [1, 4]

    run(scenario, [driver], ignore)


def test_a_lost_network_takes_its_addresses_along() -> None:
    driver = Timed()

    async def scenario(host: ScriptedHost, pump: Pump) -> None:
        driver.broken = True
        driver.due = [pump.now()]
        pump.owe()
        await until(lambda: len(host.addresses) >= 2)
        assert host.addresses[-1][:2] == (HERE, False)
        assert host.deserted == 1
        host.outgoing = [Segment(OUT, 0, 0, ACK, 0)]
        pump.turn(pump.now())
        assert not pump.pending()

    run(scenario, [driver], ignore)


def test_a_stopped_pump_does_nothing_more() -> None:
    async def scenario(host: ScriptedHost, pump: Pump) -> None:
        host.deadline = pump.now() + MILLISECOND
        pump.owe()
        pump.stop()
        before = host.transmits
        pump.owe()
        await asyncio.sleep(0.01)
        assert host.transmits == before
        assert host.timeouts == 0

    run(scenario, [Timed()], ignore)
