"""MP_JOIN: adding a subflow to a connection, in both roles (RFC 8684, 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.addresses import IpAddress, Path
from plait.mptcp import fallback
from plait.mptcp.state import OVER, Mode, Phase
from plait.pathing.base import OpenSubflow
from plait.tcp.receiver import NEVER
from plait.tcp.state import Failure
from plait.wire.crypto import ACK_HMAC_OCTETS, SYN_ACK_HMAC_OCTETS, same
from plait.wire.mptcp.mp_join import MpJoinAck, MpJoinSyn, MpJoinSynAck
from plait.wire.mptcp.mp_tcprst import (
    ADMINISTRATIVELY_PROHIBITED,
    LACK_OF_RESOURCES,
    MPTCP_SPECIFIC,
)
from plait.wire.segment import Segment

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.units import Nanos, Octets


def begin(
    connection: Connection, now: Nanos, wish: OpenSubflow, path: Path, iss: int, mtu: Octets
) -> Subflow:
    """Begin a further subflow."""
    subflow = connection.add_subflow(path, iss, mtu, first=False, initiator=True)
    subflow.local_id = connection.addresses.local_id(path.local)
    subflow.remote_id = wish.remote_id
    subflow.tcp.syn_options = (request(connection, subflow, wish.backup),)
    subflow.tcp.open(now)
    return subflow


def refusal(connection: Connection, now: Nanos, local: IpAddress) -> int | None:
    """Return the MP_TCPRST reason why a further subflow to `local` is refused, if it is.

    A join whose SYN/ACK had to be sent again makes room for another: else whoever saw a token keeps
    all others out by a few SYNs in two minutes (RFC 7430, 3).
    """
    if connection.mode is Mode.TCP or connection.state in OVER or not connection.confirmed:
        return MPTCP_SPECIFIC
    if not connection.selection.admits(local):
        return ADMINISTRATIVELY_PROHIBITED
    live = [subflow for subflow in connection.subflows if subflow.alive]
    half_open = [one for one in live if one.phase is Phase.OPENING and not one.initiator]
    settings = connection.settings
    crowded = len(live) >= settings.max_subflows
    if not crowded and len(half_open) < settings.max_half_open_joins:
        return None
    overdue = [one for one in half_open if one.tcp.syn_count > 1]
    if not overdue:
        return ADMINISTRATIVELY_PROHIBITED if crowded else LACK_OF_RESOURCES
    connection.counters.mp_join_rejected += 1
    overdue[0].tcp.fail(Failure.TIMED_OUT)
    connection.on_subflow_ended(now, overdue[0])
    return None


def respond(
    connection: Connection,
    now: Nanos,
    path: Path,
    iss: int,
    mtu: Octets,
    syn: Segment,
    option: MpJoinSyn,
) -> Subflow:
    """Answer an MP_JOIN that there is no reason to refuse."""
    subflow = connection.add_subflow(path, iss, mtu, first=False, initiator=False)
    subflow.local_id = connection.addresses.arrival_id(path.local, path.local_port)
    subflow.tcp.syn_options = (answer(connection, subflow, option),)
    subflow.tcp.accept(now, syn)
    return subflow


def request(connection: Connection, subflow: Subflow, backup: bool) -> MpJoinSyn:
    """Return the option for our SYN."""
    connection.counters.mp_join_syn_tx += 1
    subflow.local_nonce = connection.entropy.uint32()
    return MpJoinSyn(
        token=connection.keys.remote_token,
        nonce=subflow.local_nonce,
        address_id=subflow.local_id,
        backup=backup,
    )


def answer(connection: Connection, subflow: Subflow, syn: MpJoinSyn) -> MpJoinSynAck:
    """Return the option for our SYN/ACK and take what the SYN says."""
    connection.counters.mp_join_syn_rx += 1
    subflow.remote_id = syn.address_id
    subflow.remote_nonce = syn.nonce
    subflow.backup = syn.backup
    subflow.local_nonce = connection.entropy.uint32()
    hmac = connection.keys.sent_hmac(subflow.local_nonce, subflow.remote_nonce)
    return MpJoinSynAck(
        hmac=hmac[:SYN_ACK_HMAC_OCTETS], nonce=subflow.local_nonce, address_id=subflow.local_id
    )


def on_syn_ack(connection: Connection, now: Nanos, subflow: Subflow, segment: Segment) -> None:
    """Verify the listener's HMAC; answer with ours or with RST."""
    for option in segment.options:
        if isinstance(option, MpJoinSynAck):
            connection.counters.mp_join_syn_ack_rx += 1
            expected = connection.keys.expected_hmac(subflow.local_nonce, option.nonce)
            if same(option.hmac, expected[:SYN_ACK_HMAC_OCTETS]):
                subflow.remote_nonce = option.nonce
                subflow.remote_id = option.address_id
                subflow.backup = option.backup
                subflow.phase = Phase.PRE_ESTABLISHED
                schedule_ack(subflow, now)
                return
            connection.counters.mp_join_syn_ack_hmac_failure += 1
    fallback.reset(connection, now, subflow, MPTCP_SPECIFIC)


def schedule_ack(subflow: Subflow, now: Nanos) -> None:
    """Send the MP_JOIN ACK now and plan to repeat it until it is acknowledged."""
    subflow.tcp.receiver.ack_now = True
    subflow.join_ack_at = now + subflow.tcp.sender.rtt.backed_off(subflow.join_ack_tries)
    subflow.join_ack_tries += 1


def repeat_ack(connection: Connection, now: Nanos, subflow: Subflow) -> None:
    """Send the MP_JOIN ACK again, or give up a listener that never answers."""
    if subflow.join_ack_tries > connection.settings.syn_retries:
        subflow.tcp.fail(Failure.TIMED_OUT)
        connection.on_subflow_ended(now, subflow)
    else:
        schedule_ack(subflow, now)


def third_ack(connection: Connection, subflow: Subflow) -> MpJoinAck:
    """Return the option that proves us to the listener."""
    hmac = connection.keys.sent_hmac(subflow.local_nonce, subflow.remote_nonce)
    return MpJoinAck(hmac[:ACK_HMAC_OCTETS])


def on_third_ack(connection: Connection, now: Nanos, subflow: Subflow, segment: Segment) -> None:
    """Verify the initiator's HMAC; acknowledge at once or send RST."""
    for option in segment.options:
        if isinstance(option, MpJoinAck):
            connection.counters.mp_join_ack_rx += 1
            expected = connection.keys.expected_hmac(subflow.local_nonce, subflow.remote_nonce)
            if same(option.hmac, expected[:ACK_HMAC_OCTETS]):
                subflow.tcp.receiver.ack_now = True
                if subflow.remote_id not in connection.addresses.remote:
                    connection.addresses.learn(subflow.remote_id, subflow.path.remote)
                connection.on_subflow_active(subflow)
                return
            connection.counters.mp_join_ack_hmac_failure += 1
    subflow.tcp.half_open = segment.ack  # never open: the RST answers this segment alone
    fallback.reset(connection, now, subflow, MPTCP_SPECIFIC)


def on_fourth_ack(connection: Connection, subflow: Subflow) -> None:
    """The listener acknowledged our MP_JOIN ACK: data may flow."""
    subflow.join_ack_at = NEVER
    connection.on_subflow_active(subflow)


def on_repeated_ack(subflow: Subflow, segment: Segment) -> None:
    """Answer an MP_JOIN ACK that came again: ours was lost."""
    if any(isinstance(option, MpJoinAck) for option in segment.options):
        subflow.tcp.receiver.ack_now = True
