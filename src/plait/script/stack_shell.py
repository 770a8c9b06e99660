"""Command lines of scripts on plait's own stack: those of `sysctl` and `ip` that steer a host."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Final

from plait.addresses import IpAddress
from plait.errors import UsageError
from plait.host.host import Host
from plait.script.errors import UnsupportedError
from plait.script.settings import Configuration
from plait.script.shell import commands_of, helper_of
from plait.script.stack_info import set_backup
from plait.script.stack_options import SYSCTLS
from plait.script.stack_paths import Plan
from plait.script.stack_sockets import StackSockets

_HARMLESS: Final = ("true", ":", "set", "sleep", "tc", "nstat", "ethtool", "echo")
"""Commands that change nothing a script can see on this stack."""


class StackShell:
    """Does what command lines ask for."""

    def __init__(
        self,
        host: Host,
        sockets: StackSockets,
        plan: Plan,
        config: Configuration,
        directory: Path,
    ) -> None:
        self._host = host
        self._sockets = sockets
        self._plan = plan
        self._config = config
        self._directory = directory

    def run(self, command: str) -> None:
        """Do command lines.  Raises UnsupportedError."""
        for words in commands_of(command):
            helper = helper_of(words, self._directory)
            if helper is None:
                self._do(words)
            elif helper.name == "set_sysctls.py":
                for pair in words[1:]:
                    self._sysctl(*pair.removeprefix("/proc/sys/").replace("/", ".").split("=", 1))
            elif helper.exists():
                self._help(helper.read_text(encoding="utf-8"))

    def _help(self, text: str) -> None:
        """Do what is understood of a helper, which sets up more than any one script needs."""
        for words in commands_of(text):
            with suppress(UnsupportedError):
                self._do(words)

    def _do(self, words: list[str]) -> None:
        if words[0] in _HARMLESS:
            return
        plain = [word for word in words if word not in {"-q", "-w", "-6", "-4", "-n"}]
        match plain:
            case ["sysctl", *pairs] if all("=" in pair for pair in pairs):
                for pair in pairs:
                    self._sysctl(*pair.split("=", 1))
            case ["ip", "addr" | "address" | "a", "add" | "del" as verb, address, "dev", _, *_]:
                self._address(ip_interface(address).ip, present=verb == "add")
            case ["ip", "mptcp", "limits", "set", *pairs]:
                self._limits(dict(zip(pairs[::2], pairs[1::2], strict=False)))
            case ["ip", "mptcp", "endpoint", *rest]:
                self._endpoint(rest)
            case ["ip", "tcp_metrics", *_]:
                pass
            case _:
                raise UnsupportedError(f"command {' '.join(words)} on plait's stack")

    def _limits(self, pairs: dict[str, str]) -> None:
        """Do `ip mptcp limits set`: the first subflow is not counted there."""
        if "subflow" in pairs:
            pairs["subflows"] = pairs.pop("subflow")
        if "subflows" in pairs:
            settings = replace(self._sockets.settings, max_subflows=int(pairs["subflows"]) + 1)
            self._sockets.settings = settings
        if "add_addr_accepted" in pairs:
            self._plan.accepted = int(pairs["add_addr_accepted"])

    def _endpoint(self, words: list[str]) -> None:
        """Do `ip mptcp endpoint`; connections that are open take notice."""
        match words:
            case ["add", text, *rest]:
                address = ip_address(text)
                self._plan.add(address, rest)
                self._address(address, present=True)
            case ["del" | "delete", "id", number]:
                endpoint = self._plan.find(int(number))
                self._plan.endpoints.remove(endpoint)
                self._plan.leaving = endpoint.address
                self._address(endpoint.address, present=True)
                self._plan.leaving = None
            case ["change", "id", number, "backup" | "nobackup" as word]:
                endpoint = self._plan.find(int(number))
                self._plan.change(endpoint, backup=word == "backup")
                set_backup(self._host, self._sockets.now(), endpoint.address, word == "backup")
            case ["flush"]:
                self._plan.endpoints.clear()
            case _:
                raise UnsupportedError(f"command ip mptcp endpoint {' '.join(words)}")

    def _address(self, address: IpAddress, *, present: bool) -> None:
        now, mtu = self._sockets.now(), self._config.mtu
        self._host.on_local_address(now, address, present=present, mtu=mtu)

    def _sysctl(self, name: str, value: str) -> None:
        row = SYSCTLS.get(name)
        if row is None:
            raise UnsupportedError(f"sysctl {name} on plait's stack")
        try:
            settings = replace(self._sockets.settings, **row.setting(value))
        except (KeyError, ValueError, UsageError):
            raise UnsupportedError(f"sysctl {name}={value} on plait's stack") from None
        self._sockets.settings = settings
