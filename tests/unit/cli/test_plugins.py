"""What `plait plugins` tells."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from plait.cli.main import run
from plait.congestion import controllers
from plait.host.intents import INTENTS
from plait.pathing import path_managers
from plait.scheduling import schedulers

if TYPE_CHECKING:
    import pytest


def listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """Return what the command writes as JSON."""
    assert run(["plugins", "--json"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_everything_is_listed_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    found = listed(capsys)
    names = [one["name"] for one in found]
    registries = (path_managers, schedulers, controllers)
    assert names == [name for one in registries for name in one.names()] + list(INTENTS)
    assert all(str(one["summary"]).endswith(".") for one in found)


def test_what_is_listed_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    kinds = {one.kind: one for one in (path_managers, schedulers)}
    for one in listed(capsys):
        registry = kinds.get(str(one["kind"]))
        arguments = one["arguments"]
        if registry is not None and isinstance(arguments, dict):
            given = ",".join(f"{key}={value}" for key, value in arguments.items())
            registry.make(f"{one['name']}:{given}" if given else str(one["name"]))


def test_times_are_in_milliseconds(capsys: pytest.CaptureFixture[str]) -> None:
    (cheap,) = [
        one for one in listed(capsys) if one["kind"] == "scheduler" and one["name"] == "cheap-first"
    ]
    assert cheap["arguments"] == {"overflow_ms": 500.0}


def test_a_plug_in_that_cannot_be_loaded_does_not_hide_the_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {name: kind for name, kind in schedulers._known.items() if name != "ecf"}
    monkeypatch.setattr(schedulers, "_known", known)
    monkeypatch.setattr(schedulers, "names", lambda: ["blest", "ecf"])
    found = {str(one["name"]): one for one in listed(capsys)}
    assert "unknown scheduler" in str(found["ecf"]["error"])
    assert not found["blest"]["error"]


def test_the_table_names_options_and_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plugins"]) == 0
    out = capsys.readouterr().out
    assert "--pm" in out
    assert "subflows=4,backup=no" in out
    assert "--intent" in out
