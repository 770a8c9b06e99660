"""MP_CAPABLE: making the first subflow's connection a Multipath TCP one (RFC 8684, 3.1).

The initiator's key travels on the third ACK, and again on the first data, until the peer proves by
an MPTCP option of its own that it has it: the connection is then *confirmed*.  In version 0 it is
on the SYN as well and not on data (RFC 6824, 3.1), and only a DSS confirms.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from plait.addresses import Path
from plait.mptcp import early, fallback
from plait.mptcp.advertising import AddressBook
from plait.mptcp.mapping import Mapping
from plait.mptcp.settings import ConnectionSettings
from plait.mptcp.state import Mode
from plait.mptcp.v0 import V0
from plait.mptcp.v1 import V1
from plait.mptcp.version import Echo, Offer, Version
from plait.tcp.fast_open import Attempt, Grant
from plait.tcp.state import State as TcpState
from plait.wire.crypto import same
from plait.wire.mptcp.mp_capable import (
    CHECKSUM_REQUIRED,
    EXTENSIBILITY,
    HMAC_SHA256,
    MpCapableAck,
    MpCapableData,
    MpCapableSyn,
    MpCapableSynAck,
)
from plait.wire.mptcp.mp_tcprst import MPTCP_SPECIFIC
from plait.wire.segment import ACK, SYN, Segment
from plait.wire.tcp_options import FastOpen

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.units import Nanos, Octets

SERVED: Final[dict[str, tuple[Version, ...]]] = {"v1": (V1,), "v0": (V0,), "both": (V1, V0)}
"""By setting: the versions a host speaks, the preferred one first."""

_OFFERS: Final = (MpCapableSyn, MpCapableSynAck)
_ECHOES: Final = (MpCapableAck, MpCapableData)


def begin(
    connection: Connection,
    now: Nanos,
    path: Path,
    iss: int,
    mtu: Octets,
    attempt: Attempt | None,
) -> Subflow:
    """Begin the first subflow as initiator, with data on the SYN if an attempt is given."""
    subflow = connection.add_subflow(path, iss, mtu, first=True, initiator=True)
    connection.addresses = AddressBook(path.local, path.remote)
    if connection.mode is Mode.MPTCP:
        subflow.tcp.syn_options = (offer(connection),)
        subflow.tcp.syn_option_tries = connection.settings.mptcp_syn_tries
    subflow.tcp.fast_open = attempt
    subflow.tcp.open(now)
    return subflow


def respond(
    connection: Connection,
    now: Nanos,
    path: Path,
    iss: int,
    mtu: Octets,
    syn: Segment,
    grant: Grant,
) -> Subflow:
    """Answer the first SYN as listener."""
    found = offered(connection.version, connection.settings, syn)
    if found is None and connection.mode is Mode.MPTCP:
        connection.mode = Mode.TCP
        connection.fallback_reason = "no MP_CAPABLE in the SYN"
    subflow = connection.add_subflow(path, iss, mtu, first=True, initiator=False)
    connection.addresses = AddressBook(path.local, path.remote)
    if found is not None and connection.mode is Mode.MPTCP:
        subflow.tcp.syn_options = (answer(connection, found),)
    if grant.cookie:
        subflow.tcp.syn_options += (FastOpen(grant.cookie),)
    subflow.tcp.accept(now, syn)
    if grant.early:
        early.take(connection, now, subflow, syn)
    return subflow


def on_opening(connection: Connection, now: Nanos, subflow: Subflow) -> None:
    """Look whether a SYN met ours halfway, since Multipath TCP needs a listener.

    RFC 8684 says nothing of it.  The connection goes on as plain TCP, as in Linux, and a join is
    given up.
    """
    if not subflow.initiator or subflow.tcp.state is not TcpState.SYN_RECEIVED:
        return
    if not subflow.first:
        fallback.reset(connection, now, subflow, MPTCP_SPECIFIC)
        return
    if connection.mode is Mode.TCP:
        return
    connection.counters.simult_connect_fallback += 1
    subflow.tcp.syn_options = ()
    fallback.fall_back(connection, "the SYNs crossed")


def offer(connection: Connection) -> Offer:
    """Return the option for our SYN."""
    connection.counters.mp_capable_syn_tx += 1
    return connection.version.offer(connection.keys.local, _flags(connection))


def _flags(connection: Connection) -> int:
    return flags(connection.version, connection.settings, connection.checksum)


def flags(version: Version, settings: ConnectionSettings, checksum: bool) -> int:
    """Return the flags of our MP_CAPABLE: A, C and H (RFC 8684, 3.1)."""
    denied = 0 if settings.allow_join_initial else version.denial
    return HMAC_SHA256 | denied | (CHECKSUM_REQUIRED if checksum else 0)


def served(settings: ConnectionSettings) -> tuple[Version, ...]:
    """Return the versions that a host with these settings speaks, the preferred one first."""
    return SERVED[settings.mptcp_versions]


def find_offer(settings: ConnectionSettings, syn: Segment) -> tuple[Version, Offer] | None:
    """Return what a listener with these settings takes from a SYN, and the version it means."""
    for version in served(settings) if settings.mptcp else ():
        found = offered(version, settings, syn)
        if found is not None:
            return version, found
    return None


def drops(settings: ConnectionSettings, syn: Segment) -> bool:
    """Return whether a version of ours wants this SYN to be left unanswered."""
    found = _only_offer(syn)
    if found is None or not settings.mptcp:
        return False
    return any(version.drops(found) for version in served(settings))


def offered(version: Version, settings: ConnectionSettings, segment: Segment) -> Offer | None:
    """Return the offer of a SYN if a listener of this version can take it.

    An option with flag B, or without a crypto algorithm we know, is ignored, and so is a SYN with
    more than one option for Multipath TCP, or with flag A where we do not want checksums.
    """
    found = _only_offer(segment)
    if found is None or not version.understands(found):
        return None
    if not found.flags & HMAC_SHA256 or found.flags & EXTENSIBILITY:
        return None
    return found if _takes(settings, found.flags) else None


def _takes(settings: ConnectionSettings, theirs: int) -> bool:
    """Return whether flag A of the peer's MP_CAPABLE, if set, is acceptable."""
    return settings.accept_checksum or not theirs & CHECKSUM_REQUIRED


