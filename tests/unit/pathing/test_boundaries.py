"""The parts of Multipath TCP that RFC 6182, 4 tells apart know nothing of each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import plait

SOURCE = Path(plait.__file__).parent

BOUNDARIES: dict[str, set[str]] = {
    "congestion": {"scheduling", "pathing", "tcp", "mptcp", "host"},
    "scheduling": {"congestion", "pathing", "tcp", "mptcp", "host"},
    "pathing": {"congestion", "scheduling", "tcp", "mptcp", "host"},
    "tcp": {"scheduling", "pathing", "mptcp", "host"},
}
"""By package: those it may not import."""


def imported(path: Path) -> set[str]:
    """Return the packages of plait that a module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name.split(".")[1] for name in names if name.startswith("plait.")}


@pytest.mark.rfc("6182", "4", "M6182-4-01")
@pytest.mark.parametrize("package", BOUNDARIES)
def test_path_management_scheduling_subflows_and_congestion_control_are_apart(package: str) -> None:
    modules = list((SOURCE / package).glob("*.py"))
    assert len(modules) > 2
    for module in modules:
        assert imported(module) & BOUNDARIES[package] == set(), module.name
