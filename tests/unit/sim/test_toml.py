from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plait.errors import UsageError
from plait.host.intents import intent_settings
from plait.sim.run import Simulation
from plait.sim.scenario import (
    EventSpec,
    FlowSpec,
    HostSpec,
    LinkSpec,
    MiddleboxSpec,
    RouterSpec,
    RouteSpec,
    Scenario,
    Shape,
    WindowSpec,
)
from plait.sim.toml import decode, load

TEXT = """
title = "all of it"
duration_s = 3
series = ["cwnd", "queue"]

[hosts.a]
addresses = { one = ["10.0.1.1", "10.0.1.3"], two = "10.0.2.1" }
absent = "10.0.1.3"
settings = { congestion = "reno", delayed_ack_ms = 20 }
routes = [{ to = "10.0.9.0/24", via = "two", port = 80 }]

[hosts.b]
addresses = { three = "10.0.9.1" }

[routers.r]
salt = 5
routes = [{ to = "10.0.0.0/8", source = "10.0.9.0/24", via = ["one", "two"] }]

[middleboxes.box]
kind = "strip-syn"
inside = "one"
direction = "outbound"

[links.one]
between = ["a", "box"]
rate_mbit = 10
queue = "codel"
back = { rate_mbit = 50, queue = "droptail" }

[links.one_up]
between = ["box", "r"]

[links.two]
between = ["a", "r"]
trace = "rates.csv"
delay_ms = 5
loss_burst = [0.1, 0.5, 1, 0]

[links.three]
between = ["r", "b"]

[flows.f]
source = "a"
destination = "b"
octets = 1000
settings = { mptcp = false }

[[events]]
at_s = 1
link = "one"
up = false

[windows.w]
start_s = 1
stop_s = 2
"""

SAME = Scenario(
    title="all of it",
    duration_s=3.0,
    series=("cwnd", "queue"),
    hosts={
        "a": HostSpec(
            addresses={"one": ("10.0.1.1", "10.0.1.3"), "two": ("10.0.2.1",)},
            absent=("10.0.1.3",),
            settings={"congestion": "reno", "delayed_ack_ms": 20},
            routes=(RouteSpec(to="10.0.9.0/24", via=("two",), port=80),),
        ),
        "b": HostSpec(addresses={"three": ("10.0.9.1",)}),
    },
    routers={
        "r": RouterSpec(
            salt=5,
            routes=(RouteSpec(to="10.0.0.0/8", source="10.0.9.0/24", via=("one", "two")),),
        )
    },
    middleboxes={
        "box": MiddleboxSpec(kind="strip-syn", inside="one", options={"direction": "outbound"})
    },
    links={
        "one": LinkSpec(
            between=("a", "box"),
            forth=Shape(rate_mbit=10.0, queue="codel"),
            back=Shape(rate_mbit=50.0, queue="droptail"),
        ),
        "one_up": LinkSpec(between=("box", "r")),
        "two": LinkSpec(
            between=("a", "r"),
            forth=Shape(trace="rates.csv", delay_ms=5.0, loss_burst=(0.1, 0.5, 1.0, 0.0)),
            back=Shape(trace="rates.csv", delay_ms=5.0, loss_burst=(0.1, 0.5, 1.0, 0.0)),
        ),
        "three": LinkSpec(between=("r", "b")),
    },
    flows={"f": FlowSpec(source="a", destination=("b",), octets=1000, settings={"mptcp": False})},
    events=(EventSpec(at_s=1.0, link="one", up=False),),
    windows={"w": WindowSpec(start_s=1.0, stop_s=2.0)},
)


def write(directory: Path, text: str) -> Path:
    file = directory / "scenario.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_toml_says_the_same_as_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write(tmp_path, TEXT).parent)
    assert load(Path("scenario.toml")) == SAME


def test_traces_are_looked_for_beside_the_file(tmp_path: Path) -> None:
    scenario = load(write(tmp_path, TEXT))
    assert scenario.links["two"].forth.trace == str(tmp_path / "rates.csv")
    assert scenario.links["two"].back.trace == str(tmp_path / "rates.csv")


CHANGES: dict[str, tuple[str, Any]] = {
    "number": ("links.one.rate_mbit=33", lambda made: made.links["one"].forth.rate_mbit == 33),
    "other way": ("links.one.back.loss=0.5", lambda made: made.links["one"].back.loss == 0.5),
    "string": ("title=another", lambda made: made.title == "another"),
    "quoted string": ('title="5"', lambda made: made.title == "5"),
    "list": ('series=["srtt"]', lambda made: made.series == ("srtt",)),
    "in a list": ("events.0.at_s=2", lambda made: made.events[0].at_s == 2),
    "new table": (
        "flows.f.settings.congestion=reno",
        lambda made: "congestion" in made.flows["f"].settings,
    ),
}


@pytest.mark.parametrize(("change", "holds"), CHANGES.values(), ids=CHANGES.keys())
def test_changes(change: str, holds: Any, tmp_path: Path) -> None:
    file = write(tmp_path, TEXT)
    assert not holds(load(file))
    assert holds(load(file, [change]))


