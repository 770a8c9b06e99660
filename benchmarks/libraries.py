"""The two builds that benchmarks compare: a process imports plait from one library or the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PURE: Final = ROOT / "src"


class MissingError(Exception):
    """Something to measure is not here; the text says what, standard error perhaps why."""


def compiled() -> Path:
    """Return a library with a compiled core, made anew if the core has changed: minutes.

    Raises MissingError.
    """
    made = subprocess.run(
        [sys.executable, ROOT / "hatch_build.py"], stdout=subprocess.PIPE, text=True, check=False
    )
    if made.returncode != 0:
        raise MissingError("the core does not compile")
    return Path(made.stdout.strip())


def measured(script: str, library: Path, *arguments: str) -> dict[str, float]:
    """Return the figures that a script prints as JSON when it runs with plait from a library."""
    done = subprocess.run(
        [sys.executable, script, *arguments],
        env=environment(library, ROOT / "tests"),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        start_new_session=True,  # Ctrl-C is for us
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def environment(*folders: Path) -> dict[str, str]:
    """Return the environment of a process that imports from these folders first."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))}
