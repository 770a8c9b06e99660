"""The kernel's path manager by netlink: what `ip mptcp` does, and what it lets a daemon do.

Endpoints and limits belong to the network namespace: they concern every connection in it.  Single
connections are steered only if they opened while `net.mptcp.path_manager` was `userspace` (before
Linux 6.15: `net.mptcp.pm_type` was 1); then the kernel opens no subflow by itself, and nothing but
these calls does.  Joins of a peer are then refused unless somebody hears the path manager's events
(`plait.linux.notices`).  Changing anything needs CAP_NET_ADMIN in the namespace.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from plait.addresses import IpAddress, Path
from plait.errors import NotSupportedError, PrivilegeError, UsageError
from plait.linux.closing import Closing
from plait.linux.families import family_of
from plait.linux.netlink import (
    DUMP,
    GENERIC,
    GenericFamily,
    Netlink,
    NetlinkError,
    attribute,
    attributes,
    number,
)

FAMILY: Final = "mptcp_pm"

SIGNAL: Final = 1
"""Endpoint flag: announce the address to peers (ADD_ADDR)."""

SUBFLOW: Final = 2
"""Endpoint flag: open subflows from the address."""

BACKUP: Final = 4
FULLMESH: Final = 8

USERSPACE: Final = (
    "run `sysctl net.mptcp.path_manager=userspace` before the connection opens (before Linux 6.15 "
    "`net.mptcp.pm_type=1`); for all connections of the namespace there is `ip mptcp endpoint`"
)
"""What lets single connections be steered."""

# Commands and attributes of include/uapi/linux/mptcp_pm.h.
_ADD, _DELETE, _GET, _FLUSH, _SET_LIMITS, _GET_LIMITS, _SET_FLAGS = range(1, 8)
_ANNOUNCE, _REMOVE, _CREATE, _DESTROY = range(8, 12)
_ADDRESS, _ACCEPTED, _SUBFLOWS, _TOKEN, _LOCAL_ID, _REMOTE = range(1, 7)
_OF_FAMILY, _OF_ID, _OF_V4, _OF_V6, _OF_PORT, _OF_FLAGS = range(1, 7)

_HEADER: Final = struct.Struct("=BBH")
_VERSION: Final = 1
_NO_ID: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A local address that the kernel's path manager knows."""

    address: IpAddress
    id: int = 0
    """Address id; 0 lets the kernel choose."""

    port: int = 0
    flags: int = 0
    """Sum of `SIGNAL`, `SUBFLOW`, `BACKUP`, `FULLMESH`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the kernel's path manager does for each connection at most."""

    subflows: int
    """Besides the first."""

    add_addr_accepted: int
    """Addresses of the peer that are joined unasked."""


