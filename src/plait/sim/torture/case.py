"""A case: one world of the torture rig, and its faults, each of which can be taken away.

A case without faults is a plain network between two hosts with default settings.  Whatever makes
it hard is a fault: an impairment, a middlebox, an event, a setting.  So a case that fails can be
shrunk by leaving faults out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from plait.sim.scenario import (
    EventSpec,
    HostSpec,
    LinkSpec,
    MiddleboxSpec,
    RouterSpec,
    Scenario,
    Shape,
)
from plait.units import Nanos, Octets

INITIATOR: Final = "a"
LISTENER: Final = "b"
ROUTER: Final = "r"

SETTINGS: Final[Mapping[str, Any]] = {
    "time_wait_ms": 30_000,
    "no_subflow_timeout_ms": 20_000,
    "keepalive": True,
    "keepalive_idle_ms": 20_000,
    "keepalive_interval_ms": 10_000,
    "keepalive_probes": 5,
}
"""Of both hosts in every case.

TIME-WAIT outlasts outages, so that no RST answers a late FIN, and so does the patience of
keep-alive, without which a host that has nothing to say never learns that its peer is gone.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that makes a case harder."""

    kind: str
    """`shape` of a path, `box` on it, `event`, `settings` of a host, `wrap`: its data sequence
    numbers pass 2**32 early, or `signal` that it is to give."""

    path: int = 0
    """Path of the initiator, for `shape` and `box`; of a signal the number of the subflow."""

    host: str = ""
    """Whose settings, numbers or signal; empty is both hosts."""

    direction: str = "both"
    """Of a shape: `forth`, `back` or `both`."""

    name: str = ""
    """Kind of the middlebox or signal."""

    values: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[EventSpec, ...] = ()
    fatal: bool = False
    """A connection may be lost for it, if both sides are told so."""

    def __str__(self) -> str:
        """Return the fault on one line."""
        values = ", ".join(f"{key}={value}" for key, value in self.values.items())
        if self.kind == "shape":
            return f"path {self.path} {self.direction}: {values}"
        if self.kind == "box":
            return f"path {self.path}: {self.name}({values})"
        if self.kind == "wrap":
            return f"data sequence numbers of {self.host} wrap early"
        if self.kind == "signal":
            return f"{self.host}, subflow {self.path}: {self.name}({values})"
        if self.kind == "settings":
            return f"settings of {self.host or 'both'}: {values}"
        return "; ".join(_show_event(event) for event in self.events)


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPlan:
    """A link of the initiator, before its faults."""

    rate_mbit: float
    delay_ms: float
    queue_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyPlan:
    """What one side of a connection does."""

    octets: Octets
    """To be written before it closes."""

    write: Octets = 1 << 16
    """Of one call."""

    pause: Nanos = 0
    """Between two writes; 0 writes as fast as there is room."""

    read: Octets = 1 << 24
    read_pause: Nanos = 0
    """Between two reads; 0 reads at once."""

    close_late: bool = False
    """Close after the peer did, not after the last octet."""

    abort_at: Octets | None = None
    """Abort when so many octets were written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkPlan:
    """One connection."""

    start: Nanos
    initiator: PartyPlan
    listener: PartyPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One world and what happens in it."""

    seed: int
    version: int = 4
    paths: tuple[PathPlan, ...]
    addresses: int = 1
    """Of the listener, each with a link of its own."""

    talks: tuple[TalkPlan, ...]
    faults: tuple[Fault, ...] = ()

    def without(self, numbers: frozenset[int]) -> Case:
        """Return the case without some of its faults, counted from 0."""
        kept = tuple(fault for at, fault in enumerate(self.faults) if at not in numbers)
        return replace(self, faults=kept)

    @property
    def fatal(self) -> bool:
        """Return whether connections may be lost."""
        aborts = any(
            party.abort_at is not None
            for talk in self.talks
            for party in (talk.initiator, talk.listener)
        )
        return aborts or any(fault.fatal for fault in self.faults)

    def settings(self, host: str) -> dict[str, Any]:
        """Return the settings of a host."""
        chosen = dict(SETTINGS)
        for fault in self.faults:
            if fault.kind == "settings" and fault.host in ("", host):
                chosen.update(fault.values)
        return chosen

    def last_event_s(self) -> float:
        """Return when the last event happens, in seconds."""
        return max((event.at_s for fault in self.faults for event in fault.events), default=0.0)


def build(case: Case) -> Scenario:
    """Return the scenario of a case, without flows: the rig brings its own applications."""
    links: dict[str, LinkSpec] = {}
    boxes: dict[str, MiddleboxSpec] = {}
    near: dict[str, tuple[str, ...]] = {}
    far: dict[str, tuple[str, ...]] = {}
    for number, plan in enumerate(case.paths):
        link = inside = f"p{number}"
        near[link] = (address(case.version, 1 + number, 1),)
        chain = [
            (f"box{at}", fault)
            for at, fault in enumerate(case.faults)
            if fault.kind == "box" and fault.path == number
        ]
        ends = [name for name, _ in chain] + [ROUTER]
        for (name, fault), following in zip(chain, ends[1:], strict=True):
            boxes[name] = MiddleboxSpec(kind=fault.name, inside=inside, options=dict(fault.values))
            inside = f"{name}-out"
            links[inside] = LinkSpec(between=(name, following))
        links[link] = LinkSpec(
            between=(INITIATOR, ends[0]),
            forth=_shape(case, number, plan, "forth"),
            back=_shape(case, number, plan, "back"),
        )
    for number in range(case.addresses):
        link = f"s{number}"
        far[link] = (address(case.version, 101 + number, 1),)
        links[link] = LinkSpec(between=(LISTENER, ROUTER))
    return Scenario(
        title=f"torture {case.seed}",
        seed=case.seed,
        hosts={
            INITIATOR: HostSpec(addresses=near, settings=case.settings(INITIATOR)),
            LISTENER: HostSpec(addresses=far, settings=case.settings(LISTENER)),
        },
        routers={ROUTER: RouterSpec()},
        middleboxes=boxes,
        links=links,
        events=tuple(event for fault in case.faults for event in fault.events),
    )


def address(version: int, network: int, host: int) -> str:
    """Return the text of an address of a case."""
    return f"10.0.{network}.{host}" if version == 4 else f"2001:db8:{network:x}::{host:x}"


def _shape(case: Case, number: int, plan: PathPlan, direction: str) -> Shape:
    values: dict[str, Any] = {
        "rate_mbit": plan.rate_mbit,
        "delay_ms": plan.delay_ms,
        "queue_ms": plan.queue_ms,
    }
    for fault in case.faults:
        here = fault.kind == "shape" and fault.path == number
        if here and fault.direction in ("both", direction):
            values.update(fault.values)
    return Shape(**values)


def _show_event(event: EventSpec) -> str:
    if event.link is not None:
        state = "up" if event.up else "down"
        what = f"rate {event.rate_mbit}" if event.up is None else state
        return f"{event.at_s:g} s: {event.link} {what}"
    return f"{event.at_s:g} s: {event.address} {'comes' if event.present else 'goes'}"
