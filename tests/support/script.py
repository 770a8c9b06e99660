"""One host under test, and a peer whose every segment the test writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Final, TypeVar

from plait.addresses import IpAddress, Path, path_of_arrival
from plait.host.events import Closed, Event, LossReason, Lost
from plait.host.host import Host
from plait.host.output import split
from plait.host.settings import Settings
from plait.mptcp.connection import Connection
from plait.mptcp.keys import Keys
from plait.units import Nanos, Octets
from plait.wire.checksum import dss_checksum
from plait.wire.crypto import ACK_HMAC_OCTETS, SYN_ACK_HMAC_OCTETS
from plait.wire.mptcp.dss import (
    DATA_ACK,
    DATA_ACK_8,
    DATA_FIN,
    DSN_8,
    MAPPING,
    NO_CHECKSUM,
    Dss,
)
from plait.wire.mptcp.mp_capable import (
    CHECKSUM_REQUIRED,
    HMAC_SHA256,
    MpCapableAck,
    MpCapableData,
    MpCapableSyn,
    MpCapableSynAck,
)
from plait.wire.mptcp.mp_join import MpJoinAck, MpJoinSyn, MpJoinSynAck
from plait.wire.option import Option
from plait.wire.segment import ABSENT, ACK, FIN, PSH, RST, SYN, Segment
from plait.wire.seq import MASK32, wrap32, wrap64

E = TypeVar("E", bound=Event)

PORT: Final = 80
HOST: Final = ip_address("10.0.1.1")
PEER: Final = ip_address("10.0.1.2")
HOST_2: Final = ip_address("10.0.2.1")
PEER_2: Final = ip_address("10.0.2.2")
KEY: Final = b"peer key"
ISS: Final = 5_000_000
NONCE: Final = 0xC0FFEE
PLAIN: Final = Settings(mptcp=False, timestamps=False, autotuning=False)
"""TCP without options that scripts would have to keep up."""

BARE: Final = Settings(timestamps=False, path_manager="default", autotuning=False)
"""Multipath TCP likewise."""

UNCHECKED: Final = replace(BARE, checksum=False)
"""And without DSS checksums."""

VERSION_0: Final = replace(UNCHECKED, mptcp_versions="v0")
"""The same in version 0 (RFC 6824)."""


class Flow:
    """The peer's end of one TCP connection with the host.

    Positions count as in the core: SYN is 0, the first payload octet 1.

    Attributes:
        nxt: Position of the peer's next segment.
        rcv_nxt: Position the peer acknowledges.
        irs: The host's initial sequence number.
        sent: What the host sent on this flow, super-segments cut.
    """

    def __init__(self, script: Script, path: Path) -> None:
        self.script = script
        self.path = path
        self.nxt: Octets = 0
        self.rcv_nxt: Octets = 0
        self.irs = 0
        self.ts_ecr = 0
        self.sent: list[Segment] = []

    def segment(
        self,
        flags: int = ACK,
        payload: bytes = b"",
        *,
        seq: Octets | None = None,
        ack: Octets | None = None,
        dss: Dss | None = None,
        options: Sequence[Option] = (),
        window: int = 65535,
        sack: Sequence[tuple[Octets, Octets]] = (),
        ts_val: int = ABSENT,
    ) -> Segment:
        """Return a segment of the peer.

        `seq`, `ack` and `sack` are positions; `nxt` moves past what is sent at `nxt`.
        """
        at = self.nxt if seq is None else seq
        acked = self.rcv_nxt if ack is None else ack
        made = Segment(
            self.path.flow_out(),
            wrap32(at, ISS),
            wrap32(acked, self.irs) if flags & ACK else 0,
            flags,
            window,
            (payload,) if payload else (),
            len(payload),
        )
        made.dss = dss
        made.options = tuple(options)
        made.sack = tuple((wrap32(a, self.irs), wrap32(b, self.irs)) for a, b in sack)
        if ts_val != ABSENT:
            made.ts_val, made.ts_ecr = ts_val, self.ts_ecr
        if at <= self.nxt:
            end = at + len(payload) + bool(flags & SYN) + bool(flags & FIN)
            self.nxt = max(self.nxt, end)
        return made

    def send(
        self,
        flags: int = ACK,
        payload: bytes = b"",
        *,
        seq: Octets | None = None,
        ack: Octets | None = None,
        dss: Dss | None = None,
        options: Sequence[Option] = (),
        window: int = 65535,
        sack: Sequence[tuple[Octets, Octets]] = (),
        ts_val: int = ABSENT,
    ) -> list[Segment]:
        """Send a `segment` and return what the host answers on any flow."""
        made = self.segment(
            flags,
            payload,
            seq=seq,
            ack=ack,
            dss=dss,
            options=options,
            window=window,
            sack=sack,
            ts_val=ts_val,
        )
        return self.script.receive([made])

    def note(self, segment: Segment) -> None:
        """Keep up with a segment of the host."""
        self.sent.append(segment)
        if segment.flags & SYN:
            self.irs = segment.seq
        if segment.ts_val != ABSENT:
            self.ts_ecr = segment.ts_val
        at = self.position(segment)
        end = at + segment.length + bool(segment.flags & SYN) + bool(segment.flags & FIN)
        if at <= self.rcv_nxt and not segment.flags & RST:
            self.rcv_nxt = max(self.rcv_nxt, end)

    def position(self, segment: Segment) -> Octets:
        """Return where in the host's sequence space a segment starts."""
        return (segment.seq - self.irs) & MASK32

    def acked(self, segment: Segment) -> Octets:
        """Return the position that a segment of the host acknowledges."""
        return (segment.ack - ISS) & MASK32


