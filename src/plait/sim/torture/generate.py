"""From a seed to a case: what is drawn, and how likely it is."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

from plait.congestion import Bbr, Cubic, Reno
from plait.pathing import Default, FullMesh, Interfaces, NDiffPorts
from plait.scheduling import LowestRtt
from plait.sim.scenario import EventSpec
from plait.sim.seed import Seed
from plait.sim.torture.case import (
    INITIATOR,
    LISTENER,
    Case,
    Fault,
    PartyPlan,
    PathPlan,
    TalkPlan,
    address,
)
from plait.sim.torture.signals import CHANGE, LEAVE, SPARE, USE
from plait.units import MILLISECOND, SECOND

_BUFFERS: Final = (700, 2000, 6000, 20_000, 65_535, 200_000, 1 << 20)
_SIZES: Final = (0, 1, 100, 1500, 20_000, 100_000, 300_000)
_MTUS: Final = {4: (400, 576, 1280, 1492), 6: (1280, 1400, 1492)}

# By name and not from the registries: plug-ins of a program must not change what a seed means.
_SCHEDULERS: Final = (
    "default",
    "active-standby",
    "blest",
    "cheap-first:overflow_ms=50",
    "ecf",
    "load-split:split=70/30",
    "load-split:split=1/3,strict=yes",
    "redundant",
    "redundant:copies=2",
    "round-robin",
    "smallest-delay",
)
_CONTROLLERS: Final = (
    "auto",
    "balia",
    "bbr",
    "coupled",
    "cubic",
    "ewtcp",
    "lia",
    "olia",
    "reno",
    "wvegas",
)
_JOINING: Final = (FullMesh.name, Interfaces.name, f"{NDiffPorts.name}:subflows=3")
_PATH_MANAGERS: Final = (Default.name, FullMesh.name, NDiffPorts.name)

_STRIPPING: Final = ("strip-syn", "strip-syn-ack", "strip-data", "overwrite-options", "strip-late")


def generate(seed: int) -> Case:
    """Return the case of a seed, always the same."""
    draw = Seed(seed).random("torture")
    version = 4 if draw.random() < 0.7 else 6
    paths = tuple(_path(draw) for _ in range(draw.choice((1, 2, 2, 2, 3))))
    talks = tuple(_talk(draw) for _ in range(draw.choice((1, 1, 1, 2, 3))))
    faults = [
        *_settings(draw),
        *_shapes(draw, len(paths), version),
        *_boxes(draw, len(paths), version),
        *_events(draw, len(paths), version),
    ]
    addresses = draw.choice((1, 1, 2))
    damage = _interference(draw, faults, len(paths))
    return Case(
        seed=seed,
        version=version,
        paths=paths,
        addresses=addresses,
        talks=talks,
        faults=(
            *faults,
            *damage,
            *_versions(seed),
            *_pacing(seed),
            *_rules(seed, version, risky=len(damage) > 0),
            *_policies(seed),
            *_managers(seed),
            *_probes(seed),
        ),
    )


def _path(draw: Random) -> PathPlan:
    rate = round(10 ** draw.uniform(0, 1.7), 1)
    return PathPlan(
        rate_mbit=rate,
        delay_ms=round(10 ** draw.uniform(0, 2)),
        queue_ms=draw.choice((30, 100, 300)) + round(60 / rate),
    )


def _talk(draw: Random) -> TalkPlan:
    up, down = _party(draw), _party(draw)
    if up.close_late and down.close_late:
        down = _party(draw, may_be_late=False)
    return TalkPlan(start=draw.randrange(SECOND), initiator=up, listener=down)


def _party(draw: Random, *, may_be_late: bool = True) -> PartyPlan:
    octets = draw.randint(0, draw.choice(_SIZES))
    slow = draw.random() < 0.2
    pause = draw.choice((0, 0, 0, 5, 50)) * MILLISECOND
    write = draw.choice((100, 1400, 1 << 16))
    if pause:
        write = max(write, octets // 200)
    return PartyPlan(
        octets=octets,
        write=write,
        pause=pause,
        read=draw.choice((500, 5000)) if slow else 1 << 24,
        read_pause=draw.choice((10, 100)) * MILLISECOND if slow else 0,
        close_late=may_be_late and draw.random() < 0.3,
        abort_at=draw.randint(0, octets) if draw.random() < 0.03 else None,
    )


# ---- settings


def _settings(draw: Random) -> list[Fault]:
    anyone = (INITIATOR, LISTENER, "")
    both = (INITIATOR, LISTENER)
    faults = []
    if draw.random() < 0.2:
        faults.append(_setting(draw.choice(anyone), mptcp=False))
    if draw.random() < 0.5:
        faults.append(_setting("", checksum=False))
    faults += [Fault(kind="wrap", host=host) for host in both if draw.random() < 0.2]
    faults += [
        _setting(draw.choice(anyone), **{name: False})
        for name in ("timestamps", "sack", "nodelay", "autotuning", "window_scaling")
        if draw.random() < 0.25
    ]
    known: dict[str, tuple[Any, ...]] = {
        "receive_buffer": _BUFFERS,
        "send_buffer": _BUFFERS,
        "ecn": ("no", "passive", "active"),
        "mtu_probing": ("off", "black hole", "always"),
        "max_mss": (1, 536, 536, 1400, 1400),
        "congestion": (Cubic.name, Reno.name),
        "scheduler": (LowestRtt.name,),
        "path_manager": _PATH_MANAGERS,
    }
    faults += [
        _setting(host, **{name: draw.choice(values)})
        for host in both
        for name, values in known.items()
        if draw.random() < 0.4
    ]
    return faults


def _versions(seed: int) -> list[Fault]:
    """Return who speaks version 0 of Multipath TCP; drawn apart, since it came later."""
    draw = Seed(seed).random("version")
    if draw.random() < 0.7:
        return []
    either = ("v0", "v0", "both", "v1")
    return [_setting(host, mptcp_versions=draw.choice(either)) for host in (INITIATOR, LISTENER)]


def _pacing(seed: int) -> list[Fault]:
    """Return who sends by a model of the path, or paces a window; drawn apart like versions."""
    draw = Seed(seed).random("pacing")
    paced: tuple[dict[str, Any], ...] = ({"congestion": Bbr.name}, {"pacing": True})
    anyone = (INITIATOR, LISTENER, "")
    return [_setting(draw.choice(anyone), **values) for values in paced if draw.random() < 0.2]


def _rules(seed: int, version: int, *, risky: bool) -> list[Fault]:
    """Return what RFC 8684 leaves to hosts: widths, resets, who may be joined where, signals.

    What takes a subflow away may cost the connection if it is `risky`: damage ends the last one.
    """
    draw = Seed(seed).random("rules")
    anyone = (INITIATOR, LISTENER, "")
    both = (INITIATOR, LISTENER)
    faults = [
        _setting(draw.choice(anyone), **{name: 4})
        for name in ("dsn_octets", "data_ack_octets")
        if draw.random() < 0.25
    ]
    if draw.random() < 0.1:
        values = {"bad_path_timeouts": draw.randint(1, 4)}
        faults.append(Fault(kind="settings", host=draw.choice(both), values=values, fatal=risky))
    if draw.random() < 0.1:
        where = f"[{address(version, 101, 1)}]:8443"
        faults.append(_setting(LISTENER, allow_join_initial=False, advertise=where))
    faults += [
        Fault(
            kind="signal",
            host=draw.choice(both),
            path=draw.choice((0, 1)),
            name=name,
            values={"at_ms": draw.randint(500, 4000)},
            fatal=risky and name == LEAVE,
        )
        for name in (SPARE, USE, LEAVE)
        if draw.random() < 0.2
    ]
    return faults


def _policies(seed: int) -> list[Fault]:
    """Return who schedules and controls congestion how, and when that changes."""
    draw = Seed(seed).random("policies")
    both = (INITIATOR, LISTENER)
    if draw.random() < 0.5:
        return []

    def policies() -> dict[str, str]:
        scheduler = draw.choice(_SCHEDULERS)
        return {"scheduler": scheduler, "congestion": draw.choice(_CONTROLLERS)}

    faults = [_setting(host, **policies()) for host in both]
    for host in both:
        for _ in range(draw.choice((0, 0, 1, 3))):
            values = {"at_ms": draw.randint(100, 5000), **policies()}
            faults.append(Fault(kind="signal", host=host, name=CHANGE, values=values))
    return faults


def _managers(seed: int) -> list[Fault]:
    """Return when path managers change, all to such as join: damage leaves no other way."""
    draw = Seed(seed).random("managers")
    faults = []
    for host in (INITIATOR, LISTENER):
        for _ in range(draw.choice((0, 0, 0, 1, 2))):
            values = {"at_ms": draw.randint(100, 5000), "path_manager": draw.choice(_JOINING)}
            faults.append(Fault(kind="signal", host=host, name=CHANGE, values=values))
    return faults


def _probes(seed: int) -> list[Fault]:
    """Return who asks idle paths how they are, and how often."""
    draw = Seed(seed).random("probes")
    spans = {
        "failback_probe_ms": (0, 100, 5000),
        "path_probe_ms": (100, 1000, 15_000),
    }
    return [
        _setting(host, **{name: draw.choice(values)})
        for host in (INITIATOR, LISTENER)
        for name, values in spans.items()
        if draw.random() < 0.2
    ]


def _setting(host: str, **values: Any) -> Fault:
    return Fault(kind="settings", host=host, values=values)


# ---- paths


def _shapes(draw: Random, paths: int, version: int) -> list[Fault]:
    makers: tuple[Callable[[], dict[str, Any]], ...] = (
        lambda: {"loss": round(draw.uniform(0.001, 0.05), 4)},
        lambda: {"loss_burst": (0.005, 0.3, 0.5, 0.0)},
        lambda: {"loss_numbers": tuple(sorted(draw.sample(range(1, 40), draw.randint(1, 6))))},
        lambda: {"jitter_ms": draw.choice((1, 10, 50))},
        lambda: {"reorder": draw.choice((0.01, 0.1)), "reorder_ms": draw.choice((1, 5, 50))},
        lambda: {"duplicate": draw.choice((0.01, 0.1, 0.5))},
        lambda: {"corrupt": draw.choice((0.002, 0.02)), "corrupt_header": draw.random() < 0.5},
        lambda: {"queue": draw.choice(("red", "codel")), "ecn": draw.random() < 0.5},
    )
    faults = []
    for path in range(paths):
        for number in draw.sample(range(len(makers)), draw.choice((0, 1, 1, 2, 3))):
            values = makers[number]()
            direction = draw.choice(("both", "forth", "back"))
            faults.append(Fault(kind="shape", path=path, direction=direction, values=values))
        if draw.random() < 0.15:
            mtu = {"mtu": draw.choice(_MTUS[version])}
            faults.append(Fault(kind="shape", path=path, values=mtu))
    return _one_loss_each(faults)


def _one_loss_each(faults: list[Fault]) -> list[Fault]:
    """Leave out all but the first kind of loss on a path: they exclude each other."""
    kept: list[Fault] = []
    lossy = set()
    for fault in faults:
        if any(key.startswith("loss") for key in fault.values):
            if fault.path in lossy:
                continue
            lossy.add(fault.path)
        kept.append(fault)
    return kept


def _boxes(draw: Random, paths: int, version: int) -> list[Fault]:
    """Return up to two boxes for each path; options are removed on one path only."""
    faults: list[Fault] = []
    for path in range(paths):
        for _ in range(draw.choice((0, 0, 0, 1, 1, 2))):
            fault = _box(draw, path, version)
            stripped = any(other.name in _STRIPPING for other in faults)
            alike = any(other.name == fault.name and other.path == path for other in faults)
            if not alike and not (fault.name in _STRIPPING and stripped):
                faults.append(fault)
    return faults


def _box(draw: Random, path: int, version: int) -> Fault:
    ways = draw.choice(("both", "outbound", "inbound"))
    after = draw.randint(1, 60_000)
    zoo: dict[str, dict[str, Any]] = {
        "transparent": {},
        "bleach-ecn": {"flags": draw.random() < 0.5},
        "coalescer": {"limit": 300 if version == 4 else 1100, "direction": ways},  # fits any MTU
        "splitter": {
            "size": draw.choice((100, 536)),
            "options": draw.choice(("all", "first")),
            "direction": ways,
        },
        "isn-rewriter": {"seed": draw.randint(1, 99), "sack": draw.random() < 0.7},
        "nat": {"address": address(version, 201 + path, 1)},
        "strict-nat": {"address": address(version, 211 + path, 1)},
        "firewall": {"idle_ms": draw.choice((500, 100_000_000)), "reset": draw.random() < 0.5},
        "strip-syn": {},
        "strip-syn-ack": {},
        "strip-data": {"direction": ways},
        "strip-late": {"after_octets": after, "direction": ways},
        "overwrite-options": {"filler": draw.choice(("nop", "eol")), "direction": ways},
        "strip-timestamps": {"syn": draw.random() < 0.7},
        "window-rewriter": {"most": draw.choice((3000, 20_000)), "direction": ways},
        "hold-behind-hole": {"direction": ways},
        "drop-unseen-acks": {},
        "drop-unknown-syn": {"reset": True} if draw.random() < 0.3 else {},
        "pmtu-limit": {"mtu": draw.choice((1280, 1400)), "direction": ways},
        "pmtu-black-hole": {"mtu": draw.choice((1280, 1400)), "direction": ways},
        "rst-injector": {"after_octets": after, "toward": ways},
    }
    name = draw.choice(list(zoo))
    fatal = name in {"rst-injector", "strip-late", "firewall"} or "reset" in zoo[name]
    return Fault(kind="box", path=path, name=name, values=zoo[name], fatal=fatal)


def _interference(draw: Random, faults: list[Fault], paths: int) -> list[Fault]:
    """Return what only Multipath TCP sees, damage or a FIN, if there is another path to heal it.

    On the first path, or while its address is away, it may strike before there is another subflow,
    which ends in fall-back with the octets as the path made them (RFC 8684, 3.7).
    """
    values = {key: value for fault in faults for key, value in fault.values.items()}
    refused = {*_STRIPPING, "drop-unknown-syn"} & {fault.name for fault in faults}
    checked = values.get("checksum", True) and values.get("mptcp", True)
    single = any(fault.values.get("path_manager") == "default" for fault in faults)
    elsewhere = any(fault.kind == "event" and fault.fatal and not fault.path for fault in faults)
    if paths == 1 or refused or single or elsewhere or not checked or draw.random() < 0.5:
        return []
    zoo: dict[str, dict[str, Any]] = {
        "corrupter": {"offset": draw.randint(0, 20_000), "length": draw.randint(1, 50)},
        "fin-injector": {"after_octets": draw.randint(1, 20_000)},
    }
    name = draw.choice(("corrupter", "corrupter", "fin-injector"))
    return [Fault(kind="box", path=draw.randrange(1, paths), name=name, values=zoo[name])]


# ---- events


def _events(draw: Random, paths: int, version: int) -> list[Fault]:
    faults = []
    for path in range(paths):
        at = round(draw.uniform(0.05, 4), 2)
        until = round(at + 10 ** draw.uniform(-1, 1), 2)
        if draw.random() < 0.2:
            faults.append(_link_event(path, at, until))
        elif draw.random() < 0.1:
            back = draw.random() < 0.5
            faults.append(_address_event(version, path, at, until if back else None))
        elif draw.random() < 0.15:
            rate = round(10 ** draw.uniform(-0.5, 1.5), 1)
            event = EventSpec(at_s=at, link=f"p{path}", rate_mbit=rate)
            faults.append(Fault(kind="event", events=(event,)))
    return faults


def _link_event(path: int, at: float, until: float) -> Fault:
    down = EventSpec(at_s=at, link=f"p{path}", up=False)
    up = EventSpec(at_s=until, link=f"p{path}", up=True)
    return Fault(kind="event", path=path, events=(down, up))


def _address_event(version: int, path: int, at: float, until: float | None) -> Fault:
    text = address(version, 1 + path, 1)
    events = [EventSpec(at_s=at, host=INITIATOR, address=text, present=False)]
    if until is not None:
        events.append(EventSpec(at_s=until, host=INITIATOR, address=text, present=True))
    return Fault(kind="event", path=path, events=tuple(events), fatal=True)
