"""Arguments of plug-ins: what classes take, as their source says."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from plait.arguments import _of_source, as_written, known_arguments, signature
from plait.congestion import controllers
from plait.congestion.bbr import Bbr
from plait.host.settings import Settings
from plait.pathing import path_managers
from plait.scheduling import schedulers

KINDS = [
    Settings,
    *(
        each.find(name)
        for each in (controllers, schedulers, path_managers)
        for name in each.names()
    ),
]


ANNOTATIONS = {"Nanos", "Octets", "bool", "float", "int", "str"}


class Inheriting(Bbr):
    """A plug-in of a program, with the arguments of another."""


@pytest.mark.parametrize("kind", KINDS)
def test_the_source_tells_all_that_a_class_does(kind: type) -> None:
    """Compiled ones have lost it."""
    made = _of_source(kind, Path(inspect.getfile(kind)))
    assert made.__doc__
    assert made.__doc__ == as_written(kind).__doc__
    known, told = inspect.signature(made).parameters, signature(kind).parameters
    assert {name: one.default for name, one in known.items()} == {
        name: one.default for name, one in told.items()
    }
    assert {one.annotation for one in told.values()} <= ANNOTATIONS


def test_inherited_arguments_are_known() -> None:
    assert known_arguments(Inheriting) == known_arguments(Bbr)
    assert known_arguments(Inheriting)["mss"] == "Octets"
    assert as_written(Inheriting) is Inheriting


def test_times_are_told_from_numbers() -> None:
    known = known_arguments(Settings)
    assert (known["time_wait"], known["backlog"]) == ("Nanos", "int")
