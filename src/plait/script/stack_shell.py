"""Command lines of scripts on plait's own stack: those of `sysctl` and `ip` that steer a host."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface
from pathlib import Path
from typing import Final

from plait.host.host import Host
from plait.script.errors import UnsupportedError
from plait.script.settings import Configuration
from plait.script.shell import commands_of, helper_of
from plait.script.stack_options import SYSCTLS
from plait.script.stack_sockets import StackSockets

_HARMLESS: Final = ("true", ":", "set", "sleep", "tc", "nstat", "ethtool", "echo")
"""Commands that change nothing a script can see on this stack."""


class StackShell:
    """Does what command lines ask for."""

    def __init__(
        self, host: Host, sockets: StackSockets, config: Configuration, directory: Path
    ) -> None:
        self._host = host
        self._sockets = sockets
        self._config = config
        self._directory = directory

    def run(self, command: str) -> None:
        """Do a command line; of a helper file every line.  Raises UnsupportedError."""
        helper = helper_of(command, self._directory)
        if helper is not None:
            if helper.exists():
                for words in commands_of(helper.read_text(encoding="utf-8")):
                    self._do(words)
            return
        for words in commands_of(command):
            self._do(words)

    def _do(self, words: list[str]) -> None:
        if words[0] in _HARMLESS:
            return
        plain = [word for word in words if word not in {"-q", "-w", "-6", "-4", "-n"}]
        match plain:
            case ["sysctl", *pairs] if all("=" in pair for pair in pairs):
                for pair in pairs:
                    self._sysctl(*pair.split("=", 1))
            case ["ip", "addr" | "address" | "a", "add", address, "dev", _, *_]:
                self._host.on_local_address(
                    self._sockets.now(), ip_interface(address).ip, present=True
                )
            case ["ip", "addr" | "address" | "a", "del", address, "dev", _, *_]:
                self._host.on_local_address(
                    self._sockets.now(), ip_interface(address).ip, present=False
                )
            case _:
                raise UnsupportedError(f"command {' '.join(words)} on plait's stack")

    def _sysctl(self, name: str, value: str) -> None:
        row = SYSCTLS.get(name)
        if row is None:
            raise UnsupportedError(f"sysctl {name} on plait's stack")
        try:
            changes = row.setting(value)
        except (KeyError, ValueError):
            raise UnsupportedError(f"sysctl {name}={value} on plait's stack") from None
        self._sockets.settings = replace(self._sockets.settings, **changes)
