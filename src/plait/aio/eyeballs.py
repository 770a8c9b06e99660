"""Happy eyeballs (RFC 8305): which of a host's addresses to connect to, and when to try the next.

AAAA and A are asked in parallel.  Attempts start one by one, families in turn, each as soon as the
one before has failed or has been at it for the Connection Attempt Delay; the first that succeeds
wins and the others are taken back.  Every attempt is a connection of its own: addresses of one name
may be different machines (RFC 6897, 6.4), so that no loser is ever joined to the winner.

Sockets, stacks and resolvers are the caller's: what is here can be tested without a network.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, Generic, TypeAlias, TypeVar

from plait.addresses import IpAddress
from plait.errors import UsageError
from plait.linux.families import family_of

ATTEMPT_DELAY: Final = 0.25
"""Connection Attempt Delay in seconds (RFC 8305, 8)."""

MIN_ATTEMPT_DELAY: Final = 0.01
MAX_ATTEMPT_DELAY: Final = 2.0

RESOLUTION_DELAY: Final = 0.05
"""Seconds that an answer for IPv4 waits for the one for IPv6 (RFC 8305, 3)."""

REMEMBERED_SECONDS: Final = 600.0
"""How long the family that won is tried first (RFC 6555, 4.2)."""

_MOST_REMEMBERED: Final = 1024

FAMILIES: Final = (socket.AF_INET6, socket.AF_INET)
"""In the order of RFC 6724's default policy."""

_NUMBER: Final = re.compile(r"\d+(\.\d+){3}|.*:.*")
"""What no name looks like."""

SocketAddress: TypeAlias = tuple[Any, ...]
"""Host and port, for IPv6 also flow label and scope."""

Lookup: TypeAlias = Callable[[str, int, int], Awaitable[Iterable[SocketAddress]]]
"""Returns the addresses that a name and port have in one family, best first (RFC 6724)."""

LocalAddr: TypeAlias = str | IpAddress | tuple[str | IpAddress, int]
"""A local address, with a port if that matters."""

LocalAddrs: TypeAlias = LocalAddr | Sequence[LocalAddr]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Target:
    """Where one attempt goes to, and where from."""

    family: int
    remote: SocketAddress
    local: tuple[IpAddress, int] | None = None
    """None leaves the choice to the stack; port 0 as well."""

    def __str__(self) -> str:
        remote = str(self.remote[0])
        return remote if self.local is None else f"{remote} from {self.local[0]}"


class Winners:
    """Remembers the family that won the last race to a host, for ten minutes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, float]] = {}

    def first(self, host: str, now: float) -> int:
        """Return the family to try first; `now` is in seconds."""
        family, until = self._known.get(host, (FAMILIES[0], now))
        return family if now <= until else FAMILIES[0]

    def remember(self, host: str, family: int, now: float) -> None:
        """Keep who won; the oldest make room."""
        self._known.pop(host, None)
        while len(self._known) >= _MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[host] = (family, now + REMEMBERED_SECONDS)


WINNERS: Final = Winners()
"""Of this process."""


async def getaddrinfo(host: str, port: int, family: int) -> list[SocketAddress]:
    """Ask the operating system, as for TCP: it knows no protocol 262."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    return [address for kind, *_, address in found if kind == family]


def local_addresses(given: LocalAddrs | None) -> tuple[tuple[IpAddress, int], ...]:
    """Return addresses with ports, 0 for any.  Raises UsageError if one is no address."""
    if given is None:
        return ()
    if isinstance(given, str | IPv4Address | IPv6Address):
        return (_local_address(given, 0),)
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], int):
        return (_local_address(given[0], given[1]),)
    return tuple(pair for one in given for pair in local_addresses(one))


def check_delay(seconds: float | None) -> None:
    """Raise UsageError unless the Connection Attempt Delay is None or in RFC 8305's bounds."""
    if seconds is not None and not MIN_ATTEMPT_DELAY <= seconds <= MAX_ATTEMPT_DELAY:
        raise UsageError(
            f"happy_eyeballs_delay is {seconds} s: choose {MIN_ATTEMPT_DELAY} to "
            f"{MAX_ATTEMPT_DELAY}, or None to wait until an attempt has failed"
        )


