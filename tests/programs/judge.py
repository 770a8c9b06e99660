"""A server that says what every connection is, and commands that run beside it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from plait.linux.counters import snapshot
from plait.linux.families import IPPROTO_MPTCP
from plait.linux.netns import Namespace

PLAIT: Final = [sys.executable, "-m", "plait.cli"]
RUN: Final = [*PLAIT, "run"]
PORT: Final = 8642
OTHER: Final = 8644
PATIENCE: Final = 20
USER: Final = 1000
USERS_PYTHON: Final = "/usr/bin/python3"
"""One that ordinary users can read, which that of the tests need not be."""


_TCP_IS_MPTCP: Final = 43
_HTTP: Final = b"HTTP/1.0 200 OK\r\n\r\n"

_Result = TypeVar("_Result")


class Commands:
    """Commands that run in a namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self._started: list[subprocess.Popen[str]] = []

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command in the namespace, its output in pipes."""
        pipe = subprocess.PIPE
        process = self.namespace.run(
            lambda: subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, **options)
        )
        self._started.append(process)
        return process

    def run(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Return what a command that ended printed."""
        process = self.start(*words, **options)
        out, err = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def counted(self, name: str) -> int:
        """Return a counter of the kernel's in the namespace."""
        return self.namespace.run(snapshot)[name]

    def helpers(self) -> dict[str, int]:
        """Return the pids of supervisors and guardians in the namespace, by name."""
        inside = os.fstat(self.namespace.fileno()).st_ino
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    name = (entry / "comm").read_text().strip()
                    if name.startswith("plait-") and (entry / "ns/net").stat().st_ino == inside:
                        found[name] = int(entry.name)
        return found


class Judge(Commands):
    """Listens besides on two ports, and answers MPTCP or TCP, whichever it got."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        self._listeners = namespace.run(lambda: [_listen(port) for port in (PORT, OTHER)])
        for listener in self._listeners:
            threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def close(self) -> None:
        super().close()
        for listener in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer: socket.socket) -> None:
        with peer:
            is_mptcp = peer.getsockopt(socket.IPPROTO_TCP, _TCP_IS_MPTCP)
            what = "MPTCP" if is_mptcp else "TCP"
            try:
                asked = peer.recv(4096)
                peer.sendall((_HTTP if asked.startswith(b"GET") else b"") + what.encode())
            except OSError:
                return


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", port))  # noqa: S104  of a namespace of its own
    listener.listen(64)
    return listener


def until(true: Callable[[], _Result], what: str) -> _Result:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not (result := true()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return result
