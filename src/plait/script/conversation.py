"""Between a script's numbers and those of the wire.

Scripts count sequence numbers from the initial ones, data sequence numbers from the IDSNs, and name
keys and addresses.  A conversation holds what each of these became in one run: the *local* side is
the host under test, the *remote* side the script.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha1, sha256
from hmac import digest
from ipaddress import ip_address
from typing import Final

from plait.addresses import IpAddress
from plait.script.errors import UnsupportedError
from plait.script.frame import Frame, internet_sum
from plait.script.settings import Configuration
from plait.script.syntax import Expression, Function, Number, Text, Word

MASK32: Final = 0xFFFF_FFFF
MASK64: Final = (1 << 64) - 1
_FIRST_PORT: Final = 40_001
"""Of injected connections; each gets the next."""

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04


@dataclass(eq=False)
class Flow:
    """One TCP connection, or subflow, of the run."""

    local: IpAddress
    local_port: int
    remote: IpAddress
    remote_port: int
    local_offset: int | None = None
    """Live less scripted sequence number of what leaves; None before the SYN was seen."""

    remote_offset: int = 0
    stamps: dict[int, int] = field(default_factory=dict)
    """Live TSval by the scripted one."""

    stamp_offset: int = 0
    """Live less scripted TSval of what left last."""

    last_stamp: int = 0
    """The live TSval that left last."""

    local_nonce: int = 0
    remote_nonce: int = 0
    fins: set[bool] = field(default_factory=set)
    """Directions that ended, inbound true."""

    was_reset: bool = False

    @property
    def ended(self) -> bool:
        """Return whether a new SYN begins another connection."""
        return self.was_reset or len(self.fins) == 2

    def note(self, flags: int, *, inbound: bool) -> None:
        """Keep up with a segment."""
        if flags & FIN:
            self.fins.add(inbound)
        if flags & RST:
            self.was_reset = True


class Conversation:
    """What names and relative numbers stand for."""

    def __init__(self, config: Configuration) -> None:
        self.config = config
        self.flows: list[Flow] = []
        self.current: Flow | None = None
        """The flow of injected packets that name no addresses: the one named last."""

        self.keys: dict[str, bytes] = {}
        self.local_key: bytes | None = None
        self.remote_key: bytes | None = None
        self.version = 1
        self.cookies: dict[str, bytes] = {}
        """Fast Open cookies by the names that scripts give them."""

        self.addresses: dict[str, IpAddress] = {}
        self.address_ids: dict[str, int] = {}
        self.local_dsn = 1
        """Next data sequence number of the host under test, from its IDSN."""

        self.remote_dsn = 1
        self.free_payload = False
        """The application wrote text of its own: what leaves is not all zeros."""

        self.port = config.port
        self._ports = _FIRST_PORT

    # ---- flows

    def begin(self, local: IpAddress, remote: IpAddress) -> Flow:
        """Return a new flow that the script opens."""
        flow = Flow(local, self.port, remote, self._ports)
        self._ports += 1
        self.flows.append(flow)
        return flow

    def at(self, path: tuple[IpAddress, int, IpAddress, int]) -> Flow | None:
        """Return the flow with this path, local side first."""
        for flow in reversed(self.flows):
            if (flow.local, flow.local_port, flow.remote, flow.remote_port) == path:
                return flow
        return None

    def of_frame(self, frame: Frame) -> Flow | None:
        """Return the flow of a packet that left; a SYN on a new path begins one."""
        flow = self.at(frame.path)
        if flow is None and frame.flags & (SYN | RST) == SYN:
            flow = Flow(*frame.path)
            self.flows.append(flow)
            if self.current is None or self.current.ended:
                self.current = flow
        return flow

    def between(self, local: IpAddress, remote: IpAddress) -> Flow | None:
        """Return the newest flow between two addresses."""
        for flow in reversed(self.flows):
            if (flow.local, flow.remote) == (local, remote):
                return flow
        return None

    # ---- addresses

    def address(
        self, name: str, value: Expression | None, default: IpAddress, *, known: bool
    ) -> IpAddress:
        """Return the address that a name stands for, after giving it one if it has none.

        Args:
            name: The variable.
            value: What the script gives it in this place.
            default: The address of the first name of this side, or, with `known`, what it is.
            known: The address was seen on the wire.
        """
        if value is not None:
            self.addresses[name] = _address(value)
        elif name not in self.addresses:
            taken = set(self.addresses.values())
            address = default
            while not known and address in taken:
                address += 1
            self.addresses[name] = address
        return self.addresses[name]

    def address_id(self, name: str) -> int:
        """Return the id of a named address of the script: 0 for the first one, then 1, 2, ..."""
        address = self.addresses.get(name)
        if address == self.config.remote:
            return 0
        return self.address_ids.setdefault(name, len(self.address_ids) + 1)

    # ---- keys

    def learn(self, name: str, key: bytes) -> None:
        """A key of the host under test was seen."""
        self.keys[name] = key
        self.local_key = key
        self.local_dsn = 1

    def assign(self, name: str, number: int, *, own: bool = True) -> bytes:
        """Give a key a value, and the script's side that key if it is to be its own.

        The number stands on the wire in host byte order.
        """
        key = number.to_bytes(8, "little")
        self.keys[name] = key
        if own:
            self.remote_key = key
            self.remote_dsn = 1
        return key

    def key(self, name: str) -> bytes:
        """Return a key by name.  Raises UnsupportedError if nobody gave it a value."""
        try:
            return self.keys[name]
        except KeyError:
            raise UnsupportedError(f"key {name} before it has a value") from None

    def both_keys(self, *, inbound: bool) -> bytes:
        """Return the key of the sender, then that of the receiver."""
        local, remote = self.local_key or b"", self.remote_key or b""
        return remote + local if inbound else local + remote

    def hash(self, key: bytes) -> bytes:
        """Return the digest of a key: SHA-256, or SHA-1 in version 0."""
        if self.version:
            return sha256(key).digest()
        return sha1(key, usedforsecurity=False).digest()

    def token(self, key: bytes) -> int:
        """Return the 32 bits that name the connection of a key's owner."""
        return int.from_bytes(self.hash(key)[:4], "big")

    def idsn(self, key: bytes | None) -> int:
        """Return the initial data sequence number of a key's owner; 0 without one."""
        return int.from_bytes(self.hash(key)[-8:], "big") if key else 0

    def join_digest(self, keys: bytes, flow: Flow, *, inbound: bool) -> bytes:
        """Return the HMAC by which the sender of a handshake segment proves to know both keys."""
        nonces = (flow.remote_nonce, flow.local_nonce)
        first, second = nonces if inbound else reversed(nonces)
        message = (first << 32 | second).to_bytes(8, "big")
        return digest(keys, message, "sha256" if self.version else "sha1")

    def address_digest(self, address_id: int, address: IpAddress, port: int, keys: bytes) -> bytes:
        """Return the 8 octets that authenticate ADD_ADDR."""
        message = bytes((address_id,)) + address.packed + port.to_bytes(2, "big")
        return digest(keys, message, "sha256")[-8:]

    def number(self, value: Expression, base: int) -> int:
        """Return what a value of an option stands for: `base` plus a number, or a function."""
        match value:
            case Number():
                return (base + value.value) & MASK64
            case Function(name="trunc_r64_hmac", arguments=(Word(name=key),)):
                return (self.idsn(self.key(key)) + value.offset) & MASK64
            case Function(name="sha256_32" | "sha1_32", arguments=(Word(name=key),)):
                return self.token(self.key(key)) + value.offset
        raise UnsupportedError(f"value {show(value)}")


def show(value: Expression) -> str:
    """Return a value much as it is written."""
    match value:
        case Number():
            return str(value.value)
        case Word():
            return value.name
        case Function():
            inner = " ".join(show(argument) for argument in value.arguments)
            return f"{value.name}({inner})"
        case Text():
            return repr(value.value)[1:]
    return type(value).__name__.lower()


def _address(value: Expression) -> IpAddress:
    """Return the address that `inet_addr("...")` or `inet6_addr("...")` gives."""
    match value:
        case Function(name="inet_addr" | "inet6_addr", arguments=(Text(value=text),)):
            return ip_address(text.decode())
    raise UnsupportedError(f"address {show(value)}")


def dss_sum(dsn: int, ssn: int, length: int, payload: bytes) -> int:
    """Return the checksum of a mapping (RFC 8684, 3.3)."""
    head = dsn.to_bytes(8, "big") + ssn.to_bytes(4, "big") + length.to_bytes(2, "big") + bytes(2)
    return internet_sum(head + payload)
