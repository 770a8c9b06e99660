"""Running one case: two hosts, their applications, and the judgment."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from plait.arguments import parse_address
from plait.errors import UsageError
from plait.host.events import LossReason
from plait.sim.seed import Seed
from plait.sim.station import Station
from plait.sim.torture import signals
from plait.sim.torture.case import INITIATOR, LISTENER, Case, Fault, address, build
from plait.sim.torture.holdings import connections_of, held, most, residue
from plait.sim.torture.observer import Watch
from plait.sim.torture.talk import Party, Talk
from plait.sim.torture.violation import Violation
from plait.sim.torture.wrap import wrap_early
from plait.sim.world import World
from plait.trace.pcap import PcapWriter
from plait.units import MILLISECOND, SECOND

STALL: Final = 150 * SECOND
"""Longest time without progress while a path works: RTO doubles up to `max_rto` with losses."""

PATIENCE: Final = 1800 * SECOND
"""The same where connections may be lost: what R2 of TCP and more need."""

GRACE: Final = 300 * SECOND
"""After the last connection ended, until nothing of it is left."""

FIRST_PORT: Final = 5001

_STEP: Final = 250 * MILLISECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a case went."""

    seed: int
    passed: bool
    invariant: str = ""
    text: str = ""
    packet: str = ""
    at_s: float = 0.0
    """When it failed, or ended."""

    segments: int = 0
    """Sent by both hosts."""

    outcomes: tuple[str, ...] = ()
    """Of each party: `closed` or why it was lost."""


class Rig:
    """One run of one case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.world = World(build(case), Seed(case.seed))
        self.clock = self.world.clock
        self.initiator = self.world.station(INITIATOR)
        self.listener = self.world.station(LISTENER)
        for fault in case.faults:
            if fault.kind == "wrap":
                station = self.world.station(fault.host)
                entropy = self.world.seed.octets(f"wrap/{fault.host}")
                wrap_early(station.host, entropy, initiator=fault.host == INITIATOR)
            elif fault.kind == "signal":
                station = self.world.station(fault.host)
                self.clock.call_at(signals.due(fault), partial(_give, station, fault))
        self.talks = [Talk(number, plan) for number, plan in enumerate(case.talks)]
        self.watches = [
            self._watch(self.initiator, [talk.initiator for talk in self.talks]),
            self._watch(self.listener, [talk.listener for talk in self.talks]),
        ]
        for talk in self.talks:
            self._schedule(talk)

    def _watch(self, station: Station, parties: list[Party]) -> Watch:
        ports = {FIRST_PORT + number: party for number, party in enumerate(parties)}
        station.observer = watch = Watch(station.host, ports)
        return watch

    def _schedule(self, talk: Talk) -> None:
        port = FIRST_PORT + talk.number
        self.listener.listen(port, lambda: talk.listener)
        self.clock.call_at(talk.plan.start, lambda _: self._connect(talk, port))

    def _connect(self, talk: Talk, port: int) -> None:
        remote = parse_address("remote", address(self.case.version, 101, 1))
        try:
            self.initiator.connect(talk.initiator, remote, port)
        except UsageError:  # all addresses are away
            talk.initiator.on_end(self.clock.now, LossReason.UNREACHABLE)

    # ---- time passes

    def run(self, capture: Path | None = None) -> Verdict:
        """Run to the end and return the verdict; never raises for what the stack does."""
        try:
            if capture is None:
                self._run()
            else:
                with capture.open("wb") as file:
                    self.initiator.tap = PcapWriter(file)
                    self._run()
        except Violation as broken:
            return self._verdict(broken.invariant, broken.text, broken.packet)
        except Exception as error:  # noqa: BLE001 - nothing may raise: that is what is tested
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"
            return self._verdict("raise", text)
        return self._verdict()

    def _run(self) -> None:
        while not all(talk.over for talk in self.talks):
            self.clock.run(self.clock.now + _STEP)
            self._check_memory()
            self._check_progress()
        self._judge()
        until = self.clock.now + GRACE
        while self._residue() and self.clock.now < until:
            self.clock.run(self.clock.now + SECOND)
        left = self._residue()
        if left:
            raise Violation("residue", self.clock.now, left)

    def _verdict(self, invariant: str = "", text: str = "", packet: str = "") -> Verdict:
        parties = [party for talk in self.talks for party in talk.parties]
        return Verdict(
            seed=self.case.seed,
            passed=not invariant,
            invariant=invariant,
            text=text,
            packet=packet,
            at_s=self.clock.now / SECOND,
            segments=sum(watch.segments for watch in self.watches),
            outcomes=tuple(map(_outcome, parties)),
        )

    # ---- what must hold

    def _check_memory(self) -> None:
        for station in (self.initiator, self.listener):
            for entry in connections_of(station.host).by_id.values():
                octets, bound = held(entry.connection), most(entry.connection)
                if octets > bound:
                    text = f"{station.name} holds {octets} octets, {bound} are allowed"
                    raise Violation("memory", self.clock.now, text)

    def _check_progress(self) -> None:
        now = self.clock.now
        quiet_since = round(self.case.last_event_s() * SECOND)
        bound = PATIENCE if self.case.fatal else STALL
        for talk in self.talks:
            if talk.over:
                continue
            moved = max(quiet_since, talk.plan.start, *(one.progressed for one in talk.parties))
            if now - moved > bound:
                state = "; ".join(map(_progress, talk.parties))
                raise Violation(
                    "stall", now, f"{(now - moved) // SECOND} s without progress: {state}"
                )

    def _judge(self) -> None:
        """Judge how the connections ended."""
        for talk in self.talks:
            for party, peer in ((talk.initiator, talk.listener), (talk.listener, talk.initiator)):
                if party.reason is not None and not self.case.fatal:
                    text = f"{party.name} was lost without a cause: {party.reason.value}"
                    raise Violation("outcome", self.clock.now, f"{text}; {_progress(party)}")
                if party.opened and party.reason is None and party.received != peer.sent:
                    text = (
                        f"{party.name} closed cleanly with {party.received} of {peer.sent} octets"
                    )
                    raise Violation("outcome", self.clock.now, text)

    def _residue(self) -> str:
        found = []
        for station in (self.initiator, self.listener):
            left = residue(station.host)
            if left:
                found.append(f"{station.name} keeps {left}")
        return "; ".join(found)


def _give(station: Station, fault: Fault, _: None) -> None:
    signals.give(station, fault)


def run_case(case: Case, capture: Path | None = None) -> Verdict:
    """Run a case, with a capture at the initiator if that is wanted."""
    return Rig(case).run(capture)


def _outcome(party: Party) -> str:
    if not party.ended:
        return "open" if party.opened else "not opened"
    return "closed" if party.reason is None else party.reason.value


def _progress(party: Party) -> str:
    return (
        f"{party.name} wrote {party.sent} of {party.plan.octets} and read {party.received}, "
        f"{_outcome(party)}"
    )