class Script:
    """A host with two addresses and nothing else around it but what the test sends."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        addresses: Sequence[IpAddress] = (HOST, HOST_2),
        mtu: Octets = 1500,
        seed: bytes = b"script",
    ) -> None:
        self.host = Host(settings or BARE, seed.ljust(32, b"."))
        self.now: Nanos = 0
        self.events: list[Event] = []
        self.flows: dict[bytes, Flow] = {}
        for address in addresses:
            self.host.on_local_address(0, address, present=True, mtu=mtu)

    def flow(
        self,
        local: IpAddress = PEER,
        local_port: int = 40000,
        remote: IpAddress = HOST,
        remote_port: int = PORT,
    ) -> Flow:
        """Return a new flow from the peer to the host."""
        made = Flow(self, Path(local, local_port, remote, remote_port))
        self.flows[made.path.flow_in()] = made
        return made

    def receive(self, segments: Sequence[Segment]) -> list[Segment]:
        """Give the host segments and return its answers."""
        self.host.receive(self.now, segments)
        return self.turn()

    def turn(self) -> list[Segment]:
        """Let the host send all it has, and return that."""
        out: list[Segment] = []
        while batch := self.host.transmit(self.now):
            for segment in batch:
                out += split(segment)
        for segment in out:
            if segment.flow not in self.flows:
                path = path_of_arrival(segment.flow)
                self.flows[segment.flow] = Flow(self, path)
            self.flows[segment.flow].note(segment)
        self.events += self.host.take_events()
        return out

    def wait(self, span: Nanos) -> list[Segment]:
        """Let time pass without a word of the peer; return what the host sends meanwhile."""
        until = self.now + span
        out: list[Segment] = []
        while (due := self.host.next_timeout()) is not None and due <= until:
            self.now = max(self.now, due)
            self.host.handle_timeout(self.now)
            out += self.turn()
        self.now = until
        return out

    def heard(self, *kinds: type[E]) -> list[E]:
        """Return the events of these kinds, in order."""
        return [event for event in self.events if isinstance(event, kinds)]

    def endings(self) -> list[LossReason | None]:
        """Return how connections ended: the reasons of those that were lost, None if in order."""
        self.events += self.host.take_events()
        ends = [event for event in self.events if isinstance(event, Closed | Lost)]
        return [end.reason if isinstance(end, Lost) else None for end in ends]

    def write(self, connection_id: int, data: bytes) -> list[Segment]:
        """Have the application write, and return what leaves."""
        assert self.host.write(self.now, connection_id, data) == len(data)
        return self.turn()

    def read(self, connection_id: int) -> bytes | None:
        """Have the application read all there is."""
        return self.host.read(self.now, connection_id, 1 << 20)

    def close(self, connection_id: int) -> list[Segment]:
        """Have the application close, and return what leaves."""
        self.host.close(self.now, connection_id)
        return self.turn()

    def connection(self, connection_id: int) -> Connection:
        """Return a connection, to be looked at from inside."""
        return self.host._connections.by_id[connection_id].connection


class TcpPeer:
    """A plain connection: the peer opened it, or the host did."""

    def __init__(
        self,
        settings: Settings = PLAIN,
        *,
        passive: bool = True,
        options: Sequence[Option] = (),
        window: int = 65535,
        ts_val: int = ABSENT,
        mtu: Octets = 1500,
        rtt: Nanos = 0,
    ) -> None:
        """Shake hands, taking a round trip's time; `passive` means that the host listens."""
        self.script = script = Script(settings, mtu=mtu)
        if passive:
            script.host.listen(0, PORT)
            self.flow = script.flow()
            self.flow.send(SYN, options=options, window=window, ts_val=ts_val)
            script.wait(rtt)
            self.flow.send(ACK, window=window, ts_val=ts_val)
        else:
            script.host.connect(0, PEER, PORT)
            (syn,) = script.turn()
            self.flow = script.flows[syn.flow]
            script.wait(rtt)
            self.flow.send(SYN | ACK, options=options, window=window, ts_val=ts_val)
        self.id = 2 if passive else 1


