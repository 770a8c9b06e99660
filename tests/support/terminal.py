"""A shell at a terminal, for what people do with keys."""

from __future__ import annotations

import os
import pty
import re
import select
import time
from typing import Final

SECONDS: Final = 20.0

INTERRUPT: Final = "\x03"
SUSPEND: Final = "\x1a"


class Terminal:
    """An interactive bash whose keys the test presses."""

    def __init__(self) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            words = ["bash", "--norc", "--noprofile", "--noediting", "-i"]
            os.execve("/bin/bash", words, {**os.environ, "PS1": ""})  # noqa: S606  it is the shell
        self._seen = ""

    def type(self, keys: str) -> None:
        """Press some keys."""
        os.write(self._fd, keys.encode())

    def expect(self, pattern: str) -> str:
        """Return what the first group of the pattern matched, once it appears."""
        deadline = time.monotonic() + SECONDS
        while (found := re.search(pattern, self._seen)) is None:
            left = deadline - time.monotonic()
            assert left > 0, f"{pattern} not in {self._seen!r}"
            if select.select([self._fd], (), (), left)[0]:
                self._seen += os.read(self._fd, 4096).decode("utf-8", "replace")
        self._seen = self._seen[found.end() :]
        return found.group(found.re.groups and 1)

    def close(self) -> None:
        """Hang up."""
        os.close(self._fd)
        os.waitpid(self.pid, 0)
