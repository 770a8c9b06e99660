"""What the kernel's path manager tells of connections: its multicast group `mptcp_pm_events`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from plait.addresses import IpAddress, Path, unmapped
from plait.errors import NotSupportedError
from plait.linux.netlink import GENERIC, GenericFamily, Netlink, attributes, number
from plait.linux.path_manager import FAMILY, privileged

_GROUP: Final = "mptcp_pm_events"
_HEADER_OCTETS: Final = 4


class NoticeKind(Enum):
    """enum mptcp_event_type of include/uapi/linux/mptcp_pm.h, but for listeners."""

    CREATED = 1
    ESTABLISHED = 2
    CLOSED = 3
    ANNOUNCED = 6
    REMOVED = 7
    SUB_ESTABLISHED = 10
    SUB_CLOSED = 11
    SUB_PRIORITY = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message of the group; what it does not say is None or 0."""

    kind: NoticeKind
    token: int
    path: Path | None
    address: IpAddress | None
    """The peer's, of `ANNOUNCED`."""

    port: int
    """Of `address`; if the peer named none, that of the connection."""

    local_id: int
    remote_id: int
    backup: bool
    error: int
    """errno of a subflow that ended."""

    reset_reason: int | None
    """Of the MP_TCPRST that ended the subflow."""


class Notices:
    """Hears of every Multipath TCP connection in the calling thread's network namespace.

    Raises:
        PrivilegeError: The process lacks CAP_NET_ADMIN there.
        NotSupportedError: The kernel has no such group.
    """

    def __init__(self) -> None:
        self._netlink = Netlink(GENERIC)
        try:
            with privileged("hearing of the kernel's subflows"):
                self._netlink.join(GenericFamily(self._netlink, FAMILY).groups[_GROUP])
        except (OSError, KeyError):
            self._netlink.close()
            raise NotSupportedError("this kernel tells nothing of its subflows") from None
        except BaseException:
            self._netlink.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor that is readable when there is something to hear."""
        return self._netlink.fileno()

    def close(self) -> None:
        """Hear no more."""
        self._netlink.close()

    def heard(self) -> Iterator[Notice]:
        """Yield what was told since the last call.

        Raises OSError with ENOBUFS if the kernel had to leave something out.
        """
        for _, octets in self._netlink.heard():
            notice = parse_notice(octets)
            if notice is not None:
                yield notice


def parse_notice(octets: bytes) -> Notice | None:
    """Decode the body of one message; None for those of no connection."""
    try:
        kind = NoticeKind(octets[0])
    except ValueError:
        return None
    found = attributes(octets[_HEADER_OCTETS:])
    token, _, local_id, remote_id = (found.get(at, b"") for at in range(1, 5))
    source = _ip(found.get(5), found.get(6))
    destination = _ip(found.get(7), found.get(8))
    source_port, destination_port = (int.from_bytes(found.get(at, b"")) for at in (9, 10))
    path = None
    if source is not None and destination is not None:
        path = Path(source, source_port, destination, destination_port)
    return Notice(
        kind=kind,
        token=number(token),
        path=path,
        address=destination,
        port=destination_port,
        local_id=number(local_id),
        remote_id=number(remote_id),
        backup=bool(number(found.get(11, b""))),
        error=number(found.get(12, b"")),
        reset_reason=number(found[16]) if 16 in found else None,
    )


def _ip(packed4: bytes | None, packed6: bytes | None) -> IpAddress | None:
    """Return the address that one of two attributes holds, IPv4 in IPv6 unwrapped."""
    if packed4 is not None:
        return IPv4Address(packed4)
    if packed6 is None:
        return None
    return unmapped(IPv6Address(packed6))
