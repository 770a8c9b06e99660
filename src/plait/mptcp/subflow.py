"""One subflow: a TCP connection and its part in a Multipath TCP connection."""

from __future__ import annotations

from plait.addresses import Path
from plait.buffers import Buffer, Pieces, gather
from plait.mptcp.mapping import MappingTable
from plait.mptcp.state import ACTIVE, ENDED, OPENING
from plait.tcp.connection import TcpConnection
from plait.tcp.receiver import NEVER
from plait.tcp.state import CAN_SEND
from plait.units import Nanos, Octets
from plait.wire.mptcp.dss import Dss
from plait.wire.option import Option

SIGNALS_IN_A_ROW = 2
"""Pure ACKs with options that may follow each other unanswered (RFC 8684, 3)."""


MANY_PIECES = 128
"""Pieces that wait for the end of their mapping, more than full segments make of the longest."""


class Subflow:
    """What the connection keeps of each subflow; the TCP below does the rest."""

    __slots__ = (
        "_pending",
        "awaits",
        "backup",
        "bare",
        "consumed",
        "data_fin_due",
        "doubted_at",
        "early_received",
        "early_sent",
        "first",
        "flow_in",
        "id",
        "index",
        "initiator",
        "join_ack_at",
        "join_ack_tries",
        "last_dss",
        "leading",
        "leaving",
        "local_id",
        "local_nonce",
        "mappings",
        "path",
        "penalized_until",
        "phase",
        "proven",
        "remote_id",
        "remote_nonce",
        "reset_reason",
        "shift",
        "signal_budget",
        "signals",
        "tcp",
        "transient",
        "was_active",
    )

    def __init__(
        self,
        index: int,
        subflow_id: int,
        path: Path,
        tcp: TcpConnection,
        *,
        first: bool,
        initiator: bool,
    ) -> None:
        """Make a subflow that is opening.

        Args:
            index: Names it within its connection for ever.
            subflow_id: Names it as long as it lives, 1 to 255 (MPTCP_GET_SUB_IDS).
            path: Its 4-tuple from this host's side.
            tcp: Its TCP connection.
            first: It is the one that carried MP_CAPABLE.
            initiator: This host sent its SYN.
        """
        self.index = index
        self.id = subflow_id
        self.path = path
        self.flow_in = path.flow_in()
        self.tcp = tcp
        self.first = first
        self.initiator = initiator
        self.phase = OPENING
        self.was_active = False
        """It could carry data at some time."""

        self.local_id = self.remote_id = 0
        self.local_nonce = self.remote_nonce = 0
        self.backup = False
        """The peer wants no data here while another subflow works (RFC 8684, 3.3.8)."""

        self.mappings = MappingTable()
        self.consumed: Octets = 1
        """Subflow position below which all data went to the stream."""

        self.awaits = self.shift = 0
        """Where the mapping ends that was found last for octets in order, and how much further
        these are in the stream than in the subflow."""

        self.early_sent = self.early_received = 0
        """Octets that our SYN delivered, and the peer's: no mapping counts them (RFC 8684, B.2)."""

        self.proven = False
        """A DSS arrived on it."""

        self.bare = False
        """The last segment had no option for us."""

        self.last_dss: Dss | None = None
        """The option whose mapping was declared last: offload repeats it on many packets."""

        self.signals: list[tuple[Option, ...]] = []
        """Options that wait for a pure ACK of their own."""

        self.leading: Option | None = None
        """An option on a pure ACK before all else: MP_FAIL, and in version 0 keys, MP_FASTCLOSE."""

        self.leaving = False
        """No new data is sent on it: its address is given up."""

        self.signal_budget = SIGNALS_IN_A_ROW
        self.data_fin_due = False
        self.join_ack_at: Nanos = NEVER
        """When the MP_JOIN ACK is sent again (RFC 8684, 3.2)."""

        self.join_ack_tries = 0
        self.reset_reason: int | None = None
        """Reason of the peer's MP_TCPRST."""

        self.transient = False
        """The reason of its reset, the peer's or ours, may pass: flag T (RFC 8684, 3.6)."""

        self.doubted_at: Nanos = 0
        """When its path had been silent for too long; over as soon as it is heard."""

        self.penalized_until: Nanos = 0
        """End of the round trip in which its window was reduced for holding up the stream."""

        self._pending: list[Buffer] = []

    @property
    def alive(self) -> bool:
        """Return whether it may carry data one day or now."""
        return self.phase is not ENDED

    @property
    def open_or_opening(self) -> bool:
        """Return whether it is alive and no FIN of ours is queued on it."""
        return self.alive and not self.tcp.sender.fin_queued

    @property
    def can_send(self) -> bool:
        """Return whether new data may be queued on it."""
        open_ = self.tcp.state in CAN_SEND or self.tcp.ahead
        return open_ and self.phase is ACTIVE and not self.leaving

    @property
    def stale(self) -> bool:
        """Return whether its last transmissions went unanswered."""
        return self.tcp.sender.backoff > 0 or self.doubted

    @property
    def doubted(self) -> bool:
        """Return whether its path fell silent and was not heard since."""
        return self.doubted_at > self.tcp.keepalive.heard_at

    def collect(self) -> Octets:
        """Gather octets that are in order by now; return how many wait for their mapping."""
        reassembly = self.tcp.receiver.reassembly
        if reassembly.ready:
            self._pending.extend(reassembly.take_ready())
            if len(self._pending) > MANY_PIECES:
                waiting, self._pending = self._pending, []
                gather(self._pending, waiting)
        return reassembly.next - self.consumed

    def take_all(self) -> Pieces:
        """Return all octets that are in order and have gone nowhere yet."""
        reassembly = self.tcp.receiver.reassembly
        self.consumed = reassembly.next
        pieces = tuple(reassembly.ready)
        reassembly.ready.clear()
        if self._pending:
            pieces = (*self._pending, *pieces)
            self._pending.clear()
        return pieces

    def take(self, length: Octets) -> Pieces:
        """Return the next `length` octets that `collect` counted."""
        pending = self._pending
        self.consumed += length
        if len(pending) == 1 and len(pending[0]) == length:
            self._pending = []
            return (pending[0],)
        out: list[Buffer] = []
        used = 0
        while length > 0:
            piece = pending[used]
            if len(piece) > length:
                out.append(memoryview(piece)[:length])
                pending[used] = memoryview(piece)[length:]
                break
            out.append(piece)
            length -= len(piece)
            used += 1
        del pending[:used]
        return tuple(out)