def _only_offer(segment: Segment) -> Offer | None:
    found: Offer | None = None
    for option in segment.options:
        if isinstance(option, _OFFERS):
            if found is not None:
                return None
            found = option
    return found


def on_repeated_syn(connection: Connection, subflow: Subflow, segment: Segment) -> None:
    """Answer a SYN without the option in kind: a box drops what carries it (RFC 8684, 3.9.3)."""
    if segment.flags & (SYN | ACK) != SYN:
        return
    if offered(connection.version, connection.settings, segment) is None:
        keep = [one for one in subflow.tcp.syn_options if isinstance(one, FastOpen)]
        subflow.tcp.syn_options = tuple(keep)


def answer(connection: Connection, syn: Offer) -> MpCapableSynAck:
    """Return the option for our SYN/ACK and settle what the SYN says."""
    connection.counters.mp_capable_syn_rx += 1
    connection.checksum = connection.checksum or bool(syn.flags & CHECKSUM_REQUIRED)
    connection.join_initial = connection.version.allows_initial(syn.flags)
    if isinstance(syn, MpCapableSynAck):
        connection.keys.offered = syn.sender_key
    return answer_with(connection.version, connection.keys.local, _flags(connection))


def answer_with(version: Version, key: bytes, ours: int) -> MpCapableSynAck:
    """Return the option of a SYN/ACK that gives this key and these flags."""
    return MpCapableSynAck(version=version.number, flags=ours, sender_key=key)


def find_echo(settings: ConnectionSettings, third: Segment) -> tuple[Version, Echo] | None:
    """Return the option of an ACK that has both keys, and its version if it is one of ours."""
    for option in third.options:
        if isinstance(option, _ECHOES):
            for version in served(settings):
                if option.version == version.number:
                    return version, option
    return None


def echoed_key(echo: Echo, keys: Iterable[bytes]) -> bytes | None:
    """Return which of these keys of ours the peer repeats."""
    return next((key for key in keys if same(echo.receiver_key, key)), None)


