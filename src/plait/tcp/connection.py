"""One TCP connection (RFC 9293): a subflow, or all there is after fall-back.

This class holds state and dispatches.  Opening is in `handshake`, closing in `closing`, sending in
`sender`, receiving in `receiver`, time in `timers`.  It knows nothing of Multipath TCP: the layer
above hands it runs with the options they carry, reads the octets in order, and completes the
segments it emits.
"""

from __future__ import annotations

from typing import Final

from plait.addresses import V4_FLOW, V6_FLOW
from plait.congestion.base import CongestionController
from plait.tcp import closing, handshake, icmp, segments, timers
from plait.tcp.challenge import Challenges, on_unacceptable
from plait.tcp.ecn import Ecn
from plait.tcp.fast_open import Attempt
from plait.tcp.keepalive import KeepAlive
from plait.tcp.path_mtu import PathMtu
from plait.tcp.persist import Persist
from plait.tcp.receiver import NEVER, Receiver, acceptable
from plait.tcp.sender import Sender
from plait.tcp.settings import TcpSettings
from plait.tcp.state import (
    CAN_RECEIVE,
    CLOSED,
    ESTABLISHED,
    SYN_RECEIVED,
    SYN_SENT,
    SYNCHRONIZED,
    Failure,
    Role,
    State,
)
from plait.tcp.timestamps import TIMESTAMPS_ROOM, Timestamps
from plait.tcp.urgent import Urgent
from plait.trace.counters import Counters
from plait.units import Nanos, Octets
from plait.wire.icmp import IcmpError
from plait.wire.segment import ACK, ECE, FIN, PSH, RST, SYN, URG, Segment
from plait.wire.seq import unwrap32, wrap32
from plait.wire.tcp_options import Option

IP_AND_TCP: Final = {V4_FLOW: 40, V6_FLOW: 60}
"""Octets of the IP and TCP headers without options, by the length of a flow."""


