"""The template of a package of plug-ins, found as an installed one would be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEMPLATE = ROOT / "examples" / "plugin"
NAMES = {("scheduler", "turns"), ("congestion control", "steady"), ("path manager", "first-two")}


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which Python finds the package and its metadata."""
    project = tomllib.loads((TEMPLATE / "pyproject.toml").read_text())["project"]
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(head)
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    paths = (tmp_path, TEMPLATE / "src", ROOT / "src")
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}


def listed(environment: dict[str, str]) -> dict[tuple[str, str], dict[str, object]]:
    """Return what `plait plugins` lists."""
    command = [sys.executable, "-m", "plait.cli", "plugins", "--json"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return {(one["kind"], one["name"]): one for one in json.loads(told.stdout)}


def test_its_plug_ins_are_listed_with_their_arguments(installed: dict[str, str]) -> None:
    found = listed(installed)
    assert found.keys() >= NAMES
    assert not [one["error"] for one in found.values() if one["error"]]
    assert all(str(found[name]["summary"]).endswith(".") for name in NAMES)
    assert found["scheduler", "turns"]["arguments"] == {"octets": 65536}
    assert found["congestion control", "steady"]["arguments"] == {"segments": 20}
    missing = installed | {"PYTHONPATH": str(ROOT / "src")}
    assert not NAMES & listed(missing).keys()


def test_its_own_tests_pass(installed: dict[str, str]) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    ran = subprocess.run(
        command, env=installed, cwd=TEMPLATE, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout
    assert " passed" in ran.stdout
