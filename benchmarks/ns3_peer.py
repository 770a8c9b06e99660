"""ns-3's wheel from PyPI, in a virtual environment of its own that is made when it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final, Self

from libraries import ROOT, MissingError

FLOW: Final = Path(__file__).with_name("ns3_flow.py")
FOLDER: Final = ROOT / "build" / "ns3"
VERSION: Final = "3.44"


class Ns3:
    """A process that simulates a flow whenever it is asked; its start takes half a minute."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[str] | None = None
        self._missing: MissingError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            with self._process as process:
                process.kill()

    def simulate(self, seconds: float) -> dict[str, float]:
        """Run one flow and return what `ns3_flow.simulate` does.  Raises MissingError."""
        if self._missing is not None:
            raise self._missing
        if self._process is None:
            try:
                self._process = _start()
            except MissingError as missing:
                self._missing = missing
                raise
        found: dict[str, float] = json.loads(_ask(self._process, str(seconds)))
        return found


def _start() -> subprocess.Popen[str]:
    command = [_python(), str(FLOW)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # cling complains about what does no harm
        text=True,
        start_new_session=True,
    )
    if not _ask(process):
        raise MissingError(f"ns-3 does not start: try {' '.join(command)}")
    return process


def _ask(process: subprocess.Popen[str], *lines: str) -> str:
    """Send lines and return the one that is the answer, empty if the process has ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    for line in lines:
        print(line, file=process.stdin, flush=True)
    return process.stdout.readline()


def _python() -> str:
    """Return the Python that has ns-3, installed now if need be: minutes, and 500 MB."""
    python = FOLDER / "bin" / "python"
    stamp = FOLDER / "installed"
    if not stamp.exists():
        pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(FOLDER)],
            [*pip, f"ns3=={VERSION}.*"],
        ):
            if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
                raise MissingError(f"ns-3 {VERSION} could not be installed from PyPI")
        stamp.touch()
    return str(python)
