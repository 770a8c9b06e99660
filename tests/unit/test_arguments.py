"""Arguments of plug-ins: what classes take, as their source says."""

from __future__ import annotations

import inspect

import pytest

from plait.arguments import _written, known_arguments
from plait.congestion import controllers
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


@pytest.mark.parametrize("kind", KINDS)
def test_the_source_tells_what_annotations_do(kind: type) -> None:
    """Compiled classes have lost them; there only the first half can differ."""
    written = _written(kind)
    known = known_arguments(kind)
    assert list(known) == list(inspect.signature(kind).parameters)
    assert known == {name: written[name].removesuffix(" | None") for name in known}


def test_times_are_told_from_numbers() -> None:
    known = known_arguments(Settings)
    assert (known["time_wait"], known["backlog"]) == ("Nanos", "int")
