"""Finding plug-ins by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plait.errors import UnknownNameError, UsageError
from plait.registry import Registry


class Base:
    """The contract."""


class BuiltIn(Base):
    """An implementation that comes with the package."""


@pytest.fixture
def registry() -> Registry[Base]:
    return Registry("gadget", "plait.test_gadget", {"builtin": BuiltIn})


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package whose entry point adds a gadget."""
    (tmp_path / "gadget_package.py").write_text("class Added:\n    pass\n")
    info = tmp_path / "gadget_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gadget_package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[plait.test_gadget]\nadded = gadget_package:Added\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("gadget_package", None)


def test_finds_what_is_built_in(registry: Registry[Base]) -> None:
    assert registry.find("builtin") is BuiltIn
    assert registry.names() == ["builtin"]


def test_an_unknown_name_is_the_callers_fault_and_the_error_lists_the_others(
    registry: Registry[Base],
) -> None:
    with pytest.raises(UnknownNameError, match="choose from builtin") as caught:
        registry.find("other")
    assert isinstance(caught.value, UsageError)
    assert (caught.value.kind, caught.value.name) == ("gadget", "other")
    assert caught.value.known == ["builtin"]


@pytest.mark.usefixtures("installed")
def test_finds_what_another_package_adds(registry: Registry[Base]) -> None:
    assert registry.names() == ["added", "builtin"]
    found = registry.find("added")
    assert found.__name__ == "Added"
    assert registry.find("added") is found


def test_a_program_can_bring_its_own(registry: Registry[Base]) -> None:
    class Own(Base):
        pass

    registry.add("own", Own)
    assert registry.find("own") is Own
    assert registry.names() == ["builtin", "own"]
    registry.remove("own")
    assert registry.names() == ["builtin"]