class TcpConnection:
    """State of one connection; all sequence numbers are unwrapped."""

    __slots__ = (
        "challenges",
        "counters",
        "ecn",
        "failure",
        "fast_open",
        "fin_due",
        "flow_out",
        "half_open",
        "iss",
        "keepalive",
        "local_mss",
        "more",
        "option_room",
        "path_mss",
        "path_mtu",
        "persist",
        "probe_due",
        "receiver",
        "reset_due",
        "role",
        "sack",
        "sender",
        "settings",
        "state",
        "syn_count",
        "syn_due",
        "syn_option_tries",
        "syn_options",
        "time_wait_until",
        "timestamps",
        "unanswered_since",
        "urgent",
        "waiting",
        "window",
        "window_scaling",
    )

    def __init__(
        self,
        flow_out: bytes,
        iss: int,
        local_mss: Octets,
        settings: TcpSettings,
        controller: CongestionController,
        counters: Counters,
    ) -> None:
        """Make a closed connection.

        Args:
            flow_out: Flow of the segments it sends.
            iss: Initial send sequence number, 32 bits.
            local_mss: MTU less 40 octets (IPv4) or 60 (IPv6), announced in the MSS option.
            settings: Limits and switches.
            controller: Congestion control of this connection alone.
            counters: Those of the host.
        """
        self.flow_out = flow_out
        self.iss = iss
        self.local_mss = min(local_mss, settings.max_mss)
        self.settings = settings
        self.counters = counters
        self.state = CLOSED
        self.sender = Sender(settings, controller, counters)
        self.receiver = Receiver(settings, counters)
        self.timestamps = Timestamps(settings.timestamps, iss)
        self.sack = settings.sack
        self.window_scaling = settings.window_scale >= 0
        """Both sides offered window scaling."""

        self.path_mss = self.local_mss
        """The smaller of both announced segment sizes; `path_mtu` may allow less."""

        self.option_room: Octets = 0
        """Octets of each data segment that the layer above needs for its options."""

        self.syn_options: tuple[Option, ...] = ()
        """Options the layer above puts on SYN or SYN/ACK."""

        self.syn_option_tries = 1 << 16
        """SYNs that carry them; later ones go without (RFC 8684, 3.9.3)."""

        self.syn_count = 0
        self.window: Octets = 65535
        """What the window field of the next segment is to say, in octets."""

        self.failure: Failure | None = None
        self.more = False
        """The layer above has more data to send than it queued."""

        self.waiting = False
        """No window lets it queue them, and no ACK is to come that would."""

        self.reset_due: tuple[Option, ...] | None = None
        """A RST with these options is to be sent."""

        self.role = Role.LISTENER
        self.half_open: int | None = None
        """SEG.ACK of what nobody here awaits, such as of an old connection, to be told by a RST."""

        self.syn_due = False
        self.fin_due = False
        self.probe_due = False
        self.time_wait_until: Nanos = NEVER
        self.challenges = Challenges(settings.challenge_gap, iss)
        self.fast_open: Attempt | None = None
        self.persist = Persist()
        self.unanswered_since: Nanos = 0
        """When what is being repeated was sent first."""

        self.ecn = Ecn(settings)
        self.urgent = Urgent()
        self.keepalive = KeepAlive()
        self.path_mtu = PathMtu(IP_AND_TCP[len(flow_out)], local_mss + IP_AND_TCP[len(flow_out)])

    # ---- opening and closing

    def open(self, now: Nanos) -> None:
        """Begin an active open."""
        self.role = Role.INITIATOR
        self.state = SYN_SENT
        self.syn_due = True

    def accept(self, now: Nanos, syn: Segment) -> None:
        """Answer a SYN (passive open)."""
        handshake.accept(self, now, syn)

    def on_cookie(self) -> None:
        """The SYN was answered by a SYN cookie (RFC 4987, 3.6)."""
        handshake.on_cookie(self)

    def close(self) -> None:
        """Send FIN once all that is queued was sent."""
        closing.close(self)

    def abort(self, options: tuple[Option, ...] = ()) -> None:
        """Send RST with these options and forget everything."""
        if self.state in SYNCHRONIZED or self.state is SYN_RECEIVED:
            self.reset_due = options
        self.fail(Failure.ABORTED)

    def part(self) -> None:
        """Leave TIME-WAIT to who keeps it in less space."""
        self.time_wait_until = NEVER
        self.state = CLOSED

    def fail(self, failure: Failure) -> None:
        """End at once; the first reason given stays."""
        if self.failure is None:
            self.failure = failure
        self.state = CLOSED

    def time_out(self) -> None:
        """Nobody answers."""
        self.counters.tcp_abort_on_timeout += 1
        self.fail(Failure.TIMED_OUT)

    def refuse(self, failure: Failure = Failure.REFUSED) -> None:
        """Our SYN was answered by a RST, or by an ICMP error that says why it cannot arrive."""
        self.counters.attempt_fails += 1
        self.fail(failure)

    def reset_by_peer(self) -> None:
        """A RST with the exact sequence number came; it harms nothing once all was exchanged."""
        closing_down = self.state in (State.CLOSING, State.LAST_ACK, State.TIME_WAIT)
        if closing_down and self.sender.snd_una >= self.sender.stop:
            self.state = CLOSED
        elif self.state is SYN_RECEIVED and self.role is Role.INITIATOR:
            self.refuse()
        else:
            self.counters.estab_resets += 1
            self.fail(Failure.RESET)

    @property
    def ended(self) -> bool:
        """Return whether nothing more will happen, in order or not."""
        return self.state is CLOSED

    @property
    def ahead(self) -> bool:
        """Return whether data may be sent although the handshake is not complete."""
        return self.role is Role.FAST_LISTENER and self.state is SYN_RECEIVED

    @property
    def busy(self) -> bool:
        """Return whether `transmit` may have something to say, or a probe to arm."""
        sender = self.sender
        return (
            self.receiver.ack_now
            or self.syn_due
            or self.fin_due
            or self.probe_due
            or self.reset_due is not None
            or self.half_open is not None
            or self.waiting
            or sender.stop > sender.snd_nxt
            or sender.scoreboard.lost.total > 0
            or sender.recovery.tail.due
            or sender.fin_again
        )

    def update_mss(self) -> None:
        """Settle the payload of a full segment once the options in use are known."""
        room = (TIMESTAMPS_ROOM if self.timestamps.on else 0) + self.option_room
        path_mss = max(min(self.path_mss, self.path_mtu.mss), handshake.LEAST_MSS)
        sender = self.sender
        sender.mss = path_mss - room
        if sender.snd_nxt <= 1:
            sender.controller.on_mss(sender.mss)
        else:
            sender.controller.mss = sender.mss  # the window stays (RFC 8201, 5.3)

    # ---- receiving

    def receive(self, now: Nanos, segment: Segment) -> bool:
        """Apply one segment (RFC 9293, 3.10.7); return whether it was acceptable."""
        if self.state is ESTABLISHED and segment.flags & ~PSH == ACK:
            receiver = self.receiver
            following = receiver.reassembly.next
            expected = segment.seq == wrap32(following, receiver.irs)
            if expected and receiver.fin_at < 0 and receiver.window:
                return self._receive_expected(now, segment, following)
            return self._receive_synchronized(now, segment)
        if self.state is SYN_SENT:
            return handshake.on_syn_sent(self, now, segment)
        if self.state is CLOSED:
            return False
        return self._receive_synchronized(now, segment)

    def _receive_expected(self, now: Nanos, segment: Segment, seq: Octets) -> bool:
        """Apply an ACK at RCV.NXT, with or without data: what nearly all segments are."""
        timestamps = self.timestamps
        if not timestamps.check(now, segment):
            on_unacceptable(self, now, segment, seq)
            return False
        self.keepalive.heard_at = now
        sender = self.sender
        if (
            segment.length
            and not segment.sack
            and segment.ack == wrap32(sender.snd_una, self.iss)
            and segment.window << sender.scale == sender.snd_wnd
            and sender.snd_wl2 == sender.snd_una
        ):
            sender.snd_wl1 = seq  # it acknowledges what was, and opens no window
            self.persist.on_answer()
        elif not self._receive_ack(now, segment, seq):
            return False
        timestamps.update(now, segment, seq)
        if self.ecn.on:
            self.ecn.on_arrival(segment)
        length = segment.length
        if length:
            self.receiver.on_payload(now, seq, segment.payload, length)
            self.receiver.plan_ack(now, length, sender.mss)
        return True

    def _receive_synchronized(self, now: Nanos, segment: Segment) -> bool:
        receiver = self.receiver
        rcv_nxt = receiver.rcv_nxt
        seq = unwrap32(segment.seq, receiver.irs, rcv_nxt)
        flags = segment.flags
        length = segment.length + (1 if flags & SYN else 0) + (1 if flags & FIN else 0)
        repeated = flags & SYN and seq == 0 and self.state is SYN_RECEIVED
        # With RCV.WND zero the ACK of an in-order segment is still taken (RFC 9293, 3.10.7.4).
        inside = seq == rcv_nxt or acceptable(seq, length, rcv_nxt, receiver.window)
        if not repeated and not (inside and self.timestamps.check(now, segment)):
            on_unacceptable(self, now, segment, seq)
            return False
        self.keepalive.heard_at = now
        if flags & RST:
            return closing.on_reset(self, now, seq)
        if flags & SYN:
            return handshake.on_stray_syn(self, now, segment)
        if self.state is SYN_RECEIVED and not handshake.on_final_ack(self, now, segment):
            return False
        if not flags & ACK or not self._receive_ack(now, segment, seq):
            return False
        self.timestamps.update(now, segment, seq)
        if self.ecn.on:
            self.ecn.on_arrival(segment)
        self._receive_text(now, segment, seq)
        return True

    def challenge(self, now: Nanos) -> None:
        """Send an ACK that a genuine peer can answer (RFC 5961, 3 to 5), at a bounded rate."""
        if self.challenges.take(now):
            self.counters.tcp_challenge_ack += 1
            self.receiver.ack_now = True

    def _receive_ack(self, now: Nanos, segment: Segment, seq: Octets) -> bool:
        """Apply SEG.ACK; return whether it was acceptable (RFC 5961, 5)."""
        sender = self.sender
        una = sender.snd_una
        ack = unwrap32(segment.ack, self.iss, una)
        if ack > sender.snd_nxt or ack < una - sender.max_window:
            self.challenge(now)
            return False
        if ack < una:
            return True
        window = segment.window << sender.scale
        advanced = 0
        if ack > una or segment.sack:
            advanced = self._advance(now, segment, ack)
        elif not segment.length and self._is_duplicate(segment, window):
            echoed_at = self.timestamps.echoed_at(now, segment)
            sender.on_ack(now, ack, (), echoed_at, duplicate=True)
        sender.update_window(seq, ack, window)
        self.persist.on_answer()
        if self.ecn.on and segment.flags & ECE:
            self.ecn.on_echo(now, sender)
        if advanced:
            self.path_mtu.on_progress(self, now)
            if sender.fin_acked:
                closing.on_fin_acked(self, now)
        return True

    def _advance(self, now: Nanos, segment: Segment, ack: Octets) -> Octets:
        """Apply an ACK of something, if only by SACK; return how far it moves SND.UNA."""
        sender = self.sender
        near = sender.snd_una
        blocks: list[tuple[Octets, Octets]] = []
        if segment.sack and self.sack:
            blocks = [
                (unwrap32(left, self.iss, near), unwrap32(right, self.iss, near))
                for left, right in segment.sack
            ]
        duplicate = ack == near and not segment.length and self._is_duplicate(segment, -1)
        if ack == near and not blocks and not duplicate:
            return 0
        echoed_at = self.timestamps.echoed_at(now, segment)
        return sender.on_ack(now, ack, blocks, echoed_at, duplicate)

    def _is_duplicate(self, segment: Segment, window: Octets) -> bool:
        """Return whether an ACK of SND.UNA without data counts as a duplicate (RFC 5681, 2)."""
        sender = self.sender
        return (
            not segment.options
            and not segment.flags & FIN
            and (bool(segment.sack) or window == sender.snd_wnd)
            and sender.outstanding()
        )

    def _receive_text(self, now: Nanos, segment: Segment, seq: Octets) -> None:
        """Take payload and FIN (RFC 9293, 3.10.7.4, seventh and eighth)."""
        receiver = self.receiver
        if self.state not in CAN_RECEIVE:
            if segment.length or segment.flags & FIN:
                receiver.ack_now = True
                closing.restart_time_wait(self, now)
            return
        if segment.flags & URG:
            self.urgent.on_arrival(segment, seq)
        if segment.length:
            if receiver.window == 0:
                self.counters.tcp_zero_window_drop += 1
                receiver.ack_now = True
                return
            receiver.on_payload(now, seq, segment.payload, segment.length)
            receiver.plan_ack(now, segment.length, self.sender.mss)
        if segment.flags & FIN:
            receiver.on_fin(seq + segment.length)
        if receiver.fin_at >= 0 and receiver.rcv_nxt > receiver.reassembly.next:
            closing.on_fin_received(self, now)

    def on_icmp_error(self, now: Nanos, error: IcmpError) -> bool:
        """Apply an ICMP error; return whether it quotes a segment in flight."""
        return icmp.on_error(self, now, error)

    # ---- time

    def next_timeout(self) -> Nanos:
        """Return the next deadline, `NEVER` if there is none."""
        return timers.next_timeout(self)

    def user_timed_out(self, now: Nanos) -> bool:
        """Return whether the user wants to wait no longer for an answer (RFC 9293, 3.8.3)."""
        limit = self.settings.user_timeout
        return limit > 0 and now - self.unanswered_since >= limit

    def handle_timeout(self, now: Nanos) -> None:
        """Do what is due at `now`."""
        timers.handle_timeout(self, now)

    # ---- sending

    def transmit(self, now: Nanos, limit: int) -> list[Segment]:
        """Return at most `limit` segments that are to leave now."""
        if self.reset_due is not None:
            return [segments.reset(self, now)]
        if self.state is CLOSED:
            return []
        if self.half_open is not None:
            return [
                segments.reset_half_open(self, now, self.half_open),
                *self.transmit(now, limit - 1),
            ]
        if self.syn_due:
            opening = handshake.syn(self, now)
            return [opening, *self.transmit(now, limit - 1)] if self.ahead else [opening]
        if self.state is SYN_SENT:
            return []
        out = self._stretches(now, limit)
        if (self.fin_due or self.sender.fin_again) and self._fin_ready() and len(out) < limit:
            closing.send_fin(self, now, out)
        if out or self.receiver.ack_now or self.probe_due:
            self._acknowledge(now, out)
        self.persist.arm(self, now)
        return out

    def _stretches(self, now: Nanos, limit: int) -> list[Segment]:
        """Return what is sent again and what is new, as far as the windows allow."""
        out: list[Segment] = []
        segment: Segment | None = None
        while len(out) < limit:
            departure = self.sender.next_departure(now)
            if departure is None:
                break
            segment = segments.data(self, now, departure, segment)
            if self.ecn.on:
                self.ecn.complete(segment, fresh=not departure.again)
            if self.urgent.snd_up:
                self.urgent.complete(segment, departure.start)
            out.append(segment)
        return out

    def _fin_ready(self) -> bool:
        """Return whether all before our FIN was sent."""
        opening = self.state is SYN_RECEIVED
        return not opening and self.sender.snd_nxt >= self.sender.stop

    def _acknowledge(self, now: Nanos, out: list[Segment]) -> None:
        """Add an ACK or a probe if they are due, and note that RCV.NXT was told."""
        if self.probe_due:
            self.probe_due = False
            if not out:
                out.append(segments.bare(self, now, ACK, self.sender.snd_una - 1))
        if self.receiver.ack_now and not out:
            for head in self.receiver.take_heads(sack=self.sack):
                self.receiver.remember(head)
                out.append(segments.bare(self, now, ACK, self.sender.snd_nxt))
                self.receiver.duplicated = None
            if not out:
                out.append(segments.bare(self, now, ACK, self.sender.snd_nxt))
        if out:
            self.receiver.on_ack_sent()
            self.timestamps.last_ack_sent = self.receiver.rcv_nxt
