"""Command lines of scripts: which helpers they run, and what the usual commands ask for."""

from __future__ import annotations

import re
import shlex
from math import prod
from pathlib import Path
from typing import Final

_PRODUCT: Final = re.compile(r"\$\(\(([\d *]+)\)\)")
_REDIRECTION: Final = re.compile(r"\d?>>?(&\d)?")


def helper_of(words: list[str], directory: Path) -> Path | None:
    """Return the file that a command runs by its path, None for a program."""
    return directory / words[0] if words and "/" in words[0] else None


def without_missing(command: str, directory: Path) -> str:
    """Return command lines without those that run a helper which does not exist here."""
    kept = []
    for line in command.splitlines():
        helper = helper_of(line.split(), directory)
        if helper is None or helper.exists():
            kept.append(line)
    return "\n".join(kept)


def commands_of(text: str) -> list[list[str]]:
    """Return the words of each command; comments, blank lines and redirections are left out."""
    found: list[list[str]] = []
    for line in text.replace("\\\n", " ").splitlines():
        for part in _PRODUCT.sub(_multiply, line).replace("&&", ";").split(";"):
            words = shlex.split(part, comments=True)
            for at, word in enumerate(words):
                if _REDIRECTION.fullmatch(word):
                    words = words[:at]
                    break
            if words:
                found.append(words)
    return found


def _multiply(found: re.Match[str]) -> str:
    """Return the value of `$((256*1024))`."""
    return str(prod(int(factor) for factor in found[1].split("*")))
