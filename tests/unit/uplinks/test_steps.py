from __future__ import annotations

import errno
import os

import pytest

from plait.drivers import programs
from plait.drivers.programs import check_program
from plait.errors import NotSupportedError
from plait.uplinks.steps import (
    Command,
    Step,
    StepError,
    perform,
    perform_all,
    read_sysctl,
    set_sysctl,
    show,
    undo_all,
)

ABSENT = ("ip", "link", "delete", "dev", "plait-none")
"""Fails, and says that there is nothing to delete."""

WRONG = ("ip", "nonsense")
FINE = ("ip", "-V")


def test_commands_are_shown_as_they_are_typed() -> None:
    assert show(("nft", "delete table inet plait")) == "nft 'delete table inet plait'"
    assert show(set_sysctl("net/ipv4/ip_forward", "1")) == "sysctl -w net/ipv4/ip_forward=1"


def test_a_refused_command_is_named_with_its_complaint() -> None:
    with pytest.raises(StepError, match=r"`ip nonsense` failed: .*nonsense"):
        perform(WRONG)


def test_a_long_command_is_named_by_its_first_line() -> None:
    with pytest.raises(StepError) as raised:
        perform(("ip", "nonsense\nand more\nof it"))
    assert "and more" not in str(raised.value).partition("failed")[0]


def test_ctrl_c_is_not_for_the_commands() -> None:
    """They may be taking changes back."""
    group = "read -r _ _ _ _ group _ < /proc/$$/stat"
    perform(("sh", "-c", f"{group}; test $group != {os.getpgrp()}"))


def test_steps_are_noted_before_they_are_made() -> None:
    story: list[object] = []
    perform_all([Step(FINE), Step(FINE)], story.append, lambda _: story.append("done"))
    assert story == [1, "done", 2, "done"]


def test_a_refused_step_does_not_count_as_begun() -> None:
    begun: list[int] = []
    with pytest.raises(StepError):
        perform_all([Step(FINE), Step(WRONG), Step(FINE)], begun.append, lambda _: None)
    assert begun == [1, 2, 1]


def test_steps_are_taken_back_last_first_and_what_is_gone_is_fine() -> None:
    done: list[Command] = []
    first, last = ("ip", "-Version"), FINE
    undone = undo_all([Step(FINE, (first,)), Step(FINE, (ABSENT, last))], done.append)
    assert undone == []
    assert done == [last, first]


def test_what_cannot_be_taken_back_is_told_and_the_rest_is() -> None:
    done: list[Command] = []
    failures = undo_all([Step(FINE, (FINE,)), Step(FINE, (WRONG,))], done.append)
    assert done == [FINE]
    assert len(failures) == 1
    assert "ip nonsense" in failures[0]


def test_steps_are_taken_back_although_nobody_reads_about_it() -> None:
    undone: list[Command] = []

    def done(command: Command) -> None:
        undone.append(command)
        raise BrokenPipeError

    assert undo_all([Step(FINE, (FINE,)), Step(FINE, (FINE, FINE))], done) == []
    assert len(undone) == 3


def test_a_sysctl_of_an_interface_that_went_is_no_failure() -> None:
    gone = set_sysctl("net/ipv4/conf/plait-none/forwarding", "0")
    assert undo_all([Step(FINE, (gone,))], lambda _: None) == []
    assert read_sysctl("net/ipv4/conf/plait-none/forwarding") is None
    assert read_sysctl("net/ipv4/conf/lo/forwarding") in {"0", "1"}


def test_settings_of_a_container_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("pathlib.Path.write_text", refuse)
    with pytest.raises(StepError, match="failed: Read-only file system: run it outside"):
        perform(set_sysctl("net/ipv4/ip_forward", "1"))


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "ENVIRONMENT", {"PATH": "/nowhere"})
    with pytest.raises(NotSupportedError, match="program nft: install the package nftables"):
        check_program("nft", "plait up")
