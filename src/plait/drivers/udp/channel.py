"""One UDP socket: what the system offers of runs of datagrams, marks and errors, and without it.

Options are tried one by one, so that a system that has none of them still has a socket.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from plait.drivers.interfaces import interface_mtu, interface_of
from plait.drivers.socket_buffers import enlarge
from plait.drivers.udp.format import UDP_OCTETS
from plait.drivers.udp.session import Outer
from plait.drivers.udp.spec import UdpSpec
from plait.drivers.udp.trains import MAX_DATAGRAMS
from plait.errors import UsageError
from plait.units import Octets
from plait.wire import ipv4, ipv6
from plait.wire.segment import Buffer

DEFAULT_MTU: Final[Octets] = 1500

_LINUX: Final = sys.platform == "linux"
"""Which alone is known to have the options below."""

_MESSAGES: Final = hasattr(socket.socket, "recvmsg")
"""Windows reads datagrams only."""

_ON: Final = 1
_READ_OCTETS: Final = 65_535
_BUFFER_OCTETS: Final = 8 << 20
"""Asked for; the system gives what it allows."""

# linux/udp.h, linux/in.h, linux/in6.h, linux/errqueue.h
_SOL_UDP: Final = 17
_UDP_SEGMENT: Final = 103
_UDP_GRO: Final = 104
_MSG_ERRQUEUE: Final = 0x2000
_PMTUDISC_PROBE: Final = 3
"""Do not fragment, and leave it to us to learn how much fits."""

_EXTENDED_ERROR: Final = struct.Struct("=IBBBBII")
_ORIGIN_LOCAL: Final = 1

_ANCILLARY_OCTETS: Final = 2 * socket.CMSG_SPACE(4) if _MESSAGES else 0
_ERROR_OCTETS: Final = 2 * socket.CMSG_SPACE(64) if _MESSAGES else 0


@dataclass(frozen=True, slots=True)
class _Names:
    """What the options of one family are called on Linux, and how long its headers are."""

    level: int
    tos: int
    receive_tos: int
    mtu_discover: int
    receive_errors: int
    headers: Octets
    """Of a datagram: those of IP and UDP."""


_V4: Final = _Names(socket.IPPROTO_IP, 1, 13, 10, 11, ipv4.HEADER_OCTETS + UDP_OCTETS)
_V6: Final = _Names(socket.IPPROTO_IPV6, 67, 66, 23, 25, ipv6.HEADER_OCTETS + UDP_OCTETS)


@dataclass(init=False, slots=True)
class Arrival:
    """What one read returned."""

    octets: bytes
    size: Octets
    """Octets of each datagram in it; the last one may be shorter."""

    outer: Outer
    tos: int

    def __init__(self, octets: bytes, size: Octets, outer: Outer, tos: int) -> None:
        self.octets = octets
        self.size = size
        self.outer = outer
        self.tos = tos


@dataclass(frozen=True, slots=True, kw_only=True)
class OuterError:
    """An error that the kernel holds against a datagram of ours."""

    local: bool
    """The kernel of this machine refused to send it."""

    type: int
    """Type and code of ICMP, or of ICMPv6, if it is not local."""

    code: int
    info: int
    """The next MTU in octets, if the datagram was too big."""

    outer: Outer
    """Where the datagram was to go."""

    quoted: bytes
    """Its beginning, as much as came back."""


class Channel:
    """A bound, non-blocking UDP socket.

    Attributes:
        most: Datagrams that one call sends.
        joins: One read may return a run of datagrams.
        mtu: Octets of the largest IP packet.
        interface: Name of the interface that has the address, None if it is unknown.
    """

    def __init__(self, spec: UdpSpec) -> None:
        """Open it; raises UsageError saying what to do when that fails."""
        v4 = spec.local.version == 4
        self._names = _V4 if v4 else _V6
        self._socket = socket.socket(socket.AF_INET if v4 else socket.AF_INET6, socket.SOCK_DGRAM)
        self._tos = 0
        self.most = 1
        self.joins = False
        try:
            self._socket.settimeout(0)
            self._bind(spec)
            self._set_options(offload=spec.offload)
            self.interface = spec.interface or interface_of(spec.local)
            known = None if self.interface is None else interface_mtu(self.interface)
        except BaseException:
            self._socket.close()
            raise
        self.mtu = spec.mtu or min(known or DEFAULT_MTU, _READ_OCTETS)

    @property
    def outer(self) -> Outer:
        """The address that the socket is bound to."""
        name: Outer = self._socket.getsockname()
        return name

    def fileno(self) -> int:
        """Return the descriptor, -1 once it is closed."""
        return self._socket.fileno()

    def receive(self) -> Arrival | None:
        """Return what comes next, None if nothing has come.

        Raises OSError for an error that waits in `take_errors`.
        """
        try:
            if not _MESSAGES:
                octets, outer = self._socket.recvfrom(_READ_OCTETS)
                return Arrival(octets, len(octets), outer, 0)
            octets, ancillary, _, outer = self._socket.recvmsg(_READ_OCTETS, _ANCILLARY_OCTETS)
        except BlockingIOError:
            return None
        size = len(octets)
        tos = 0
        for level, kind, value in ancillary:
            number = int.from_bytes(value[:4], sys.byteorder)
            if level == _SOL_UDP and kind == _UDP_GRO:
                size = number
            elif level == self._names.level and kind == self._names.tos:
                tos = number
        return Arrival(octets, size, outer, tos)

    def send(self, octets: Buffer, size: Octets, tos: int, outer: Outer) -> None:
        """Send one datagram, or a run of them; raises OSError.

        Args:
            octets: All of it.
            size: Octets of each datagram of a run; 0 for one datagram.
            tos: Type of service or traffic class, ECN bits included.
            outer: Where to.
        """
        if tos != self._tos:
            self._set_tos(tos)
        if size:
            run = ((_SOL_UDP, _UDP_SEGMENT, size.to_bytes(2, sys.byteorder)),)
            self._socket.sendmsg((octets,), run, 0, outer)
        else:
            self._socket.sendto(octets, outer)

    def stop_cutting(self, error: OSError, size: Octets) -> bool:
        """Send one by one from now on if the interface cannot cut runs; return whether it cannot.

        Args:
            error: What `send` raised: a device without checksum offload gives EIO.
            size: As for `send`.
        """
        if error.errno != errno.EIO or not size:
            return False
        self.most = 1
        return True

    def is_too_big(self, error: OSError, size: Octets) -> bool:
        """Return whether what was to be sent does not fit the interface.

        Args:
            error: What `send` raised.
            size: As for `send`; a run that does not fit is an invalid argument to some kernels.
        """
        if error.errno == errno.EMSGSIZE:
            return True
        packet = size + self._names.headers
        return error.errno == errno.EINVAL and packet > self.interface_mtu() > 0

    def interface_mtu(self) -> Octets:
        """Return what the interface takes now, 0 if nobody tells."""
        return (self.interface and interface_mtu(self.interface)) or 0

    def take_errors(self) -> list[OuterError]:
        """Return and forget what the kernel holds against datagrams of ours."""
        taken: list[OuterError] = []
        while _LINUX:
            try:
                quoted, ancillary, _, outer = self._socket.recvmsg(
                    _READ_OCTETS, _ERROR_OCTETS, _MSG_ERRQUEUE
                )
            except OSError:
                break
            taken += [
                self._error(value, outer, quoted)
                for level, kind, value in ancillary
                if level == self._names.level
                and kind == self._names.receive_errors
                and len(value) >= _EXTENDED_ERROR.size
            ]
        return taken

    def close(self) -> None:
        """Close the socket; closing twice is harmless."""
        self._socket.close()

    def _error(self, value: bytes, outer: Outer, quoted: bytes) -> OuterError:
        _, origin, kind, code, _, info, _ = _EXTENDED_ERROR.unpack_from(value)
        return OuterError(
            local=origin == _ORIGIN_LOCAL,
            type=kind,
            code=code,
            info=info,
            outer=outer,
            quoted=quoted,
        )

    def _bind(self, spec: UdpSpec) -> None:
        """Bind to interface and address."""
        if spec.interface is not None:
            self._bind_to_device(spec)
        if spec.local.version == 6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, _ON)
        try:
            self._socket.bind((str(spec.local), spec.port))
        except OSError as error:
            raise UsageError(f"UDP {spec.local}: {_why(error, spec)}") from None

    def _bind_to_device(self, spec: UdpSpec) -> None:
        """Have datagrams leave by an interface, where that is allowed; else routes decide."""
        assert spec.interface is not None
        if spec.interface not in (name for _, name in socket.if_nameindex()):
            raise UsageError(
                f"UDP {spec.local}: there is no interface {spec.interface!r}: see `ip link`"
            )
        option = getattr(socket, "SO_BINDTODEVICE", None)
        if option is not None:
            with suppress(PermissionError):  # before Linux 5.7 it was root's
                self._socket.setsockopt(socket.SOL_SOCKET, option, spec.interface.encode())

    def _set_options(self, *, offload: bool) -> None:
        """Ask for all that the system has."""
        names = self._names
        enlarge(self._socket, _BUFFER_OCTETS)
        if not _LINUX:
            return
        self._try(names.level, names.mtu_discover, _PMTUDISC_PROBE)
        self._try(names.level, names.receive_errors, _ON)
        self._try(names.level, names.receive_tos, _ON)
        if offload and self._try(_SOL_UDP, _UDP_SEGMENT, 0):
            self.most = MAX_DATAGRAMS
        self.joins = offload and self._try(_SOL_UDP, _UDP_GRO, _ON)

    def _try(self, level: int, option: int, value: int) -> bool:
        """Set an option; return whether the system has it and lets us."""
        try:
            self._socket.setsockopt(level, option, value)
        except OSError:
            return False
        return True

    def _set_tos(self, tos: int) -> None:
        """Mark what is sent from now on; marks change seldom."""
        self._try(self._names.level, self._names.tos, tos)
        self._tos = tos


def _why(error: OSError, spec: UdpSpec) -> str:
    if error.errno == errno.EADDRNOTAVAIL:
        return "no interface of this machine has the address: see `ip address`"
    if error.errno == errno.EADDRINUSE:
        return f"port {spec.port} is in use: choose another, or stop the program that has it"
    if error.errno == errno.EACCES:
        return f"port {spec.port} is for root: choose one from 1024 on"
    return f"the system refuses port {spec.port} ({error.strerror})"
