"""What the kernel tells about one of its Multipath TCP connections.

Layouts are those of Linux 6.18 (include/uapi/linux/mptcp.h, tcp.h); older kernels return a prefix,
which is read as far as it goes.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from dataclasses import dataclass, replace
from typing import Final

from plait.addresses import Path
from plait.linux import mptcp_info as mptcp
from plait.linux.diag import subflow_details
from plait.linux.libc import getsockopt_inout
from plait.linux.netlink import SOCK_DIAG, Netlink
from plait.linux.sockaddr import destination_of, parse_sockaddr
from plait.linux.tcp_info import SIZE, parse_tcp_info, unpack
from plait.mptcp.info import ConnectionInfo, SubflowInfo

SOL_MPTCP: Final = 284
MPTCP_INFO: Final = 1
MPTCP_FULL_INFO: Final = 4
TCP_IS_MPTCP: Final = 43

NO_ANSWER: Final = "the peer or a middlebox answered with plain TCP"
NO_OFFER: Final = "the peer spoke plain TCP"

_FULL: Final = struct.Struct("=6I2Q")
_SUBFLOW_SIZE: Final = 264
_ADDRESS_SIZE: Final = 128
_MOST_SUBFLOWS: Final = 64


def is_mptcp(sock: socket.socket) -> bool:
    """Return whether the connection is Multipath TCP and has not fallen back."""
    try:
        return bool(sock.getsockopt(socket.IPPROTO_TCP, TCP_IS_MPTCP))
    except OSError as error:
        if error.errno in {errno.ENOPROTOOPT, errno.EOPNOTSUPP}:
            return False
        raise


def mptcp_info(sock: socket.socket) -> bytes | None:
    """Return what the kernel has of struct mptcp_info, or None where it is plain TCP."""
    try:
        return sock.getsockopt(SOL_MPTCP, MPTCP_INFO, mptcp.SIZE)
    except OSError as error:
        if error.errno in {errno.ENOPROTOOPT, errno.EOPNOTSUPP}:
            return None
        raise


@dataclass(frozen=True, slots=True)
class Plain:
    """What the kernel says of a connection that is, or became, plain TCP; not decoded."""

    tcp: bytes
    path: Path
    wanted: bool
    """It is a socket of Multipath TCP."""


@dataclass(frozen=True, slots=True)
class Full:
    """What MPTCP_FULL_INFO says, not decoded."""

    answer: bytes
    addresses: bytes
    states: bytes

    @property
    def info(self) -> bytes:
        """What the kernel has of struct mptcp_info."""
        return self.answer[_FULL.size :]


def read(sock: socket.socket, known: Path | None = None) -> Plain | Full:
    """Ask the kernel about a connected socket: that is quick, `decode` takes longer.

    Args:
        sock: The socket.
        known: Its path, which the kernel forgets once both sides have closed.
    """
    if is_mptcp(sock):
        full = _read_full(sock)
        if not mptcp.unpack(full.info)["flags"] & mptcp.FALLBACK:
            return full
    wanted = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) != socket.IPPROTO_TCP
    tcp = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, SIZE)
    return Plain(tcp, known or path_of(sock), wanted)


def decode(reading: Plain | Full) -> ConnectionInfo:
    """Return plait's snapshot of a connection but for address ids and backup flags."""
    if isinstance(reading, Plain):
        return _plain_info(reading)
    subflows = tuple(_subflow(*found) for found in parse_full_info(reading))
    return mptcp.parse_mptcp_info(reading.info, subflows)


def connection_info(
    sock: socket.socket, known: Path | None = None, *, details: bool = True
) -> ConnectionInfo:
    """Return plait's snapshot of a connected kernel socket.

    Args:
        sock: The socket.
        known: As for `read`.
        details: Tell address ids and backup flags, too.  They come from the socket diagnostics of
            the calling thread's network namespace, and cost half a millisecond, most of it for the
            end of a netlink socket.  Where these tell nothing they read 0 and False.
    """
    info = decode(read(sock, known))
    if details and info.is_mptcp:
        info = replace(info, subflows=_detailed(info.subflows))
    return info


def full_info(sock: socket.socket) -> list[tuple[int, Path, bytes]]:
    """Return id, path and struct tcp_info of each subflow (MPTCP_FULL_INFO)."""
    return parse_full_info(_read_full(sock))


