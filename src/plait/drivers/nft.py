"""The kernel's packet filter, by its program `nft`: tables are made in one transaction, or not."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any, Final

from plait.errors import NotSupportedError, PrivilegeError, UsageError

_PROGRAM: Final = "nft"
_ENVIRONMENT: Final = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def check_nft(purpose: str) -> None:
    """Raise NotSupportedError if the program is missing.

    Args:
        purpose: What needs it, as the subject of a sentence.
    """
    if shutil.which(_PROGRAM, path=_ENVIRONMENT["PATH"]) is None:
        raise NotSupportedError(f"{purpose} needs the program nft: install the package nftables")


def run_nft(*words: str) -> str:
    """Return what `nft` prints.  Raises UsageError with its first line if it refuses."""
    done = subprocess.run(  # noqa: S603 - the words are ours
        [_PROGRAM, *words], env=_ENVIRONMENT, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return done.stdout
    complaint = next(iter(done.stderr.strip().splitlines()), f"status {done.returncode}")
    if "not permitted" in complaint:
        raise PrivilegeError("changing the packet filter needs CAP_NET_ADMIN: run as root")
    raise UsageError(f"nft refuses: {complaint}")


def objects(kind: str) -> list[dict[str, Any]]:
    """Return the tables or chains there are, as `nft -j list` tells of them.

    Args:
        kind: `table` or `chain`.
    """
    listed: dict[str, Any] = json.loads(run_nft("-j", "list", f"{kind}s"))
    return [entry[kind] for entry in listed["nftables"] if kind in entry]
