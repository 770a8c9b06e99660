"""Version 1 of Multipath TCP, where it differs from version 0 (RFC 8684)."""

from __future__ import annotations

from typing import ClassVar, Final

from plait.addresses import IpAddress
from plait.mptcp.keys import Keys
from plait.mptcp.version import Echo, Offer, Version
from plait.wire.crypto import same
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.mp_capable import (
    CHECKSUM_REQUIRED,
    CRYPTO,
    DENY_JOIN_ID0,
    HMAC_SHA256,
    MpCapableSyn,
)
from plait.wire.mptcp.mp_tcprst import (
    MAY_PASS,
    MpTcprst,
)
from plait.wire.option import Option


class Version1(Version):
    """Keys travel from the SYN/ACK on, addresses are authenticated and echoed, RSTs say why."""

    number: ClassVar[int] = 1
    crypto: ClassVar[int] = CRYPTO
    denial: ClassVar[int] = DENY_JOIN_ID0
    keys_on_data: ClassVar[bool] = True
    dss_confirms: ClassVar[bool] = False
    early_data: ClassVar[bool] = True
    echoes: ClassVar[bool] = True
    names_priorities: ClassVar[bool] = False
    fastclose_on_reset: ClassVar[bool] = True

    def offer(self, key: bytes, flags: int) -> Offer:
        """Return the option without the key (RFC 8684, 3.1)."""
        return MpCapableSyn(version=self.number, flags=flags)

    def understands(self, offer: Offer) -> bool:
        """Return whether it has no key; a later version is answered with ours."""
        return isinstance(offer, MpCapableSyn) and offer.version >= self.number

    def drops(self, offer: Offer) -> bool:
        """Return False: what is not understood is answered without the option."""
        return False

    def allows_initial(self, flags: int) -> bool:
        """Return whether flag C is not set."""
        return not flags & DENY_JOIN_ID0

    def restore(self, echo: Echo) -> Offer:
        """Return an offer with the flags that the third ACK repeats."""
        kept = echo.flags & (CHECKSUM_REQUIRED | DENY_JOIN_ID0)
        return MpCapableSyn(version=self.number, flags=HMAC_SHA256 | kept)

    def reasons(self, reason: int) -> tuple[Option, ...]:
        """Return MP_TCPRST, with flag T if the reason may pass (RFC 8684, 3.6)."""
        return (MpTcprst(reason, reason in MAY_PASS),)

    def advertisement(self, keys: Keys, address_id: int, address: IpAddress, port: int) -> AddAddr:
        """Return an ADD_ADDR with an HMAC (RFC 8684, 3.4.1)."""
        hmac = keys.advertising_hmac(address_id, address, port)
        return AddAddr(address_id=address_id, address=address, port=port, hmac=hmac)

    def believes(self, keys: Keys, option: AddAddr) -> bool:
        """Return whether the HMAC is right."""
        expected = keys.advertised_hmac(option.address_id, option.address, option.port)
        return option.hmac is not None and same(option.hmac, expected)


V1: Final = Version1()