class MpPeer:
    """A Multipath TCP peer of the host: knows both keys and numbers data from its IDSN.

    It speaks version 0 if the host's settings allow no other.

    Attributes:
        acked: The Data ACK it sends, as a position.
        dsn: Position of its next octet of data.
    """

    def __init__(
        self,
        settings: Settings = UNCHECKED,
        *,
        passive: bool = True,
        checksum: bool = False,
        confirm: bool = True,
        flags: int = HMAC_SHA256,
        seed: bytes = b"script",
        key: bytes = KEY,
    ) -> None:
        """Shake hands; `passive` means that the host listens.

        The host is confirmed by the third ACK, or by a first Data ACK if it is active, unless
        `confirm` is false.
        """
        self.script = script = Script(settings, seed=seed)
        self.keys = Keys(key, 0 if settings.mptcp_versions == "v0" else 1)
        self.checksum = checksum or settings.checksum
        self.flags = flags | (CHECKSUM_REQUIRED if checksum else 0)
        self.dsn: Octets = 1
        self.acked: Octets = 1
        if passive:
            script.host.listen(0, PORT)
            self.first = script.flow()
            (answer,) = self.first.send(SYN, options=[self.offer()])
            self._learn(answer)
            if confirm:
                self.first.send(ACK, options=[self.capable_ack()])
            self.id = 2
        else:
            self.id = script.host.connect(0, PEER, PORT)
            (syn,) = script.turn()
            self.first = script.flows[syn.flow]
            syn_ack = self.capable_syn_ack()
            (third,) = self.first.send(SYN | ACK, options=[syn_ack])
            self._learn(third)
            if confirm:
                self.first.send(dss=self.ack())

    def _learn(self, segment: Segment) -> None:
        for option in segment.options:
            if isinstance(option, MpCapableSynAck | MpCapableAck):
                self.keys.learn(option.sender_key)

    @property
    def connection(self) -> Connection:
        """The host's connection, to be looked at from inside."""
        return self.script.connection(self.id)

    def offer(self) -> MpCapableSyn | MpCapableSynAck:
        """Return the option of the SYN."""
        return MpCapableSyn(flags=self.flags) if self.keys.version else self.capable_syn_ack()

    def capable_syn_ack(self) -> MpCapableSynAck:
        """Return the option of the SYN/ACK."""
        return MpCapableSynAck(
            version=self.keys.version, flags=self.flags, sender_key=self.keys.local
        )

    def capable_ack(self) -> MpCapableAck:
        """Return the option of the third ACK."""
        return MpCapableAck(
            version=self.keys.version,
            flags=self._agreed(),
            sender_key=self.keys.local,
            receiver_key=self.keys.remote,
        )

    def capable_data(self, data: bytes) -> MpCapableData:
        """Return the option of the first data."""
        checksum = NO_CHECKSUM
        if self.checksum:
            checksum = dss_checksum(wrap64(1, self.keys.local_idsn), 1, len(data), (data,))
        return MpCapableData(
            flags=self._agreed(),
            sender_key=self.keys.local,
            receiver_key=self.keys.remote,
            length=len(data),
            checksum=checksum,
        )

    def _agreed(self) -> int:
        return HMAC_SHA256 | (CHECKSUM_REQUIRED if self.checksum else 0)

    def ack(self, *, wide: bool = True) -> Dss:
        """Return a DSS with a Data ACK alone."""
        number = wrap64(self.acked, self.keys.remote_idsn)
        if wide:
            return Dss(DATA_ACK | DATA_ACK_8, number)
        return Dss(DATA_ACK, number & MASK32)

    def dss(
        self,
        dsn: Octets,
        ssn: Octets,
        data: bytes,
        *,
        fin: bool = False,
        wide: bool = True,
        wide_ack: bool = True,
        checksum: int | None = None,
    ) -> Dss:
        """Return a DSS that maps `data`, whose checksum is right unless given."""
        length = len(data) + fin
        whole = wrap64(dsn, self.keys.local_idsn)
        if checksum is None:
            checksum = NO_CHECKSUM
            if self.checksum:
                checksum = dss_checksum(whole, wrap32(ssn, 0), length, (data,) if data else ())
        option = self.ack(wide=wide_ack)
        option.flags |= MAPPING | (DSN_8 if wide else 0) | (DATA_FIN if fin else 0)
        option.dsn = whole if wide else whole & MASK32
        option.ssn = wrap32(ssn, 0)
        option.length = length
        option.checksum = checksum
        return option

    def data(self, data: bytes, *, flow: Flow | None = None, fin: bool = False) -> list[Segment]:
        """Send the next octets of the stream on a flow and return the host's answers."""
        carrier = flow or self.first
        dss = self.dss(self.dsn, carrier.nxt, data, fin=fin)
        self.dsn += len(data) + fin
        return carrier.send(ACK | PSH, data, dss=dss)

    def data_fin(self, *, flow: Flow | None = None) -> list[Segment]:
        """Send a DATA_FIN alone."""
        dss = self.dss(self.dsn, 0, b"", fin=True)
        self.dsn += 1
        return (flow or self.first).send(dss=dss)

    def data_acked(self, segment: Segment) -> Octets:
        """Return the position that the Data ACK of a host's segment tells."""
        assert segment.dss is not None
        assert segment.dss.flags & DATA_ACK
        return (segment.dss.data_ack - self.keys.local_idsn) & ((1 << 64) - 1)

    def dsn_of(self, segment: Segment) -> Octets:
        """Return the position in the host's stream of a segment's first octet."""
        assert segment.dss is not None
        assert segment.dss.flags & MAPPING
        start = (segment.dss.dsn - self.keys.remote_idsn) & ((1 << 64) - 1)
        return start + self.script.flows[segment.flow].position(segment) - segment.dss.ssn

    def join_syn(
        self,
        local: IpAddress = PEER_2,
        *,
        remote: IpAddress = HOST,
        address_id: int = 2,
        port: int = 40000,
    ) -> tuple[Flow, list[Segment]]:
        """Send the SYN of an MP_JOIN and return its flow and the answers."""
        flow = self.script.flow(local, port, remote)
        option = MpJoinSyn(token=self.keys.remote_token, nonce=NONCE, address_id=address_id)
        return flow, flow.send(SYN, options=[option])

    def join_ack(self, flow: Flow, answer: Segment) -> MpJoinAck:
        """Return the third packet's option, the HMAC of the SYN/ACK checked."""
        (option,) = (one for one in answer.options if isinstance(one, MpJoinSynAck))
        expected = self.keys.expected_hmac(NONCE, option.nonce)
        assert option.hmac == expected[:SYN_ACK_HMAC_OCTETS]
        return MpJoinAck(self.keys.sent_hmac(NONCE, option.nonce)[:ACK_HMAC_OCTETS])

    def join(
        self, local: IpAddress = PEER_2, *, remote: IpAddress = HOST, address_id: int = 2
    ) -> Flow:
        """Join an address of the host's with a further flow."""
        flow, answers = self.join_syn(local, remote=remote, address_id=address_id)
        (answer,) = answers
        flow.send(options=[self.join_ack(flow, answer)])
        return flow


def resets(segments: Sequence[Segment]) -> list[Segment]:
    """Return the RSTs among segments."""
    return [segment for segment in segments if segment.flags & RST]


def found(segments: list[Segment], *kinds: type[Option]) -> list[Option]:
    """Return the options of these kinds, in order."""
    return [one for segment in segments for one in segment.options if isinstance(one, kinds)]


def syns(segments: list[Segment]) -> list[Segment]:
    """Return those that open a subflow."""
    return [segment for segment in segments if segment.flags & SYN]


def payload(segments: Sequence[Segment]) -> bytes:
    """Return the payload of segments, joined."""
    return b"".join(bytes(piece) for segment in segments for piece in segment.payload)
