"""Command lines of scripts: which of them are helper files, and what the usual ones ask for."""

from __future__ import annotations

import shlex
from pathlib import Path


def helper_of(command: str, directory: Path) -> Path | None:
    """Return the file that a command line runs by its path, None for a program."""
    words = shlex.split(command)
    first = words[0] if words else ""
    if not first.startswith(("./", "../")):
        return None
    return directory / first


def commands_of(text: str) -> list[list[str]]:
    """Return the words of each command in lines of shell; comments and blank lines are left out."""
    found: list[list[str]] = []
    for line in text.replace("\\\n", " ").splitlines():
        for part in line.replace("&&", ";").split(";"):
            words = shlex.split(part, comments=True)
            if words:
                found.append(words)
    return found
