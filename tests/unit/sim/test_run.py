from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import mypy_extensions
import pytest

import plait
from plait.drivers.emulation import Emulation, LinkShape
from plait.drivers.memory import Station, pair
from plait.host.events import Established, Readable, Writable
from plait.host.host import Host
from plait.host.settings import Settings
from plait.sim.run import Simulation, dump, run
from plait.sim.scenario import FlowSpec, HostSpec, LinkSpec, RouterSpec, Scenario, Shape
from plait.sim.toml import decode, load
from plait.trace.pcap import read_pcap
from plait.units import MILLISECOND, SECOND

EXAMPLES = Path(__file__).parents[3] / "examples" / "sim"
FILES = sorted(EXAMPLES.glob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_the_examples_run(file: Path) -> None:
    scenario = load(file, ["duration_s=2.5", "windows={}"])
    result = run(scenario)
    assert scenario.title
    moved = [flow for flow in result["flows"].values() if flow["started"] is not None]
    assert moved
    assert all(flow["delivered"] for flow in moved)
    json.dumps(result, allow_nan=False)


def test_there_are_examples_of_what_was_promised() -> None:
    names = {file.stem for file in FILES}
    assert len(names) >= 8
    assert names >= {
        "wifi_lte_handover",
        "two_adsl",
        "ecmp_single_homed",
        "satellite_lte",
        "harm",
    }


def tangle(**more: Any) -> Scenario:
    """Return a scenario in which everything random has a part."""
    return decode(
        {
            "duration_s": 1.5,
            "series": ["cwnd", "srtt", "subflows", "queue"],
            "hosts": {
                "a": {"addresses": {"wifi": "10.0.1.1", "lte": "10.0.2.1"}},
                "b": {"addresses": {"core": "192.0.2.1"}},
            },
            "routers": {"r": {}},
            "links": {
                "wifi": {
                    "between": ["a", "r"],
                    "rate_mbit": 10,
                    "delay_ms": 5,
                    "loss": 0.01,
                    "jitter_ms": 1,
                    "reorder": 0.01,
                    "duplicate": 0.01,
                    "corrupt": 0.005,
                },
                "lte": {
                    "between": ["a", "r"],
                    "rate_mbit": 5,
                    "delay_ms": 20,
                    "queue": "red",
                    "loss_burst": [0.01, 0.3, 0.5, 0],
                },
                "core": {"between": ["r", "b"], "rate_mbit": 50, "queue": "codel"},
            },
            "flows": {
                "bulk": {"source": "a", "destination": "b", "verify": True},
                "short": {
                    "source": "a",
                    "destination": "b",
                    "kind": "arrivals",
                    "direction": "down",
                    "arrivals_per_s": 10,
                    "mean_octets": 5000,
                },
                "noise": {
                    "source": "a",
                    "destination": "b",
                    "kind": "onoff",
                    "rate_mbit": 2,
                    "on_ms": 50,
                    "off_ms": 50,
                },
            },
        }
        | more
    )


def test_the_same_seed_gives_the_same_result_and_another_seed_another() -> None:
    first = dump(run(tangle(), seed=5))
    assert dump(run(tangle(), seed=5)) == first
    assert dump(run(tangle(), seed=6)) != first


def test_a_part_that_is_added_changes_no_other_part() -> None:
    alone = {
        "hosts": {"a": {"addresses": {"l": "10.0.0.1"}}, "b": {"addresses": {"l": "10.0.0.2"}}},
        "links": {"l": {"between": ["a", "b"], "rate_mbit": 5, "loss": 0.02}},
        "flows": {"f": {"source": "a", "destination": "b", "octets": 500_000}},
        "duration_s": 3,
    }
    beside = {
        **alone,
        "hosts": alone["hosts"]  # type: ignore[operator]  # a table of tables
        | {"c": {"addresses": {"m": "10.0.1.1"}}, "d": {"addresses": {"m": "10.0.1.2"}}},
        "links": alone["links"]  # type: ignore[operator]  # likewise
        | {"m": {"between": ["c", "d"], "rate_mbit": 5, "loss": 0.1}},
        "flows": alone["flows"]  # type: ignore[operator]  # likewise
        | {"g": {"source": "c", "destination": "d", "octets": 500_000}},
    }
    assert run(decode(alone))["flows"]["f"] == run(decode(beside))["flows"]["f"]


SCRIPT = """
import hashlib, pathlib, sys
from plait.sim.run import dump, run
from plait.sim.toml import load
directory = pathlib.Path(sys.argv[2])
text = dump(run(load(pathlib.Path(sys.argv[1]), ["duration_s=1"]), seed=3, pcap=directory))
print(hashlib.sha256(text.encode()).hexdigest())
for file in sorted(directory.iterdir()):
    print(file.name, hashlib.sha256(file.read_bytes()).hexdigest())
"""


def interpreters() -> Iterator[str]:
    """Yield this Python and one of each later version that is installed beside it."""
    yield sys.executable
    versions = {sys.version_info.minor}
    for program in sorted(Path(sys.base_prefix).parent.glob("3.1[1-9]*/bin/python3")):
        minor = int(program.parts[-3].split(".")[1])
        if minor not in versions:
            versions.add(minor)
            yield str(program)


def test_every_python_and_every_hash_seed_gives_the_same_octets(tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    shutil.copy(mypy_extensions.__file__, library)
    package = Path(plait.__file__).parent
    for found in (package, *package.parent.glob("*__mypyc.*")):
        (library / found.name).symlink_to(found)
    told = set()
    for number, program in enumerate([*interpreters(), sys.executable]):
        environment = os.environ | {
            "PYTHONPATH": str(library),
            "PYTHONHASHSEED": str(number),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        line = [program, "-S", "-c", SCRIPT, str(EXAMPLES / "varying_radio.toml")]
        directory = str(tmp_path / str(number))
        done = subprocess.run(
            [*line, directory], capture_output=True, text=True, env=environment, check=True
        )
        told.add(done.stdout)
    assert len(told) == 1
    assert told.pop().count("\n") == 4  # the result, two hosts and a router


def test_captures_hold_every_packet_that_hosts_sent(tmp_path: Path) -> None:
    simulation = Simulation(tangle())
    result = simulation.run(pcap=tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.pcap", "b.pcap", "r.pcap"]
    with (tmp_path / "a.pcap").open("rb") as file:
        records = list(read_pcap(file))
    times = [record.time for record in records]
    assert times == sorted(times)
    sent = [record for record in records if record.octets[12:14] == bytes((10, 0))]
    links = result["links"]
    assert len(sent) == links["wifi/forth"]["packets"] + links["lte/forth"]["packets"]
    assert len(records) - len(sent) == sum(
        links[name]["delivered"] for name in ("wifi/back", "lte/back")
    )


def test_octets_hold_all_of_every_packet() -> None:
    plain, octets = (run(tangle(serialize=serialize), seed=2) for serialize in (False, True))
    assert octets == plain


@pytest.mark.rfc("6182", "2.1", "M6182-2.1-01")
def test_two_paths_carry_more_than_one() -> None:
    shapes = {
        "one": Shape(rate_mbit=8.0, delay_ms=10.0),
        "two": Shape(rate_mbit=4.0, delay_ms=20.0),
    }
    links = {
        name: LinkSpec(between=("a", "r"), forth=shape, back=shape)
        for name, shape in shapes.items()
    }

    def goodput(**settings: Any) -> float:
        scenario = Scenario(
            duration_s=6.0,
            hosts={
                "a": HostSpec(addresses={"one": ("10.0.1.1",), "two": ("10.0.2.1",)}),
                "b": HostSpec(addresses={"core": ("192.0.2.1",)}),
            },
            routers={"r": RouterSpec()},
            links=links | {"core": LinkSpec(between=("r", "b"))},
            flows={"f": FlowSpec(source="a", destination=("b",), settings=settings, verify=True)},
        )
        flow = run(scenario)["flows"]["f"]
        assert flow["intact"]
        return float(flow["goodput"]) / 1e6

    assert 7.0 < goodput(mptcp=False) < 8.0
    assert 10.5 < goodput() < 12.0


def test_the_emulator_and_the_simulator_agree() -> None:
    shape = LinkShape(rate=20_000_000, delay=15 * MILLISECOND, queue=60_000)
    near, far = pair([ip_address("10.0.0.1")], [ip_address("10.0.0.2")], segmentation=False)
    settings = Settings(mptcp=False)
    sender = Station(Host(settings, bytes(32)), [Emulation(near, shape)])
    receiver = Station(Host(settings, bytes(range(32))), [far])
    receiver.host.listen(0, 80)
    connection = sender.host.connect(0, ip_address("10.0.0.2"), 80)
    received = now = 0
    block = bytes(1 << 16)
    while now < 4 * SECOND:
        for station in (sender, receiver):
            station.step(now)
        for event in sender.host.take_events():
            if isinstance(event, Established | Writable):
                while sender.host.write(now, connection, block) == len(block):
                    pass
        for event in receiver.host.take_events():
            if isinstance(event, Readable):
                for chunk in receiver.host.read_chunks(now, event.connection_id, 1 << 24):
                    received += len(chunk)
        for station in (sender, receiver):
            station.step(now)
        due = [time for one in (sender, receiver) if (time := one.next_timeout()) is not None]
        now = max(now, min(due))
    emulated = received * 8 / (now / SECOND)

    direction = Shape(rate_mbit=20.0, delay_ms=15.0, queue_octets=60_000)
    simulated = run(
        Scenario(
            duration_s=4.0,
            hosts={
                "a": HostSpec(addresses={"l": ("10.0.0.1",)}),
                "b": HostSpec(addresses={"l": ("10.0.0.2",)}),
            },
            links={"l": LinkSpec(between=("a", "b"), forth=direction, back=direction)},
            flows={"f": FlowSpec(source="a", destination=("b",), settings={"mptcp": False})},
        )
    )["flows"]["f"]["goodput"]
    assert simulated == pytest.approx(emulated, rel=0.1)
    assert 15e6 < simulated < 20e6
