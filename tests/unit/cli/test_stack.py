"""From options to the settings of the stack."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plait.cli.options import NetworkOptions
from plait.cli.stack import settings_of
from plait.host.intents import intent_settings
from plait.host.settings import Settings


@pytest.mark.parametrize(
    ("word", "settings"),
    [
        ("v1", Settings()),
        ("v0", Settings(mptcp_versions="v0")),
        ("both", Settings(mptcp_versions="both")),
        ("off", Settings(mptcp=False)),
    ],
)
def test_versions_of_multipath_tcp(word: str, settings: Settings) -> None:
    assert settings_of(NetworkOptions(mptcp=word)) == settings


@pytest.mark.parametrize(("word", "on"), [("on", True), ("off", False), (None, True)])
def test_checksums(word: str | None, on: bool) -> None:
    assert settings_of(NetworkOptions(checksum=word)).checksum is on


def test_names_of_plug_ins() -> None:
    options = NetworkOptions(pm="default", scheduler="default", cc="reno")
    expected = Settings(path_manager="default", scheduler="default", congestion="reno")
    assert settings_of(options) == expected


def test_an_intent_and_what_is_set_apart_from_it() -> None:
    options = NetworkOptions(intent="handover", cc="lia", checksum="off")
    expected = replace(intent_settings("handover"), congestion="lia", checksum=False)
    assert settings_of(options) == expected


def test_plug_ins_take_arguments() -> None:
    options = NetworkOptions(pm="ndiffports:subflows=2", scheduler="load-split:split=1/2")
    chosen = settings_of(options)
    assert (chosen.path_manager, chosen.scheduler) == (
        "ndiffports:subflows=2",
        "load-split:split=1/2",
    )
