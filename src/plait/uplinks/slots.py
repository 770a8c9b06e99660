"""Attaching a stack to the devices that `plait up` has made."""

from __future__ import annotations

import fcntl
import socket
import struct
from contextlib import ExitStack, suppress
from ipaddress import ip_address, ip_interface
from typing import Final

from plait.drivers.base import Driver, Interface, network_namespace
from plait.drivers.tun import Tun
from plait.drivers.tun_device import TunInUse
from plait.drivers.tun_spec import TunSpec
from plait.errors import NotSupportedError, UsageError
from plait.uplinks.journal import Attachment, Journal

_GET_FLAGS: Final = 0x8913
"""SIOCGIFFLAGS; linux/sockios.h."""

_RUNNING: Final = 0x40
"""IFF_RUNNING: of a TUN device, a program has it open."""


def attach(journal: Journal) -> list[Driver]:
    """Return the drivers of the first slot that is free.

    Raises UsageError, saying what to do, if there is none.
    """
    if not journal.complete:
        raise UsageError("an earlier `plait up` was cut short: run `plait down`, then `plait up`")
    for slot in journal.slots:
        with ExitStack() as opened, suppress(TunInUse):
            drivers = [_open(one, opened) for one in slot]
            opened.pop_all()
            return drivers
    count = len(journal.slots)
    raise UsageError(
        f"{'the only slot' if count == 1 else f'all {count} slots'} of `plait up` in use: end a "
        "program that has one, or make more with `plait down` and `plait up --slots N`"
    )


def in_use(slot: list[Attachment]) -> bool:
    """Return whether a program has a slot's devices.  Raises NotSupportedError if they are gone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for one in slot:
            request = struct.pack("16sH14x", one.name.encode(), 0)
            try:
                answer = fcntl.ioctl(probe, _GET_FLAGS, request)
            except OSError:
                raise NotSupportedError(_gone(one)) from None
            if struct.unpack_from("H", answer, 16)[0] & _RUNNING:
                return True
    return False


def used(slot: list[Attachment]) -> bool:
    """Return whether a program has a slot's devices; one without them is free."""
    try:
        return in_use(slot)
    except NotSupportedError:
        return False


def _open(one: Attachment, opened: ExitStack) -> Driver:
    """Open one device, which `opened` closes; monitors watch its uplink, which may go."""
    try:
        socket.if_nametoindex(one.name)
    except OSError:
        raise NotSupportedError(_gone(one)) from None
    spec = TunSpec(
        name=one.name,
        local=tuple(ip_address(text) for text in one.local),
        peer=tuple(ip_interface(text) for text in one.peer),
        mtu=one.mtu,
    )
    driver: Driver = Tun(spec)
    opened.callback(driver.close)
    driver.interface = Interface(one.uplink, network_namespace())
    return driver


def _gone(one: Attachment) -> str:
    return f"the device {one.name} of `plait up` is gone: run `plait down`, then `plait up`"
