"""Stream buffers against plain bytes."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plait.buffers import GATHERED, SMALL, Reassembly, SendBuffer, is_stable, slice_pieces

START = 7

pieces = st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=6)
sizes = st.sampled_from([0, 1, 5, SMALL - 1, SMALL, SMALL + 1, GATHERED])


def stream(length: int) -> bytes:
    """Return octets none of whose short runs repeat soon."""
    return bytes((at * 7 + at // 251) & 0xFF for at in range(length))


@given(pieces, st.data())
def test_slice_pieces_slices_the_concatenation(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    start = data.draw(st.integers(0, len(whole) - 1))
    stop = data.draw(st.integers(start + 1, len(whole)))
    chosen = slice_pieces(tuple(parts), start, stop)
    assert b"".join(chosen) == whole[start:stop]
    assert all(len(piece) for piece in chosen)


@given(st.lists(st.tuples(sizes, st.floats(0, 1), st.floats(0, 1)), max_size=12))
@example([(SMALL, 1.0, 0.0), (1, 0.0, 1.0), (SMALL, 0.5, 0.5)])
def test_send_buffer_is_a_window_on_what_was_written(
    turns: list[tuple[int, float, float]],
) -> None:
    buffer = SendBuffer(START)
    model = b""
    for size, released, looked in turns:
        data = stream(size)
        buffer.append(memoryview(data) if size % 2 else data)
        model += data
        assert buffer.stop == START + len(model)
        held = buffer.stop - buffer.start
        position = buffer.start + int(looked * held)
        got = b"".join(buffer.pieces(position, buffer.stop))
        assert got == model[position - START :]
        buffer.release(buffer.start + int(released * held))
        assert b"".join(buffer.pieces(buffer.start, buffer.stop)) == model[buffer.start - START :]


def test_send_buffer_copies_what_the_caller_may_change() -> None:
    buffer = SendBuffer(0)
    data = bytearray(SMALL)
    buffer.append(memoryview(data))
    data[0] = 1
    assert b"".join(buffer.pieces(0, 1)) == b"\0"


def test_send_buffer_keeps_what_cannot_change_without_a_copy() -> None:
    data = bytes(3 * SMALL)
    buffer = SendBuffer(0)
    buffer.append(memoryview(data)[:SMALL])
    buffer.append(data)
    pieces = buffer.pieces(0, buffer.stop)
    assert [piece.obj for piece in pieces if isinstance(piece, memoryview)] == [data, data]


def test_mapped_files_cannot_change_unless_they_are_writable(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(SMALL))
    with path.open("r+b") as file:
        for access, stable in ((mmap.ACCESS_READ, True), (mmap.ACCESS_COPY, False)):
            with mmap.mmap(file.fileno(), 0, access=access) as mapped, memoryview(mapped) as view:
                assert is_stable(view) is stable


@pytest.mark.parametrize("data", [bytes(9), bytearray(9)], ids=["bytes", "bytearray"])
def test_read_only_views_of_what_others_may_change_are_not_stable(data: bytes | bytearray) -> None:
    assert is_stable(memoryview(data).toreadonly()) is isinstance(data, bytes)


def test_send_buffer_releases_no_further_than_it_reaches_and_never_back() -> None:
    buffer = SendBuffer(0)
    buffer.append(b"abc")
    buffer.release(9)
    assert (buffer.start, buffer.stop) == (3, 3)
    buffer.release(1)
    assert buffer.start == 3


def test_send_buffer_gathers_small_writes() -> None:
    buffer = SendBuffer(0)
    for _ in range(1000):
        buffer.append(b"ab")
    assert len(buffer.pieces(0, 2000)) == 1


arrivals = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=30)


@given(arrivals)
def test_reassembly_delivers_each_octet_once_and_in_order(runs: list[tuple[int, int]]) -> None:
    reassembly = Reassembly(0)
    model: set[int] = set()
    delivered = b""
    text = stream(64)
    for start, length in runs:
        octets = set(range(start, start + length))
        data = text[start : start + length]
        middle = length // 2
        split = (data[:middle], data[middle:]) if middle else (data,)
        assert reassembly.insert(start, split, length) == len(octets - model)
        model |= octets
        delivered += b"".join(reassembly.take_ready())
        following = next(at for at in range(65) if at not in model)
        assert reassembly.next == following
        assert delivered == text[:following]
        assert reassembly.buffered == sum(1 for octet in model if octet > following)


@given(arrivals, st.integers(0, 50), st.integers(1, 9))
def test_reassembly_tells_what_it_holds(
    runs: list[tuple[int, int]], position: int, length: int
) -> None:
    reassembly = Reassembly(0)
    model: set[int] = set()
    for start, size in runs:
        reassembly.insert(start, (bytes(size),), size)
        model |= set(range(start, start + size))
    assert reassembly.holds(position, position + length) == bool(
        model & set(range(position, position + length))
    )
    found = reassembly.range_at(position)
    if position >= reassembly.next and position in model:
        assert found is not None
        assert set(range(*found)) <= model
        assert found[0] - 1 not in model
        assert found[1] not in model
    else:
        assert found is None


@pytest.mark.rfc("8684", "3.3.1", "M8684-3.3.1-05")
def test_reassembly_keeps_the_copy_that_came_first() -> None:
    reassembly = Reassembly(0)
    reassembly.insert(2, (b"CD",), 2)
    reassembly.insert(0, (b"abcdef",), 6)
    assert b"".join(reassembly.take_ready()) == b"abCDef"
