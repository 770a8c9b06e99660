"""ARP and neighbor discovery of one station, without input or output of its own."""

from __future__ import annotations

from typing import Final, TypeAlias

from plait.drivers.neighbors import Neighbors
from plait.drivers.packet_spec import Station
from plait.units import SECOND, Nanos
from plait.wire import arp, ndp
from plait.wire.arp import Arp
from plait.wire.ethernet import (
    ARP,
    BROADCAST,
    HEADER_OCTETS,
    IPV6,
    ethernet_header,
    group_address,
    is_group,
    parse_ethernet,
)
from plait.wire.segment import Buffer, Segment

Outcome: TypeAlias = tuple[list[bytes], list[Segment] | None]
"""Frames to send, and what may leave now that a neighbor has told where it is."""

DEFEND_INTERVAL: Final[Nanos] = 10 * SECOND
"""How often a claim of somebody else is answered (RFC 5227, 1.1)."""

_ARP_OCTETS: Final = ARP.to_bytes(2, "big")
_IPV6_OCTETS: Final = IPV6.to_bytes(2, "big")
_KIND: Final = slice(12, 14)


class Discovery:
    """Answers for the addresses of a station and finds its neighbors.

    Args:
        answers: The addresses are the station's alone; else the kernel answers for them.

    Attributes:
        conflicts: Claims of others to the station's addresses.
    """

    def __init__(self, station: Station, *, answers: bool) -> None:
        self.conflicts = 0
        self._mac = station.mac
        self._own = {address.packed: address for address in station.addresses}
        self._answers = answers
        self._neighbors = Neighbors()
        self._defended: Nanos | None = None

    def concerns(self, frame: Buffer) -> bool:
        """Return whether `take` is to be given a frame."""
        kind = bytes(frame[_KIND])
        return kind == _ARP_OCTETS or (
            kind == _IPV6_OCTETS and ndp.is_discovery(frame[HEADER_OCTETS:])
        )

    def take(self, now: Nanos, frame: Buffer) -> Outcome:
        """Take in what a neighbor asks or tells.  Raises DecodeError."""
        _, source, kind = parse_ethernet(frame)
        body = frame[HEADER_OCTETS:]
        if kind == ARP:
            return self._on_arp(now, Arp.parse(body))
        message = ndp.parse_discovery(body)
        if isinstance(message, ndp.Solicitation):
            return self._on_solicitation(now, message, source)
        return self._on_advertisement(now, message)

    def claimed(self, frame: Buffer) -> bytes:
        """Return the address of ours that a frame of somebody else claims, empty if none."""
        _, source, kind = parse_ethernet(frame)
        if source == self._mac:
            return b""
        body = frame[HEADER_OCTETS:]
        if kind == ARP:
            told = Arp.parse(body)
            probed = told.target if told.sender == arp.NOBODY else told.sender
            return probed if probed in self._own else b""
        message = ndp.parse_discovery(body)
        if isinstance(message, ndp.Solicitation) and any(message.source):
            return b""
        return message.target if message.target in self._own else b""

    def probes(self) -> list[bytes]:
        """Return frames that ask whether anybody has our addresses (RFC 5227, 2.1.1; RFC 4862)."""
        return [
            self._arp(BROADCAST, arp.request(self._mac, arp.NOBODY, own))
            if len(own) == 4
            else self._solicit(ndp.NOBODY, own, b"")
            for own in self._own
        ]

    def announcements(self) -> list[bytes]:
        """Return frames that tell everybody where our addresses are (RFC 5227, 2.3; RFC 4861)."""
        return [
            self._arp(BROADCAST, arp.request(self._mac, own, own))
            if len(own) == 4
            else self._advertise(own, ndp.ALL_NODES, group_address(ndp.ALL_NODES), ndp.OVERRIDE)
            for own in self._own
        ]

    def find(self, now: Nanos, hop: bytes) -> bytes:
        """Return the Ethernet address of a next hop, empty if it is not known yet."""
        return self._neighbors.find(now, hop)

    def hold(self, hop: bytes, segment: Segment) -> None:
        """Keep a segment until the next hop, which was not found, is."""
        self._neighbors.hold(hop, segment)

    def holding(self) -> bool:
        """Return whether segments are kept."""
        return self._neighbors.holding()

    def questions(self) -> list[bytes]:
        """Return the frames that ask for next hops, once each."""
        return [
            self._question(question.hop, question.mac)
            for question in self._neighbors.take_questions()
        ]

    def next_timeout(self) -> Nanos | None:
        """Return when `handle_timeout` is due; it may be early."""
        return self._neighbors.next_timeout()

    def handle_timeout(self, now: Nanos) -> bool:
        """Ask again who did not answer; return whether next hops are to be found anew."""
        return bool(self._neighbors.handle_timeout(now))

    def take_dropped(self) -> int:
        """Return and forget how many segments were kept in vain."""
        dropped, self._neighbors.dropped = self._neighbors.dropped, 0
        return dropped

    def _on_arp(self, now: Nanos, told: Arp) -> Outcome:
        if told.sender in self._own:
            return self._defend(now, told.sender_mac), None
        answers: list[bytes] = []
        if told.operation == arp.REQUEST and told.target in self._own and self._answers:
            answers = [self._arp(told.sender_mac, arp.reply(told, self._mac))]
        return answers, self._learn(now, told.sender, told.sender_mac)

    def _on_solicitation(self, now: Nanos, asked: ndp.Solicitation, source: bytes) -> Outcome:
        if asked.target not in self._own:
            return [], None
        if not any(asked.source):  # somebody wants the address for himself
            return self._defend(now, source), None
        released = self._learn(now, asked.source, asked.mac)
        if not self._answers:
            return [], released
        flags = ndp.SOLICITED | ndp.OVERRIDE
        return [self._advertise(asked.target, asked.source, asked.mac or source, flags)], released

    def _on_advertisement(self, now: Nanos, told: ndp.Advertisement) -> Outcome:
        if told.target in self._own:
            return self._defend(now, told.mac), None
        override = told.flags & ndp.OVERRIDE != 0
        return [], self._learn(now, told.target, told.mac, override=override)

    def _learn(
        self, now: Nanos, hop: bytes, mac: bytes, *, override: bool = True
    ) -> list[Segment] | None:
        """Return what waited for a neighbor, None if nobody had asked for it."""
        if not mac or is_group(mac):
            return None
        return self._neighbors.learn(now, hop, mac, override=override)

    def _defend(self, now: Nanos, mac: bytes) -> list[bytes]:
        """Count a claim of somebody else, and claim the addresses again, not too often."""
        if mac == self._mac or not self._answers:
            return []
        self.conflicts += 1
        if self._defended is not None and now - self._defended < DEFEND_INTERVAL:
            return []
        self._defended = now
        return self.announcements()

    def _question(self, hop: bytes, mac: bytes) -> bytes:
        """Return the frame that asks one station, or all, for a next hop."""
        if len(hop) == 4:
            return self._arp(mac or BROADCAST, arp.request(self._mac, self._source(4), hop))
        return self._solicit(self._source(16), hop, mac)

    def _source(self, octets: int) -> bytes:
        """Return an address of ours to ask from."""
        return next((own for own in self._own if len(own) == octets), bytes(octets))

    def _arp(self, to: bytes, message: Arp) -> bytes:
        return ethernet_header(to, self._mac, ARP) + message.serialize()

    def _solicit(self, source: bytes, target: bytes, mac: bytes) -> bytes:
        destination = target if mac else ndp.solicited_node(target)
        asked = ndp.Solicitation(
            source=source,
            destination=destination,
            target=target,
            mac=self._mac if any(source) else b"",
        )
        return ethernet_header(mac or group_address(destination), self._mac, IPV6) + (
            asked.serialize()
        )

    def _advertise(self, own: bytes, to: bytes, mac: bytes, flags: int) -> bytes:
        told = ndp.Advertisement(source=own, destination=to, target=own, mac=self._mac, flags=flags)
        return ethernet_header(mac, self._mac, IPV6) + told.serialize()
