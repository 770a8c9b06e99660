from __future__ import annotations

import asyncio
import dataclasses
import json
from ipaddress import ip_address
from pathlib import Path as FilePath

import pytest

from plait.addresses import Path
from plait.cli.report import Watcher, connection_object, show_amount, show_rate, write_json
from plait.drivers.memory import pair
from plait.errors import UsageError
from plait.linux.tcp_info import parse_tcp_info
from plait.mptcp.info import ConnectionInfo, SubflowInfo


def subflow(local: str, octets: int) -> SubflowInfo:
    return SubflowInfo(
        path=Path(ip_address(local), 40000, ip_address("fd09::2"), 5001),
        tcp=dataclasses.replace(
            parse_tcp_info(b"\1"), bytes_sent=octets, bytes_received=7, rtt=1500, total_retrans=2
        ),
        backup=False,
        local_id=0,
        remote_id=0,
    )


def connection(*subflows: SubflowInfo) -> ConnectionInfo:
    return ConnectionInfo(
        is_mptcp=True,
        version=1,
        token=0xBEEF,
        csum_enabled=True,
        fallback_reason=None,
        bytes_sent=sum(subflow.tcp.bytes_sent for subflow in subflows),
        bytes_received=7,
        extra_subflows=3,
        subflows=subflows,
    )


class Scripted:
    def __init__(self, *infos: ConnectionInfo) -> None:
        self._infos = list(infos)

    def info(self, transport: asyncio.BaseTransport) -> ConnectionInfo:
        if not self._infos:
            raise UsageError("closed")
        return self._infos.pop(0)


def test_the_object_has_the_promised_members() -> None:
    one = subflow("10.9.1.1", 5)
    told = connection_object(connection(one), {"MPJoinAckRx": 1}, [{"event": "closed"}])
    assert told.keys() - {"counters", "events", "drivers"} == {
        field.name for field in dataclasses.fields(connection())
    }
    assert {name: value for name, value in told.items() if value} == {
        "is_mptcp": True,
        "version": 1,
        "token": "0000beef",
        "csum_enabled": True,
        "backend": "stack",
        "bytes_sent": 5,
        "bytes_received": 7,
        "extra_subflows": 3,
        "subflows": [
            {
                "local": "10.9.1.1:40000",
                "remote": "[fd09::2]:5001",
                "bytes_sent": 5,
                "bytes_received": 7,
                "srtt_ms": 1.5,
                "retransmissions": 2,
                "state": "ESTABLISHED",
                "tcp_info": dataclasses.asdict(one.tcp),
            }
        ],
        "events": [{"event": "closed"}],
        "counters": {"MPJoinAckRx": 1},
    }


def test_the_counters_of_drivers_are_told_beside_those_of_the_stack() -> None:
    driver, _ = pair([ip_address("10.0.0.1")], [ip_address("10.0.0.2")])
    driver.counters.dropped = 3
    told = connection_object(None, {}, drivers=[driver])
    assert told["drivers"] == [{"addresses": ["10.0.0.1"], "malformed": 0, "dropped": 3}]


def test_without_a_connection_the_object_has_the_same_members() -> None:
    empty = connection_object(None, {})
    assert empty.keys() == connection_object(connection(), {}).keys()
    assert (empty["is_mptcp"], empty["token"], empty["subflows"]) == (False, None, [])


@pytest.mark.parametrize("to_file", [True, False], ids=["file", "standard output"])
def test_the_report_is_one_object(
    to_file: bool, tmp_path: FilePath, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"
    write_json(str(path) if to_file else "-", connection_object(connection(), {}))
    written = path.read_text(encoding="utf-8") if to_file else capsys.readouterr().out
    assert json.loads(written)["version"] == 1


def test_a_watcher_remembers_subflows_that_are_gone_and_the_connection_when_it_is() -> None:
    first, second = subflow("10.9.1.1", 5), subflow("10.9.2.1", 6)
    watcher = Watcher(Scripted(connection(first), connection(second)))  # type: ignore[arg-type]
    watcher.watch(asyncio.BaseTransport())
    assert watcher.live_subflows() == 1
    for _ in range(2):  # the second look finds the connection closed
        info = watcher.update()
        assert info is not None
        assert set(info.subflows) == {first.closed(), second}
        assert first.closed().tcp.state == "CLOSED"
        assert info.bytes_sent == 6
    assert watcher.live_subflows() == 1


RATES = {(125_000, 1.0): "1.0 Mbit/s", (250_000_000, 2.0): "1.00 Gbit/s", (0, 0.0): "0.0 Mbit/s"}


def test_counts_of_a_kernel_that_forgot_its_subflows_are_taken_if_they_are_larger() -> None:
    open_ = dataclasses.replace(connection(subflow("10.9.1.1", 5)), bytes_received=0)
    ended = dataclasses.replace(connection(), is_mptcp=False, token=None)
    watcher = Watcher(Scripted(open_, ended))  # type: ignore[arg-type]
    watcher.watch(asyncio.BaseTransport())
    watcher.update()
    told = watcher.update()
    assert told is not None
    assert (told.is_mptcp, told.token) == (True, 0xBEEF)
    assert (told.bytes_sent, told.bytes_received) == (5, 7)


@pytest.mark.parametrize(("sample", "shown"), RATES.items())
def test_rates(sample: tuple[int, float], shown: str) -> None:
    assert show_rate(*sample).strip() == shown


AMOUNTS = {0: "0 B", 999: "999 B", 1000: "1.00 kB", 20_000_000: "20.00 MB", 3 * 10**9: "3.00 GB"}


@pytest.mark.parametrize(("octets", "shown"), AMOUNTS.items())
def test_amounts(octets: int, shown: str) -> None:
    assert show_amount(octets) == shown
