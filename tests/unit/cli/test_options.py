"""The options that commands share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plait.cli.main import run
from plait.cli.options import NetworkOptions, PolicyOptions
from plait.errors import UnknownNameError
from plait.host.intents import intent_settings
from plait.host.settings import Settings

POLICIES = ("--pm", "--scheduler", "--cc", "--intent")
COMMANDS = (["nc"], ["perf", "server"], ["perf", "client"], ["demo"], ["sim"])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_that_connects_takes_policies(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {option} " in shown for option in POLICIES)
    assert "Examples:" in shown


@pytest.mark.parametrize("kind", [PolicyOptions, NetworkOptions])
def test_policies_are_settings(kind: type[PolicyOptions]) -> None:
    assert kind().settings() == Settings()
    assert kind().chosen() == {}
    chosen = kind(intent="aggregate", scheduler="ecf")
    assert chosen.settings() == replace(intent_settings("aggregate"), scheduler="ecf")
    assert chosen.chosen() == {"intent": "aggregate", "scheduler": "ecf"}


def test_the_demonstration_refuses_them_before_it_begins(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["demo", "--in-process", "--intent", "nonsense"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("plait demo: unknown intent 'nonsense'")


@pytest.mark.parametrize("name", ["pm", "scheduler", "cc", "intent"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match="'nonsense'"):
        PolicyOptions(**{name: "nonsense"}).settings()
