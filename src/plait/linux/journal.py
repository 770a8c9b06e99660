"""What a supervisor tells: one line for each connection, for people and for machines."""

from __future__ import annotations

import json
import os
import select
import threading
import time
from contextlib import suppress
from typing import Any

from plait.addresses import show_endpoint
from plait.linux.steering import Answer, Call


class Journal:
    """Writes what programs got; every method may be called by any thread.

    A reader that does not keep up loses lines: programs must not wait for it.

    Args:
        explain: Descriptor for sentences, or None.
        json_lines: Descriptor for JSON, one object a line, or None.

    Neither may be 0, 1 or 2, which a supervisor gives up.
    """

    def __init__(self, explain: int | None = None, json_lines: int | None = None) -> None:
        self._explain = explain
        self._json = json_lines
        self._lock = threading.Lock()

    def descriptors(self) -> list[int]:
        """Return what has to stay open."""
        return [fd for fd in (self._explain, self._json) if fd is not None]

    def close_terminal(self) -> None:
        """Let go of what the command's caller may be waiting to see closed."""
        with self._lock:
            if self._explain is not None:
                os.close(self._explain)
                self._explain = None

    def tell(self, call: Call, answer: Answer) -> None:
        """Write about an answer, if it is worth telling and anybody wants to know."""
        if answer.got is None or (self._explain is None and self._json is None):
            return
        program = call.target.program()
        where = None if answer.to is None else show_endpoint(*answer.to)
        with self._lock:
            if self._explain is not None:
                what = f"{program}[{call.target.tid}] {where or call.name}: {answer.got}"
                reason = f" ({answer.why})" if answer.why else ""
                _write_line(self._explain, f"plait run: {what}{reason}")
            if self._json is not None:
                record = _record(call, answer, program, where)
                _write_line(self._json, json.dumps(record))


def _record(call: Call, answer: Answer, program: str, where: str | None) -> dict[str, Any]:
    """Return an answer as an object of JSON."""
    return {
        "time": time.time(),
        "pid": call.target.tid,
        "program": program,
        "call": call.name,
        "destination": where,
        "got": answer.got,
        "why": answer.why,
    }


def _write_line(fd: int, line: str) -> None:
    """Write a line unless that would wait; a pipe with room takes 4096 octets whole."""
    with suppress(OSError):
        if select.select((), (fd,), (), 0)[1]:
            os.write(fd, line.encode("utf-8", "replace")[:4000] + b"\n")
