"""Opening: connections we begin, and segments that belong to none.

What arrives for no subflow may be a SYN to a listener, a join, the ACK of a SYN cookie, late for a
connection in TIME-WAIT, or astray.  The opener makes connections and subflows and queues the
answers that need neither; the host does the rest with what it returns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator
from contextlib import suppress

from plait.addresses import IpAddress, Path, path_of_arrival
from plait.errors import AddressError, UsageError
from plait.host.black_holes import BlackHoles
from plait.host.connections import Connections, Entry
from plait.host.fast_open import PAUSE, CookieCache, CookieMaker, Worth
from plait.host.listener import Listener, Listeners
from plait.host.peer_versions import PeerVersions
from plait.host.ports import free_path, source_for
from plait.host.reset import from_elsewhere, is_group, reset_for
from plait.host.settings import Settings
from plait.host.sharing import Share, Strays
from plait.host.syn_cookies import (
    MAX_AGE,
    SynCookies,
    answer_syn,
    restore_syn,
    told_window,
)
from plait.host.time_wait import Remains, TimeWait, Verdict
from plait.mptcp import handshake
from plait.mptcp.connection import Connection
from plait.mptcp.state import Mode
from plait.mptcp.subflow import Subflow
from plait.mptcp.tuning import Memory
from plait.mptcp.version import Version
from plait.pathing.base import OpenSubflow
from plait.tcp.connection import IP_AND_TCP
from plait.tcp.fast_open import NO_GRANT, Attempt, Grant, offered
from plait.tcp.handshake import announced_mss
from plait.tcp.state import Failure
from plait.tcp.state import State as TcpState
from plait.trace.counters import Counters
from plait.units import Nanos, Octets
from plait.wire.crypto import KEY_OCTETS, Entropy, initial_sequence, token
from plait.wire.mptcp.mp_capable import CHECKSUM_REQUIRED
from plait.wire.mptcp.mp_join import MpJoinSyn
from plait.wire.mptcp.mp_tcprst import MPTCP_SPECIFIC
from plait.wire.option import Option
from plait.wire.segment import ACK, RST, SYN, Segment
from plait.wire.seq import MASK32


class Opener:
    """Makes the connections and subflows of one host."""

    def __init__(
        self,
        settings: Settings,
        counters: Counters,
        entropy: Entropy,
        memory: Memory,
        connections: Connections,
        listeners: Listeners,
        share: Share,
    ) -> None:
        """Work on the tables of a host."""
        self.mtus: dict[IpAddress, Octets] = {}
        """Local addresses, and the MTU of their links."""

        self.answers: deque[Segment] = deque()
        """Segments that wait to be sent and belong to no connection."""

        self.strays = Strays(share, settings)
        self.share = share
        self.entropy = entropy
        self.time_wait = TimeWait(settings.max_time_wait, counters)
        self._settings = settings
        self._counters = counters
        self._memory = memory
        self._connections = connections
        self._listeners = listeners
        self._secret = share.secret or entropy.octets(32)
        # A SYN cookie is good where it was made alone: no two hosts take the same ACK.
        self._syn_cookies = SynCookies(entropy.octets(32) if share.secret else self._secret)
        self._fast_open = CookieMaker(self._secret)
        self._cookie_cache = CookieCache(settings.fast_open_cache)
        self._peers = PeerVersions(settings.peer_version_cache)
        self._black_holes = BlackHoles(settings.black_hole_cache)
        self._last_id = 0

    def next_id(self) -> int:
        """Return an id for a connection or listener."""
        self._last_id += 1
        return self._last_id

    def _iss(self, now: Nanos, path: Path, old: Remains | None) -> int:
        """Return the ISS of a path, beyond the numbers of an old connection on it."""
        iss = initial_sequence(path.flow_out(), self._secret, now)
        return iss if old is None else old.next_iss(iss)

    def answer(self, segment: Segment | None) -> None:
        """Queue a segment that belongs to no connection."""
        if segment is not None and len(self.answers) < self._settings.max_answers:
            self.answers.append(segment)

    def _reset(self, segment: Segment, options: tuple[Option, ...] = ()) -> None:
        self.answer(reset_for(segment, options))

    # ---- opening ourselves

    def connect(self, now: Nanos, wanted: Path, settings: Settings, data: bytes) -> Entry:
        """Begin a connection; port 0 of the path is any.

        Raises UsageError if the path is in use, `data` too long, or the host full.
        """
        if len(data) > settings.send_buffer:
            raise UsageError(f"{len(data)} octets exceed the send buffer: write the rest later")
        self._check_room()
        path = self._take_path(now, wanted)
        version = self._peers.choose(now, path, handshake.served(settings))
        entry = self._new_entry(settings, None, self._new_key(version), version)
        connection = entry.connection
        if connection.mode is Mode.MPTCP and self._black_holes.spares(now, path):
            self._counters.mp_capable_syn_tx_disabled += 1
            connection.mode = Mode.TCP
            connection.fallback_reason = "SYNs with MP_CAPABLE vanish on this path"
        connection.write(data)
        self._counters.active_opens += 1
        iss = self._iss(now, path, self.time_wait.pop(path.flow_in()))
        early = connection.mode is Mode.TCP or version.early_data
        attempt = self._attempt(now, path, settings, data) if early else None
        subflow = connection.open(now, path, iss, self.mtus[path.local], attempt)
        self._connections.add(entry)
        self._connections.add_subflow(entry, subflow)
        return entry

    def source_for(
        self, local: IpAddress | None, remote: IpAddress, settings: Settings
    ) -> tuple[IpAddress, int]:
        """Return the address to connect from, and the port that settings bind it to.

        Raises UsageError if there is none.
        """
        if is_group(remote.packed):
            raise UsageError(f"{remote} is no single host: TCP connects two (RFC 9293, 3.9.2.3)")
        ports = dict(settings.chosen)
        source = local or source_for(ports or self.mtus, remote)
        for address in (source, *ports):
            self.check_local(address)
        return source, ports.get(source, 0)

    def check_local(self, address: IpAddress) -> None:
        """Raise AddressError if an address is not ours."""
        if address not in self.mtus:
            raise AddressError(f"{address} is no address of this host")

    def _take_path(self, now: Nanos, wanted: Path) -> Path:
        """Return a free path; one in TIME-WAIT is free once timestamps can tell (RFC 6191, 2)."""
        remains = self.time_wait.get(wanted.flow_in()) if wanted.local_port else None
        if remains is not None and remains.reusable(now):
            tables: tuple[Container[bytes], ...] = (self._connections.by_flow,)
        else:
            tables = (self._connections.by_flow, self.time_wait)
        ports = self.share.ports(self._settings.ephemeral)
        return free_path(self.entropy, ports, tables, wanted)

    def open_joins(self, now: Nanos, entry: Entry) -> None:
        """Begin the subflows that the path manager wants."""
        wishes, entry.connection.joins = entry.connection.joins, []
        for wish in wishes:
            if wish.local in self.mtus:
                with suppress(UsageError):  # no port is free
                    self.join(now, entry, wish)

    def join(self, now: Nanos, entry: Entry, wish: OpenSubflow) -> Subflow:
        """Begin a further subflow.  Raises UsageError if the port it is bound to is in use."""
        path = self._path_for(now, entry, wish)
        iss = self._iss(now, path, self.time_wait.pop(path.flow_in()))
        subflow = entry.connection.join(now, wish, path, iss, self.mtus[wish.local])
        self._connections.add_subflow(entry, subflow)
        return subflow

    def _path_for(self, now: Nanos, entry: Entry, wish: OpenSubflow) -> Path:
        """Return a free path: from the port given, that of the first subflow, or any."""
        connection = entry.connection
        bound = wish.local_port or connection.selection.ports.get(wish.local, 0)
        if not bound and entry.listener_id is None:
            same = connection.subflows[0].path.local_port
            path = Path(wish.local, same, wish.remote, wish.remote_port)
            flow = path.flow_in()
            used = any(one.path == path for one in connection.subflows)  # the peer may have it
            if not used and flow not in self._connections.by_flow and flow not in self.time_wait:
                return path
        return self._take_path(now, Path(wish.local, bound, wish.remote, wish.remote_port))

    # ---- segments for no subflow

    def on_stray(self, now: Nanos, segment: Segment, passes: int) -> Entry | None:
        """Handle a segment that no subflow expects; return the connection that it concerns.

        `passes` other hosts may be asked about it.
        """
        path = path_of_arrival(segment.flow)
        if path.local not in self.mtus or from_elsewhere(segment.flow):
            return None
        old = self.time_wait.get(segment.flow)
        if old is not None and not self._begins_anew(now, segment, path, old):
            return None
        if passes and self.strays.goes_to_owner(segment):
            return None
        return self._on_news(now, segment, path, old, passes)

    def _on_news(
        self, now: Nanos, segment: Segment, path: Path, old: Remains | None, passes: int
    ) -> Entry | None:
        """Handle a segment that may begin something."""
        flags = segment.flags & (SYN | ACK | RST)
        if flags == SYN:
            for option in segment.options:
                if isinstance(option, MpJoinSyn):
                    return self._on_join(now, segment, path, option, old)
            return self._on_syn(now, segment, path, old)
        listener = self._listeners.find(path.local, path.local_port)
        if flags == ACK and listener is not None and listener.cookies_until >= now:
            return self._on_syn_cookie(now, segment, path, listener, passes)
        if flags or listener is None:  # without any a listener drops it (RFC 9293, 3.10.7.2)
            self._miss(segment, passes)
        return None

    def _miss(self, segment: Segment, passes: int) -> None:
        """A segment is nothing to us: perhaps to another host; the last one asked resets."""
        if not self.strays.pass_on(segment, passes):
            self._reset(segment)

    def _begins_anew(self, now: Nanos, segment: Segment, path: Path, old: Remains) -> bool:
        """Answer a segment for a connection in TIME-WAIT, unless it begins another one."""
        verdict = self.time_wait.judge(now, segment.flow, segment)
        listened = self._listeners.find(path.local, path.local_port) is not None
        if verdict is Verdict.REUSED and listened:
            self.time_wait.pop(segment.flow)
            self._counters.tw_recycled += 1
            return True
        if verdict is not Verdict.IGNORED:
            self.answer(old.ack(now))
        return False

    def _on_syn(
        self, now: Nanos, segment: Segment, path: Path, old: Remains | None
    ) -> Entry | None:
        listener = self._listeners.find(path.local, path.local_port)
        if listener is None:
            self._reset(segment)
            return None
        if handshake.drops(listener.settings, segment):
            return None
        full = listener.full()
        policy = listener.settings.syn_cookies
        if listener.overflows() or self._has_no_room():
            self._counters.listen_overflows += 1
            self._counters.listen_drops += 1
        elif policy == "always" or (full and policy == "when needed"):
            self._counters.tcp_req_q_full_do_cookies += full
            self._answer_by_cookie(now, segment, path, listener)
        elif full:
            self._counters.tcp_req_q_full_drop += 1
            self._counters.listen_drops += 1
        else:
            return self._accept(now, segment, path, listener, old)
        return None

    def _accept(
        self, now: Nanos, segment: Segment, path: Path, listener: Listener, old: Remains | None
    ) -> Entry:
        offer = handshake.find_offer(listener.settings, segment)
        version = handshake.served(listener.settings)[0] if offer is None else offer[0]
        key = self._new_key(version)
        entry = self._new_entry(listener.settings, listener.listener_id, key, version)
        listener.opening.add(entry.connection_id)
        self._counters.passive_opens += 1
        early = offer is None or version.early_data
        grant = self._grant(now, segment, path, listener) if early else NO_GRANT
        if grant.early:
            entry.fast_open = True
            listener.fast_open.add(entry.connection_id)
        iss = self._iss(now, path, old)
        mtu = self.mtus[path.local]
        subflow = entry.connection.accept(now, path, iss, mtu, segment, grant)
        self._connections.add(entry)
        self._connections.add_subflow(entry, subflow)
        return entry

    def _on_join(
        self, now: Nanos, segment: Segment, path: Path, option: MpJoinSyn, old: Remains | None
    ) -> Entry | None:
        """Find the connection of an MP_JOIN by token, not by port (RFC 8684, 3.2)."""
        entry = self._connections.by_token.get(option.token)
        if entry is None:
            self._counters.mp_join_no_token_found += 1
            self._reset(segment, handshake.served(self._settings)[0].reasons(MPTCP_SPECIFIC))
            return None
        reason = entry.connection.refusal(now, path.local)
        if reason is not None:
            self._counters.mp_join_rejected += 1
            self._reset(segment, entry.connection.version.reasons(reason))
            return None
        iss = self._iss(now, path, old)
        mtu = self.mtus[path.local]
        subflow = entry.connection.accept_join(now, path, iss, mtu, segment, option)
        self._connections.add_subflow(entry, subflow)
        return entry

    # ---- SYN cookies

    def _answer_by_cookie(
        self, now: Nanos, segment: Segment, path: Path, listener: Listener
    ) -> None:
        """Answer a SYN and keep nothing; the key must have a token of its own (RFC 8684, 3.1)."""
        settings = listener.settings
        announced = announced_mss(segment)
        iss = self._syn_cookies.make(now, segment.flow, segment.seq, announced)
        more: tuple[Option, ...] = ()
        found = handshake.find_offer(settings, segment)
        if found is not None:
            version, offer = found
            key = next(self._free_keys(segment.flow, segment.seq, version), None)
            if key is None:
                self._counters.mp_fallback_token_init += 1
            else:
                checksum = settings.checksum or bool(offer.flags & CHECKSUM_REQUIRED)
                ours = handshake.flags(version, settings, checksum)
                more = (handshake.answer_with(version, key, ours),)
        mss = min(self.mtus[path.local] - IP_AND_TCP[len(segment.flow)], settings.max_mss)
        listener.cookies_until = now + MAX_AGE
        self._counters.syncookies_sent += 1
        self.answer(answer_syn(now, segment, iss, mss, settings, more))

    def _free_keys(self, flow: bytes, irs: int, version: Version) -> Iterator[bytes]:
        """Yield the keys that a stateless answer may give."""
        for key in self._syn_cookies.keys(flow, irs, self.share.count):
            if self._is_free(token(key, version.number)):
                yield key

    def _on_syn_cookie(
        self, now: Nanos, segment: Segment, path: Path, listener: Listener, passes: int
    ) -> Entry | None:
        """Make the connection that an ACK of a SYN cookie completes."""
        irs = (segment.seq - 1) & MASK32
        iss = (segment.ack - 1) & MASK32
        size = self._syn_cookies.check(now, segment.flow, irs, iss)
        if size is None:
            self._counters.syncookies_failed += not passes
            self._miss(segment, passes)
            return None
        if listener.overflows() or self._has_no_room():
            self._counters.listen_overflows += 1
            return None
        self._counters.syncookies_recv += 1
        self._counters.passive_opens += 1
        entry, more = self._restore_entry(segment, irs, listener)
        syn = restore_syn(segment, size, more)
        connection = entry.connection
        subflow = connection.accept(now, path, iss, self.mtus[path.local], syn)
        subflow.tcp.on_cookie()
        connection.receiver.on_told(told_window(listener.settings))
        self._connections.add(entry)
        self._connections.add_subflow(entry, subflow)
        connection.receive(now, subflow, segment)
        return entry

    def _restore_entry(
        self, segment: Segment, irs: int, listener: Listener
    ) -> tuple[Entry, tuple[Option, ...]]:
        """Return the entry of a connection, and what the SYN offered if the ACK has our key."""
        settings = listener.settings
        found = handshake.find_echo(settings, segment)
        if found is not None:
            version, echo = found
            key = handshake.echoed_key(echo, self._free_keys(segment.flow, irs, version))
            if key is not None:
                entry = self._new_entry(settings, listener.listener_id, key, version)
                return entry, (version.restore(echo),)
        version = handshake.served(settings)[0]
        return self._new_entry(settings, listener.listener_id, self._new_key(version), version), ()

    # ---- Fast Open

    def _attempt(self, now: Nanos, path: Path, settings: Settings, data: bytes) -> Attempt | None:
        """Return what goes on our SYN besides (RFC 7413, 4.2.1)."""
        if settings.fast_open not in {"client", "both"}:
            return None
        known = self._cookie_cache.find(_pair(path))
        if known is None:
            return Attempt(b"", 0, b"")
        if now < known.paused_until:
            return None
        return Attempt(known.cookie, known.mss, data)

    def on_connected(self, now: Nanos, entry: Entry) -> None:
        """Remember what became of the options on our SYN (RFC 8684, 3.1; RFC 7413, 4.1.3)."""
        self._peers.learn(now, entry.connection)
        self._black_holes.learn(now, entry.connection)
        subflow = entry.connection.subflows[0]
        attempt = subflow.tcp.fast_open
        if attempt is None:
            return
        if attempt.answer:
            self._cookie_cache.learn(_pair(subflow.path), attempt.answer, attempt.mss)
        elif subflow.tcp.syn_count > 1:
            self._counters.tcp_fast_open_blackhole += 1
            self._cookie_cache.pause(_pair(subflow.path), now + PAUSE)
        if attempt.acked:
            self._counters.tcp_fast_open_active += 1
        elif attempt.sent:
            self._counters.tcp_fast_open_active_fail += 1

    def _grant(self, now: Nanos, syn: Segment, path: Path, listener: Listener) -> Grant:
        """Return what to make of the option on a SYN (RFC 7413, 4.2.2)."""
        option = offered(syn)
        if option is None or listener.settings.fast_open not in {"server", "both"}:
            return NO_GRANT
        source = path.remote.packed
        if not option.cookie:
            self._counters.tcp_fast_open_cookie_reqd += 1
            return Grant(cookie=self._fast_open.make(now, source))
        worth = self._fast_open.judge(now, source, option.cookie)
        if worth is Worth.WRONG:
            self._counters.tcp_fast_open_passive_fail += 1
            return Grant(cookie=self._fast_open.make(now, source))
        if listener.fast_open.count(now) >= listener.settings.fast_open_pending:
            self._counters.tcp_fast_open_listen_overflow += 1
            return NO_GRANT
        self._counters.tcp_fast_open_passive += 1
        cookie = self._fast_open.make(now, source) if worth is Worth.OLD else b""
        return Grant(early=True, cookie=cookie)

    def on_fast_opened(self, now: Nanos, entry: Entry) -> None:
        """See whether the handshake of a connection that a cookie opened is complete, or failed."""
        tcp = entry.connection.subflows[0].tcp
        if tcp.state is not TcpState.SYN_RECEIVED:
            entry.fast_open = False
            listener = self._listeners.get(entry.listener_id or 0)
            if listener is not None:
                reset = tcp.failure is Failure.RESET
                listener.fast_open.discard(now, entry.connection_id, reset=reset)

    # ---- making entries

    def _has_no_room(self) -> bool:
        return len(self._connections.by_id) >= self._settings.max_connections

    def _check_room(self) -> None:
        if self._has_no_room():
            most = self._settings.max_connections
            raise UsageError(f"this host has {most} connections already")

    def _new_key(self, version: Version) -> bytes:
        key = self.entropy.octets(KEY_OCTETS)
        while not self._is_free(token(key, version.number)):
            key = self.entropy.octets(KEY_OCTETS)
        return key

    def _is_free(self, name: int) -> bool:
        """Return whether a new connection of ours may have this token."""
        return self.share.owns(name) and name not in self._connections.by_token

    def _new_entry(
        self, settings: Settings, listener_id: int | None, key: bytes, version: Version
    ) -> Entry:
        connection = Connection(
            settings,
            self._counters,
            self.entropy,
            key,
            version,
            list(self.mtus),
            self._memory,
            initiator=listener_id is None,
        )
        return Entry(self.next_id(), connection, settings, listener_id)


def _pair(path: Path) -> bytes:
    """Return the pair of addresses that a cookie belongs to."""
    return path.local.packed + path.remote.packed