def _read_full(sock: socket.socket) -> Full:
    addresses = bytearray(_SUBFLOW_SIZE * _MOST_SUBFLOWS)
    states = bytearray(SIZE * _MOST_SUBFLOWS)
    request = bytearray(_FULL.size + mptcp.SIZE)
    # The kernel writes through these pointers: the arrays must outlive the call.
    first = (ctypes.c_char * len(addresses)).from_buffer(addresses)
    second = (ctypes.c_char * len(states)).from_buffer(states)
    pointers = (ctypes.addressof(first), ctypes.addressof(second))
    _FULL.pack_into(request, 0, 0, SIZE, 0, _SUBFLOW_SIZE, 0, _MOST_SUBFLOWS, *pointers)
    getsockopt_inout(sock, SOL_MPTCP, MPTCP_FULL_INFO, request)
    _, tcp_size, _, subflow_size, count, _, _, _ = _FULL.unpack_from(request)
    count = min(count, _MOST_SUBFLOWS)
    return Full(
        bytes(request), bytes(addresses[: subflow_size * count]), bytes(states[: tcp_size * count])
    )


def parse_full_info(full: Full) -> list[tuple[int, Path, bytes]]:
    """Decode what the kernel wrote; its answer has the strides of both arrays, its own or shorter.

    A subflow that has closed stays listed for a while, without its remote port: it is left out.
    """
    _, tcp_size, _, subflow_size, count, _, _, _ = _FULL.unpack_from(full.answer)
    found = []
    for at in range(min(count, _MOST_SUBFLOWS)):
        element = full.addresses[subflow_size * at : subflow_size * (at + 1)]
        (subflow_id,) = struct.unpack_from("=I", element)
        local = parse_sockaddr(element[8 : 8 + _ADDRESS_SIZE])
        remote = parse_sockaddr(element[8 + _ADDRESS_SIZE :])
        if local is not None and remote is not None and remote[1]:
            path = Path(*local, *remote)
            found.append((subflow_id, path, full.states[tcp_size * at : tcp_size * (at + 1)]))
    return found


def path_of(sock: socket.socket) -> Path:
    """Return the addresses of a connected socket."""
    return Path(*destination_of(sock.getsockname()), *destination_of(sock.getpeername()))


def _plain_info(plain: Plain) -> ConnectionInfo:
    """Return the snapshot of a connection that is, or became, plain TCP."""
    tcp = parse_tcp_info(plain.tcp)
    named = unpack(plain.tcp)
    return ConnectionInfo(
        is_mptcp=False,
        version=None,
        token=None,
        csum_enabled=False,
        fallback=plain.wanted,
        fallback_reason=NO_ANSWER if plain.wanted else NO_OFFER,
        backend="kernel" if plain.wanted else "tcp",
        bytes_sent=tcp.bytes_sent,
        bytes_received=tcp.bytes_received,
        bytes_acked=tcp.bytes_acked,
        last_data_sent=named["last_data_sent"],
        last_data_recv=named["last_data_recv"],
        last_ack_recv=named["last_ack_recv"],
        subflows_total=1,
        subflows=(SubflowInfo(path=plain.path, tcp=tcp, backup=False, local_id=0, remote_id=0),),
    )


def _subflow(subflow_id: int, path: Path, state: bytes) -> SubflowInfo:
    """Return what is known of a subflow by its struct tcp_info."""
    tcp = parse_tcp_info(state)
    return SubflowInfo(
        path=path,
        tcp=tcp,
        backup=False,
        local_id=0,
        remote_id=0,
        id=subflow_id,
        fully_established=tcp.state == "ESTABLISHED",
    )


def _detailed(subflows: tuple[SubflowInfo, ...]) -> tuple[SubflowInfo, ...]:
    """Return the subflows with what the diagnostics say of them."""
    with Netlink(SOCK_DIAG) as netlink:
        told = [(one, subflow_details(netlink, one.path)) for one in subflows]
    return tuple(
        one
        if found is None
        else replace(
            one,
            backup=found.backup,
            local_id=found.local_id,
            remote_id=found.remote_id,
            fully_established=one.fully_established and found.fully_established,
        )
        for one, found in told
    )
