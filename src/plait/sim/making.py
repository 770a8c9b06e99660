"""Making links, settings and middleboxes from the records of a scenario."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from plait.addresses import IpAddress
from plait.arguments import arguments, known_arguments, nanos, signature
from plait.drivers.emulation import LinkShape
from plait.errors import UsageError
from plait.host.intents import intent_settings
from plait.host.settings import Settings
from plait.sim.box import Box
from plait.sim.clock import Clock
from plait.sim.impairments import Corrupt, Duplicate, Impairment, Jitter, Reorder
from plait.sim.link import Link
from plait.sim.loss import Bernoulli, GilbertElliott, Loss, Mask, Numbered
from plait.sim.middlebox import middleboxes
from plait.sim.queue import UNLIMITED, CoDel, Queue, Red
from plait.sim.rate import Constant, Rate, parse_mahimahi, parse_rates
from plait.sim.scenario import MiddleboxSpec, Shape
from plait.sim.seed import Seed
from plait.units import SECOND

DEFAULT_QUEUE: Final = LinkShape().queue
"""Octets of a queue of which nothing is said, the same as in the emulator."""

_TYPICAL_PACKET: Final = 1500


def make_link(clock: Clock, seed: Seed, name: str, shape: Shape) -> Link:
    """Return one direction of a link; each of its impairments has a random source of its own."""
    rate = _rate(shape)
    link = Link(
        clock,
        name,
        rate=rate,
        delay=nanos(shape.delay_ms),
        mtu=shape.mtu,
        queue=_queue(seed, name, shape, rate),
        loss=_loss(seed, name, shape),
        impairments=_impairments(seed, name, shape),
    )
    link.talkative = shape.too_big_errors
    return link


def make_settings(values: Mapping[str, Any], base: Settings | None = None) -> Settings:
    """Return settings with some values other than the default, or than those of `base`.

    `intent` stands for several, each of which can still be given.  Raises UsageError that begins
    with the key at fault.
    """
    known = known_arguments(Settings)
    values = dict(values)
    intent = values.pop("intent", None)
    if intent is not None:
        try:
            base = intent_settings(str(intent), base)
        except UsageError as error:
            raise UsageError(f"intent: {error}") from error
    chosen = {} if base is None else {name: getattr(base, name) for name in known}
    return Settings(**(chosen | arguments(values, known)))


def make_box(clock: Clock, name: str, spec: MiddleboxSpec) -> Box:
    """Return a middlebox on a node.  Raises UsageError that begins with the key at fault.

    The arguments of its class are its options; it stands for the addresses among them.
    """
    try:
        kind = middleboxes.find(spec.kind)
    except UsageError as error:
        raise UsageError(f"kind: {error}") from error
    options = arguments(spec.options, known_arguments(kind))
    for one in signature(kind).parameters.values():
        if one.default is one.empty and one.name not in options:
            raise UsageError(f"{one.name}: is missing")
    addresses = [value for value in options.values() if isinstance(value, IpAddress)]
    return Box(clock, name, kind(**options), addresses)


def _rate(shape: Shape) -> Rate:
    if shape.trace is not None:
        try:
            text = Path(shape.trace).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"trace: cannot read {shape.trace}: {error}") from error
        try:
            return parse_rates(text) if shape.trace.endswith(".csv") else parse_mahimahi(text)
        except UsageError as error:
            raise UsageError(f"trace: {shape.trace}: {error}") from error
    if shape.rate_mbit is None:
        return Rate()
    return Constant(bits(shape.rate_mbit))


def bits(megabits: float) -> int:
    """Return Mbit/s as bit/s, at least 1."""
    return max(1, round(megabits * 1_000_000))


def _queue(seed: Seed, name: str, shape: Shape, rate: Rate) -> Queue:
    packets = shape.queue_packets or UNLIMITED
    octets = shape.queue_octets
    if octets is None and shape.queue_ms is not None and shape.rate_mbit is not None:
        octets = max(1, round(shape.queue_ms * bits(shape.rate_mbit) / 8000))
    if octets is None:
        unlimited = shape.queue_packets is not None or type(rate) is Rate
        octets = UNLIMITED if unlimited else DEFAULT_QUEUE
    if shape.queue == "codel":
        return CoDel(
            packets,
            octets,
            target=nanos(shape.codel_target_ms),
            interval=nanos(shape.codel_interval_ms),
            mark=shape.ecn,
        )
    if shape.queue == "red":
        per_second = rate.bits(0, SECOND) or 1
        return Red(
            seed.random(f"{name}/red"),
            packets,
            octets,
            low=shape.red_low,
            high=shape.red_high,
            most=shape.red_most,
            packet_time=_TYPICAL_PACKET * 8 * SECOND // per_second,
            mark=shape.ecn,
        )
    return Queue(packets, octets)


def _loss(seed: Seed, name: str, shape: Shape) -> Loss:
    if shape.loss_burst is not None:
        return GilbertElliott(seed.random(f"{name}/loss"), *shape.loss_burst)
    if shape.loss_mask is not None:
        return Mask(shape.loss_mask, repeat=shape.loss_mask_repeat)
    if shape.loss_numbers:
        return Numbered(shape.loss_numbers)
    return make_loss(seed, name, shape.loss)


def make_loss(seed: Seed, name: str, probability: float) -> Loss:
    """Return independent losses on the link called `name`."""
    return Bernoulli(seed.random(f"{name}/loss"), probability) if probability else Loss()


def _impairments(seed: Seed, name: str, shape: Shape) -> list[Impairment]:
    made: list[Impairment] = []
    if shape.corrupt:
        made.append(
            Corrupt(
                seed.random(f"{name}/corrupt"),
                shape.corrupt,
                header=shape.corrupt_header,
                fixed=shape.corrupt_fixed,
            )
        )
    if shape.duplicate:
        made.append(Duplicate(seed.random(f"{name}/duplicate"), shape.duplicate))
    if shape.jitter_ms:
        made.append(Jitter(seed.random(f"{name}/jitter"), nanos(shape.jitter_ms)))
    if shape.reorder:
        extra = nanos(shape.reorder_ms)
        made.append(Reorder(seed.random(f"{name}/reorder"), shape.reorder, extra))
    return made
