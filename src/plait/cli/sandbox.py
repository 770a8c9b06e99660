"""Runs `plait` with root's rights in a user and a network namespace of its own.

Started as `python -m plait.cli.sandbox ARGUMENTS`, because a process may only enter a new user
namespace while it has a single thread: nothing that could start one is imported before.  Where user
namespaces are forbidden the command runs without, and says itself what it misses.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

from plait.linux import libc


def enter() -> bool:
    """Become root of new namespaces; return whether that was allowed."""
    uid, gid = os.getuid(), os.getgid()
    try:
        libc.unshare(libc.CLONE_NEWUSER | libc.CLONE_NEWNET)
        own = Path("/proc/self")
        (own / "setgroups").write_text("deny", encoding="ascii")
        (own / "uid_map").write_text(f"0 {uid} 1", encoding="ascii")
        (own / "gid_map").write_text(f"0 {gid} 1", encoding="ascii")
    except OSError:
        return False
    return True


if __name__ == "__main__":
    enter()
    sys.exit(import_module("plait.cli.main").run(sys.argv[1:]))
