"""Version 0 of Multipath TCP, where it differs from version 1 (RFC 6824)."""

from __future__ import annotations

from typing import ClassVar, Final

from plait.addresses import IpAddress
from plait.mptcp.keys import Keys
from plait.mptcp.version import Echo, Offer, Version
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.mp_capable import EXTENSIBILITY, MpCapableSynAck
from plait.wire.option import Option


class Version0(Version):
    """The SYN carries a key, the third ACK is the last that does; nothing is authenticated later.

    A third ACK that is lost while data arrives means TCP, and RSTs give no reason.  The RFC knows
    no data on SYNs, whose option space the key needs, so Fast Open is left out.
    """

    number: ClassVar[int] = 0
    crypto: ClassVar[int] = 0x3F
    """Flags C to H; C means nothing else yet, and H is HMAC-SHA1."""

    keys_on_data: ClassVar[bool] = False
    dss_confirms: ClassVar[bool] = True
    early_data: ClassVar[bool] = False
    echoes: ClassVar[bool] = False
    names_priorities: ClassVar[bool] = True
    fastclose_on_reset: ClassVar[bool] = False

    def offer(self, key: bytes, flags: int) -> Offer:
        """Return the option with our key (RFC 6824, 3.1)."""
        return MpCapableSynAck(version=self.number, flags=flags, sender_key=key)

    def understands(self, offer: Offer) -> bool:
        """Return whether it has a key."""
        return isinstance(offer, MpCapableSynAck) and offer.version == self.number

    def drops(self, offer: Offer) -> bool:
        """Return whether flag B is set: the peer is to try another format (RFC 6824, 3.1)."""
        return self.understands(offer) and bool(offer.flags & EXTENSIBILITY)

    def allows_initial(self, flags: int) -> bool:
        """Return True: no flag forbids it."""
        return True

    def restore(self, echo: Echo) -> Offer:
        """Return an offer with the key; flag A is read from the third ACK itself."""
        return MpCapableSynAck(version=self.number, sender_key=echo.sender_key)

    def reasons(self, reason: int) -> tuple[Option, ...]:
        """Return nothing: MP_TCPRST is of version 1."""
        return ()

    def advertisement(self, keys: Keys, address_id: int, address: IpAddress, port: int) -> AddAddr:
        """Return an ADD_ADDR that anyone could have made (RFC 6824, 3.4.1)."""
        return AddAddr(address_id=address_id, address=address, port=port, version=self.number)

    def believes(self, keys: Keys, option: AddAddr) -> bool:
        """Return whether it has the form of this version."""
        return option.version == self.number


V0: Final = Version0()