class PathManager(Closing):
    """The kernel's path manager in the calling thread's namespace; a context manager.

    Every method raises PrivilegeError without CAP_NET_ADMIN, the queries excepted.

    Raises:
        NotSupportedError: The kernel has no Multipath TCP.
    """

    def __init__(self) -> None:
        self._netlink = Netlink(GENERIC)
        try:
            self._family = GenericFamily(self._netlink, FAMILY)
        except OSError:
            self._netlink.close()
            raise NotSupportedError("this kernel was built without Multipath TCP") from None

    def close(self) -> None:
        """Leave the path manager to others."""
        self._netlink.close()

    # ---- all connections of the namespace

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints of the namespace."""
        return list(_endpoints(self._ask(_GET, flags=DUMP)))

    def add_endpoint(self, endpoint: Endpoint) -> None:
        """Tell every connection about a local address; subflows follow as its flags say."""
        self._ask(_ADD, _address(endpoint, with_flags=True))

    def change_endpoint(self, endpoint: Endpoint) -> None:
        """Set `BACKUP` or `FULLMESH` of an endpoint, and the priority of its subflows."""
        self._ask(_SET_FLAGS, _address(endpoint, with_flags=True))

    def remove_endpoint(self, endpoint: Endpoint) -> None:
        """Forget an endpoint, named by id; every connection withdraws it from its peer."""
        self._ask(_DELETE, _address(endpoint))

    def remove_endpoints(self) -> None:
        """Forget every endpoint."""
        self._ask(_FLUSH)

    def limits(self) -> Limits:
        """Return the limits of the namespace."""
        found = attributes(self._ask(_GET_LIMITS)[0][_HEADER.size :])
        return Limits(subflows=number(found[_SUBFLOWS]), add_addr_accepted=number(found[_ACCEPTED]))

    def set_limits(self, limits: Limits) -> None:
        """Change the limits of the namespace."""
        self._ask(
            _SET_LIMITS,
            attribute(_ACCEPTED, limits.add_addr_accepted) + attribute(_SUBFLOWS, limits.subflows),
        )

    # ---- one connection

    def addresses(self, token: int) -> list[Endpoint]:
        """Return the local addresses that were given to one connection by these calls."""
        try:
            return list(_endpoints(self._ask_one(_GET, token, flags=DUMP)))
        except NetlinkError:
            self.remove(token, _NO_ID)  # refused as well, and this time with a reason
            raise

    def create_subflow(self, token: int, local: Endpoint, remote: IpAddress, port: int) -> None:
        """Begin to join from `local`, whose id the caller chose.

        The handshake goes on by itself.  Raises OSError if there is no way from there to `remote`.
        """
        remote_end = Endpoint(address=remote, port=port)
        self._ask_one(
            _CREATE, token, _address(local, with_flags=True) + _address(remote_end, _REMOTE)
        )

    def destroy_subflow(self, token: int, path: Path) -> None:
        """End a subflow by FIN."""
        self._ask_one(_DESTROY, token, _path(path))

    def set_backup(self, token: int, path: Path, *, backup: bool) -> None:
        """Send MP_PRIO on a subflow."""
        flags = BACKUP if backup else 0
        self._ask_one(_SET_FLAGS, token, _path(path, flags))

    def announce(self, token: int, endpoint: Endpoint) -> None:
        """Tell the peer of an address (ADD_ADDR)."""
        self._ask_one(_ANNOUNCE, token, _address(endpoint, with_flags=True))

    def remove(self, token: int, address_id: int) -> None:
        """Withdraw an address from the peer (REMOVE_ADDR) and end its subflows."""
        self._ask_one(_REMOVE, token, attribute(_LOCAL_ID, address_id, "B"))

    def _ask_one(
        self, command: int, token: int, attached: bytes = b"", flags: int = 0
    ) -> list[bytes]:
        try:
            return self._ask(command, attribute(_TOKEN, token) + attached, flags)
        except OSError as error:
            if "userspace PM not selected" in str(error):
                raise NotSupportedError(
                    f"the kernel's own path manager steers this connection: {USERSPACE}"
                ) from None
            if "invalid token" in str(error):
                raise UsageError("the connection has ended") from None
            raise

    def _ask(self, command: int, attached: bytes = b"", flags: int = 0) -> list[bytes]:
        body = _HEADER.pack(command, _VERSION, 0) + attached
        with privileged("steering the kernel's path manager"):
            return self._netlink.request(self._family.id, body, flags)


@contextmanager
def privileged(what: str) -> Iterator[None]:
    """Turn the kernel's refusal of `what` into a PrivilegeError."""
    try:
        yield
    except PermissionError:
        raise PrivilegeError(
            f"{what} needs CAP_NET_ADMIN in this network namespace: "
            "run as root or `setcap cap_net_admin+ep` the interpreter"
        ) from None


def is_unreachable(error: OSError) -> bool:
    """Return whether a join failed for want of a local address or a route."""
    return error.errno in {errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EHOSTUNREACH}


def _path(path: Path, flags: int | None = None) -> bytes:
    """Return both ends of a subflow, the local one with flags if there are any."""
    local = Endpoint(address=path.local, port=path.local_port, flags=flags or 0)
    remote = Endpoint(address=path.remote, port=path.remote_port)
    return _address(local, with_flags=flags is not None) + _address(remote, _REMOTE)


def _address(endpoint: Endpoint, kind: int = _ADDRESS, *, with_flags: bool = False) -> bytes:
    """Return an address as the nested attribute `kind`."""
    version4 = endpoint.address.version == 4
    octets = attribute(_OF_FAMILY, family_of(endpoint.address), "H")
    octets += attribute(_OF_V4 if version4 else _OF_V6, endpoint.address.packed)
    if endpoint.id:
        octets += attribute(_OF_ID, endpoint.id, "B")
    if endpoint.port:
        octets += attribute(_OF_PORT, endpoint.port, "H")
    if with_flags:
        octets += attribute(_OF_FLAGS, endpoint.flags)
    return attribute(kind, octets, nested=True)


def _endpoints(answers: list[bytes]) -> Iterator[Endpoint]:
    """Yield the address of each answer."""
    for answer in answers:
        found = attributes(attributes(answer[_HEADER.size :])[_ADDRESS])
        packed = found.get(_OF_V4)
        yield Endpoint(
            address=IPv6Address(found[_OF_V6]) if packed is None else IPv4Address(packed),
            id=number(found.get(_OF_ID, b"")),
            port=number(found.get(_OF_PORT, b"")),
            flags=number(found.get(_OF_FLAGS, b"")),
        )
