"""What a simulation tells at its end: plain values, ready for JSON, the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plait.sim.node import Router
from plait.sim.recorder import FlowRecord, LinkRecord, Recorder, SubflowRecord, Window
from plait.sim.scenario import FlowSpec
from plait.sim.world import World
from plait.units import MILLISECOND, SECOND, Nanos, Octets


def result(world: World, recorder: Recorder) -> dict[str, Any]:
    """Return everything measured; times in seconds, rates in bit/s, lengths in octets."""
    scenario = world.scenario
    end = world.clock.now
    links = [link for pair in world.links.values() for link in pair]
    return {
        "title": scenario.title,
        "seed": world.seed.number,
        "duration": seconds(end),
        "interval": seconds(recorder.interval),
        "packets": sum(link.counters.delivered for link in links),
        "events": world.clock.events,
        "flows": {
            name: _flow(record, scenario.flows[name], end)
            for name, record in recorder.flows.items()
        },
        "links": {name: _link(record, end) for name, record in recorder.links.items()},
        "hosts": {
            station.name: {
                "damaged": station.damaged,
                "icmp_errors": station.errors,
                "unrouted": station.unrouted,
                "counters": _nonzero(station.host.counters.snapshot()),
            }
            for station in world.stations()
        },
        "routers": {
            node.name: {"unrouted": node.unrouted}
            for node in world.nodes.values()
            if isinstance(node, Router)
        },
        "windows": {name: _window(window, recorder) for name, window in recorder.windows.items()},
    }


def seconds(time: Nanos) -> float:
    """Return nanoseconds as seconds."""
    return time / SECOND


def bits_per_second(octets: Octets, span: Nanos) -> int:
    """Return a rate."""
    return octets * 8 * SECOND // span if span > 0 else 0


def _flow(record: FlowRecord, spec: FlowSpec, end: Nanos) -> dict[str, Any]:
    stop = end if spec.stop_s is None else min(end, round(spec.stop_s * SECOND))
    completed = None if spec.kind == "arrivals" else record.completed
    until = stop if completed is None else completed
    span = until - record.started if record.started is not None else 0
    told: dict[str, Any] = {
        "kind": spec.kind,
        "delivered": record.delivered,
        "goodput": bits_per_second(record.delivered, span),
        "started": _maybe(record.started),
        "established": _maybe(record.established),
        "completed": _maybe(record.completed),
        "longest_gap": seconds(_longest_gap(record, until)),
        "connections": {
            "opened": record.opened,
            "ended": record.ended,
            "multipath": record.multipath,
            "fallbacks": record.fallbacks,
            "lost": record.losses,
            "failed_joins": record.failed_joins,
        },
        "subflows": {label: _subflow(subflow, span) for label, subflow in record.subflows.items()},
        "deliveries": record.deliveries,
    }
    if spec.verify:
        told["intact"] = not record.damaged
    if record.answers:
        times = [time / MILLISECOND for time in record.answers]
        told["answers"] = _times(record.answers) | {"times_ms": times}
    if record.delays:
        told["delays"] = _times(record.delays) | {"late": record.late()}
    return told


def _longest_gap(record: FlowRecord, until: Nanos) -> Nanos:
    """Return the longest time without a delivery after the first, the end counted if it is open."""
    if record.latest is None or record.completed is not None:
        return record.longest_gap
    return max(record.longest_gap, until - record.latest)


def _subflow(record: SubflowRecord, span: Nanos) -> dict[str, Any]:
    return {
        "received": record.received,
        "goodput": bits_per_second(record.received, span),
        "sent": record.sent,
        "retransmissions": record.retransmissions,
        "cwnd": record.cwnd,
        "srtt_ms": record.srtt_us * 1000 / MILLISECOND,
        "series": {
            name: [[seconds(time), value] for time, value in values]
            for name, values in record.series.items()
        },
    }


def _times(times: Sequence[Nanos]) -> dict[str, Any]:
    """Return how long answers or writes took, in milliseconds."""
    ranked = sorted(times)

    def quantile(percent: int) -> float:
        return ranked[min(len(ranked) - 1, len(ranked) * percent // 100)] / MILLISECOND

    return {
        "count": len(ranked),
        "mean_ms": sum(ranked) // len(ranked) / MILLISECOND,
        "median_ms": quantile(50),
        "p95_ms": quantile(95),
        "p99_ms": quantile(99),
        "max_ms": ranked[-1] / MILLISECOND,
    }


def _link(record: LinkRecord, end: Nanos) -> dict[str, Any]:
    link = record.link
    counters = link.counters
    octets = link.transmitted()
    return {
        "packets": counters.sent,
        "delivered": counters.delivered,
        "octets": octets,
        "overflowed": counters.overflowed,
        "lost": counters.lost,
        "marked": counters.marked,
        "too_big": counters.too_big,
        "longest_queue": counters.longest,
        "utilization": _share(octets, link.rate.bits(0, end)),
        "queue": [[seconds(time), value] for time, value in record.queue],
    }


def _window(window: Window, recorder: Recorder) -> dict[str, Any]:
    """Return what happened between the edges of a window; subflows come and go within it."""
    span = window.stop - window.start

    def gained(key: str) -> Octets:
        return window.after.get(key, 0) - window.before.get(key, 0)

    return {
        "start": seconds(window.start),
        "stop": seconds(window.stop),
        "flows": {
            name: {
                "delivered": gained(f"flow/{name}"),
                "goodput": bits_per_second(gained(f"flow/{name}"), span),
                "longest_gap": seconds(record.gaps.get(window.name, 0)),
                "subflows": {
                    label: bits_per_second(gained(f"flow/{name}/{label}"), span)
                    for label in record.subflows
                },
            }
            for name, record in recorder.flows.items()
        },
        "links": {
            name: _share(gained(f"link/{name}"), record.link.rate.bits(window.start, window.stop))
            for name, record in recorder.links.items()
        },
    }


def _share(octets: Octets, capacity: int | None) -> float | None:
    """Return how much of a capacity in bits was used; None where there is no limit."""
    return round(octets * 8 / capacity, 6) if capacity else None


def _maybe(time: Nanos | None) -> float | None:
    return None if time is None else seconds(time)


def _nonzero(counters: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in counters.items() if value}