def on_syn_ack(connection: Connection, segment: Segment) -> None:
    """Take the peer's key from its SYN/ACK, or fall back."""
    for option in segment.options:
        if isinstance(option, MpCapableSynAck) and _usable(connection, option):
            connection.counters.mp_capable_syn_ack_rx += 1
            connection.keys.learn(option.sender_key)
            connection.checksum = connection.checksum or bool(option.flags & CHECKSUM_REQUIRED)
            connection.join_initial = connection.version.allows_initial(option.flags)
            if not connection.version.keys_on_data:
                connection.subflows[0].leading = repeat_keys(connection)
            return
    if connection.subflows[0].tcp.syn_count > connection.settings.mptcp_syn_tries:
        connection.counters.mp_capable_syn_tx_drop += 1
        fallback.fall_back(connection, "SYNs with MP_CAPABLE went unanswered")
        return
    connection.counters.mp_capable_fallback_syn_ack += 1
    fallback.fall_back(connection, "no MP_CAPABLE in the SYN/ACK")


def _usable(connection: Connection, option: MpCapableSynAck) -> bool:
    version = connection.version
    return (
        option.version == version.number
        and _takes(connection.settings, option.flags)
        and option.flags & version.crypto == HMAC_SHA256
        and not option.flags & EXTENSIBILITY
    )


def on_third_ack(connection: Connection, segment: Segment) -> None:
    """Take the initiator's key from the ACK of our SYN/ACK, or fall back."""
    for option in segment.options:
        if isinstance(option, _ECHOES) and _echoes(connection, option):
            connection.counters.mp_capable_ack_rx += 1
            connection.keys.learn(option.sender_key)
            connection.checksum = connection.checksum or bool(option.flags & CHECKSUM_REQUIRED)
            connection.confirmed = True
            return
    connection.counters.mp_capable_fallback_ack += 1
    fallback.fall_back(connection, "no MP_CAPABLE in the third ACK")


def _echoes(connection: Connection, option: Echo) -> bool:
    keys = connection.keys
    return (
        option.version == keys.version
        and option.receiver_key == keys.local
        and keys.offered in (b"", option.sender_key)
    )


def repeat_keys(connection: Connection) -> MpCapableAck:
    """Return the option of a pure ACK while the peer has not confirmed."""
    return MpCapableAck(
        version=connection.keys.version,
        flags=_flags(connection),
        sender_key=connection.keys.local,
        receiver_key=connection.keys.remote,
    )


def map_first_data(connection: Connection, length: int, checksum: int) -> MpCapableData:
    """Return the option that carries keys and the first mapping at once."""
    return MpCapableData(
        version=connection.keys.version,
        flags=_flags(connection),
        sender_key=connection.keys.local,
        receiver_key=connection.keys.remote,
        length=length,
        checksum=checksum,
    )


def repeats(connection: Connection, option: MpCapableData) -> bool:
    """Return whether an option on data has both keys, without which its mapping is anybody's."""
    keys = connection.keys
    right = same(option.sender_key, keys.remote) and same(option.receiver_key, keys.local)
    return right and connection.version.keys_on_data


def mapping_of(subflow: Subflow, option: MpCapableData) -> Mapping:
    """Return the mapping that MP_CAPABLE with data implies: DSN and SSN 1."""
    start = 1 + subflow.early_received
    return Mapping(1, start, option.length, option.length, option.checksum)


def confirm(connection: Connection, now: Nanos, subflow: Subflow, segment: Segment) -> None:
    """Note the first sign that the peer speaks Multipath TCP, or that it does not.

    An ACK of our data without a Data ACK, or data without a mapping, ends it (RFC 8684, 3.7).
    """
    if connection.mode is not Mode.MPTCP:
        return
    if segment.dss is not None or (segment.options and not connection.version.dss_confirms):
        connection.on_confirmed(now)
    elif segment.options:
        return  # an ADD_ADDR may be first, and a DSS is still to come (RFC 6824, 3.1)
    elif segment.length or subflow.tcp.sender.snd_una > 1 + subflow.early_sent:
        connection.counters.mp_capable_data_fallback += 1
        connection.infinite_due = True
        fallback.fall_back(connection, "the peer's first segment has no MPTCP option")