WRONG = {
    "no TOML": ("title = ", "scenario.toml: Invalid value"),
    "unknown key": ("color = 1", "scenario.toml: color: unknown key"),
    "unknown key of a link": ("links.one.speed = 1", ".toml: links.one.speed: unknown key"),
    "unknown key back": ("links.one.back.speed = 1", ".toml: links.one.back.speed: unknown key"),
    "unknown key in a list": (
        "[[events]]\nat_s = 1\nhosts = 1",
        ".toml: events.1.hosts: unknown key",
    ),
    "missing": ("flows.g.source = 'a'", ".toml: flows.g.destination: is missing"),
    "negative rate": ("links.one.rate_mbit = -1", "links.one.rate_mbit must be more than 0"),
    "negative rate back": (
        "links.one.back.rate_mbit = -1",
        "links.one.back.rate_mbit must be more than 0",
    ),
    "rate of nothing": ("links.one.rate_mbit = nan", "links.one.rate_mbit: must be a number"),
    "text for a number": ("links.one.rate_mbit = 'x'", "links.one.rate_mbit: must be a number"),
    "a fraction of an MTU": ("links.one.mtu = 1500.5", "links.one.mtu: must be a whole number"),
    "true for a number": ("links.one.mtu = true", "links.one.mtu: must be a whole number"),
    "a number for text": ("title = 5", "title: must be a string"),
    "probability": ("links.one.loss = 1.5", "links.one.loss must be a probability"),
    "short list": ("links.one.loss_burst = [1]", "links.one.loss_burst: must be a list of 4"),
    "not a table": ("hosts = 5", "hosts: must be a table"),
    "not a table back": ("links.one.back = 5", "links.one.back: must be a table"),
    "unknown kind": ("flows.f.kind = 'magic'", "flows.f.kind must be one of bulk"),
    "kind without its key": ("flows.f.kind = 'cbr'", "flows.f.rate_mbit is missing"),
    "event about nothing": ("[[events]]\nat_s = 1", "events.1.link with up"),
    "window that ends early": ("windows.w.stop_s = 0.5", "windows.w.stop_s must be after"),
    "unknown series": ("series = ['x']", "series must be among"),
    "bad change": ("no-sign", "'no-sign' is not KEY=VALUE"),
    "change of no list": ("events.7.at_s = 1", "events.7.at_s: '7' is not a number below 1"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG.keys())
def test_errors_name_the_file_and_the_key(change: str, message: str, tmp_path: Path) -> None:
    text, changes = TEXT, [change.replace(" = ", "=")]
    if change.startswith("[["):
        text, changes = TEXT + change + "\n", []
    elif change == "title = ":
        text, changes = change, []
    with pytest.raises(UsageError) as caught:
        load(write(tmp_path, text), changes)
    assert str(caught.value).startswith(str(tmp_path / "scenario.toml"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "no such node": ({"links": {"l": {"between": ["a", "x"]}}}, "links.l.between: there is no no"),
    "a loop of one": ({"links": {"l": {"between": ["a", "a"]}}}, "links.l.between: a link joins"),
    "no address": ({"hosts": {"a": {"addresses": {}}}}, "hosts.a.addresses: a host needs"),
    "no such link": (
        {"hosts": {"a": {"addresses": {"x": "10.0.0.1"}}}},
        "hosts.a.addresses: 'x' is no link of a",
    ),
    "somebody else's link": (
        {"hosts": {"c": {"addresses": {"l": "10.0.0.9"}}}},
        "hosts.c.addresses: 'l' is no link of c",
    ),
    "no address at all": (
        {"hosts": {"a": {"addresses": {"l": "ten"}}}},
        "hosts.a.addresses.l: 'ten' is no IP address",
    ),
    "an address twice": (
        {"hosts": {"a": {"addresses": {"l": "10.0.0.2"}}}},
        "10.0.0.2 is given twice",
    ),
    "two nodes of a name": ({"routers": {"a": {}}}, "routers.a: another node is called a"),
    "an unknown setting": (
        {"flows": {"f": {"source": "a", "destination": "b", "settings": {"x": 1}}}},
        "flows.f: settings.x: unknown key",
    ),
    "an unknown scheduler": (
        {"hosts": {"a": {"addresses": {"l": "10.0.0.1"}, "settings": {"scheduler": "x"}}}},
        "hosts.a.settings: unknown scheduler 'x'",
    ),
    "an unknown version": (
        {"hosts": {"a": {"addresses": {"l": "10.0.0.1"}, "settings": {"mptcp_versions": "v2"}}}},
        "hosts.a.settings: unknown mptcp_versions 'v2'",
    ),
    "a setting of the wrong kind": (
        {"hosts": {"a": {"addresses": {"l": "10.0.0.1"}, "settings": {"mptcp": 1}}}},
        "hosts.a.settings: mptcp: must be bool",
    ),
    "no such host": (
        {"flows": {"f": {"source": "a", "destination": "x"}}},
        "flows.f: destination: there is no host 'x'",
    ),
    "a flow to itself": (
        {"flows": {"f": {"source": "a", "destination": "a"}}},
        "flows.f: destination: is the source",
    ),
    "somebody else's address": (
        {"flows": {"f": {"source": "a", "destination": "b", "local": "10.0.0.2"}}},
        "flows.f: local: 10.0.0.2 is no address of a",
    ),
    "a port twice": (
        {"flows": {name: {"source": "a", "destination": "b", "port": 80} for name in ("f", "g")}},
        "flows.g: port 80 is in use",
    ),
    "no route": (
        {
            "hosts": {"c": {"addresses": {"m": "10.0.1.1"}}},
            "routers": {"r": {}},
            "links": {"m": {"between": ["c", "r"]}},
            "flows": {"f": {"source": "c", "destination": "b"}},
        },
        "flows.f: no way from 10.0.1.1 to 10.0.0.2: router r has no route",
    ),
    "the wrong host": (
        {
            "hosts": {"c": {"addresses": {"m": "10.0.1.1"}}},
            "links": {"m": {"between": ["c", "a"]}},
            "flows": {"f": {"source": "c", "destination": "b"}},
        },
        "flows.f: no way from 10.0.1.1 to 10.0.0.2: the packets end at a",
    ),
    "a circle": (
        {
            "hosts": {"c": {"addresses": {"m": "10.0.1.1"}}},
            "routers": {
                "r": {"routes": [{"to": "10.0.0.0/24", "via": "n"}]},
                "s": {"routes": [{"to": "10.0.0.0/24", "via": "n"}]},
            },
            "links": {"m": {"between": ["c", "r"]}, "n": {"between": ["r", "s"]}},
            "flows": {"f": {"source": "c", "destination": "b"}},
        },
        "flows.f: no way from 10.0.1.1 to 10.0.0.2: the routes lead in a circle",
    ),
    "an unknown middlebox": (
        {"middleboxes": {"m": {"kind": "x", "inside": "l"}}},
        "middleboxes.m: kind: unknown middlebox 'x'",
    ),
    "an unknown option": (
        {"middleboxes": {"m": {"kind": "strip-syn", "inside": "l", "x": 1}}},
        "middleboxes.m: x: unknown key",
    ),
    "a missing option": (
        {"middleboxes": {"m": {"kind": "nat", "inside": "l"}}},
        "middleboxes.m: address: is missing",
    ),
    "a middlebox without links": (
        {"middleboxes": {"m": {"kind": "strip-syn", "inside": "l"}}},
        "middleboxes.m: a middlebox has 2 links, not 0",
    ),
    "a file that is not there": (
        {"links": {"l": {"between": ["a", "b"], "trace": "nothing.csv"}}},
        "links.l: trace: cannot read nothing.csv",
    ),
    "an event about no link": (
        {"events": [{"at_s": 1, "link": "x", "up": False}]},
        "events.0: link: there is no link 'x'",
    ),
    "an event about somebody else's address": (
        {"events": [{"at_s": 1, "host": "a", "address": "10.0.0.2", "present": False}]},
        "events.0: 10.0.0.2 is no address of a",
    ),
}

BASE: dict[str, Any] = {
    "hosts": {"a": {"addresses": {"l": "10.0.0.1"}}, "b": {"addresses": {"l": "10.0.0.2"}}},
    "links": {"l": {"between": ["a", "b"]}},
}


@pytest.mark.parametrize(("change", "message"), IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_impossible_worlds_are_refused_before_they_begin(
    change: dict[str, Any], message: str
) -> None:
    table: dict[str, Any] = {key: dict(value) for key, value in BASE.items()}
    for key, value in change.items():
        table[key] = value if isinstance(value, list) else table.get(key, {}) | value
    scenario = decode(table)
    with pytest.raises(UsageError) as caught:
        Simulation(scenario)
    assert message in str(caught.value)


def test_an_intent_is_a_setting_and_others_count_more() -> None:
    hosts = {
        "a": {"addresses": {"l": "10.0.0.1"}, "settings": {"intent": "handover"}},
        "b": {
            "addresses": {"l": "10.0.0.2"},
            "settings": {"congestion": "bbr", "intent": "handover"},
        },
    }
    flow = {"source": "a", "destination": "b", "settings": {"intent": "redundant"}}
    world = {"hosts": hosts, "links": {"l": {"between": ["a", "b"]}}, "flows": {"f": flow}}
    simulation = Simulation(decode(world))
    chosen = {
        name: (one.scheduler, one.congestion) for name, one in simulation.world.settings.items()
    }
    assert chosen == {"a": ("active-standby", "cubic"), "b": ("active-standby", "bbr")}
    flowing = simulation.flows["f"]._settings(simulation.world.station("b"))
    assert flowing == intent_settings("redundant")


@pytest.mark.parametrize("intent", ["nonsense", 3, ["handover"]])
def test_an_unknown_intent_is_named(intent: object) -> None:
    hosts = {"a": {"addresses": {}, "settings": {"intent": intent}}}
    with pytest.raises(UsageError, match=r"^hosts.a.settings: intent: unknown intent"):
        Simulation(decode({"hosts": hosts}))