async def connect(
    host: str,
    port: int,
    attempt: Callable[[Target], Awaitable[_T]],
    discard: Callable[[_T], None],
    *,
    delay: float | None = ATTEMPT_DELAY,
    local: Sequence[tuple[IpAddress, int]] = (),
    families: Sequence[int] = FAMILIES,
    lookup: Lookup = getaddrinfo,
    winners: Winners = WINNERS,
) -> _T:
    """Connect to one of the addresses of `host` and return what the attempt returned.

    Args:
        host: A name, or a numeric address, which is not looked up.
        attempt: Connects to one target.  It takes itself back when canceled.
        discard: Closes what an attempt returned that came in second.
        delay: Seconds until another attempt starts beside the last one; None for no sooner than it
            has failed.
        local: Addresses to connect from, tried in turn: a network may be crippled (RFC 8041, 3.9).
        families: Those that can be served at all.
        lookup: The resolver.
        winners: Says which family goes first, and hears who won.

    Raises:
        OSError: No attempt succeeded; it tells of all of them.
        socket.gaierror: The name has no address.
        UsageError: No attempt could even begin, or the arguments are impossible.
    """
    check_delay(delay)
    if not 0 < port < 65536:
        raise UsageError(f"port {port} is not between 1 and 65535")
    race = _Race(host, port, attempt, discard, delay)
    race.local = tuple(local)
    loop = asyncio.get_running_loop()
    numeric = _numeric(host)
    if numeric is None and _NUMBER.fullmatch(host):
        raise UsageError(f"{host!r} is not an IP address")
    if numeric is not None:
        race.learn(*_literal(numeric, port))
        winner, target = await race.run({})
        return winner
    race.turn = winners.first(host, loop.time())
    winner, target = await race.run({family: lookup(host, port, family) for family in families})
    winners.remember(host, target.family, loop.time())
    return winner


