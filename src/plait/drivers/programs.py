"""Programs of the system that change what the kernel does: found, run and heard out."""

from __future__ import annotations

import shutil
import subprocess
from typing import Final

from plait.errors import NotSupportedError

ENVIRONMENT: Final = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
"""What they run in: their words are to be understood, and sudo may have another PATH."""

_PACKAGES: Final = {"ip": "iproute2", "nft": "nftables"}


def check_program(name: str, purpose: str) -> None:
    """Raise NotSupportedError naming its package if a program is missing.

    Args:
        name: `ip` or `nft`.
        purpose: What needs it, as the subject of a sentence.
    """
    if shutil.which(name, path=ENVIRONMENT["PATH"]) is None:
        raise NotSupportedError(
            f"{purpose} needs the program {name}: install the package {_PACKAGES[name]}"
        )


def complaint(ran: subprocess.CompletedProcess[str]) -> str:
    """Return what a program complains of, empty if it did what it should."""
    if ran.returncode == 0:
        return ""
    return next(iter(ran.stderr.strip().splitlines()), f"status {ran.returncode}")
