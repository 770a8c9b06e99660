"""Plait's own stack as the host under test: virtual time, which passes only while a script waits.

Packets cross as octets, so that the script's codec judges those of the stack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final, TypeVar

from plait.errors import DecodeError
from plait.host.host import Host
from plait.host.output import split
from plait.host.settings import Settings
from plait.script.backend import Backend, Outcome, Task
from plait.script.settings import Configuration
from plait.script.stack_paths import Plan, planned
from plait.script.stack_shell import StackShell
from plait.script.stack_sockets import Blocked, StackSockets
from plait.units import SECOND, Nanos
from plait.wire.packet import parse_packet, serialize_packet
from plait.wire.segment import Segment

_T = TypeVar("_T")

_EPOCH: Final = 1_000 * SECOND
"""Virtual time of the first line: clocks derived from it are not zero."""

LINUX: Final = Settings(
    mptcp=False,
    checksum=False,
    nodelay=False,
    max_subflows=3,
    receive_buffer=6 << 20,
)
"""What a Linux host does unless it is told otherwise."""


def on_stack(config: Configuration, directory: Path, work: Callable[[Backend], _T]) -> _T:
    """Return what `work` returns for a host of plait's stack."""
    with planned() as plan:
        return work(StackBackend(config, directory, plan))


class StackBackend(Backend):
    """One host in virtual time."""

    name: ClassVar[str] = "stack"
    patience: ClassVar[Nanos] = 600 * SECOND

    def __init__(self, config: Configuration, directory: Path, plan: Plan) -> None:
        super().__init__()
        self._now: Nanos = _EPOCH
        settings = replace(LINUX, path_manager=plan.name)
        self._host = Host(settings, b"plait script".ljust(32, b"."))
        self._host.on_local_address(self._now, config.local.ip, present=True, mtu=config.mtu)
        self._stack_sockets = StackSockets(self._host, settings, self.now)
        self.sockets = self._stack_sockets
        self._shell = StackShell(self._host, self._stack_sockets, plan, config, directory)
        self._waiting: list[tuple[Task, Nanos | None]] = []

    def now(self) -> Nanos:
        """Return virtual time."""
        return self._now

    def wait_until(self, at: Nanos) -> None:
        """Let timers fire until a time."""
        while self._step(at):
            pass
        self._now = max(self._now, at)

    def await_packet(self, until: Nanos) -> bool:
        """Let timers fire until a packet left."""
        while not self.packets and self._step(until):
            pass
        if self.packets:
            self._now = max(self._now, self.packets[0][0])
        else:
            self._now = max(self._now, until)
        return bool(self.packets)

    def inject(self, octets: bytes) -> None:
        """Hand a packet to the host; what it cannot decode it never sees."""
        try:
            packet = parse_packet(octets)
        except DecodeError:
            return
        if isinstance(packet, Segment):
            self._host.receive(self._now, [packet])
        else:
            self._host.on_icmp_error(self._now, packet)
        self._turn()

    def start(self, work: Callable[[], Outcome]) -> Task:
        """Make a call; one that has to wait is made again whenever something happened."""
        task = Task(work)
        self._try(task, None)
        self._turn()
        return task

    def finish(self, task: Task, until: Nanos) -> bool:
        """Let timers fire until the call returned."""
        while not task.done and self._step(until):
            pass
        if not task.done:
            self._now = max(self._now, until)
        return task.done

    def shell(self, command: str) -> None:
        """Do what a command line asks for."""
        self._shell.run(command)
        self._turn()

    def _try(self, task: Task, deadline: Nanos | None) -> None:
        try:
            task.attempt(self.now)
        except Blocked as blocked:
            if deadline is None and blocked.timeout is not None:
                deadline = self._now + blocked.timeout
            self._waiting.append((task, deadline))

    def _step(self, until: Nanos) -> bool:
        """Go to the next time something is due, if that is not after `until`."""
        times = [deadline for _, deadline in self._waiting if deadline is not None]
        due = self._host.next_timeout()
        if due is not None:
            times.append(due)
        soonest = min(times, default=None)
        if soonest is None or soonest > until:
            return False
        self._now = max(self._now, soonest)
        self._host.handle_timeout(self._now)
        self._turn()
        return True

    def _turn(self) -> None:
        """Send all there is, deliver events and make waiting calls again."""
        while True:
            while batch := self._host.transmit(self._now):
                for segment in batch:
                    self.packets.extend(
                        (self._now, serialize_packet(one)) for one in split(segment)
                    )
            events = self._host.take_events()
            self._stack_sockets.deliver(events)
            waiting, self._waiting = self._waiting, []
            for task, deadline in waiting:
                self._stack_sockets.expired = deadline is not None and deadline <= self._now
                self._try(task, deadline)
            self._stack_sockets.expired = False
            if not events and len(waiting) == len(self._waiting):
                return
