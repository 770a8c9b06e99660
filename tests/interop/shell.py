"""The commands of plait in a namespace, with the kernel as their peer there."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from plait.linux.netns import Namespace

PLAIT = [sys.executable, "-m", "plait.cli"]
TUNS = [
    "--tun", "t1,local=10.9.1.1,peer=10.9.1.2/24",
    "--tun", "t2,local=10.9.2.1,peer=10.9.2.2/24",
]  # fmt: skip


class Shell:
    """Runs plait's commands in one namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command with pipes on all three streams."""
        pipe = subprocess.PIPE
        started = self.namespace.run(
            lambda: subprocess.Popen([*PLAIT, *words], stdin=pipe, stdout=pipe, stderr=pipe)
        )
        self._running.append(started)
        return started

    def listen(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command and wait until something listens on port 5001 or a TUN is up."""
        started = self.start(*words)
        for _ in range(200):
            sockets = self.output("ss", "-Hltn", "sport = 5001")
            links = self.output("ip", "-br", "link", "show", "up")
            if sockets.strip() or "t1" in links:
                time.sleep(0.2)
                return started
            time.sleep(0.05)
        raise TimeoutError

    def output(self, *words: str) -> str:
        """Return what a program of the system prints."""
        return self.namespace.run(
            lambda: subprocess.run(words, capture_output=True, text=True, check=True).stdout
        )

    def finish(self) -> None:
        """End what still runs."""
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.communicate()


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found
