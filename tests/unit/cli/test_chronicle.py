"""What the commands say of events."""

from __future__ import annotations

import asyncio
import json
from ipaddress import ip_address
from typing import get_args

import pytest

from plait.addresses import Path
from plait.aio.happenings import Happening
from plait.aio.stack import Stack
from plait.aio.streams import open_connection, start_server
from plait.cli.chronicle import Chronicle, describe_event, event_object
from plait.cli.report import Watcher
from plait.drivers.memory import pair
from plait.host.events import (
    Accepted,
    AddressAdvertised,
    AddressWithdrawn,
    ChecksumFailed,
    Closed,
    Established,
    Event,
    FellBack,
    JoinFailed,
    LossReason,
    Lost,
    PolicyFailed,
    Readable,
    SubflowDown,
    SubflowEnd,
    SubflowPriority,
    SubflowUp,
    Urgent,
    Writable,
)
from plait.host.sharing import Stray
from plait.mptcp.info import ConnectionInfo

HERE, THERE = ip_address("10.9.1.1"), ip_address("fd09::2")
PATH = Path(HERE, 40000, THERE, 80)
ENDS = {"local": "10.9.1.1:40000", "remote": "[fd09::2]:80"}
SHOWN = "10.9.1.1:40000 > [fd09::2]:80"
INFO = ConnectionInfo(
    is_mptcp=True,
    version=1,
    token=1,
    csum_enabled=False,
    fallback_reason=None,
    bytes_sent=0,
    bytes_received=0,
    subflows=(),
)

ROWS: list[tuple[Event, dict[str, object], str]] = [
    (SubflowUp(1, PATH), {"event": "subflow_up", **ENDS}, f"subflow up: {SHOWN}"),
    (
        SubflowDown(1, PATH, SubflowEnd.RESET, 6),
        {"event": "subflow_down", **ENDS, "end": "reset by peer", "reason": 6},
        f"subflow down: {SHOWN}: reset by peer (middlebox interference)",
    ),
    (
        SubflowDown(1, PATH, SubflowEnd.CLOSED, None),
        {"event": "subflow_down", **ENDS, "end": "closed", "reason": None},
        f"subflow down: {SHOWN}: closed",
    ),
    (
        JoinFailed(1, PATH, SubflowEnd.REFUSED, 200),
        {"event": "join_failed", **ENDS, "end": "refused", "reason": 200},
        f"join failed: {SHOWN}: refused (reason 200)",
    ),
    (
        SubflowPriority(1, PATH, backup=True),
        {"event": "subflow_priority", **ENDS, "backup": True},
        f"the peer asks to spare {SHOWN}",
    ),
    (
        SubflowPriority(1, PATH, backup=False),
        {"event": "subflow_priority", **ENDS, "backup": False},
        f"the peer asks to use {SHOWN}",
    ),
    (
        AddressAdvertised(1, 2, HERE, 0),
        {"event": "address_advertised", "address_id": 2, "address": "10.9.1.1", "port": 0},
        "address 2 advertised: 10.9.1.1",
    ),
    (
        AddressAdvertised(1, 2, HERE, 81),
        {"event": "address_advertised", "address_id": 2, "address": "10.9.1.1", "port": 81},
        "address 2 advertised: 10.9.1.1 port 81",
    ),
    (
        AddressWithdrawn(1, 2, HERE),
        {"event": "address_withdrawn", "address_id": 2, "address": "10.9.1.1"},
        "address 2 withdrawn: 10.9.1.1",
    ),
    (
        FellBack(1, "no MP_CAPABLE on the SYN/ACK"),
        {"event": "fell_back", "cause": "no MP_CAPABLE on the SYN/ACK"},
        "TCP from now on: no MP_CAPABLE on the SYN/ACK",
    ),
    (
        ChecksumFailed(1, PATH, remote=True),
        {"event": "checksum_failed", **ENDS, "remote": True},
        f"wrong checksum, seen by the peer: {SHOWN}",
    ),
    (
        PolicyFailed(1, "scheduler", "mine", "{oops}"),
        {"event": "policy_failed", "kind": "scheduler", "name": "mine", "text": "{oops}"},
        "scheduler mine failed, a default is in its place: {oops}",
    ),
    (
        Lost(1, LossReason.TIMED_OUT, INFO),
        {"event": "lost", "reason": "connection timed out"},
        "lost: connection timed out",
    ),
    (Closed(1, INFO), {"event": "closed"}, "closed"),
    (Urgent(1, 7), {"event": "urgent", "end": 7}, "urgent"),
]


@pytest.mark.parametrize(("event", "told", "line"), ROWS, ids=lambda one: type(one).__name__)
def test_an_event_is_an_object_and_a_line(event: Event, told: dict[str, object], line: str) -> None:
    assert event_object(event) == told
    assert json.loads(json.dumps(told)) == told
    assert describe_event(event) == line


def test_no_event_is_left_out() -> None:
    silent = {Established, Accepted, Readable, Writable, Stray}
    assert {type(event) for event, _, _ in ROWS} == set(get_args(Event)) - silent


def test_times_count_from_the_beginning_and_are_never_negative() -> None:
    chronicle = Chronicle(2_000_000_000)
    lines = [
        chronicle.add(Happening(at, SubflowUp(1, PATH))) for at in (1_000_000_000, 3_250_000_000)
    ]
    assert [one["seconds"] for one in chronicle.objects] == [0, 1.25]
    assert lines[1] == f"    1.250 s  subflow up: {SHOWN}"


@pytest.mark.parametrize("verbose", [False, True])
def test_a_watcher_keeps_what_happens_and_says_so_if_asked(
    verbose: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario() -> list[dict[str, object]]:
        here, there = pair([HERE], [ip_address("10.9.1.2")])
        async with Stack([here]) as one, Stack([there]) as other:
            await start_server(lambda _, writer: writer.close(), None, 80, stack=other)
            reader, writer = await open_connection("10.9.1.2", 80, stack=one)
            watcher = Watcher(one, verbose=verbose)
            watcher.watch(writer.transport)
            await reader.read()
            writer.close()
            await writer.wait_closed()
            watcher.update()
            return watcher.events

    told = asyncio.run(scenario())
    assert told[0]["event"] == "subflow_up"
    assert ("subflow up: 10.9.1.1" in capsys.readouterr().err) is verbose
