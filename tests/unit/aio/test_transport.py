from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from ipaddress import ip_address
from typing import Any, TypeVar

import pytest

from plait.aio.protocols import ChunkProtocol
from plait.aio.stack import Stack
from plait.aio.transport import StackTransport, loss_error
from plait.buffers import SMALL as SMALL_WRITE
from plait.buffers import Buffer
from plait.drivers.memory import pair
from plait.host.events import LossReason
from plait.host.settings import Settings

HERE = ip_address("10.0.0.1")
THERE = ip_address("10.0.0.2")
SMALL = Settings(send_buffer=100_000, receive_buffer=100_000)


class Recorder(asyncio.Protocol):
    """Keeps what it is told; the reading end of every test."""

    def __init__(self) -> None:
        self.transport: StackTransport
        self.data = b""
        self.largest = 0
        self.paused: list[bool] = []
        self.keep_open = False
        self.ended = asyncio.Event()
        self.lost = asyncio.Event()
        self.error: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, StackTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.largest = max(self.largest, len(data))

    def eof_received(self) -> bool:
        self.ended.set()
        return self.keep_open

    def pause_writing(self) -> None:
        self.paused.append(True)

    def resume_writing(self) -> None:
        self.paused.append(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self.lost.set()


class Buffered(asyncio.BufferedProtocol):
    """Takes data into a small buffer of its own."""

    def __init__(self, size: int = 1000) -> None:
        self.buffer = bytearray(size)
        self.data = b""
        self.ended = asyncio.Event()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data += self.buffer[:nbytes]

    def eof_received(self) -> bool:
        self.ended.set()
        return False


class Chunked(ChunkProtocol):
    """Keeps chunks as they are."""

    def __init__(self) -> None:
        self.chunks: list[Buffer] = []
        self.ended = asyncio.Event()

    def chunks_received(self, chunks: Sequence[Buffer]) -> None:
        self.chunks += chunks

    def eof_received(self) -> bool:
        self.ended.set()
        return False


P = TypeVar("P", bound=asyncio.BaseProtocol)
Scenario = Callable[[Recorder, P], Coroutine[Any, Any, None]]


def converse(factory: Callable[[], P], scenario: Scenario[P], settings: Settings = SMALL) -> None:
    """Run a scenario with the protocols of the two ends of one connection."""

    async def bounded() -> None:
        accepted: asyncio.Future[P] = asyncio.get_running_loop().create_future()

        def accept() -> P:
            protocol = factory()
            accepted.set_result(protocol)
            return protocol

        here, there = pair([HERE], [THERE])
        async with (
            asyncio.timeout(20),
            Stack([here], settings, bytes(32)) as one,
            Stack([there], settings, b"\1" * 32) as other,
        ):
            await other.create_server(accept, None, 7)
            _, protocol = await one.create_connection(Recorder, str(THERE), 7)
            await scenario(protocol, await accepted)

    asyncio.run(bounded())


async def settle() -> None:
    await asyncio.sleep(0.05)


def test_a_slow_reader_pauses_the_writer() -> None:
    async def scenario(here: Recorder, there: Recorder) -> None:
        there.transport.pause_reading()
        assert not there.transport.is_reading()
        here.transport.set_write_buffer_limits(high=50_000)
        assert here.transport.get_write_buffer_limits() == (12_500, 50_000)
        for _ in range(30):
            here.transport.write(bytes(10_000))
        await settle()
        assert here.paused == [True]
        assert here.transport.get_write_buffer_size() > 50_000
        assert there.data == b""
        there.transport.resume_reading()
        here.transport.write_eof()
        await there.ended.wait()
        assert len(there.data) == 300_000
        assert here.paused == [True, False]
        assert here.transport.get_write_buffer_size() == 0

    converse(Recorder, scenario)


def test_pausing_in_data_received_stops_at_once() -> None:
    class Pauser(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.pause_reading()

    async def scenario(here: Recorder, there: Pauser) -> None:
        here.transport.write(b"one")
        await settle()
        here.transport.write(b"two")
        await settle()
        assert there.data == b"one"
        there.transport.resume_reading()
        await settle()
        assert there.data == b"onetwo"

    converse(Pauser, scenario)


@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_a_buffered_protocol_gets_the_same_octets(size: int) -> None:
    async def scenario(here: Recorder, there: Buffered) -> None:
        data = bytes(range(256)) * 40
        here.transport.write(data)
        here.transport.write_eof()
        await there.ended.wait()
        assert there.data == data

    converse(lambda: Buffered(size), scenario)


def test_from_writer_to_reader_nobody_copies_a_large_write() -> None:
    data = random.Random(4).randbytes(400_000)

    async def scenario(here: Recorder, there: Chunked) -> None:
        here.transport.write(data)
        here.transport.write_eof()
        await there.ended.wait()
        assert b"".join(there.chunks) == data
        copied = [chunk for chunk in there.chunks if memoryview(chunk).obj is not data]
        assert all(len(chunk) < SMALL_WRITE for chunk in copied), copied

    converse(Chunked, scenario)


def test_chunks_from_a_transport_that_knows_none() -> None:
    protocol = Chunked()
    protocol.data_received(b"data")
    assert protocol.chunks == [b"data"]


def test_protocols_may_change_in_between() -> None:
    async def scenario(here: Recorder, there: Recorder) -> None:
        here.transport.write(b"one")
        await settle()
        second = Buffered()
        there.transport.set_protocol(second)
        assert there.transport.get_protocol() is second
        here.transport.write(b"two")
        here.transport.write_eof()
        await second.ended.wait()
        assert (there.data, second.data) == (b"one", b"two")

    converse(Recorder, scenario)


def test_half_closed_connections_go_on_the_other_way() -> None:
    def factory() -> Recorder:
        recorder = Recorder()
        recorder.keep_open = True
        return recorder

    async def scenario(here: Recorder, there: Recorder) -> None:
        assert here.transport.can_write_eof()
        here.transport.write(b"question")
        here.transport.write_eof()
        here.transport.write_eof()
        with pytest.raises(RuntimeError, match="write_eof"):
            here.transport.write(b"more")
        await there.ended.wait()
        assert not there.transport.is_closing()
        there.transport.writelines([b"an", bytearray(b"sw"), memoryview(b"er")])
        there.transport.write_eof()
        await here.lost.wait()
        await there.lost.wait()
        assert (there.data, here.data) == (b"question", b"answer")

    converse(factory, scenario)


WRITES: dict[str, Callable[[bytearray], Any]] = {
    "bytes": bytes,
    "bytearray": lambda data: data,
    "view of bytes": lambda data: memoryview(bytes(data)),
    "view of bytearray": memoryview,
    "wide view": lambda data: memoryview(bytes(data)).cast("I"),
    "strided view": lambda data: memoryview(bytes(2 * len(data)))[::2],
}


@pytest.mark.parametrize("make", WRITES.values(), ids=WRITES.keys())
def test_what_is_written_may_change_afterwards(make: Callable[[bytearray], Any]) -> None:
    async def scenario(here: Recorder, there: Recorder) -> None:
        data = bytearray(b"\1" * 400_000)
        written = make(data)
        expected = bytes(written)
        here.transport.write(written)
        data[:] = bytes(len(data))
        here.transport.write_eof()
        await there.ended.wait()
        assert there.data == expected

    converse(Recorder, scenario)


def test_what_cannot_be_written() -> None:
    async def scenario(here: Recorder, there: Recorder) -> None:
        with pytest.raises(TypeError):
            here.transport.write("text")  # type: ignore[arg-type]  # the point of the test
        here.transport.write(b"")
        here.transport.close()
        here.transport.write(b"late")
        await there.ended.wait()
        assert there.data == b""

    converse(Recorder, scenario)


def test_a_protocol_that_fails_ends_its_connection() -> None:
    class Failing(Recorder):
        def data_received(self, data: bytes) -> None:
            raise LookupError("cannot")

    async def scenario(here: Recorder, there: Failing) -> None:
        reports: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: reports.append(what))
        here.transport.write(b"x")
        await here.lost.wait()
        await there.lost.wait()
        assert [type(report["exception"]) for report in reports] == [LookupError]
        assert reports[0]["transport"] is there.transport

    converse(Failing, scenario)


def test_a_reset_that_comes_with_data_is_no_end_of_stream() -> None:
    async def scenario(here: Recorder, there: Recorder) -> None:
        for _ in range(20):
            here.transport.write(bytes(3000))
        here.transport.abort()
        await there.lost.wait()
        assert isinstance(there.error, ConnectionResetError)
        assert not there.ended.is_set()

    converse(Recorder, scenario)


@pytest.mark.parametrize(
    ("high", "low", "limits"),
    [
        (None, None, (65_536, 262_144)),
        (1000, None, (250, 1000)),
        (None, 10, (10, 40)),
        (0, 0, (0, 0)),
    ],
)
def test_write_buffer_limits(high: int | None, low: int | None, limits: tuple[int, int]) -> None:
    async def scenario(here: Recorder, _: Recorder) -> None:
        here.transport.set_write_buffer_limits(high, low)
        assert here.transport.get_write_buffer_limits() == limits
        with pytest.raises(ValueError, match="at least"):
            here.transport.set_write_buffer_limits(1, 2)

    converse(Recorder, scenario)


KINDS = {
    LossReason.REFUSED: ConnectionRefusedError,
    LossReason.RESET: ConnectionResetError,
    LossReason.TIMED_OUT: TimeoutError,
    LossReason.UNREACHABLE: OSError,
    LossReason.ABORTED: ConnectionAbortedError,
}


@pytest.mark.parametrize("reason", LossReason)
def test_losses_are_the_errors_asyncio_programs_expect(reason: LossReason) -> None:
    error = loss_error(reason)
    assert type(error) is KINDS[reason]
    assert error.errno
    assert reason.value in str(error)
