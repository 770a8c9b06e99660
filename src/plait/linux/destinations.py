"""A choice by destination: lists of HOST:PORT as `plait run` takes them."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, TypeAlias

from plait.errors import UsageError
from plait.linux.sockaddr import Destination

IpNetwork: TypeAlias = IPv4Network | IPv6Network

ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Pattern:
    """Some destinations."""

    networks: tuple[IpNetwork, ...] | None
    """None is any address."""

    port: int | None
    """None is any port."""

    def matches(self, to: Destination) -> bool:
        """Return whether the destination is one of them."""
        address, port = to
        return (self.port is None or self.port == port) and (
            self.networks is None or any(address in network for network in self.networks)
        )

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read one HOST:PORT; a name is resolved now.

        HOST is a name, an address, a network or `*`, with brackets around IPv6; PORT is a number
        or `*`.  Raises UsageError.
        """
        host, colon, port = text.strip().rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise UsageError(f"write [{host}]:{port} or [{text}]:* instead of {text!r}")
        if not colon or not host:
            raise UsageError(f"{text!r} is not HOST:PORT: write {text.strip(':') or '*'}:*")
        return cls(_networks(host), _port(port, text))


@dataclass(frozen=True, slots=True)
class Choice:
    """Which destinations are for Multipath TCP."""

    only: tuple[Pattern, ...] = ()
    """None means all."""

    excepted: tuple[Pattern, ...] = ()

    @property
    def selects(self) -> bool:
        """Whether what is not named is TCP."""
        return bool(self.only)

    def covers(self, to: Destination) -> bool:
        """Return whether connections there are to be Multipath TCP."""
        chosen = not self.only or any(one.matches(to) for one in self.only)
        return chosen and not any(one.matches(to) for one in self.excepted)


def parse_choice(only: Sequence[str], excepted: Sequence[str]) -> Choice | None:
    """Read lists with commas between HOST:PORT; None if they say nothing.  Raises UsageError."""
    if not only and not excepted:
        return None
    return Choice(_patterns(only), _patterns(excepted))


def _patterns(lists: Sequence[str]) -> tuple[Pattern, ...]:
    return tuple(Pattern.parse(one) for text in lists for one in text.split(","))


def _port(text: str, whole: str) -> int | None:
    """Read a port.  Raises UsageError."""
    if text == ANY:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise UsageError(f"{text!r} in {whole!r} is not a port: write 1 to 65535, or *")
    return int(text)


def _networks(host: str) -> tuple[IpNetwork, ...] | None:
    """Return what a host stands for.  Raises UsageError."""
    if host == ANY:
        return None
    try:
        return (ip_network(host, strict=False),)
    except ValueError:
        if "/" in host:
            raise UsageError(f"{host!r} is not a network: write ADDRESS/BITS") from None
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no name"
        raise UsageError(f"cannot resolve {host!r}: {why}") from None
    return tuple({ip_network(str(address[0]).partition("%")[0]) for *_, address in found})
