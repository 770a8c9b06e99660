"""The rows of `make bench`: what of plait is measured beside what, and what is aimed at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import simulator
import udp
from configurations import Configuration, can_run, measure
from ns3_peer import VERSION, Ns3

SIMULATED_SECONDS: Final = 10.0
LIMIT: Final = 500
"""Mbit/s of each path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table."""

    name: str
    plait: Callable[[Path, float], float]
    """Measures the plait of a library for about so many seconds; returns a figure in `unit`."""

    peer: str
    """Rows with the same peer share its figures."""

    measure_peer: Callable[[float], float]
    ratio: str
    """A sentence: what plait's figure divided by the peer's says."""

    targets: tuple[float, float]
    """Ratios to reach, interpreted and compiled."""

    least: float = 0
    """What the interpreted figure is to reach as well."""

    unit: str = "Gbit/s"
    lacks: Callable[[], str | None] = lambda: None
    """Returns why the row cannot be measured here, None if it can."""


def beside_kernel(
    plait: Configuration, peer: Configuration, targets: tuple[float, float], least: float = 0
) -> Row:
    """Return a row of a stream between plait and the kernel, beside one between two kernels."""
    return Row(
        name=plait.name,
        plait=lambda library, seconds: measure(plait, seconds, library).gbit,
        peer=peer.name,
        measure_peer=lambda seconds: measure(peer, seconds).gbit,
        ratio="Beside the kernel a ratio is plait's goodput by that between two kernels.",
        targets=targets,
        least=least,
        lacks=lambda: can_run(plait) or can_run(peer),
    )


_RECEIVES: Final = Configuration(name="plait receives", source="mptcp", sink="plait")
_SENDS: Final = Configuration(name="plait sends", source="plait", sink="mptcp")
_KERNEL: Final = Configuration(name="kernel, one subflow", source="mptcp", sink="mptcp")
_SUMMED: Final = replace(
    _KERNEL, name="kernel, two subflows, DSS checksums", paths=2, checksum=True
)
_SMALL: Final = replace(_KERNEL, name="kernel, MTU 1500, no offload", offload=False)
_LIMITED: Final = replace(
    _KERNEL, name=f"kernel, two paths of {LIMIT} Mbit/s", paths=2, limit=LIMIT
)
_UDP: Final = udp.CONFIGURATIONS[0]
_QUIC: Final = udp.CONFIGURATIONS[-1]


def rows(ns3: Ns3) -> list[Row]:
    """Return all rows; `ns3` is started when its figure is wanted."""
    return [
        beside_kernel(_RECEIVES, _KERNEL, (0.25, 0.35), least=12),
        beside_kernel(_SENDS, _KERNEL, (0.22, 0.32), least=10),
        beside_kernel(
            replace(_SENDS, name="plait sends, DSS checksums", checksum=True),
            _SUMMED,
            (0.40, 0.50),
        ),
        beside_kernel(
            replace(_RECEIVES, name="plait receives, MTU 1500, no offload", offload=False),
            _SMALL,
            (0.20, 0.35),
        ),
        *(
            beside_kernel(
                replace(
                    ours,
                    name=f"{ours.name}, two paths of {LIMIT} Mbit/s",
                    paths=2,
                    limit=LIMIT,
                ),
                _LIMITED,
                (0.97, 0.98),
            )
            for ours in (_RECEIVES, _SENDS)
        ),
        Row(
            name="plait to plait in UDP, offload",
            plait=lambda library, seconds: udp.measure(_UDP, seconds, library)["gbit"],
            peer=f"aioquic {udp.quic_version()}",
            measure_peer=lambda seconds: udp.measure(_QUIC, seconds)["gbit"],
            ratio="Beside aioquic it is how many times its goodput plait has; aioquic encrypts.",
            targets=(40, 60),
            lacks=lambda: None if udp.has_aioquic else "needs aioquic: pip install '.[bench]'",
        ),
        Row(
            name="simulator, one TCP flow",
            plait=lambda library, _: _rate(simulator.measure("tcp", SIMULATED_SECONDS, library)),
            peer=f"ns-3 {VERSION}",
            measure_peer=lambda _: _rate(ns3.simulate(SIMULATED_SECONDS)),
            ratio="Beside ns-3 it is packets over links in a second of wall time by those of ns-3.",
            targets=(1, 3),
            unit="1,000 packets/s",
        ),
    ]


def _rate(found: dict[str, float]) -> float:
    return found["packets"] / found["seconds"] / 1000
