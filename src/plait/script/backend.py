"""What a back end is: a host under test with sockets, a shell, a wire and a clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import ClassVar, TypeAlias

from plait.script.sockets import Sockets
from plait.units import MILLISECOND, Nanos

Outcome: TypeAlias = tuple[int, object]
"""What a system call returns, and what it gives back beside that."""


class Task:
    """A system call that may take a while."""

    def __init__(self, work: Callable[[], Outcome]) -> None:
        self.work = work
        self.done = False
        self.outcome: Outcome = (0, None)
        self.error: OSError | None = None
        self.finished_at: Nanos = 0

    def attempt(self, now: Callable[[], Nanos]) -> None:
        """Do the work and note how it ended."""
        try:
            self.outcome = self.work()
        except OSError as error:
            self.error = error
        self.finished_at = now()
        self.done = True


class Backend:
    """A host under test; subclasses fill in every method that raises here."""

    name: ClassVar[str] = ""

    slack: ClassVar[Nanos] = 0
    """What the clock of this back end adds to a script's tolerance."""

    patience: ClassVar[Nanos] = 1000 * MILLISECOND
    """How long a call may take that the script does not call a blocking one."""

    sockets: Sockets

    def __init__(self) -> None:
        self.packets: deque[tuple[Nanos, bytes]] = deque()
        """What left and nobody looked at yet, with the time it left."""

    def now(self) -> Nanos:
        """Return the time since the back end was made."""
        raise NotImplementedError

    def wait_until(self, at: Nanos) -> None:
        """Let time pass."""
        raise NotImplementedError

    def await_packet(self, until: Nanos) -> bool:
        """Let time pass until a packet left or `until`; return whether one is there."""
        raise NotImplementedError

    def inject(self, octets: bytes) -> None:
        """Let a packet arrive."""
        raise NotImplementedError

    def start(self, work: Callable[[], Outcome]) -> Task:
        """Begin a system call."""
        raise NotImplementedError

    def finish(self, task: Task, until: Nanos) -> bool:
        """Let time pass until a call returned or `until`; return whether it did."""
        raise NotImplementedError

    def shell(self, command: str) -> None:
        """Run a command line.  Raises UnsupportedError, or Mismatch if the command fails."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back everything."""
