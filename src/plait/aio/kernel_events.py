"""What happens to connections of the kernel, in the words of plait's own stack.

With CAP_NET_ADMIN the kernel's path manager tells: subflows that come, go or fail with their
reasons, priorities, addresses.  Without, snapshots are compared now and then, which shows subflows
that came and went and no more.  Either way nothing is done for connections that nobody follows.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections import deque
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary, ref

from plait.addresses import IpAddress, Path
from plait.aio.happenings import KEPT, Happening, Happenings
from plait.errors import NotSupportedError
from plait.host.events import (
    AddressAdvertised,
    AddressWithdrawn,
    Closed,
    Event,
    FellBack,
    JoinFailed,
    Lost,
    SubflowDown,
    SubflowEnd,
    SubflowPriority,
    SubflowUp,
)
from plait.linux.notices import Notice, NoticeKind, Notices
from plait.mptcp.info import ConnectionInfo

LOOK_SECONDS: Final = 0.1
"""Between two looks at a connection where the kernel tells nothing."""

_ENDS: Final = {
    0: SubflowEnd.CLOSED,
    errno.ECONNRESET: SubflowEnd.RESET,
    errno.ECONNREFUSED: SubflowEnd.REFUSED,
    errno.ETIMEDOUT: SubflowEnd.TIMED_OUT,
    errno.ENETUNREACH: SubflowEnd.UNREACHABLE,
    errno.EHOSTUNREACH: SubflowEnd.UNREACHABLE,
}
"""Any other errno is our own doing."""

Follower = Callable[[Notice | None], None]
"""Takes what the kernel told, None if it had to leave something out."""


class NoticeBoard:
    """What the kernel tells one event loop, given to those it concerns."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = ref(loop)  # boards are found by their loops, which they must not keep alive
        self._notices: Notices | None = None
        self._followers: dict[int, Follower] = {}

    def follow(self, token: int, follower: Follower) -> None:
        """Hear of one connection.  Raises NotSupportedError where the kernel tells nothing."""
        if self._notices is None:
            notices = Notices()
            asyncio.get_running_loop().add_reader(notices.fileno(), self._on_readable)
            self._notices = notices
        self._followers[token] = follower

    def leave(self, token: int) -> None:
        """Hear no more of it."""
        self._followers.pop(token, None)
        if not self._followers and self._notices is not None:
            loop = self._loop()
            if loop is not None and not loop.is_closed():
                loop.remove_reader(self._notices.fileno())
            self._notices.close()
            self._notices = None

    def _on_readable(self) -> None:
        assert self._notices is not None
        try:
            heard = list(self._notices.heard())
        except OSError:  # ENOBUFS
            for follower in tuple(self._followers.values()):
                follower(None)
            return
        for notice in heard:
            if notice.token in self._followers:
                self._followers[notice.token](notice)


_BOARDS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, NoticeBoard]] = WeakKeyDictionary()


class KernelEvents:
    """The events of one kernel connection, from the time somebody first asks.

    Args:
        interval: Seconds between looks where the kernel tells nothing.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._look: Callable[[], ConnectionInfo] | None = None
        self._readers: list[Happenings] = []
        self._past: deque[Happening] = deque(maxlen=KEPT)
        self._live: set[Path] = set()
        self._addresses: dict[int, IpAddress] = {}
        self._board: NoticeBoard | None = None
        self._token = 0
        self._port = 0
        self._timer: asyncio.TimerHandle | None = None
        self._multipath = False
        self._ended = False
        self._end: Callable[[], Closed | Lost] | None = None

    def subscribe(self, look: Callable[[], ConnectionInfo]) -> Happenings:
        """Return what there is and what will happen; `look` returns a fresh snapshot."""
        if self._look is None and not self._ended:
            self._look = look
            self._begin(look())
        self._conclude()
        happenings = Happenings(self._past, ended=self._ended)
        if not self._ended:
            self._readers.append(happenings)
        return happenings

    def end(self, event: Callable[[], Closed | Lost]) -> None:
        """Tell the end, and nothing more; `event` is made once somebody follows."""
        self._ended = True
        self._end = event
        self._look = None
        if self._readers:
            self._compare(event().info)
            self._conclude()
        for reader in self._readers:
            reader.end()
        self._readers.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._board is not None:
            self._board.leave(self._token)

    def _conclude(self) -> None:
        """Tell the end, if it has come and was not told."""
        if self._end is not None:
            self._tell(self._end())
            self._end = None

    def on_notice(self, notice: Notice | None) -> None:
        """Tell what the kernel told."""
        if notice is None:
            self._look_again()
            return
        event = self._event_of(notice)
        if event is not None:
            self._tell(event)

    def _begin(self, info: ConnectionInfo) -> None:
        """Tell of the subflows there are, and follow the connection."""
        self._multipath = info.is_mptcp
        self._token = info.token or 0
        self._port = info.subflows[0].path.remote_port
        loop = asyncio.get_running_loop()
        if info.is_mptcp:
            board = _BOARDS.setdefault(loop, NoticeBoard(loop))
            try:
                board.follow(self._token, self.on_notice)
                self._board = board
            except NotSupportedError:
                self._timer = loop.call_later(self._interval, self._on_timer)
        self._compare(info)

    def _look_again(self) -> None:
        if self._look is not None:
            self._compare(self._look())

    def _on_timer(self) -> None:
        self._look_again()
        if self._multipath and not self._ended:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._interval, self._on_timer)

    def _compare(self, info: ConnectionInfo) -> None:
        """Tell of subflows that came or went since the last look."""
        live = [one.path for one in info.subflows if one.established]
        for path in self._live.difference(live):
            self._tell(SubflowDown(self._token, path, SubflowEnd.CLOSED, None))
        for path in live:
            if path not in self._live:
                self._tell(SubflowUp(self._token, path))
        self._live = set(live)
        if self._multipath and not info.is_mptcp:
            self._multipath = False
            self._tell(FellBack(self._token, info.fallback_reason or ""))

    def _event_of(self, notice: Notice) -> Event | None:
        """Return what a message means; None if it says nothing new."""
        token, path = notice.token, notice.path
        match notice.kind:
            case NoticeKind.ANNOUNCED if notice.address is not None:
                self._addresses[notice.remote_id] = notice.address
                port = 0 if notice.port == self._port else notice.port
                return AddressAdvertised(token, notice.remote_id, notice.address, port)
            case NoticeKind.REMOVED:
                return self._withdrawal(notice)
            case NoticeKind.SUB_PRIORITY if path is not None:
                return SubflowPriority(token, path, notice.backup)
            case NoticeKind.SUB_ESTABLISHED if path is not None and path not in self._live:
                self._live.add(path)
                self._addresses.setdefault(notice.remote_id, path.remote)
                return SubflowUp(token, path)
            case NoticeKind.SUB_CLOSED if path is not None:
                end = _ENDS.get(notice.error, SubflowEnd.ABORTED)
                kind = SubflowDown if path in self._live else JoinFailed
                self._live.discard(path)
                return kind(token, path, end, notice.reset_reason)
        return None

    def _withdrawal(self, notice: Notice) -> AddressWithdrawn | None:
        """Return which address the peer removed, if it was ever known."""
        address = self._addresses.pop(notice.remote_id, None)
        if address is None:
            return None
        return AddressWithdrawn(notice.token, notice.remote_id, address)

    def _tell(self, event: Event) -> None:
        happening = Happening(time.monotonic_ns(), event)
        self._past.append(happening)
        for reader in self._readers:
            reader.add(happening)
