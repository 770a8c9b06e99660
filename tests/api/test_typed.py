"""What a type checker says of programs that use plait."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mypy import api

import plait

PROGRAMS = Path(__file__).parents[1] / "data" / "typed"


def judge(name: str) -> str:
    """Return what mypy --strict objects to."""
    arguments = ["--strict", "--no-error-summary", str(PROGRAMS / name)]
    told, trouble, _ = api.run(arguments)
    return told + trouble


def test_a_program_that_uses_every_name_is_well_typed() -> None:
    assert judge("program.py") == ""
    text = (PROGRAMS / "program.py").read_text()
    assert [name for name in plait.__all__ if f"plait.{name}" not in text] == []


def test_mistakes_are_found() -> None:
    """Strict is to object to ignoring what is no error."""
    assert judge("mistakes.py") == ""


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(plait.__file__).parent / "py.typed").exists()


def test_names_are_imported_when_they_are_asked_for() -> None:
    for name in plait.__all__:
        assert getattr(plait, name).__name__ == name
    assert "plait.aio" in sys.modules
    with pytest.raises(AttributeError, match="nothing"):
        _ = plait.nothing
