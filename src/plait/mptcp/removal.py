"""Addresses that go: REMOVE_ADDR in both directions (RFC 8684, 3.4.2).

The peer's REMOVE_ADDR may be forged or premature, so each path it concerns is asked by a keep-alive
first; only one that does not answer is reset.  An address of ours that went takes its subflows
along by RST; one that the host still has, by FIN, or without haste as `departing` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plait.mptcp import advertising, closing, fallback, watching
from plait.mptcp.inquiry import Inquiry
from plait.mptcp.state import AddressChange, Phase
from plait.pathing.base import Question
from plait.wire.mptcp.mp_tcprst import UNSPECIFIED
from plait.wire.mptcp.remove_addr import RemoveAddr

if TYPE_CHECKING:
    from plait.addresses import IpAddress
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.units import Nanos

MAX_IDS: Final = 8
"""Ids of one REMOVE_ADDR, which fit beside timestamps and a Data ACK."""


class Removed(Inquiry):
    """Whether a path still works although the peer removed its address."""

    __slots__ = ()

    def on_silence(self, connection: Connection) -> None:
        """It does not: the peer was right."""
        connection.counters.rm_subflow += 1


def on_remove_addr(
    connection: Connection, now: Nanos, subflow: Subflow, option: RemoveAddr
) -> None:
    """Use the addresses no more and ask the paths to them; ids nobody knows are ignored."""
    for address_id in option.address_ids:
        connection.counters.rm_addr += 1
        opening = any(
            one.phase is Phase.OPENING and one.remote_id == address_id
            for one in connection.subflows
        )
        address = connection.addresses.remote.get(address_id)
        if address is not None:
            change = AddressChange(address_id, address, 0, present=False)
            connection.changed.append((subflow, change))
        if not connection.addresses.forget(address_id) and not opening:
            continue
        connection.joins = [wish for wish in connection.joins if wish.remote_id != address_id]
        for other in connection.subflows:
            if other.remote_id == address_id and other.alive:
                _doubt(connection, now, other)
        connection.consult(now, _removed(address_id))


def _removed(address_id: int) -> Question:
    """Return the question what to do about an address that the peer removed."""
    return lambda manager, view: manager.on_address_removed(view, address_id)


def _doubt(connection: Connection, now: Nanos, subflow: Subflow) -> None:
    """Find out whether a subflow works; one that only opens is given up."""
    if subflow.phase is Phase.OPENING:
        closing.retire(connection, now, subflow)
        return
    Removed.begin(connection, now, subflow, UNSPECIFIED)
    watching.doubt(connection, now, subflow)  # meanwhile its data goes elsewhere


def withdraw(connection: Connection, now: Nanos, address: IpAddress) -> None:
    """Give a local address up at once: by FIN if the host still has it, else by RST."""
    works = address in connection.local_addresses
    for subflow in list(connection.subflows):
        if not subflow.alive or subflow.path.local != address:
            continue
        if works:
            closing.retire(connection, now, subflow)
        else:
            fallback.reset(connection, now, subflow, UNSPECIFIED)
    address_id = connection.addresses.local.get(address)
    if address_id is not None:
        tell_if_left(connection, address_id)


def tell_if_left(connection: Connection, address_id: int) -> None:
    """Tell the peer that an address is gone once no subflow carries data over it."""
    book = connection.addresses
    using = any(one.can_send or one.leaving for one in connection.subflows if _at(one, address_id))
    address = next((one for one, known in book.local.items() if known == address_id), None)
    if using or address is None:
        return
    del book.local[address]
    book.announcements.pop(address_id, None)
    book.withdrawn.append(address_id)
    tell(connection)


def _at(subflow: Subflow, address_id: int) -> bool:
    return subflow.alive and subflow.local_id == address_id


def tell(connection: Connection) -> None:
    """Queue REMOVE_ADDR for addresses that went, as soon as a subflow can carry it."""
    withdrawn = connection.addresses.withdrawn
    carriers = advertising.carriers(connection) if withdrawn else []
    while carriers and withdrawn:
        gone = tuple(withdrawn[:MAX_IDS])
        del withdrawn[:MAX_IDS]
        for carrier in carriers:
            connection.counters.rm_addr_tx += len(gone)
            carrier.signals.append((RemoveAddr(gone),))
