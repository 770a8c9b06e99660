"""The kernel's packet filter, by its program `nft`: tables are made in one transaction, or not."""

from __future__ import annotations

import json
import subprocess
from typing import Any, Final

from plait.drivers.programs import ENVIRONMENT, complaint
from plait.errors import PrivilegeError, UsageError

_PROGRAM: Final = "nft"


def run_nft(*words: str) -> str:
    """Return what `nft` prints.  Raises UsageError with its first line if it refuses."""
    ran = subprocess.run(  # noqa: S603 - the words are ours
        [_PROGRAM, *words], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    said = complaint(ran)
    if not said:
        return ran.stdout
    if "not permitted" in said:
        raise PrivilegeError("changing the packet filter needs CAP_NET_ADMIN: run as root")
    raise UsageError(f"nft refuses: {said}")


def objects(kind: str) -> list[dict[str, Any]]:
    """Return the tables or chains there are, as `nft -j list` tells of them.

    Args:
        kind: `table` or `chain`.
    """
    listed: dict[str, Any] = json.loads(run_nft("-j", "list", f"{kind}s"))
    return [entry[kind] for entry in listed["nftables"] if kind in entry]
