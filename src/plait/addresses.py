"""Addresses, and the 4-tuples that name paths and flows."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from plait.errors import DecodeError

IpAddress: TypeAlias = IPv4Address | IPv6Address

V4_FLOW: Final = 12
"""Octets of an IPv4 flow: two addresses and two ports."""

V6_FLOW: Final = 36
"""Octets of an IPv6 flow."""


@dataclass(frozen=True, slots=True)
class Path:
    """A 4-tuple as this host sees it: what RFC 8684, 1.3 calls a path."""

    local: IpAddress
    local_port: int
    remote: IpAddress
    remote_port: int

    def flow_out(self) -> bytes:
        """Return the flow of segments that leave on this path."""
        return (
            self.local.packed
            + self.remote.packed
            + (self.local_port << 16 | self.remote_port).to_bytes(4, "big")
        )

    def flow_in(self) -> bytes:
        """Return the flow of segments that arrive on this path."""
        return (
            self.remote.packed
            + self.local.packed
            + (self.remote_port << 16 | self.local_port).to_bytes(4, "big")
        )

    def __str__(self) -> str:
        """Return the path as `local:port > remote:port`."""
        return (
            f"{show_endpoint(self.local, self.local_port)} > "
            f"{show_endpoint(self.remote, self.remote_port)}"
        )


def unmapped(address: IpAddress) -> IpAddress:
    """Return the IPv4 address that an IPv6 one stands for (RFC 4291, 2.5.5.2), or itself."""
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address
    return address


def show_endpoint(address: IpAddress, port: int) -> str:
    """Return `address:port`, IPv6 addresses in brackets."""
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def path_of_arrival(flow: bytes) -> Path:
    """Return the path, from the receiver's side, of a segment that arrived with `flow`.

    A flow is the octets of source address, destination address, source port and destination
    port, in that order.  Raises DecodeError on any length but `V4_FLOW` and `V6_FLOW`.
    """
    ports = int.from_bytes(flow[-4:], "big")
    if len(flow) == V4_FLOW:
        return Path(IPv4Address(flow[4:8]), ports & 0xFFFF, IPv4Address(flow[:4]), ports >> 16)
    if len(flow) == V6_FLOW:
        return Path(IPv6Address(flow[16:32]), ports & 0xFFFF, IPv6Address(flow[:16]), ports >> 16)
    raise DecodeError("a flow is 12 or 36 octets", 0)
