"""How a TUN device is named on a command line: `NAME,local=A[+A...],peer=B/LEN[,mtu=N][,...]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from typing import Final, Self, TypeAlias, TypeVar

from plait.addresses import IpAddress
from plait.errors import UsageError
from plait.units import Octets

IpInterface: TypeAlias = IPv4Interface | IPv6Interface

FORM: Final = "NAME,local=A[+A...],peer=B/LEN[,mtu=N][,offload=on|off]"

MIN_MTU: Final = 576
MIN_MTU_V6: Final = 1280
"""RFC 8200, 5."""

MAX_MTU: Final = 65_535

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,15}")
"""Linux's IFNAMSIZ leaves 15 characters."""

_KEYS: Final = ("local", "peer", "mtu", "offload")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TunSpec:
    """A TUN device to open: one path, with the stack on one side and the kernel on the other."""

    name: str
    local: tuple[IpAddress, ...]
    """Addresses of the stack."""

    peer: tuple[IpInterface, ...]
    """Addresses of the kernel's side with the prefix that leads to the stack."""

    mtu: Octets = 1500
    offload: bool = True
    """Ask for super-segments and checksum offload; without support there is none."""

    multi_queue: bool = False
    """The device may be opened several times; it spreads flows over what is open."""

    def __post_init__(self) -> None:
        """Raise UsageError if the parts do not fit together."""
        if not _NAME.fullmatch(self.name) or self.name in {".", ".."}:
            raise UsageError(
                f"bad TUN name {self.name!r}: use 1 to 15 letters, digits, '_', '-' or '.'"
            )
        if not self.local or not self.peer:
            raise UsageError(f"TUN {self.name}: local and peer addresses are both needed")
        least = MIN_MTU_V6 if any(a.version == 6 for a in self.peer) else MIN_MTU
        if not least <= self.mtu <= MAX_MTU:
            raise UsageError(f"TUN {self.name}: mtu={self.mtu} is not {least} to {MAX_MTU}")
        for address in self.local:
            self._check_local(address)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the form `FORM`; raises UsageError naming the bad part."""
        name, *rest = text.split(",")
        parts = dict(_pairs(text, rest))
        for key in ("local", "peer"):
            if key not in parts:
                raise UsageError(f"TUN {name}: {key}= is missing: write {FORM}")
        return cls(
            name=name,
            local=tuple(_each(parts, "local", ip_address, "an IP address")),
            peer=tuple(
                _each(parts, "peer", _interface, "an address with its prefix length, B/LEN")
            ),
            mtu=_one(parts.get("mtu", "1500"), "mtu", int, "a number of octets"),
            offload=_one(parts.get("offload", "on"), "offload", _switch, "on or off"),
        )

    def _check_local(self, address: IpAddress) -> None:
        """Raise UsageError if the kernel could not answer `address`."""
        if address.is_unspecified or address.is_multicast or address.is_loopback:
            raise UsageError(f"TUN {self.name}: local={address} is not an address of a host")
        if self.local.count(address) > 1:
            raise UsageError(f"TUN {self.name}: local={address} is there twice")
        if any(interface.ip == address for interface in self.peer):
            raise UsageError(
                f"TUN {self.name}: {address} is both local and peer: the stack and the kernel "
                "need different addresses"
            )
        if not any(address in interface.network for interface in self.peer):
            networks = " or ".join(str(interface.network) for interface in self.peer)
            raise UsageError(
                f"TUN {self.name}: local={address} is not in {networks}: choose an address of "
                "the peer's network, or the kernel cannot answer"
            )


def _pairs(text: str, parts: list[str]) -> Iterator[tuple[str, str]]:
    """Yield key and value of each `key=value`, each known key at most once."""
    seen: set[str] = set()
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals or key not in _KEYS:
            raise UsageError(f"bad part {part!r} in TUN {text!r}: write {FORM}")
        if key in seen:
            raise UsageError(f"{key}= is there twice in TUN {text!r}: write {FORM}")
        seen.add(key)
        yield key, value


def _each(parts: dict[str, str], key: str, read: Callable[[str], _T], meaning: str) -> Iterator[_T]:
    """Yield the values of a `+`-separated list."""
    for value in parts[key].split("+"):
        yield _one(value, key, read, meaning)


def _one(value: str, key: str, read: Callable[[str], _T], meaning: str) -> _T:
    """Return one value read, or raise UsageError saying what it should have been."""
    try:
        return read(value)
    except ValueError:
        raise UsageError(f"bad {key}={value}: it should be {meaning}") from None


def _interface(value: str) -> IpInterface:
    """Read `B/LEN`; an address alone would be a network of one, which holds no local address."""
    if "/" not in value:
        raise ValueError(value)
    return ip_interface(value)


def _switch(value: str) -> bool:
    """Read `on` or `off`."""
    if value not in {"on", "off"}:
        raise ValueError(value)
    return value == "on"
