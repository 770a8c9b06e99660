"""Path management as `ip mptcp endpoint` and `ip mptcp limits` steer it on Linux."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Final

from plait.addresses import IpAddress
from plait.pathing.base import Action, Advertise, OpenSubflow, PathManager, View
from plait.script.errors import UnsupportedError

NAME: Final = "endpoints of the script"

_FLAGS: Final = frozenset({"signal", "subflow", "backup", "fullmesh"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A local address and what it is for."""

    address: IpAddress
    flags: frozenset[str]
    port: int = 0


class Endpoints(PathManager):
    """Advertises and joins as the endpoints of this run say."""

    name: ClassVar[str] = NAME
    known: ClassVar[list[Endpoint]] = []
    accepted: ClassVar[int] = 0
    """Addresses of the peer that are joined to."""

    def __init__(self) -> None:
        self._joined = 0

    @classmethod
    def reset(cls) -> None:
        """Forget all endpoints, and go back to the kernel's limits."""
        cls.known = []
        cls.accepted = 0

    @classmethod
    def add(cls, address: IpAddress, words: list[str]) -> None:
        """Add an endpoint as `ip mptcp endpoint add ADDRESS WORDS` does."""
        flags = frozenset(words) & _FLAGS
        if "fullmesh" in flags:
            raise UnsupportedError("endpoint flag fullmesh on plait's stack")
        if "id" in words and words[words.index("id") + 1] != str(len(cls.known) + 1):
            raise UnsupportedError("endpoint ids other than 1, 2, ... on plait's stack")
        pairs = dict(pairwise(words))
        cls.known = [*cls.known, Endpoint(address, flags, int(pairs.get("port", "0")))]

    def on_established(self, view: View) -> list[Action]:
        """Advertise the endpoints to signal, and join from the others."""
        actions: list[Action] = []
        for endpoint in self.known:
            if endpoint.address.version != view.first.local.version:
                continue
            if endpoint.address == view.first.local:
                continue
            if "signal" in endpoint.flags:
                actions.append(Advertise(endpoint.address, endpoint.port))
            elif view.initiator:
                backup = "backup" in endpoint.flags
                first = view.first
                actions.append(
                    OpenSubflow(endpoint.address, first.remote, first.remote_port, 0, backup)
                )
        return actions

    def on_address_advertised(
        self, view: View, address: IpAddress, address_id: int, port: int
    ) -> list[Action]:
        """Join the peer's address while the limit lets us."""
        if self._joined >= self.accepted:
            return []
        self._joined += 1
        first = view.first
        return [OpenSubflow(first.local, address, port or first.remote_port, address_id)]
