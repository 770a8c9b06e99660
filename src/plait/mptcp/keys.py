"""The keys of a connection and what follows from them (RFC 8684 and RFC 6824, 3.1 and 3.2)."""

from __future__ import annotations

from plait.addresses import IpAddress
from plait.wire.crypto import add_addr_hmac, join_hmac, token_and_idsn


class Keys:
    """Both keys with their tokens and initial data sequence numbers."""

    __slots__ = (
        "local",
        "local_idsn",
        "local_token",
        "offered",
        "remote",
        "remote_idsn",
        "remote_token",
        "version",
    )

    def __init__(self, local: bytes, version: int = 1) -> None:
        self.version = version
        self.local = local
        self.local_token, self.local_idsn = token_and_idsn(local, version)
        self.remote = b""
        """Empty until the peer's key is known."""

        self.offered = b""
        """Key on the peer's SYN in version 0, which the third ACK has to repeat."""

        self.remote_token = 0
        self.remote_idsn = 0

    def learn(self, remote: bytes) -> None:
        """Take the peer's key."""
        self.remote = remote
        self.remote_token, self.remote_idsn = token_and_idsn(remote, self.version)

    def sent_hmac(self, local_nonce: int, remote_nonce: int) -> bytes:
        """Return the HMAC that proves us to the peer in an MP_JOIN exchange."""
        return join_hmac(self.local, self.remote, local_nonce, remote_nonce, self.version)

    def expected_hmac(self, local_nonce: int, remote_nonce: int) -> bytes:
        """Return the HMAC that the peer has to prove itself with."""
        return join_hmac(self.remote, self.local, remote_nonce, local_nonce, self.version)

    def advertising_hmac(self, address_id: int, address: IpAddress, port: int) -> bytes:
        """Return the HMAC of an ADD_ADDR we send."""
        return add_addr_hmac(self.local, self.remote, address_id, address, port)

    def advertised_hmac(self, address_id: int, address: IpAddress, port: int) -> bytes:
        """Return the HMAC an ADD_ADDR of the peer has to carry."""
        return add_addr_hmac(self.remote, self.local, address_id, address, port)
