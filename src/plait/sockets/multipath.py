"""The socket options of RFC 6897 and of draft-hesmans-mptcp-socket, by the methods of a connection.

Errors are errnos: EISCONN and ENOTCONN at the wrong time, ENOPROTOOPT for setting what can only be
read and the reverse, EOPNOTSUPP for what plain TCP or the back end lacks, EPERM for what takes
privileges, EADDRNOTAVAIL for addresses that are not ours, EINVAL for the rest.
"""

from __future__ import annotations

import errno
import struct
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal

from plait.addresses import IpAddress
from plait.aio.connection import Connection
from plait.sockets import options
from plait.sockets.errors import as_os_errors, invalid, not_connected, os_error

if TYPE_CHECKING:
    from plait.sockets.base import Socket

_INT: Final = struct.Struct("=I")
_HOW: Final[tuple[Literal["fin", "rst"], ...]] = ("fin", "rst")


def set_option(sock: Socket, optname: int, value: Any) -> None:
    """Set one of `OPTIONS`.  Raises OSError."""
    setter = _SETTERS.get(optname)
    if setter is None:
        raise os_error(errno.ENOPROTOOPT, "this option can only be read")
    with as_os_errors():
        setter(sock, value)


def get_option(sock: Socket, optname: int, room: int | bytes) -> int | bytes:
    """Return one of `OPTIONS`: octets, or an int where there is room for none.  Raises OSError.

    Args:
        room: Octets there are for the answer, or the request in their place.
    """
    with as_os_errors():
        if optname == options.TCP_MULTIPATH_ENABLE:
            enabled = sock.connection.multipath if sock.is_connected else sock.wants_multipath
            return _number(enabled, room)
        if optname == options.TCP_MULTIPATH_CONNID:
            return _number(_multipath(sock).connid, room)
        getter = _GETTERS.get(optname)
        if getter is None:
            raise os_error(errno.ENOPROTOOPT, "this option can only be set")
        answer = getter(_multipath(sock), room if isinstance(room, bytes) else b"")
    if len(answer) > (room if isinstance(room, int) else len(room)):
        raise invalid(f"the answer takes {len(answer)} octets")
    return answer


# ---- RFC 6897


def _enable(sock: Socket, value: int | bytes) -> None:
    if sock.is_connected:
        raise os_error(errno.EISCONN, "choose before connecting")
    number = value if isinstance(value, int) else int.from_bytes(value, sys.byteorder)
    sock.wish(multipath=bool(number))


def _add(sock: Socket, value: bytes) -> None:
    addresses = options.unpack_addresses(bytes(value))
    if sock.is_connected:
        _multipath(sock).add_addresses(addresses)
    else:
        sock.add_local(addresses)


def _remove(sock: Socket, value: bytes) -> None:
    addresses = options.unpack_addresses(bytes(value))
    if sock.is_connected:
        _multipath(sock).remove_addresses(addresses)
    else:
        sock.remove_local(addresses)


def _subflows(connection: Connection, _: bytes) -> bytes:
    return b"".join(
        options.pack_address(path.local, path.local_port)
        + options.pack_address(path.remote, path.remote_port)
        for path in connection.paths
    )


# ---- draft-hesmans-mptcp-socket


def _sub_ids(connection: Connection, _: bytes) -> bytes:
    return options.pack_ids(connection.subflows())


def _sub_tuple(connection: Connection, request: bytes) -> bytes:
    wanted = _octet(request, 0)
    for one in connection.subflows():
        if one.id == wanted:
            path = one.path
            local = options.pack_address(path.local, path.local_port)
            return bytes([wanted]) + local + options.pack_address(path.remote, path.remote_port)
    raise invalid(f"there is no subflow {wanted}")


def _open_sub(connection: Connection, request: bytes) -> bytes:
    ends = options.unpack_addresses(request[1:])
    if len(ends) != 2:
        raise invalid("the request has an octet and two addresses")
    (local, local_port), (remote, remote_port) = ends
    made = connection.open_subflow(
        _chosen(local), _chosen(remote), local_port=local_port, remote_port=remote_port
    )
    return bytes([made]) + request[1:]


def _close_sub(connection: Connection, request: bytes) -> bytes:
    how = _octet(request, 1) if len(request) > 1 else 0
    if how >= len(_HOW):
        raise invalid("subflows close by FIN (0) or RST (1)")
    connection.close_subflow(_octet(request, 0), _HOW[how])
    return b""


def _sub_get(connection: Connection, request: bytes) -> bytes:
    found = connection.subflow_getsockopt(*_sub_option(request))
    return found if isinstance(found, bytes) else _INT.pack(found)


def _sub_set(sock: Socket, value: bytes) -> None:
    which = _sub_option(value)
    _multipath(sock).subflow_setsockopt(*which, bytes(value[options.SUB_OPTION.size :]))


# ----


def _multipath(sock: Socket) -> Connection:
    """Return the connection.  Raises OSError if it is none of Multipath TCP."""
    if not sock.is_connected:
        raise not_connected()
    connection = sock.connection
    info = connection.info
    if not info.is_mptcp:
        raise os_error(errno.EOPNOTSUPP, f"plain TCP ({info.fallback_reason})")
    return connection


def _number(value: int, room: int | bytes) -> int | bytes:
    """Return a number as Python's getsockopt does: an int unless octets are asked for."""
    if room == 0:
        return int(value)
    octets = _INT.pack(value)
    if (room if isinstance(room, int) else len(room)) < len(octets):
        raise invalid("the answer takes 4 octets")
    return octets


def _octet(request: bytes, at: int) -> int:
    if len(request) <= at:
        raise invalid("the request is too short")
    return request[at]


def _chosen(address: IpAddress) -> IpAddress | None:
    """Return None for a wildcard, which leaves the choice to the stack."""
    return None if address.is_unspecified else address


def _sub_option(octets: bytes) -> tuple[int, int, int]:
    if len(octets) < options.SUB_OPTION.size:
        raise invalid("the request is too short")
    subflow_id, level, optname = options.SUB_OPTION.unpack_from(octets)
    return subflow_id, level, optname


_SETTERS: Final[dict[int, Callable[[Socket, Any], None]]] = {
    options.TCP_MULTIPATH_ENABLE: _enable,
    options.TCP_MULTIPATH_ADD: _add,
    options.TCP_MULTIPATH_REMOVE: _remove,
    options.MPTCP_SUB_SETSOCKOPT: _sub_set,
}

_GETTERS: Final[dict[int, Callable[[Connection, bytes], bytes]]] = {
    options.TCP_MULTIPATH_SUBFLOWS: _subflows,
    options.MPTCP_GET_SUB_IDS: _sub_ids,
    options.MPTCP_GET_SUB_TUPLE: _sub_tuple,
    options.MPTCP_OPEN_SUB_TUPLE: _open_sub,
    options.MPTCP_CLOSE_SUB_ID: _close_sub,
    options.MPTCP_SUB_GETSOCKOPT: _sub_get,
}

OPTIONS: Final = frozenset(
    {
        options.TCP_MULTIPATH_ENABLE,
        options.TCP_MULTIPATH_CONNID,
        *_SETTERS,
        *_GETTERS,
    }
)
"""Their numbers, at level IPPROTO_TCP."""
