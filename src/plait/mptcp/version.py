"""What differs between the versions of Multipath TCP: RFC 8684 is version 1, RFC 6824 version 0.

A connection is of one version from its first SYN to its end.  Wherever the two differ it asks the
object of its version; all the rest is the same for both.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from plait.addresses import IpAddress
from plait.mptcp.keys import Keys
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.mp_capable import MpCapableAck, MpCapableData, MpCapableSyn, MpCapableSynAck
from plait.wire.option import Option

Offer: TypeAlias = MpCapableSyn | MpCapableSynAck
"""MP_CAPABLE on a SYN, without a key and with one."""

Echo: TypeAlias = MpCapableAck | MpCapableData
"""MP_CAPABLE with both keys."""


class Version:
    """One version: its MP_CAPABLE, its advertisements, its resets."""

    number: ClassVar[int] = 1
    """The field of MP_CAPABLE."""

    crypto: ClassVar[int] = 0
    """Flags of MP_CAPABLE that name algorithms."""

    denial: ClassVar[int] = 0
    """The flag of MP_CAPABLE that denies joins to the first address, 0 if there is none."""

    keys_on_data: ClassVar[bool] = False
    """The initiator's first data carries both keys, and its mapping in the same option."""

    dss_confirms: ClassVar[bool] = False
    """Only a DSS shows that the peer speaks Multipath TCP; else any option of it does."""

    early_data: ClassVar[bool] = False
    """Data may travel on the SYN."""

    echoes: ClassVar[bool] = False
    """An ADD_ADDR is echoed, and repeated until then; else it is sent once, on every subflow."""

    names_priorities: ClassVar[bool] = False
    """MP_PRIO may name an address instead of meaning the subflow it comes on."""

    fastclose_on_reset: ClassVar[bool] = False
    """MP_FASTCLOSE travels on RSTs; else on an ACK, which a RST answers."""

    def offer(self, key: bytes, flags: int) -> Offer:
        """Return the option for our SYN."""
        raise NotImplementedError

    def understands(self, offer: Offer) -> bool:
        """Return whether a SYN with this option asks for this version or a later one."""
        raise NotImplementedError

    def drops(self, offer: Offer) -> bool:
        """Return whether a SYN with this option is not to be answered at all."""
        raise NotImplementedError

    def allows_initial(self, flags: int) -> bool:
        """Return whether the sender of these flags takes joins to its first address."""
        raise NotImplementedError

    def restore(self, echo: Echo) -> Offer:
        """Return what the SYN must have offered before this third ACK."""
        raise NotImplementedError

    def reasons(self, reason: int) -> tuple[Option, ...]:
        """Return the options of a RST that has a reason."""
        raise NotImplementedError

    def advertisement(self, keys: Keys, address_id: int, address: IpAddress, port: int) -> AddAddr:
        """Return the option that tells of an address of ours."""
        raise NotImplementedError

    def believes(self, keys: Keys, option: AddAddr) -> bool:
        """Return whether an ADD_ADDR that is no echo comes from the peer."""
        raise NotImplementedError
