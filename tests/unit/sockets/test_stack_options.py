from __future__ import annotations

import errno
import socket
import struct
from dataclasses import replace

import pytest

from plait.host.settings import Settings
from plait.sockets import stack_options
from plait.units import MILLISECOND, SECOND

TCP = socket.IPPROTO_TCP

ROWS = {
    "SO_SNDBUF": (socket.SOL_SOCKET, socket.SO_SNDBUF, 5000, {"send_buffer": 5000}),
    "SO_RCVBUF": (socket.SOL_SOCKET, socket.SO_RCVBUF, 5000, {"receive_buffer": 5000}),
    "TCP_MAXSEG": (TCP, socket.TCP_MAXSEG, 1000, {"max_mss": 1000}),
    "TCP_NODELAY": (TCP, socket.TCP_NODELAY, 0, {"nodelay": False}),
    "TCP_KEEPIDLE": (TCP, socket.TCP_KEEPIDLE, 5, {"keepalive_idle": 5 * SECOND}),
    "TCP_USER_TIMEOUT": (TCP, socket.TCP_USER_TIMEOUT, 9, {"user_timeout": 9 * MILLISECOND}),
    "IP_TOS": (socket.IPPROTO_IP, socket.IP_TOS, 0x20, {"tos": 0x20}),
}
FIXED = ("SO_SNDBUF", "SO_RCVBUF", "TCP_MAXSEG")


@pytest.mark.rfc("6897", "4.4.1", "M6897-4.4.1-01")
@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("packed", [False, True], ids=["int", "octets"])
def test_options_are_settings(name: str, *, packed: bool) -> None:
    level, option, value, setting = ROWS[name]
    given = struct.pack("i", value) if packed else value
    assert stack_options.setting(level, option, given) == setting
    settings = replace(Settings(), **setting)
    assert stack_options.read(level, option, settings, None) == value


@pytest.mark.parametrize("name", ROWS)
def test_an_open_connection_changes_what_it_can(name: str) -> None:
    level, option, value, setting = ROWS[name]
    if name not in FIXED:
        assert stack_options.live_setting(level, option, value) == setting
        return
    with pytest.raises(OSError, match="before the socket connects") as raised:
        stack_options.live_setting(level, option, value)
    assert raised.value.errno == errno.EISCONN


@pytest.mark.parametrize(
    ("level", "option"), [(socket.SOL_SOCKET, socket.SO_BROADCAST), (TCP, socket.TCP_CORK)]
)
def test_other_options_are_unknown(level: int, option: int) -> None:
    for call in (
        lambda: stack_options.setting(level, option, 1),
        lambda: stack_options.live_setting(level, option, 1),
        lambda: stack_options.read(level, option, Settings(), None),
    ):
        with pytest.raises(OSError, match="Protocol not available") as raised:
            call()
        assert raised.value.errno == errno.ENOPROTOOPT


ANSWERS = {
    "an int": (5, 0, 5),
    "an int as octets": (5, 4, struct.pack("i", 5)),
    "octets": (b"reno", 16, b"reno"),
    "octets cut": (bytes(range(200)), 16, bytes(range(16))),
    "octets as an int": (struct.pack("i", 7) + b"rest", 0, 7),
}


@pytest.mark.parametrize(("found", "room", "answer"), ANSWERS.values(), ids=ANSWERS.keys())
def test_answers_fit(found: int | bytes, room: int, answer: int | bytes) -> None:
    assert stack_options.answer(found, room) == answer


@pytest.mark.parametrize(
    ("value", "resets"),
    [(struct.pack("ii", 1, 0), True), (struct.pack("ii", 1, 5), False), (bytes(8), False)],
)
def test_lingering_for_no_time_resets(*, value: bytes, resets: bool) -> None:
    assert stack_options.is_reset(value) is resets
