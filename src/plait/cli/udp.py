"""What `--udp` asks for: sockets, the secret they share, and what is told about their sessions."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import click

from plait.cli.options import StackOptions
from plait.drivers.udp import Udp, UdpSpec
from plait.drivers.udp.spec import check_secret, read_by_others, read_secret
from plait.errors import UsageError

SECRET_VARIABLE: Final = "PLAIT_SECRET"  # noqa: S105  it names one

_LOOK_SECONDS: Final = 0.25
"""How often sessions are looked at."""


class UdpPaths:
    """The UDP sockets of one command.

    Args:
        options: Raises UsageError if they name no secret or impossible paths.
        listening: Peers call: bind the port that they call.
    """

    def __init__(self, options: StackOptions, *, listening: bool) -> None:
        self._port = options.udp_port
        self._drivers: list[Udp] = []
        self._specs: list[UdpSpec] = []
        if options.udp:
            secret = _secret(options.secret_file)
            port = self._port if listening else 0
            self._specs = [
                UdpSpec.parse(text, secret, port=port, remote_port=self._port)
                for text in options.udp
            ]

    def open(self) -> list[Udp]:
        """Return the drivers, which the caller closes; raises UsageError."""
        for spec in self._specs:
            self._drivers.append(Udp(spec))
        return self._drivers

    @asynccontextmanager
    async def told(self, *, verbose: bool) -> AsyncIterator[None]:
        """Say on standard error what becomes of sessions, and why nobody could be reached."""
        telling = asyncio.create_task(self._tell()) if verbose and self._specs else None
        try:
            yield
        except TimeoutError as error:
            if any(driver.counters.unanswered or driver.silent_peers() for driver in self._drivers):
                raise TimeoutError(
                    error.errno,
                    f"nobody answered on UDP port {self._port}: is the secret the same there, and "
                    "does it listen?",
                ) from error
            raise
        finally:
            if telling is not None:
                telling.cancel()
                with suppress(asyncio.CancelledError):
                    await telling

    async def _tell(self) -> None:
        """Print what happens to sessions until canceled, and what happened last."""
        try:
            while True:
                self._print()
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            self._print()

    def _print(self) -> None:
        for driver in self._drivers:
            for notice in driver.take_notices():
                click.echo(str(notice), err=True)


def _secret(file: str | None) -> bytes:
    """Return the secret that was named; raises UsageError if none was."""
    if file is not None:
        path = Path(file)
        secret = read_secret(path)
        if read_by_others(path):
            click.echo(f"{path} is open to other users: chmod 600 {path}", err=True)
        return secret
    given = os.fsencode(os.environ.get(SECRET_VARIABLE, ""))
    if not given:
        raise UsageError(
            "--udp needs the secret that both ends share: name a file that holds it with "
            f"--secret-file, or set {SECRET_VARIABLE}"
        )
    check_secret(given)
    return given
