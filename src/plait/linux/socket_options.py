"""What a new kernel socket is to be, and what that means for Multipath TCP."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from plait.host.settings import Settings
from plait.linux.refusals import refusal
from plait.units import MILLISECOND, SECOND, Nanos

Wish: TypeAlias = tuple[int, int, int | bytes]
"""Level, number and value of a socket option."""

ASKED: Final = "Multipath TCP is off"
"""Why connections are plain TCP if the caller wanted them so."""

_DEFAULT: Final = Settings()


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketOptions:
    """What a new socket is to be."""

    mptcp: bool = True
    reason: str = ASKED
    """Why not, if `mptcp` is False."""

    congestion: str | None = None
    """A congestion control of the kernel; None leaves the choice to its sysctl."""

    nodelay: bool = True
    wishes: tuple[Wish, ...] = ()
    """Further options; one that the kernel's Multipath TCP refuses makes the socket TCP."""

    fast_open: bool = False
    """The first data may leave on the SYN (RFC 7413)."""

    fast_open_pending: int = 0
    """Connections of a listener that a cookie opened whose handshake is not complete."""

    @property
    def why_tcp(self) -> str | None:
        """Why the socket has to be TCP; None if it does not."""
        if not self.mptcp:
            return self.reason
        refusals = (refusal(level, option) for level, option, _ in self.wishes)
        return next((why for why in refusals if why is not None), None)


def options_of(settings: Settings, default: SocketOptions) -> SocketOptions:
    """Return what the kernel can make of `settings`.

    Buffers are set only where they differ from plait's defaults: it ends the kernel's tuning of
    them.

    Args:
        default: Gives the reason if there is no Multipath TCP in any case.
    """
    server = settings.fast_open in {"server", "both"}
    return replace(
        default,
        mptcp=default.mptcp and settings.mptcp,
        reason=default.reason if settings.mptcp else ASKED,
        congestion=settings.congestion,
        nodelay=settings.nodelay,
        wishes=tuple(_wishes(settings)),
        fast_open=settings.fast_open in {"client", "both"},
        fast_open_pending=settings.fast_open_pending if server else 0,
    )


def keepalive_wishes(settings: Settings) -> list[Wish]:
    """Return the options that make the kernel probe idle connections as `settings` say."""
    return [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(settings.keepalive)),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _up(settings.keepalive_idle, SECOND)),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _up(settings.keepalive_interval, SECOND)),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, settings.keepalive_probes),
    ]


def user_timeout_wish(timeout: Nanos) -> Wish:
    """Return the option that limits how long data may wait for an acknowledgment."""
    return (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _up(timeout, MILLISECOND))


def _wishes(settings: Settings) -> list[Wish]:
    wishes: list[Wish] = []
    if settings.keepalive:
        wishes += keepalive_wishes(settings)
    if settings.user_timeout:
        wishes.append(user_timeout_wish(settings.user_timeout))
    if settings.receive_buffer != _DEFAULT.receive_buffer:
        wishes.append((socket.SOL_SOCKET, socket.SO_RCVBUF, settings.receive_buffer))
    if settings.send_buffer != _DEFAULT.send_buffer:
        wishes.append((socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer))
    return wishes


def _up(duration: Nanos, unit: Nanos) -> int:
    """Return a duration in whole units, none lost."""
    return -(-duration // unit)