class _Race(Generic[_T]):
    """Attempts under way to the addresses of one host.

    Attributes:
        local: Addresses to connect from.
        turn: Family of the next attempt, if an address of it is known.
    """

    def __init__(
        self,
        host: str,
        port: int,
        attempt: Callable[[Target], Awaitable[_T]],
        discard: Callable[[_T], None],
        delay: float | None,
    ) -> None:
        self.local: tuple[tuple[IpAddress, int], ...] = ()
        self.turn: int = FAMILIES[0]
        self._host = host
        self._port = port
        self._attempt = attempt
        self._discard = discard
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()
        self._targets: dict[int, deque[Target]] = {family: deque() for family in FAMILIES}
        self._lookups: dict[asyncio.Task[Iterable[SocketAddress]], int] = {}
        self._attempts: dict[asyncio.Task[_T], Target] = {}
        self._failures: list[tuple[Target, Exception]] = []
        self._unresolved: list[OSError] = []

    def learn(self, family: int, addresses: Iterable[SocketAddress]) -> None:
        """Add attempts, one for each address of ours that suits."""
        waiting = self._targets[family]
        for remote in addresses:
            if not self.local:
                waiting.append(Target(family, remote))
            for local in self.local:
                if family_of(local[0]) == family:
                    waiting.append(Target(family, remote, local))

    async def run(
        self, lookups: dict[int, Awaitable[Iterable[SocketAddress]]]
    ) -> tuple[_T, Target]:
        """Return what the winner returned and who it was."""
        for family, answer in lookups.items():
            self._lookups[asyncio.ensure_future(answer)] = family
        winner: asyncio.Task[_T] | None = None
        try:
            while winner is None:
                self._start()
                winner = await self._wait()
            return winner.result(), self._attempts[winner]
        finally:
            await self._take_back(winner)

    def _start(self) -> None:
        """Begin the next attempt if it is due."""
        if not self._waiting() or (self._busy() and self._loop.time() < self._due):
            return
        queue = self._targets[self.turn] or next(filter(None, self._targets.values()))
        target = queue.popleft()
        self.turn = _other(target.family)
        self._attempts[asyncio.ensure_future(self._attempt(target))] = target
        never = float("inf")
        self._due = never if self._delay is None else self._loop.time() + self._delay

    async def _wait(self) -> asyncio.Task[_T] | None:
        """Return the winner once there is one, None when something else has changed."""
        pending = [*self._lookups, *(task for task in self._attempts if not task.done())]
        if not pending and not self._waiting():
            raise self._failure()
        timeout = None
        if self._waiting() and self._due != float("inf"):
            timeout = max(0.0, self._due - self._loop.time())
        if pending:
            await asyncio.wait(pending, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for lookup in [task for task in self._lookups if task.done()]:
            self._on_answer(lookup)
        for task in [task for task in self._attempts if task.done()]:
            if task.exception() is None:
                return task
            self._on_failure(task)
        return None

    def _on_answer(self, lookup: asyncio.Task[Iterable[SocketAddress]]) -> None:
        """Take in the addresses of one family (RFC 8305, 3)."""
        family = self._lookups.pop(lookup)
        error = lookup.exception()
        if error is None:
            self.learn(family, lookup.result())
        elif isinstance(error, OSError):
            self._unresolved.append(error)
        else:
            raise error
        if self._attempts or self._failures:
            return
        late = family == socket.AF_INET and socket.AF_INET6 in self._lookups.values()
        self._due = self._loop.time() + (RESOLUTION_DELAY if late else 0)

    def _on_failure(self, task: asyncio.Task[_T]) -> None:
        """Let the next attempt begin at once."""
        target = self._attempts.pop(task)
        error = task.exception()
        if not isinstance(error, OSError | UsageError):
            assert error is not None
            raise error
        self._failures.append((target, error))
        self._due = self._loop.time()

    def _waiting(self) -> bool:
        """Return whether there is somewhere to go."""
        return any(self._targets.values())

    def _busy(self) -> bool:
        """Return whether there is something to wait for besides."""
        return bool(self._attempts or self._lookups)

    async def _take_back(self, winner: asyncio.Task[_T] | None) -> None:
        """Cancel lookups and attempts, and discard what came in second."""
        losers = [task for task in self._attempts if task is not winner]
        for task in (*self._lookups, *losers):
            task.cancel()
        await asyncio.gather(*self._lookups, *losers, return_exceptions=True)
        for task in losers:
            if not task.cancelled() and task.exception() is None:
                self._discard(task.result())

    def _failure(self) -> Exception:
        """Return what all that failed amounts to."""
        network = [(target, error) for target, error in self._failures if not _misused(error)]
        if network:
            return _told_together(self._host, self._port, network)
        if self._failures:
            return self._failures[0][1]
        if self._unresolved:
            return _unresolved(self._host, self._unresolved)
        if self.local:
            names = ", ".join(str(address) for address, _ in self.local)
            return UsageError(f"{self._host} has no address of the family of {names}")
        return UsageError(f"{self._host} has no address of a family that can be served here")


def _local_address(given: str | IpAddress, port: int) -> tuple[IpAddress, int]:
    address = _numeric(given)
    if address is None:
        raise UsageError(
            f"local_addr {given!r} is not an IP address: give one of this machine, see `ip addr`"
        )
    return address, port


def _numeric(host: str | IpAddress) -> IpAddress | None:
    """Return the address that `host` spells, or None if it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _literal(address: IpAddress, port: int) -> tuple[int, list[SocketAddress]]:
    """Return family and socket address; those of IPv6 name their scope in the host."""
    family = family_of(address)
    return family, [(str(address), port)]


def _other(family: int) -> int:
    return FAMILIES[family == FAMILIES[0]]


def _misused(error: Exception) -> bool:
    return not isinstance(error, OSError)


def _told_together(host: str, port: int, failures: Sequence[tuple[Target, Exception]]) -> OSError:
    """Return one error for all: of their kind if they are of one kind, as asyncio does."""
    told = [(target, error) for target, error in failures if isinstance(error, OSError)]
    numbers = {error.errno for _, error in told}
    (first, one), number = told[0], told[0][1].errno
    if number is not None and len(numbers) == 1:
        text = f"cannot connect to {host} port {port}: {_reason(one)}"
        if len(told) > 1:
            tried = ", ".join(str(target) for target, _ in told)
            text = f"{text} (tried {tried})"
        elif first.local is not None:
            text = f"cannot connect to {host} port {port} from {first.local[0]}: {_reason(one)}"
        return OSError(number, text)
    each = "; ".join(f"{target}: {_reason(error)}" for target, error in told)
    return OSError(f"cannot connect to {host} port {port}: {each}")


def _reason(error: OSError) -> str:
    """Return what went wrong, in one style for every back end."""
    text = str(error) if error.errno is None else os.strerror(error.errno)
    return text[:1].lower() + text[1:]


def _unresolved(host: str, errors: Sequence[OSError]) -> OSError:
    """Return why the name has no address."""
    error = errors[0]
    return socket.gaierror(error.errno, f"cannot resolve {host}: {error.strerror}")
