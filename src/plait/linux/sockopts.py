"""What the kernel tells about one of its Multipath TCP connections.

Layouts are those of Linux 6.18 (include/uapi/linux/mptcp.h, tcp.h); older kernels return a prefix,
which is read as far as it goes.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from plait.addresses import IpAddress, Path
from plait.linux import mptcp_info as mptcp
from plait.linux.libc import getsockopt_inout
from plait.linux.tcp_info import SIZE, parse_tcp_info, unpack
from plait.mptcp.info import ConnectionInfo, SubflowInfo
from plait.tcp.info import TcpInfo

SOL_MPTCP: Final = 284
MPTCP_INFO: Final = 1
MPTCP_FULL_INFO: Final = 4
TCP_IS_MPTCP: Final = 43

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


def connection_info(sock: socket.socket) -> ConnectionInfo:
    """Return plait's snapshot of a connected kernel socket.

    The kernel does not tell the address ids or the backup flag this way: they read 0 and False.
    """
    octets = mptcp_info(sock) if is_mptcp(sock) else None
    if octets is None or mptcp.unpack(octets)["flags"] & mptcp.FALLBACK:
        return _plain_info(sock)
    return mptcp.parse_mptcp_info(octets, subflow_infos(sock))


def subflow_infos(sock: socket.socket) -> tuple[SubflowInfo, ...]:
    """Return the live subflows of a Multipath TCP socket, in the kernel's order."""
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
    subflows = (
        _subflow_info(
            bytes(addresses[subflow_size * at : subflow_size * (at + 1)]),
            parse_tcp_info(bytes(states[tcp_size * at : tcp_size * (at + 1)])),
        )
        for at in range(min(count, _MOST_SUBFLOWS))
    )
    # A subflow that has closed stays listed for a while, without its remote port.
    return tuple(subflow for subflow in subflows if subflow.path.remote_port)


def _plain_info(sock: socket.socket) -> ConnectionInfo:
    """Return the snapshot of a connection that is, or became, plain TCP."""
    octets = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, SIZE)
    tcp = parse_tcp_info(octets)
    named = unpack(octets)
    local, remote = sock.getsockname(), sock.getpeername()
    path = Path(_ip(local[0]), local[1], _ip(remote[0]), remote[1])
    wanted = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) != socket.IPPROTO_TCP
    return ConnectionInfo(
        is_mptcp=False,
        version=None,
        token=None,
        csum_enabled=False,
        fallback=wanted,
        fallback_reason="the kernel fell back to TCP" if wanted else "the peer spoke plain TCP",
        backend="kernel" if wanted else "tcp",
        bytes_sent=tcp.bytes_sent,
        bytes_received=tcp.bytes_received,
        bytes_acked=tcp.bytes_acked,
        last_data_sent=named["last_data_sent"],
        last_data_recv=named["last_data_recv"],
        last_ack_recv=named["last_ack_recv"],
        subflows_total=1,
        subflows=(_subflow(path, tcp),),
    )


def _subflow_info(element: bytes, tcp: TcpInfo) -> SubflowInfo:
    """Decode one struct mptcp_subflow_info: an id, then two socket addresses."""
    local, local_port = _parse_address(element[8 : 8 + _ADDRESS_SIZE])
    remote, remote_port = _parse_address(element[8 + _ADDRESS_SIZE :])
    return _subflow(Path(local, local_port, remote, remote_port), tcp)


def _subflow(path: Path, tcp: TcpInfo) -> SubflowInfo:
    """Return plait's snapshot of one subflow."""
    return SubflowInfo(
        path=path,
        tcp=tcp,
        backup=False,
        local_id=0,
        remote_id=0,
    )


def _parse_address(octets: bytes) -> tuple[IpAddress, int]:
    """Decode a struct sockaddr_storage that holds an IPv4 or IPv6 address."""
    (family,) = struct.unpack_from("=H", octets)
    (port,) = struct.unpack_from("!H", octets, 2)
    if family == socket.AF_INET:
        return IPv4Address(octets[4:8]), port
    address = IPv6Address(octets[8:24])
    return address.ipv4_mapped or address, port


def _ip(text: str) -> IpAddress:
    """Return an address as `getsockname` spells it, IPv4 in IPv6 unwrapped."""
    if ":" not in text:
        return IPv4Address(text)
    address = IPv6Address(text.partition("%")[0])
    return address.ipv4_mapped or address
