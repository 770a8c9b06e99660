"""How a UDP path is named on a command line: `LOCAL[:PORT][@IF]`, IPv6 addresses in brackets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self

from plait.addresses import IpAddress
from plait.drivers.tun_spec import MAX_MTU, MIN_MTU, MIN_MTU_V6
from plait.errors import UsageError
from plait.units import SECOND, Nanos, Octets

FORM: Final = "LOCAL[:PORT][@IF], an IPv6 address in brackets"

PORT: Final = 8684
"""UDP port of those who listen, unless another is agreed on."""

KEEP_ALIVE: Final[Nanos] = 15 * SECOND
"""RFC 4787, REQ-5 has NATs remember a mapping for two minutes; many do so for 30 seconds."""

MIN_SECRET: Final[Octets] = 16

_TEXT: Final = re.compile(
    r"(\[(?P<v6>[^\]]*)\]|(?P<v4>[^:@\[\]]*))(:(?P<port>[0-9]{1,9}))?(@(?P<at>.+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpSpec:
    """A UDP socket to open: one path, with peers that know the same secret."""

    local: IpAddress
    """Address of the socket, and of the stack."""

    secret: bytes = field(repr=False)
    """What all ends share, at least 16 octets."""

    port: int = 0
    """UDP port to bind; 0 is any."""

    interface: str | None = None
    """Interface that datagrams are to leave by."""

    remote_port: int = PORT
    """UDP port of peers that this side calls."""

    mtu: Octets | None = None
    """Octets of the largest IP packet; that of the interface by default, 1500 if it is unknown."""

    offload: bool = True
    """Have the kernel cut and join runs of datagrams; without support there is none."""

    keep_alive: Nanos = KEEP_ALIVE
    """How often silent peers are asked for a sign of life, to keep NATs from forgetting us."""

    def __post_init__(self) -> None:
        """Raise UsageError if a part is impossible."""
        check_secret(self.secret)
        local = self.local
        if local.is_unspecified or local.is_multicast or local.is_link_local:
            raise UsageError(
                f"UDP {local}: name an address that an interface of this machine has, one for "
                "each path; wildcards and link-local addresses are none"
            )
        for port, least in ((self.port, 0), (self.remote_port, 1)):
            if not least <= port <= 65535:
                raise UsageError(f"UDP {local}: {port} is not a port: use {least} to 65535")
        smallest = MIN_MTU_V6 if local.version == 6 else MIN_MTU
        if self.mtu is not None and not smallest <= self.mtu <= MAX_MTU:
            raise UsageError(f"UDP {local}: mtu={self.mtu} is not {smallest} to {MAX_MTU}")
        if self.keep_alive <= 0:
            raise UsageError(f"UDP {local}: keep_alive is a time in nanoseconds, more than 0")

    @classmethod
    def parse(cls, text: str, secret: bytes, *, port: int = 0, remote_port: int = PORT) -> Self:
        """Read the form `FORM`; raises UsageError naming the bad part.

        Args:
            secret: What all ends share.
            port: To bind where the text names none.
            remote_port: Of peers that this side calls.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise UsageError(f"bad UDP path {text!r}: write {FORM}")
        try:
            local = ip_address(found["v6"] if found["v4"] is None else found["v4"])
        except ValueError:
            raise UsageError(f"bad UDP path {text!r}: write {FORM}") from None
        if (local.version == 6) != (found["v4"] is None):
            raise UsageError(f"bad UDP path {text!r}: write {FORM}")
        return cls(
            local=local,
            secret=secret,
            port=port if found["port"] is None else int(found["port"]),
            interface=found["at"],
            remote_port=remote_port,
        )


def check_secret(secret: bytes) -> None:
    """Raise UsageError if a secret is too short to keep anybody out."""
    if len(secret) < MIN_SECRET:
        raise UsageError(
            f"the secret has {len(secret)} octets, and {MIN_SECRET} are the least: make one with "
            "`openssl rand -hex 16`"
        )


def read_secret(path: Path) -> bytes:
    """Return the secret in a file, without the end of its line; raises UsageError."""
    try:
        secret = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise UsageError(f"cannot read the secret in {path}: {error.strerror}") from None
    check_secret(secret)
    return secret


def read_by_others(path: Path) -> bool:
    """Return whether other users may read or change a file."""
    return bool(path.stat().st_mode & 0o077)
