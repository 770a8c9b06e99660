"""Taking the snapshots of `info` from live objects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from plait.mptcp.info import ConnectionInfo, SubflowInfo
from plait.mptcp.state import Mode, Phase
from plait.tcp.info import tcp_info
from plait.tcp.state import State as TcpState
from plait.units import MILLISECOND
from plait.wire.seq import wrap64

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.units import Nanos


def snapshot(connection: Connection, now: Nanos) -> ConnectionInfo:
    """Return what the connection tells about itself at `now`, or when it last did anything."""
    sender = connection.sender
    receiver = connection.receiver
    tcps = [subflow.tcp for subflow in connection.subflows]
    sent = max(tcp.sender.last_sent for tcp in tcps)
    received = max(tcp.receiver.last_arrival for tcp in tcps)
    heard = max(tcp.keepalive.heard_at for tcp in tcps)
    now = max(now, sent, received, heard)
    plain = ConnectionInfo(
        is_mptcp=False,
        version=None,
        token=None,
        csum_enabled=False,
        fallback=connection.settings.mptcp,
        fallback_reason=connection.fallback_reason,
        bytes_sent=sender.snd_nxt - 1 + sender.early,
        bytes_received=receiver.reassembly.next - 1 + receiver.early,
        bytes_acked=min(sender.snd_una, sender.buffer.stop) - 1 + sender.early,
        bytes_retrans=sender.repeated,
        last_data_sent=(now - sent) // MILLISECOND,
        last_data_recv=(now - received) // MILLISECOND,
        last_ack_recv=(now - heard) // MILLISECOND,
        subflows_total=sum(subflow.alive for subflow in connection.subflows),
        subflows=tuple(_subflow(subflow) for subflow in connection.subflows),
    )
    return _with_data_level(connection, plain) if connection.mode is Mode.MPTCP else plain


def _with_data_level(connection: Connection, plain: ConnectionInfo) -> ConnectionInfo:
    """Return the snapshot with what only Multipath TCP has."""
    keys = connection.keys
    sender = connection.sender
    book = connection.addresses
    settings = connection.settings
    first = connection.subflows[0].path.local
    further = {address for address in connection.local_addresses if address != first}
    extra = [one for one in connection.subflows if one.alive and not one.first]
    remote = connection.receiver.rcv_nxt
    return replace(
        plain,
        is_mptcp=True,
        version=keys.version,
        token=keys.local_token,
        csum_enabled=connection.checksum,
        fallback=False,
        remote_key_received=bool(keys.remote),
        retransmits=connection.data_tries,
        write_seq=wrap64(sender.buffer.stop + int(sender.fin_queued), keys.local_idsn),
        snd_una=wrap64(sender.snd_una, keys.local_idsn),
        rcv_nxt=wrap64(remote, keys.remote_idsn) if keys.remote else 0,
        extra_subflows=len(extra),
        subflows_max=settings.max_subflows - 1,
        add_addr_signal=book.signaled(),
        add_addr_signal_max=len(further) + len(set(settings.advertised)),
        add_addr_accepted=len(book.accepted),
        add_addr_accepted_max=settings.max_addresses,
        local_addr_used=len({one.local_id for one in extra if one.initiator and one.local_id}),
        local_addr_max=len(further),
    )


def _subflow(subflow: Subflow) -> SubflowInfo:
    return SubflowInfo(
        path=subflow.path,
        tcp=tcp_info(subflow.tcp),
        backup=subflow.backup,
        local_id=subflow.local_id,
        remote_id=subflow.remote_id,
        id=subflow.id,
        fully_established=subflow.phase is Phase.ACTIVE
        and subflow.tcp.state is TcpState.ESTABLISHED,
    )
