"""A connection of the kernel, Multipath or plain TCP, as `plait.aio.connection.Connection`.

What the kernel tells and lets be set by socket options works for everybody.  Subflows of single
connections are steered by netlink: that takes CAP_NET_ADMIN and a connection that opened while
`net.mptcp.path_manager` was `userspace` (see `plait.linux.path_manager`).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any, Final, Literal

from plait.addresses import IpAddress, Path
from plait.aio.connection import Connection, LocalAddress
from plait.aio.happenings import Happenings
from plait.aio.kernel_events import LOOK_SECONDS, KernelEvents
from plait.aio.kernel_socket import KernelSocket
from plait.aio.kernel_steering import add_addresses, join, remove_addresses
from plait.aio.subflow_options import no_such_option
from plait.errors import NotSupportedError, UsageError
from plait.host.events import Closed, LossReason, Lost
from plait.host.settings import LIVE, Settings
from plait.linux import sockopts
from plait.linux.mptcp_sockets import check_congestion, set_nodelay
from plait.linux.path_manager import PathManager
from plait.linux.refusals import refusal
from plait.linux.socket_options import Wish, keepalive_wishes, user_timeout_wish
from plait.mptcp.info import ConnectionInfo, SubflowInfo

FELL_BACK: Final = "the kernel fell back to TCP"

_DEFAULT: Final = Settings()
_MOST_ENDED: Final = 64
"""Subflows that are remembered after their end."""

_LOSSES: Final = {
    errno.ECONNREFUSED: LossReason.REFUSED,
    errno.ETIMEDOUT: LossReason.TIMED_OUT,
    errno.ENETUNREACH: LossReason.UNREACHABLE,
    errno.EHOSTUNREACH: LossReason.UNREACHABLE,
    errno.ECONNABORTED: LossReason.ABORTED,
}
"""Any other errno is a reset."""

_KEEPALIVE: Final = frozenset(
    {"keepalive", "keepalive_idle", "keepalive_interval", "keepalive_probes"}
)
_OF_NAMESPACE: Final = {
    "scheduler": "net.mptcp.scheduler",
    "path_manager": "net.mptcp.path_manager",
}
"""Settings that the kernel has for a network namespace, by sysctl."""


class KernelConnection(Connection):
    """One connected socket of the kernel.

    Args:
        sock: Its socket, which the connection closes nothing of.
        reason: Why it runs on this and not on what was preferred, None if it does.
        wanted: Whether Multipath TCP was asked for.
        initiator: Whether this end connected.
        interval: Seconds between two looks for events where the kernel tells none.

    Raises:
        OSError: The connection has ended already.
    """

    def __init__(
        self,
        sock: KernelSocket,
        reason: str | None = None,
        *,
        wanted: bool = True,
        initiator: bool = True,
        interval: float = LOOK_SECONDS,
    ) -> None:
        self._sock = sock
        self._reason = reason
        self._wanted = wanted
        self._initiator = initiator
        self._ended = False
        self._settings = _DEFAULT
        self._events = KernelEvents(interval)
        self._done_callbacks: list[Callable[[], None]] = []
        self._path: Path | None = None
        with suppress(OSError):  # reset already, which is no reason not to hear what came before
            self._path = sockopts.path_of(sock)
        self._last: ConnectionInfo | None = None
        self._readings = [sockopts.read(sock, self._path)]
        sock.on_close = self._on_close

    @property
    def info(self) -> ConnectionInfo:
        """A snapshot; the last one of a connection that has ended."""
        known = self._known()
        return known if self._ended else self._look(known)

    def events(self) -> Happenings:
        """Return what happens until the connection has ended, first the subflows there are.

        With CAP_NET_ADMIN events come from the kernel's path manager, and tell of joins that
        failed, priorities and addresses, too.  Without, snapshots are compared, each 0.1 s unless
        the connection was made with another interval; subflows that lived shorter go unseen.
        A fall-back is told then, too; with the privilege, at the end.
        """
        return self._events.subscribe(lambda: self.info)

    def change(self, *, intent: str | None = None, **settings: Any) -> None:
        """Change congestion control, Nagle's rule, keep-alive or, on plain TCP, the user time-out.

        Raises:
            UsageError: As `Connection.change` says.
            NotSupportedError: The kernel has no such setting for one connection.
        """
        if intent is not None:
            raise NotSupportedError(
                "an intent chooses path manager and scheduler, which the kernel has one of for a "
                "network namespace: use plait's own stack"
            )
        self._check_open()
        wishes = self._wishes(settings)
        for wish in wishes:
            self._sock.setsockopt(*wish)
        if "nodelay" in settings:
            set_nodelay(self._sock, nodelay=settings["nodelay"])
        self._settings = replace(self._settings, **settings)

    # ---- RFC 6897

    def add_addresses(self, addresses: Sequence[LocalAddress]) -> None:
        """Join from these addresses, or as the listener announce them to the peer."""
        info = self._multipath()
        add_addresses(info, addresses, initiator=self._initiator)

    def remove_addresses(self, addresses: Sequence[LocalAddress]) -> None:
        """Withdraw these addresses from the peer and end their subflows."""
        remove_addresses(self._multipath(), addresses)

    # ---- draft-hesmans-mptcp-socket

    def open_subflow(
        self,
        local: IpAddress | None,
        remote: IpAddress | None = None,
        *,
        local_port: int = 0,
        remote_port: int = 0,
        backup: bool = False,
    ) -> int:
        """Begin to join a subflow and return its id.

        Raises:
            UsageError: As `Connection.open_subflow` says.
            ConnectionRefusedError: The peer refused it before this call returned.
        """
        info = self._multipath()
        first = info.subflows[0].path
        path = join(
            info,
            None if local is None else (local, local_port),
            (remote or first.remote, remote_port or first.remote_port),
            backup=backup,
        )
        known = {one.id for one in info.subflows}
        for subflow_id, found, _ in sockopts.full_info(self._sock):
            if subflow_id not in known and (found.local, found.remote) == (path.local, path.remote):
                return subflow_id
        raise ConnectionRefusedError(
            errno.ECONNREFUSED, f"{path.remote} port {path.remote_port} refuses the subflow"
        )

    def close_subflow(self, subflow_id: int, how: Literal["fin", "rst"] = "fin") -> None:
        """Close one subflow by FIN; the kernel offers no other way."""
        info = self._multipath()
        path = _subflow(info, subflow_id).path
        if how == "rst":
            raise NotSupportedError("the kernel closes single subflows by FIN only")
        if not any(one.id != subflow_id and one.established for one in info.subflows):
            raise UsageError("this is the last subflow that works: close the connection instead")
        with PathManager() as manager:
            manager.destroy_subflow(info.token or 0, path)

    def subflow_getsockopt(self, subflow_id: int, level: int, optname: int) -> int | bytes:
        """Return TCP_INFO of one subflow, as octets of struct tcp_info."""
        _subflow(self._multipath(), subflow_id)
        if (level, optname) == (socket.IPPROTO_TCP, socket.TCP_INFO):
            for found, _, state in sockopts.full_info(self._sock):
                if found == subflow_id:
                    return state
        raise no_such_option()

    def subflow_setsockopt(
        self, subflow_id: int, level: int, optname: int, value: int | bytes
    ) -> None:
        """Raise NotSupportedError: options of the kernel's socket are those of all subflows."""
        _subflow(self._multipath(), subflow_id)
        raise NotSupportedError(
            "the kernel sets options for all subflows at once: use the socket's own setsockopt"
        )

    def set_backup(self, subflow_id: int, *, backup: bool) -> None:
        """Ask the peer to spare a subflow, or no more (MP_PRIO)."""
        info = self._multipath()
        path = _subflow(info, subflow_id).path
        with PathManager() as manager:
            manager.set_backup(info.token or 0, path, backup=backup)

    def add_done_callback(self, callback: Callable[[], None]) -> None:
        """Have `callback` called once the connection has ended."""
        self._done_callbacks.append(callback)

    def _explained(self, info: ConnectionInfo) -> ConnectionInfo:
        """Return the snapshot with all that is known of why it is what it is."""
        reasons = [self._reason]
        if not info.is_mptcp and self._wanted:
            reasons.append(info.fallback_reason)
        return replace(
            info,
            fallback=self._wanted and not info.is_mptcp,
            fallback_reason="; ".join(one for one in reasons if one) or None,
            backend="kernel" if self._wanted else "tcp",
        )

    def _wishes(self, settings: dict[str, Any]) -> list[Wish]:
        """Return the socket options that settings mean.  Raises for those that cannot change."""
        known = {field.name for field in fields(Settings)}
        for name in settings:
            self._check_setting(name, known)
        wanted = replace(self._settings, **settings)
        wishes: list[Wish] = []
        if _KEEPALIVE & settings.keys():
            wishes += keepalive_wishes(wanted)
        if "user_timeout" in settings:
            wishes.append(user_timeout_wish(wanted.user_timeout))
        if "congestion" in settings:
            check_congestion(self._sock.family, wanted.congestion)
            control = wanted.congestion.encode()
            wishes.append((socket.IPPROTO_TCP, socket.TCP_CONGESTION, control))
        if self._wanted:
            for level, option, _ in wishes:
                why = refusal(level, option)
                if why is not None:
                    raise NotSupportedError(why)
        return wishes

    @staticmethod
    def _check_setting(name: str, known: set[str]) -> None:
        """Raise unless one connection of the kernel can change the setting."""
        if name in _OF_NAMESPACE:
            raise NotSupportedError(
                f"the kernel has one {name.replace('_', ' ')} for a network namespace: "
                f"see sysctl {_OF_NAMESPACE[name]}"
            )
        if name not in known:
            raise UsageError(f"there is no setting {name!r}")
        if name not in LIVE:
            raise UsageError(f"{name} cannot change on an open connection")
        if name not in _KEEPALIVE | {"congestion", "nodelay", "user_timeout"}:
            raise NotSupportedError(f"the kernel has no setting {name} for one connection")

    def _check_open(self) -> None:
        if self._ended:
            raise UsageError("the connection has ended")

    def _multipath(self) -> ConnectionInfo:
        """Return a fresh snapshot.  Raises UsageError if there is nothing to steer."""
        self._check_open()
        return super()._multipath()

    def _known(self) -> ConnectionInfo:
        """Return what was read at the begin and at the end, decoded now that somebody asks."""
        last = self._last
        for reading in self._readings:
            now = self._explained(sockopts.decode(reading))
            last = now if last is None else _merged(last, _detailed(last, now))
        assert last is not None
        if self._ended and self._readings:
            closed = tuple(one.closed() for one in last.subflows)
            last = replace(last, subflows=closed, subflows_total=0, extra_subflows=0)
        self._readings.clear()
        self._last = last
        return last

    def _look(self, known: ConnectionInfo) -> ConnectionInfo:
        """Take a snapshot, and keep it."""
        try:
            now = sockopts.connection_info(self._sock, self._path)
        except OSError:  # reset: the kernel knows no peer any more
            return known
        self._last = _merged(known, self._explained(now))
        return self._last

    def _on_close(self) -> None:
        """Take the last look: the socket is about to close."""
        with suppress(OSError):
            self._readings.append(sockopts.read(self._sock, self._path))
        self._ended = True
        self._events.end(self._end)
        for callback in self._done_callbacks:
            callback()

    def _end(self) -> Closed | Lost:
        """Return the event that tells of the end."""
        last = self._known()
        token, error = last.token or 0, self._sock.error
        if error is None:
            return Closed(token, last)
        return Lost(token, _LOSSES.get(error.errno or 0, LossReason.RESET), last)


