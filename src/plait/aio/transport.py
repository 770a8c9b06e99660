"""One connection of a stack as an asyncio transport.

The transport behaves as asyncio's own do: `connection_lost` follows `close` as soon as everything
written has been handed over, and the host goes on to deliver it.  Written data waits in the host's
send buffer; what does not fit there waits in a backlog here, which is what the write buffer limits
are about.
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from plait.addresses import IpAddress
from plait.aio.protocols import ChunkProtocol
from plait.aio.pump import Pump
from plait.aio.stack_connection import StackConnection
from plait.buffers import is_stable
from plait.host.events import LossReason
from plait.mptcp.info import ConnectionInfo
from plait.units import Octets
from plait.wire.segment import Buffer

HIGH_WATER: Final[Octets] = 256 * 1024
"""Backlog at which a protocol is asked to pause writing, unless it sets another limit."""

_READ_OCTETS: Final[Octets] = 256 * 1024
"""Most octets one `data_received` is given."""

_READS: Final = 4
"""Times in a row that one connection is read before others have their turn."""

_ERRORS: Final[dict[LossReason, tuple[type[OSError], int]]] = {
    LossReason.REFUSED: (ConnectionRefusedError, errno.ECONNREFUSED),
    LossReason.RESET: (ConnectionResetError, errno.ECONNRESET),
    LossReason.TIMED_OUT: (TimeoutError, errno.ETIMEDOUT),
    LossReason.UNREACHABLE: (OSError, errno.EHOSTUNREACH),
    LossReason.ABORTED: (ConnectionAbortedError, errno.ECONNABORTED),
}


def loss_error(reason: LossReason) -> OSError:
    """Return the OSError that asyncio programs expect for the way a connection was lost."""
    kind, number = _ERRORS[reason]
    return kind(number, reason.value)


class StackTransport(asyncio.Transport):
    """The transport of one open connection.

    Extra information: `peername` and `sockname` of the first subflow, as sockets give them, and
    `plait`, the `StackConnection`.

    Args:
        loop: The loop of the stack.
        pump: The pump of the stack.
        connection_id: The host's name for the connection.
        protocol: Whom to tell; `connection_made` is the stack's to call.
        on_done: Called once with the transport, after `connection_lost`.
        reason: Why it runs on this back end and not on one that was preferred.

    Attributes:
        connection: What else can be asked of the connection and done to it.
    """

    _start_tls_compatible: ClassVar = True  # asks event loops to put TLS over it

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pump: Pump,
        connection_id: int,
        protocol: asyncio.BaseProtocol,
        on_done: Callable[[StackTransport], None],
        reason: str | None = None,
    ) -> None:
        self.connection = StackConnection(pump, connection_id, reason)
        super().__init__(_names(self.connection))
        self.connection_id = connection_id
        self._loop = loop
        self._pump = pump
        self._host = pump.host
        self._on_done = on_done
        self._closing = False
        self._done = False  # connection_lost is on its way
        self._reading = True
        self._ended = False  # the peer's end of stream was passed on
        self._eof = False
        self._backlog: deque[Buffer] = deque()
        self._backlog_octets: Octets = 0
        self._high: Octets = HIGH_WATER
        self._low: Octets = HIGH_WATER // 4
        self._writing_paused = False
        self.set_protocol(protocol)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return `peername`, `sockname` or `plait`; there is no `socket`."""
        if name == "plait":
            return self.connection
        return super().get_extra_info(name, default)

    @property
    def _sendfile_compatible(self) -> Any:
        """Raise NotImplementedError, upon which aiohttp reads and writes: loops look here."""
        raise NotImplementedError("a stack has no descriptor for sendfile: read the file and write")

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Change whom to tell."""
        self._protocol: Any = protocol
        self._buffered = isinstance(protocol, asyncio.BufferedProtocol)
        self._chunked = isinstance(protocol, ChunkProtocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return whom the transport tells."""
        return self._protocol  # type: ignore[no-any-return]  # Any, to call what its kind has

    def is_closing(self) -> bool:
        """Return whether the transport is closed or about to be."""
        return self._closing

    def is_reading(self) -> bool:
        """Return whether data is passed on as it arrives."""
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        """Leave data in the host, whose window then closes."""
        self._reading = False

    def resume_reading(self) -> None:
        """Pass data on again."""
        if not self._reading:
            self._reading = True
            self._loop.call_soon(self.on_readable)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`; it is copied only if it could change.

        A view of a file that is mapped read-only is not copied: as with sendfile(2), who writes
        the file meanwhile changes what is sent.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data is bytes-like, not {type(data).__name__}")
        if self._eof:
            raise RuntimeError("write after write_eof")
        if not data or self._closing or not self.live:
            return
        stable = _stable(data)
        if not self._backlog:
            taken = self._hand_over(stable)
            if taken == len(stable):
                return
            stable = memoryview(stable)[taken:]
        self._backlog.append(stable)
        self._backlog_octets += len(stable)
        if self._backlog_octets > self._high and not self._writing_paused:
            self._writing_paused = True
            self._call_protocol("pause_writing")

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send each item, without joining them."""
        for data in list_of_data:
            self.write(data)

    def can_write_eof(self) -> bool:
        """Return True: every connection can be half closed."""
        return True

    def write_eof(self) -> None:
        """End the stream after what was written; reading goes on."""
        if self._eof or self._closing:
            return
        self._eof = True
        if not self._backlog:
            self._finish_writing()

    def get_write_buffer_size(self) -> Octets:
        """Return the octets that wait outside the host's send buffer."""
        return self._backlog_octets

    def get_write_buffer_limits(self) -> tuple[Octets, Octets]:
        """Return the low and the high limit."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when the protocol is paused and resumed, in octets of backlog."""
        if high is None:
            high = HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high}) must be at least low ({low}), and low at least 0")
        self._high = high
        self._low = low

    def close(self) -> None:
        """Send what was written, end the stream, and pass on nothing more."""
        if self._closing:
            return
        self._closing = True
        if not self._backlog:
            self._release()

    def abort(self) -> None:
        """Drop the connection and what was written, at both ends."""
        self._force_close(None)

    def on_readable(self) -> None:
        """Pass on what has arrived, up to a bound; then the end of the stream."""
        for _ in range(_READS):
            if not self._reading or self._closing or not self.live:
                return
            try:
                if not self._read_once():
                    break
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001  whatever a protocol raises ends it
                self._fail(error, "the protocol failed to take data")
                return
        else:
            self._loop.call_soon(self.on_readable)
            return
        if not self._ended and self._at_end():
            self._end_reading()

    def on_writable(self) -> None:
        """Hand the host as much of the backlog as it takes."""
        if self._done:
            return
        backlog = self._backlog
        while backlog and self.live:
            data = backlog[0]
            taken = self._hand_over(data)
            self._backlog_octets -= taken
            if taken < len(data):
                backlog[0] = memoryview(data)[taken:]
                break
            backlog.popleft()
        if self._writing_paused and self._backlog_octets <= self._low:
            self._writing_paused = False
            self._call_protocol("resume_writing")
        if self._backlog:
            return
        if self._closing:
            self._release()
        elif self._eof:
            self._finish_writing()

    @property
    def live(self) -> bool:
        """Whether the host still knows the connection."""
        return self.connection.live

    def on_lost(self, info: ConnectionInfo, error: OSError | None) -> None:
        """Tell the protocol that the connection has ended as `info` says, None meaning cleanly."""
        self.connection.on_ended(info)
        if error is None and not self._ended and not self._closing:
            self._end_reading()
        self._closing = True
        self._backlog.clear()
        self._backlog_octets = 0
        self._schedule_lost(error)

    def _read_once(self) -> bool:
        """Pass on one helping of data; return whether there was any."""
        protocol = self._protocol
        if not self._buffered:
            chunks = self._take(_READ_OCTETS)
            if not chunks:
                return False
            if self._chunked:
                protocol.chunks_received(chunks)
                return True
            first = chunks[0]
            alone = len(chunks) == 1 and isinstance(first, bytes)
            protocol.data_received(first if alone else b"".join(chunks))
            return True
        target = memoryview(protocol.get_buffer(-1)).cast("B")
        if not target:
            raise RuntimeError("get_buffer() returned an empty buffer")
        at = 0
        for chunk in self._take(len(target)):
            target[at : at + len(chunk)] = chunk
            at += len(chunk)
        if at:
            protocol.buffer_updated(at)
        return at > 0

    def _take(self, limit: Octets) -> list[Buffer]:
        """Return what has arrived."""
        chunks = self._host.read_chunks(self._pump.now(), self.connection_id, limit)
        self._pump.owe()
        return chunks

    def _hand_over(self, data: Buffer) -> Octets:
        """Return how much the host took."""
        taken = self._host.write(self._pump.now(), self.connection_id, data)
        self._pump.owe()
        return taken

    def _at_end(self) -> bool:
        """Return whether the stream was read to its end; `on_lost` knows what else ended it."""
        return self.live and self._host.at_end(self.connection_id)

    def _end_reading(self) -> None:
        self._ended = True
        try:
            keep_open = self._protocol.eof_received()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001  whatever a protocol raises ends it
            self._fail(error, "the protocol failed to take the end of the stream")
            return
        if not keep_open:
            self.close()

    def _finish_writing(self) -> None:
        if self.live:
            self._host.close(self._pump.now(), self.connection_id)
            self._pump.owe()

    def _release(self) -> None:
        """Leave the rest to the host; it no longer keeps what arrives."""
        if self.live:
            self._host.release(self._pump.now(), self.connection_id)
            self._pump.owe()
        self._schedule_lost(None)

    def _fail(self, error: BaseException, message: str) -> None:
        self._report(error, message)
        self._force_close(error)

    def _force_close(self, error: BaseException | None) -> None:
        self._closing = True
        self._backlog.clear()
        self._backlog_octets = 0
        self.connection.abort()
        self._schedule_lost(error)

    def _schedule_lost(self, error: BaseException | None) -> None:
        if not self._done:
            self._done = True
            self._loop.call_soon(self._call_connection_lost, error)

    def _call_connection_lost(self, error: BaseException | None) -> None:
        if not self.live:
            self.connection.end_events()
        try:
            self._protocol.connection_lost(error)
        finally:
            self._on_done(self)

    def _call_protocol(self, method: str) -> None:
        """Call a flow control method; its failure is reported and otherwise ignored."""
        try:
            getattr(self._protocol, method)()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001  asyncio's transports report it likewise
            self._report(error, f"protocol.{method}() failed")

    def _report(self, error: BaseException, message: str) -> None:
        self._loop.call_exception_handler(
            {
                "message": message,
                "exception": error,
                "transport": self,
                "protocol": self._protocol,
            }
        )


def _stable(data: bytes | bytearray | memoryview) -> Buffer:
    """Return `data` itself if it cannot change, else a copy."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, memoryview) and is_stable(data) and data.contiguous:
        return data.cast("B")
    return bytes(data)


def _names(connection: StackConnection) -> dict[str, Any]:
    """Return the names of the first subflow, which stay what they are (RFC 6897, 4.2.2)."""
    subflows = connection.info.subflows
    if not subflows:
        return {}
    path = subflows[0].path
    return {
        "peername": _socket_name(path.remote, path.remote_port),
        "sockname": _socket_name(path.local, path.local_port),
    }


def _socket_name(address: IpAddress, port: int) -> tuple[Any, ...]:
    """Return the pair or quadruple that sockets use."""
    return (str(address), port) if address.version == 4 else (str(address), port, 0, 0)
