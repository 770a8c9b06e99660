"""One connection: a stream over one or more subflows, or over plain TCP after fall-back.

This class holds state and dispatches.  `incoming` reads segments, `outgoing` makes them; the
handshakes are in `handshake` and `joining`, addresses in `advertising`, `removal` and `departing`,
what the application asks of both in `steering`, the end in `closing`, the way back to TCP in
`fallback`, repair after failures in `reinjection`, time in `timers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from plait.addresses import IpAddress, Path
from plait.buffers import Buffer
from plait.mptcp import (
    closing,
    departing,
    early,
    handshake,
    healing,
    incoming,
    joining,
    orphans,
    outgoing,
    paths,
    policy,
    reinjection,
    removal,
    steering,
    timers,
)
from plait.mptcp.advertising import AddressBook
from plait.mptcp.info import ConnectionInfo
from plait.mptcp.keys import Keys
from plait.mptcp.receiver import StreamReceiver
from plait.mptcp.selection import selection_of
from plait.mptcp.sender import StreamSender
from plait.mptcp.settings import ConnectionSettings
from plait.mptcp.snapshot import snapshot
from plait.mptcp.state import (
    ACTIVE,
    ENDED,
    MPTCP,
    OPENING,
    OVER,
    PRE_ESTABLISHED,
    TCP,
    AddressChange,
    Change,
    Input,
    State,
    step,
)
from plait.mptcp.subflow import SIGNALS_IN_A_ROW, Subflow
from plait.mptcp.tasks import Task
from plait.mptcp.troubles import Troubles
from plait.mptcp.tuning import Memory, Tuning
from plait.mptcp.version import Version
from plait.mptcp.widths import Widths
from plait.pathing import path_managers
from plait.pathing.base import Action, OpenSubflow, Question
from plait.registry import is_ours
from plait.scheduling import schedulers
from plait.tcp.connection import IP_AND_TCP, TcpConnection
from plait.tcp.fast_open import NO_GRANT, Attempt, Grant
from plait.tcp.receiver import NEVER
from plait.tcp.state import ESTABLISHED, Failure
from plait.tcp.state import State as TcpState
from plait.trace.counters import Counters
from plait.units import Nanos, Octets
from plait.wire.crypto import Entropy
from plait.wire.mptcp.mp_join import MpJoinSyn
from plait.wire.segment import SYN, Segment

DSS_ROOM: Final = 28
"""Octets of each data segment kept for the largest DSS."""


class Connection:
    """State of one connection; positions in the stream count from the IDSNs."""

    __slots__ = (
        "addresses",
        "changed",
        "checksum",
        "confirmed",
        "counters",
        "data_fin_at",
        "data_fin_sent",
        "data_fin_tries",
        "data_rto_at",
        "data_tries",
        "entropy",
        "failure",
        "fallback_reason",
        "fenced",
        "infinite_due",
        "initiator",
        "join_initial",
        "joined",
        "joins",
        "keys",
        "linger_until",
        "local_addresses",
        "lonely_until",
        "made",
        "mode",
        "orphan_una",
        "parted",
        "path_manager",
        "receive_offset",
        "receiver",
        "reinjected",
        "scheduler",
        "selection",
        "send_offset",
        "sender",
        "settings",
        "state",
        "subflows",
        "tasks",
        "troubles",
        "tuning",
        "version",
        "widths",
    )

    def __init__(
        self,
        settings: ConnectionSettings,
        counters: Counters,
        entropy: Entropy,
        key: bytes,
        version: Version,
        local_addresses: Sequence[IpAddress],
        memory: Memory,
        *,
        initiator: bool,
    ) -> None:
        """Make a connection without subflows.

        Args:
            settings: Limits, switches and names of plug-ins.
            counters: Those of the host.
            entropy: That of the host.
            key: Our key, 8 octets, whose token no other connection of the host has.
            version: The one it speaks, or would.
            local_addresses: Addresses of the host at this time.
            memory: That of the host.
            initiator: This host sends the first SYN.
        """
        self.settings = settings
        self.counters = counters
        self.entropy = entropy
        self.version = version
        self.keys = Keys(key, version.number)
        self.initiator = initiator
        self.mode = MPTCP if settings.mptcp else TCP
        self.state = State.OPENING
        self.confirmed = self.joined = False
        """The peer has shown that it speaks Multipath TCP on this connection; and a further subflow
        could carry data at some time."""

        self.checksum = settings.checksum
        self.join_initial = True
        """The peer allows joins to its initial address (flag C)."""

        self.fallback_reason: str | None = None if settings.mptcp else "Multipath TCP is off"
        self.tuning = Tuning(settings, memory)
        self.sender = StreamSender(self.tuning.send)
        self.receiver = StreamReceiver(self.tuning.receive, settings.receive_buffer)
        self.subflows: list[Subflow] = []
        """The first one, live ones and some that ended, in the order they were made."""

        self.made = 0
        """Subflows made so far."""

        self.scheduler = schedulers.make(settings.scheduler)
        self.fenced = not is_ours(self.scheduler)
        """What the scheduler grants is checked."""

        self.path_manager = path_managers.make(settings.path_manager)
        self.selection = selection_of(settings.chosen)
        self.local_addresses = [one for one in local_addresses if self.selection.admits(one)]
        self.joins: list[OpenSubflow] = []
        """Subflows the path manager wants; the host gives them ports."""

        self.failure: Failure | None = None
        self.receive_offset = self.send_offset = 0
        """After fall-back: stream position less subflow position, of either direction."""

        self.infinite_due = self.reinjected = False
        self.changed: list[tuple[Subflow, Change | AddressChange]] = []
        """What became of subflows and addresses since the host looked."""

        self.parted: list[Subflow] = []
        """Subflows that entered TIME-WAIT since the host looked, which takes them over."""

        self.data_fin_at = self.data_rto_at = NEVER
        self.data_fin_sent = self.data_fin_tries = self.data_tries = 0
        """When the last DATA_FIN went, and data-level time-outs in a row without an answer."""

        self.lonely_until = self.linger_until = NEVER
        """When a connection without subflows is given up, or one that nobody holds; or when
        subflows that did not close after the end of the stream are reset."""

        self.orphan_una: Octets = 0
        """What the peer had acknowledged when nobody held the connection any more."""

        self.troubles = Troubles()
        self.tasks: list[Task] = []
        """Rare work that waits for its time."""

        self.widths = Widths(settings)
        self.addresses: AddressBook

    # ---- subflows

    def add_subflow(
        self, path: Path, iss: int, mtu: Octets, *, first: bool, initiator: bool
    ) -> Subflow:
        """Make a subflow; the handshakes open it."""
        flow = path.flow_out()
        mss = mtu - IP_AND_TCP[len(flow)]
        controller = policy.controller_for(self, mss)
        tcp = TcpConnection(flow, iss, mss, self.settings, controller, self.counters)
        if self.mode is MPTCP:
            tcp.option_room = DSS_ROOM
            tcp.receiver.window = self.tuning.receive
        if first:
            paths.admit(self, path.local)
        name = steering.free_id(self)
        subflow = Subflow(self.made, name, path, tcp, first=first, initiator=initiator)
        self.made += 1
        paths.forget_ended(self)
        self.subflows.append(subflow)
        return subflow

    def subflow_at(self, index: int) -> Subflow:
        """Return the live subflow that a scheduler calls `index`."""
        for subflow in self.subflows:
            if subflow.index == index:
                return subflow
        raise LookupError(f"no subflow {index}")

    def open(
        self, now: Nanos, path: Path, iss: int, mtu: Octets, attempt: Attempt | None = None
    ) -> Subflow:
        """Begin the first subflow as initiator; an attempt puts data on the SYN."""
        return handshake.begin(self, now, path, iss, mtu, attempt)

    def accept(
        self, now: Nanos, path: Path, iss: int, mtu: Octets, syn: Segment, grant: Grant = NO_GRANT
    ) -> Subflow:
        """Answer the first SYN as listener; a grant takes the data on it."""
        return handshake.respond(self, now, path, iss, mtu, syn, grant)

    def join(self, now: Nanos, wish: OpenSubflow, path: Path, iss: int, mtu: Octets) -> Subflow:
        """Begin a further subflow with MP_JOIN."""
        return joining.begin(self, now, wish, path, iss, mtu)

    def refusal(self, now: Nanos, local: IpAddress) -> int | None:
        """Return the MP_TCPRST reason why a further subflow to `local` is refused, if it is."""
        return joining.refusal(self, now, local)

    def accept_join(
        self, now: Nanos, path: Path, iss: int, mtu: Octets, syn: Segment, option: MpJoinSyn
    ) -> Subflow:
        """Answer an MP_JOIN that there is no reason to refuse."""
        return joining.respond(self, now, path, iss, mtu, syn, option)

    def consult(self, now: Nanos, ask: Question) -> None:
        """Ask the path manager, and do what it answers."""
        paths.consult(self, now, ask)

    def perform(self, now: Nanos, actions: Sequence[Action]) -> None:
        """Do what the path manager answered, within the limits."""
        paths.perform(self, now, actions)

    def retire(self, now: Nanos, subflow: Subflow) -> None:
        """Close one subflow in order; what it carries goes elsewhere too."""
        closing.retire(self, now, subflow)

    def on_local_address(self, now: Nanos, address: IpAddress, present: bool) -> None:
        """An address of the host came or went."""
        paths.on_local_address(self, now, address, present)

    # ---- receiving

    def receive(self, now: Nanos, subflow: Subflow, segment: Segment) -> None:
        """Apply one segment that arrived on one of our paths."""
        tcp = subflow.tcp
        opening = subflow.phase is OPENING
        subflow.signal_budget = SIGNALS_IN_A_ROW
        if opening or self.mode is TCP:
            self._prepare(subflow, segment)
        accepted = tcp.receive(now, segment)
        if tcp.failure is not None:
            if accepted and subflow.alive:
                closing.on_reset_options(self, now, subflow, segment)
            self.on_subflow_ended(now, subflow)
            return
        if not accepted:
            return
        if opening:
            if tcp.state in (TcpState.SYN_SENT, TcpState.SYN_RECEIVED):
                handshake.on_opening(self, now, subflow)
                return
            self._on_opened(now, subflow, segment)
            if segment.flags & SYN or not subflow.alive:
                closing.settle(self, now)
                return
        incoming.on_segment(self, now, subflow, segment)
        if tcp.state is not ESTABLISHED:
            closing.follow(self, now, subflow)
        closing.settle(self, now)

    def _prepare(self, subflow: Subflow, segment: Segment) -> None:
        """Tell TCP what it cannot know: the stream's window, and what a repeated SYN offers."""
        if self.mode is TCP:
            subflow.tcp.receiver.window = self.receiver.told
        elif subflow.first and not self.initiator:
            handshake.on_repeated_syn(self, subflow, segment)

    def _on_opened(self, now: Nanos, subflow: Subflow, segment: Segment) -> None:
        """The TCP handshake of a subflow is complete; look at the MPTCP one."""
        if not subflow.first:
            if subflow.initiator:
                joining.on_syn_ack(self, now, subflow, segment)
            else:
                joining.on_third_ack(self, now, subflow, segment)
            return
        if self.mode is MPTCP:
            if self.initiator:
                handshake.on_syn_ack(self, segment)
            else:
                handshake.on_third_ack(self, segment)
        early.on_syn_ack(self, subflow)
        self.state = step(self.state, Input.OPENED)
        if self.sender.fin_queued:
            self.state = step(self.state, Input.CLOSE)
        self.sender.on_window(1 + (segment.window << self._shift(subflow, segment)))
        self.on_subflow_active(subflow)
        if self.confirmed:
            paths.on_established(self, now)

    @staticmethod
    def _shift(subflow: Subflow, segment: Segment) -> int:
        return 0 if segment.flags & SYN else subflow.tcp.sender.scale

    def on_confirmed(self, now: Nanos) -> None:
        """The peer has proved to speak Multipath TCP: further subflows are allowed."""
        self.confirmed = True
        paths.on_established(self, now)

    def on_subflow_active(self, subflow: Subflow) -> None:
        """A subflow may carry data."""
        if subflow.phase in (OPENING, PRE_ESTABLISHED):
            subflow.phase = ACTIVE
            subflow.was_active = True
            self.joined = self.joined or not subflow.first
            self.changed.append((subflow, Change.UP))
            self.lonely_until = NEVER
            if self.settings.path_probe and self.joined:
                self.troubles.watch_at = 0  # at once
            if self.addresses.withdrawn:
                removal.tell(self)
            if self.addresses.leaving:
                self.tasks.append(departing.Parting(subflow, 0))  # at once
            if self.state is State.TIME_WAIT:
                subflow.tcp.close()

    def on_subflow_ended(self, now: Nanos, subflow: Subflow) -> None:
        """A subflow is over; its data goes to others, or the connection waits for one."""
        if not subflow.alive:
            return
        subflow.phase = ENDED
        subflow.join_ack_at = NEVER
        subflow.tcp.sender.controller.leave()
        self.changed.append((subflow, Change.DOWN))
        reinjection.reinject_from(self, subflow)
        joinable = self.mode is MPTCP and self.confirmed
        opened = subflow.was_active and (joinable or self.mode is TCP)
        if subflow.tcp.failure is not None and not joinable:
            self.fail(subflow.tcp.failure)
        elif subflow.first and not opened:
            self.fail(subflow.tcp.failure or Failure.ABORTED)
        elif steering.shares_fate(self, subflow):
            closing.abort(self, now, subflow.tcp.failure or Failure.ABORTED)
        elif any(other.alive for other in self.subflows):
            self._on_path_closed(now, subflow)
        elif self.state in OVER or self.mode is TCP:
            self.state = State.CLOSED
        else:
            self.lonely_until = now + self.settings.no_subflow_timeout
            self._on_path_closed(now, subflow)

    def _on_path_closed(self, now: Nanos, subflow: Subflow) -> None:
        healing.on_ended(self, now, subflow)
        path, again = subflow.path, subflow.transient and subflow.was_active
        self.consult(now, lambda manager, view: manager.on_subflow_closed(view, path, again))
        if self.addresses.leaving:
            departing.replace(self, now)

    def on_reset(self, now: Nanos) -> None:
        """The peer aborted the connection."""
        for subflow in self.subflows:
            self.on_subflow_ended(now, subflow)
        self.fail(Failure.RESET)

    def fail(self, failure: Failure) -> None:
        """End with an error, unless the stream had ended in order."""
        if self.state in (State.TIME_WAIT, State.FASTCLOSE_WAIT) or closing.is_delivered(self):
            self.state = State.CLOSED
        elif self.failure is None:
            self.failure = failure
            self.state = State.CLOSED

    def on_data_acked(self, now: Nanos) -> None:
        """A Data ACK made progress."""
        self.data_rto_at = NEVER
        self.data_tries = 0
        self.data_fin_tries = 0

    # ---- the application

    def write(self, data: Buffer, *, urgent: bool = False) -> Octets:
        """Take data to send and return how much fitted; a mapping cannot say it is urgent."""
        if self.sender.fin_queued:
            return 0
        if len(data) > self.sender.room():
            self.tuning.on_full(self)
        taken = self.sender.write(data)
        if urgent and taken and self.mode is TCP:
            end = self.sender.buffer.stop - self.send_offset
            self.subflows[0].tcp.urgent.snd_up = end
        return taken

    def urgent_end(self) -> Octets:
        """Return how many octets of the stream end with the last urgent one; 0 for none."""
        mark = self.subflows[0].tcp.urgent.rcv_up
        return mark - 1 + self.receive_offset if mark and self.mode is TCP else 0

    def read(self, now: Nanos, limit: Octets) -> list[Buffer]:
        """Return data in order; tell the peer when much room came free."""
        unread = self.receiver.unread
        pieces = self.receiver.read(limit)
        self.tuning.on_read(self, now, unread - self.receiver.unread)
        self._tell_window()
        return pieces

    def release(self, now: Nanos) -> None:
        """End our direction; drop what is unread and all that comes."""
        orphans.release(self, now)

    def _tell_window(self) -> None:
        if self.receiver.worth_telling():
            self.acknowledge()

    def acknowledge(self) -> None:
        """Send an ACK on every subflow that carries data."""
        for subflow in self.subflows:
            if subflow.phase is ACTIVE:
                subflow.tcp.receiver.ack_now = True

    def close(self, now: Nanos) -> None:
        """End our direction of the stream."""
        closing.close(self)
        closing.settle(self, now)

    def abort(self, now: Nanos) -> None:
        """End both directions at once."""
        closing.abort(self, now, Failure.ABORTED)

    # ---- time and sending

    def transmit(self, now: Nanos, limit: int) -> list[Segment]:
        """Return what is to leave now, about `limit` segments at most."""
        return outgoing.transmit(self, now, limit)

    def next_timeout(self) -> Nanos:
        """Return the next deadline, `NEVER` if there is none."""
        return timers.next_timeout(self)

    def handle_timeout(self, now: Nanos) -> None:
        """Do what is due at `now`."""
        timers.handle_timeout(self, now)

    def change(self, now: Nanos, settings: ConnectionSettings) -> None:
        """Take other settings; those that the handshake settled are the same."""
        policy.change(self, now, settings)

    def info(self, now: Nanos) -> ConnectionInfo:
        """Return a snapshot."""
        return snapshot(self, now)
