"""The rig must be able to fail: bugs are planted, and found within a number of seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from support.build import interpreted

from plait.buffers import Pieces, Reassembly
from plait.host.connections import Connections
from plait.host.time_wait import TimeWait
from plait.mptcp import closing, fallback, incoming, runs
from plait.mptcp.connection import Connection
from plait.mptcp.receiver import StreamReceiver
from plait.mptcp.sender import StreamSender
from plait.mptcp.state import Mode
from plait.sim.torture.generate import generate
from plait.sim.torture.rig import run_case
from plait.tcp.receiver import NEVER
from plait.tcp.sender import Sender
from plait.units import Nanos, Octets
from plait.wire.seq import MASK32

Plant = Callable[[pytest.MonkeyPatch], None]


def window_off_by_one(patch: pytest.MonkeyPatch) -> None:
    true = StreamSender.on_window
    patch.setattr(StreamSender, "on_window", lambda self, edge: true(self, edge + 1))


def lost_reinjection(patch: pytest.MonkeyPatch) -> None:
    def next_range(self: StreamSender) -> tuple[Octets, Octets] | None:
        stop = min(self.buffer.stop, self.edge)
        return (self.snd_nxt, stop) if stop > self.snd_nxt else None

    patch.setattr(StreamSender, "next_range", next_range)


def wrong_dsn_after_wrap(patch: pytest.MonkeyPatch) -> None:
    def wrap(position: int, initial: int) -> int:
        return initial & ~MASK32 | (initial + position) & MASK32

    patch.setattr(runs, "wrap64", wrap)


def forgotten_data_fin(patch: pytest.MonkeyPatch) -> None:
    true = closing._send_data_fin

    def once(connection: Connection, now: Nanos) -> None:
        if connection.mode is Mode.TCP or not connection.data_fin_tries:
            true(connection, now)
        else:
            connection.data_fin_at = NEVER

    patch.setattr(closing, "_send_data_fin", once)


def data_ack_goes_back(patch: pytest.MonkeyPatch) -> None:
    def rcv_nxt(self: StreamReceiver) -> Octets:
        following = self.reassembly.next - self.reassembly.buffered
        return self.reassembly.next + 1 if following == self.fin_at else max(1, following)

    patch.setattr(StreamReceiver, "rcv_nxt", property(rcv_nxt))


def overlap_kept_whole(patch: pytest.MonkeyPatch) -> None:
    true = Reassembly.insert

    def insert(self: Reassembly, start: Octets, pieces: Pieces, length: Octets) -> Octets:
        if start < self.next < start + length:
            start = self.next
        return true(self, start, pieces, length)

    patch.setattr(Reassembly, "insert", insert)


def checksum_not_verified(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(incoming, "_intact", lambda *_: True)


def subflow_window_ignored(patch: pytest.MonkeyPatch) -> None:
    true = Sender.update_window
    patch.setattr(
        Sender,
        "update_window",
        lambda self, seq, ack, window: true(self, seq, ack, window + 4000),
    )


def time_wait_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TimeWait, "next_timeout", lambda _: None)
    patch.setattr(TimeWait, "handle_timeout", lambda *_: None)


def flow_left_behind(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Connections, "forget_subflow", lambda *_: None)


def fallback_off_by_one(patch: pytest.MonkeyPatch) -> None:
    true = fallback.fall_back

    def fall_back(connection: Connection, reason: str) -> None:
        before = connection.mode
        true(connection, reason)
        if before is Mode.MPTCP:
            connection.receive_offset += 1

    patch.setattr(fallback, "fall_back", fall_back)


BUGS: Final[dict[str, tuple[Plant, range, set[str]]]] = {
    "window off by one": (window_off_by_one, range(1, 31), {"window"}),
    "lost reinjection": (lost_reinjection, range(20, 121), {"stall"}),
    "wrong DSN after wrap": (wrong_dsn_after_wrap, range(1, 31), {"dsn"}),
    "forgotten DATA_FIN": (forgotten_data_fin, range(150, 341), {"stall"}),
    "DATA_ACK goes back": (data_ack_goes_back, range(1, 31), {"data_ack"}),
    "overlap kept whole": (overlap_kept_whole, range(1, 151), {"stream"}),
    "checksum not verified": (checksum_not_verified, range(1, 121), {"stream"}),
    "subflow window ignored": (subflow_window_ignored, range(1, 71), {"window"}),
    "TIME-WAIT for ever": (time_wait_for_ever, range(1, 6), {"residue"}),
    "flow left behind": (flow_left_behind, range(1, 6), {"residue"}),
    "fall-back off by one": (fallback_off_by_one, range(1, 11), {"stream", "outcome"}),
}
"""By name: how it is planted, seeds among which it is found, and how it shows.

For the rare ones they begin where one is near: what they find is the same, sooner.
"""


@interpreted
@pytest.mark.parametrize(("plant", "seeds", "shows"), BUGS.values(), ids=BUGS.keys())
def test_a_planted_bug_is_found(
    plant: Plant, seeds: range, shows: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    found: Any = ""
    for seed in seeds:
        found = run_case(generate(seed)).invariant
        if found:
            break
    assert found in shows