def _detailed(before: ConnectionInfo, now: ConnectionInfo) -> ConnectionInfo:
    """Return `now` with the address ids and backup flags that were seen before."""
    known = {one.id: one for one in before.subflows}
    subflows = tuple(
        replace(known[one.id], tcp=one.tcp) if one.id in known else one for one in now.subflows
    )
    return replace(now, subflows=subflows)


def _merged(before: ConnectionInfo, now: ConnectionInfo) -> ConnectionInfo:
    """Return `now` with what the kernel has forgotten since `before`."""
    if before.is_mptcp and not now.is_mptcp:
        return replace(now, fallback_reason=FELL_BACK)
    if before.fallback_reason == FELL_BACK:
        return replace(now, fallback_reason=FELL_BACK)
    if not now.is_mptcp:
        return now
    ids = {one.id for one in now.subflows}
    gone = [one.closed() for one in before.subflows if one.id not in ids]
    subflows = sorted((*gone[-_MOST_ENDED:], *now.subflows), key=_age)
    return replace(now, token=now.token or before.token, subflows=tuple(subflows))


def _age(subflow: SubflowInfo) -> int:
    return subflow.id


def _subflow(info: ConnectionInfo, subflow_id: int) -> SubflowInfo:
    """Return a live subflow.  Raises UsageError if there is none of this id."""
    for one in info.subflows:
        if one.alive and one.id == subflow_id:
            return one
    raise UsageError(f"the connection has no subflow {subflow_id}: see `subflows()`")
