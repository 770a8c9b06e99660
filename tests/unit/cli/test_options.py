"""The options that commands share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plait.cli.main import run
from plait.cli.options import UDP_PORT, VERSIONS, NetworkOptions, PolicyOptions, StackOptions
from plait.cli.stack import policies_of
from plait.drivers.udp.spec import PORT
from plait.errors import UnknownNameError
from plait.host.intents import intent_settings
from plait.host.settings import Settings
from plait.mptcp.settings import MPTCP_VERSIONS

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
    assert policies_of(kind()) == Settings()
    assert kind().chosen() == {}
    chosen = kind(intent="aggregate", scheduler="ecf")
    assert policies_of(chosen) == replace(intent_settings("aggregate"), scheduler="ecf")
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
        policies_of(PolicyOptions(**{name: "nonsense"}))


def test_what_is_said_twice_is_said_alike() -> None:
    """Starting must be quick, so that the options import nothing of the stack."""
    assert (PORT, (*MPTCP_VERSIONS, "off")) == (UDP_PORT, VERSIONS)


def test_options_become_words_again() -> None:
    assert StackOptions().words() == []
    options = StackOptions(udp=("10.0.0.1", "10.0.0.2@eth1"), udp_port=53, mptcp="off")
    assert options.words() == [
        "--udp", "10.0.0.1", "--udp", "10.0.0.2@eth1", "--udp-port", "53", "--mptcp", "off",
    ]  # fmt: skip
