"""Scenarios: what to simulate, as plain values in the units people use.

The names here are the keys of the TOML format (`plait.sim.toml`), so both say the same.  What one
value alone can be wrong about is checked here; what concerns several, when a world is built.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from plait.errors import UsageError
from plait.sim.recorder import SERIES

QUEUES: Final = ("droptail", "red", "codel")
KINDS: Final = ("bulk", "stream", "requests", "page", "arrivals", "cbr", "onoff")
DIRECTIONS: Final = ("up", "down")
SIZES: Final = ("constant", "exponential", "pareto")


def _more_than_zero(spec: object, *names: str) -> None:
    for name in names:
        value = getattr(spec, name)
        if value is not None and not value > 0:
            raise UsageError(f"{name} must be more than 0, not {value}")


def _not_negative(spec: object, *names: str) -> None:
    for name in names:
        value = getattr(spec, name)
        if value is not None and not value >= 0:
            raise UsageError(f"{name} must not be negative: {value}")


def _probability(spec: object, *names: str) -> None:
    for name in names:
        value = getattr(spec, name)
        if value is not None and not 0 <= value <= 1:
            raise UsageError(f"{name} must be a probability from 0 to 1, not {value}")


def _one_of(spec: object, name: str, known: tuple[str, ...]) -> None:
    value = getattr(spec, name)
    if value not in known:
        raise UsageError(f"{name} must be one of {', '.join(known)}, not {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One direction of a link.  Raises UsageError for values that no link has."""

    rate_mbit: float | None = None
    """Mbit/s, IP headers counted; None without `trace` is unlimited."""

    trace: str | None = None
    """A file of rates: `*.csv` has lines of seconds and Mbit/s, others are Mahimahi traces."""

    delay_ms: float = 0.0
    mtu: int = 1500
    queue: str = "droptail"
    queue_packets: int | None = None
    queue_octets: int | None = None
    queue_ms: float | None = None
    """Room for as much as the rate transmits in this time."""

    ecn: bool = False
    """RED and CoDel mark packets that can be marked."""

    red_low: float = 5.0
    """Average packets at which RED begins to drop."""

    red_high: float = 15.0
    red_most: float = 0.1
    """Probability of a drop at `red_high`."""

    codel_target_ms: float = 5.0
    codel_interval_ms: float = 100.0
    loss: float = 0.0
    """Probability that a packet is lost on the wire."""

    loss_burst: tuple[float, float, float, float] | None = None
    """Gilbert-Elliott: probabilities to go bad, to go good, of loss when bad, and when good."""

    loss_mask: str | None = None
    """`x` loses and `.` passes a packet, one after the other."""

    loss_mask_repeat: bool = False
    loss_numbers: tuple[int, ...] = ()
    """Packets to lose, the first being 1."""

    jitter_ms: float = 0.0
    """Most that is added to the delay; the order is kept."""

    reorder: float = 0.0
    """Probability that a packet comes `reorder_ms` later than its turn."""

    reorder_ms: float = 1.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    """Probability that one bit of a segment changes."""

    corrupt_header: bool = False
    corrupt_fixed: bool = False
    """The TCP checksum is corrected afterwards."""

    too_big_errors: bool = True
    """Packets above the MTU are answered by an ICMP error; if not, the link is a black hole."""

    def __post_init__(self) -> None:
        """Check ranges."""
        _more_than_zero(self, "rate_mbit", "mtu", "queue_packets", "queue_octets", "queue_ms")
        _more_than_zero(self, "codel_target_ms", "codel_interval_ms", "red_low", "red_most")
        _not_negative(self, "delay_ms", "jitter_ms", "reorder_ms")
        _probability(self, "loss", "reorder", "duplicate", "corrupt", "red_most")
        _one_of(self, "queue", QUEUES)
        if self.mtu < 68:
            raise UsageError(f"mtu must be at least 68, not {self.mtu}")
        if self.rate_mbit is not None and self.trace is not None:
            raise UsageError("rate_mbit and trace exclude each other")
        if self.queue_ms is not None and self.rate_mbit is None:
            raise UsageError("queue_ms needs rate_mbit")
        if self.red_high <= self.red_low:
            raise UsageError("red_high must be more than red_low")
        losses = (self.loss > 0, self.loss_burst, self.loss_mask, self.loss_numbers)
        if sum(map(bool, losses)) > 1:
            raise UsageError("loss, loss_burst, loss_mask and loss_numbers exclude each other")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """A link between two nodes, `forth` from the first to the second."""

    between: tuple[str, str]
    forth: Shape = Shape()
    back: Shape = Shape()


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSpec:
    """A route; of several that match the most specific counts."""

    to: str
    """Network or address of the destination."""

    via: tuple[str, ...]
    """Links; several share the flows by a hash."""

    source: str | None = None
    """Network or address of the source; None is any."""

    port: int | None = None
    """Destination port; None is any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSpec:
    """A host: addresses by the link they belong to."""

    addresses: dict[str, tuple[str, ...]]
    absent: tuple[str, ...] = ()
    """Addresses that are not there until an event brings them."""

    shared: tuple[str, ...] = ()
    """Addresses that other hosts have as well, as servers behind a load balancer do: routers send
    a flow to one of them, which one a hash says."""

    routes: tuple[RouteSpec, ...] = ()
    """Where packets leave by another link than that of their source."""

    coalesce_ms: float = 0.0
    """How long an arriving segment may wait for others, as where interrupts are moderated: long
    simulations of fast links take half the time, round trips are longer by as much."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of `plait.host.settings.Settings`, times in milliseconds as `NAME_ms`; `intent`
    names several at once, as `plait.host.intents` has them."""

    def __post_init__(self) -> None:
        """Check ranges."""
        _not_negative(self, "coalesce_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSpec:
    """A router; shortest paths are found, equally short ones share the flows."""

    routes: tuple[RouteSpec, ...] = ()
    salt: int = 0
    """Changes how flows are spread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MiddleboxSpec:
    """A middlebox between two links."""

    kind: str
    inside: str
    """The link on its inner side."""

    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSpec:
    """Traffic from one host to another.  Raises UsageError for values that make no sense."""

    source: str
    """The host that connects."""

    destination: tuple[str, ...]
    """The host that listens, or several that share an address: each connection ends at one."""

    kind: str = "bulk"
    """`bulk` one stream; `stream` one at a rate; `requests` and answers; `page` of objects;
    `arrivals` of short connections; `cbr` and `onoff` packets that are not TCP."""

    local: str | None = None
    """Address to connect from; None is the first."""

    remote: str | None = None
    port: int | None = None
    """None gives every flow a port of its own."""

    start_s: float = 0.0
    stop_s: float | None = None
    direction: str = "up"
    """Where `octets` go: `up` from the source, `down` to it."""

    octets: int | None = None
    """Size of a bulk or stream; None does not end."""

    rate_mbit: float | None = None
    """Of a stream or cross traffic."""

    packet_octets: int = 1500
    on_ms: float = 500.0
    off_ms: float = 500.0
    request_octets: int = 100
    answer_octets: int = 10_000
    count: int | None = None
    """Requests; None does not end."""

    think_ms: float = 0.0
    objects: tuple[int, ...] = ()
    """Sizes of the objects of a page, the first of which names the others."""

    parallel: int = 6
    """Connections of a page."""

    arrivals_per_s: float | None = None
    mean_octets: int = 100_000
    sizes: str = "exponential"
    verify: bool = False
    """Compare every octet that arrives."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Of both ends, instead of those of their hosts."""

    def __post_init__(self) -> None:
        """Check ranges, and that the kind has what it needs."""
        _one_of(self, "kind", KINDS)
        _one_of(self, "direction", DIRECTIONS)
        _one_of(self, "sizes", SIZES)
        _more_than_zero(
            self, "octets", "rate_mbit", "count", "parallel", "arrivals_per_s", "mean_octets"
        )
        _more_than_zero(self, "answer_octets", "on_ms", "off_ms", "stop_s")
        _not_negative(self, "start_s", "think_ms")
        if not self.destination:
            raise UsageError("destination must name a host")
        if len(self.destination) > 1 and self.kind in {"cbr", "onoff"}:
            raise UsageError(f"destination must be one host for {self.kind}")
        if self.port is not None and not 0 < self.port < 65536:
            raise UsageError(f"port must be 1 to 65535, not {self.port}")
        if self.request_octets < 16:
            raise UsageError(f"request_octets must be at least 16, not {self.request_octets}")
        if not 28 <= self.packet_octets <= 65_535:
            raise UsageError(f"packet_octets must be 28 to 65535, not {self.packet_octets}")
        if self.stop_s is not None and self.stop_s <= self.start_s:
            raise UsageError("stop_s must be after start_s")
        if min(self.objects, default=1) < 1:
            raise UsageError("objects must have at least 1 octet each")
        needs = {
            "stream": "rate_mbit",
            "cbr": "rate_mbit",
            "onoff": "rate_mbit",
            "page": "objects",
            "arrivals": "arrivals_per_s",
        }
        needed = needs.get(self.kind)
        if needed is not None and not getattr(self, needed):
            raise UsageError(f"{needed} is missing: {self.kind} needs it")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSpec:
    """Something that changes at a time: a link, or an address of a host."""

    at_s: float
    link: str | None = None
    direction: str = "both"
    """`forth`, `back` or `both`."""

    up: bool | None = None
    rate_mbit: float | None = None
    delay_ms: float | None = None
    loss: float | None = None
    host: str | None = None
    address: str | None = None
    present: bool | None = None

    def __post_init__(self) -> None:
        """Check ranges, and that it is about one thing."""
        _not_negative(self, "at_s", "delay_ms")
        _more_than_zero(self, "rate_mbit")
        _probability(self, "loss")
        _one_of(self, "direction", ("forth", "back", "both"))
        shape = (self.up, self.rate_mbit, self.delay_ms, self.loss)
        about_link = self.link is not None and any(value is not None for value in shape)
        about_host = None not in (self.host, self.address, self.present)
        if about_link == about_host:
            raise UsageError(
                "link with up, rate_mbit, delay_ms or loss is needed, "
                "or host with address and present"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSpec:
    """A span of time that is measured by itself."""

    start_s: float
    stop_s: float

    def __post_init__(self) -> None:
        """Check the order."""
        _not_negative(self, "start_s")
        if self.stop_s <= self.start_s:
            raise UsageError("stop_s must be after start_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything that is simulated; what happens follows from it and a seed."""

    title: str = ""
    duration_s: float = 10.0
    seed: int = 1
    interval_ms: float = 100.0
    """Between two looks at flows, and the width of the steps of their delivery."""

    series: tuple[str, ...] = ()
    """What to keep of each look: `cwnd`, `srtt`, `subflows`, `queue`."""

    serialize: bool = False
    """Turn every packet into octets and back on every link."""

    hosts: dict[str, HostSpec] = field(default_factory=dict)
    routers: dict[str, RouterSpec] = field(default_factory=dict)
    middleboxes: dict[str, MiddleboxSpec] = field(default_factory=dict)
    links: dict[str, LinkSpec] = field(default_factory=dict)
    flows: dict[str, FlowSpec] = field(default_factory=dict)
    events: tuple[EventSpec, ...] = ()
    windows: dict[str, WindowSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check ranges."""
        _more_than_zero(self, "duration_s", "interval_ms")
        for name in self.series:
            if name not in SERIES:
                raise UsageError(f"series must be among {', '.join(SERIES)}, not {name!r}")
