"""Taking an address on a link: nobody may have it yet, and then everybody is told."""

from __future__ import annotations

import os
import select
import socket
import time
from contextlib import suppress
from ipaddress import ip_address
from typing import Final

from plait.drivers.discovery import Discovery
from plait.drivers.offload import READ_OCTETS
from plait.drivers.virtio import HEADER_OCTETS, NO_HEADER
from plait.errors import DecodeError, UsageError

PROBES: Final = 3
"""PROBE_NUM (RFC 5227, 1.1)."""

PROBE_SECONDS: Final = 0.1
"""After each, shorter than RFC 5227 has it: a command should not wait for five seconds."""


def claim(opened: socket.socket, discovery: Discovery) -> None:
    """Probe for the addresses of a station, then announce them.

    Raises UsageError if somebody else has one of them.
    """
    for _ in range(PROBES):
        _send(opened, discovery.probes())
        _listen(opened, discovery)
    _send(opened, discovery.announcements())


def _send(opened: socket.socket, frames: list[bytes]) -> None:
    for frame in frames:
        with suppress(OSError):  # a full queue: there are more probes
            os.write(opened.fileno(), NO_HEADER + frame)


def _listen(opened: socket.socket, discovery: Discovery) -> None:
    """Wait a while for somebody who has one of the addresses, or wants it too."""
    end = time.monotonic() + PROBE_SECONDS
    while (left := end - time.monotonic()) > 0:
        if not select.select([opened], [], [], left)[0]:
            return
        with suppress(BlockingIOError, DecodeError):
            frame = memoryview(os.read(opened.fileno(), READ_OCTETS))[HEADER_OCTETS:]
            owned = discovery.claimed(frame) if discovery.concerns(frame) else b""
            if owned:
                raise UsageError(
                    f"{ip_address(owned)} is in use on this link: another station answers for it"
                )
