"""Taking the snapshots of `info` from live objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.mptcp.info import ConnectionInfo, SubflowInfo
from plait.mptcp.state import Mode
from plait.tcp.info import tcp_info

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow


def snapshot(connection: Connection) -> ConnectionInfo:
    """Return what the connection tells about itself now."""
    is_mptcp = connection.mode is Mode.MPTCP
    return ConnectionInfo(
        is_mptcp=is_mptcp,
        version=connection.keys.version if is_mptcp else None,
        token=connection.keys.local_token if is_mptcp else None,
        checksum=is_mptcp and connection.checksum,
        fallback_reason=connection.fallback_reason,
        bytes_sent=connection.sender.snd_nxt - 1 + connection.sender.early,
        bytes_received=connection.receiver.reassembly.next - 1 + connection.receiver.early,
        subflows=tuple(_subflow(subflow) for subflow in connection.subflows),
    )


def _subflow(subflow: Subflow) -> SubflowInfo:
    return SubflowInfo(
        path=subflow.path,
        tcp=tcp_info(subflow.tcp),
        backup=subflow.backup,
        local_id=subflow.local_id,
        remote_id=subflow.remote_id,
    )
