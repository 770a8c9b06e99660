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

HINT_SECONDS: Final = 3.0
"""How long nobody answers before that is said: a connection is attempted for two minutes."""


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
        telling = asyncio.create_task(self._tell(verbose=verbose)) if self._specs else None
        try:
            yield
        except TimeoutError as error:
            if any(driver.counters.unanswered or driver.silent_peers() for driver in self._drivers):
                raise TimeoutError(error.errno, self._hint("answered")) from error
            raise
        finally:
            if telling is not None:
                telling.cancel()
                with suppress(asyncio.CancelledError):
                    await telling

    async def _tell(self, *, verbose: bool) -> None:
        """Print what happens to sessions, if that is wanted, and once that nobody answers."""
        silent = 0.0
        try:
            while True:
                self._print(verbose=verbose)
                await asyncio.sleep(_LOOK_SECONDS)
                if silent < HINT_SECONDS and self._unheard():
                    silent += _LOOK_SECONDS
                    if silent >= HINT_SECONDS:
                        click.echo(self._hint("answers", " yet"), err=True)
        finally:
            self._print(verbose=verbose)

    def _unheard(self) -> bool:
        """Return whether peers are called and none has ever answered."""
        if any(driver.counters.opened for driver in self._drivers):
            return False
        return any(driver.silent_peers() for driver in self._drivers)

    def _hint(self, verb: str, when: str = "") -> str:
        return (
            f"nobody {verb} on UDP port {self._port}{when}: is the secret the same there, and "
            "does it listen?"
        )

    def _print(self, *, verbose: bool) -> None:
        for driver in self._drivers if verbose else ():
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
