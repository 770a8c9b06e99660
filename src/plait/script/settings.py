"""What a script's option lines choose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface
from typing import Any, Final

from plait.addresses import IpAddress
from plait.linux.netns import IpInterface
from plait.script.errors import ScriptError
from plait.script.syntax import Script
from plait.units import MICROSECOND, MILLISECOND, Nanos, Octets

_LOCAL: Final = ip_interface("192.168.0.1/16")
_GATEWAY: Final = ip_address("192.168.0.2")
_REMOTE: Final = ip_address("192.0.2.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Addresses and limits of one run."""

    local: IpInterface = _LOCAL
    """Address of the host under test."""

    gateway: IpAddress = _GATEWAY
    remote: IpAddress = _REMOTE
    """Address the injected packets come from."""

    mapped: bool = False
    """Sockets are IPv6 ones with IPv4 addresses."""

    mtu: Octets = 1500
    port: int = 8080
    """Port of the host under test where it listens."""

    connect_port: int = 8080
    tolerance: Nanos = 4 * MILLISECOND
    """How much earlier or later than its time a packet may leave."""

    compare_echo: bool = False
    """Compare TSecr with the script's."""

    only: str = ""
    """The one back end whose behavior the script shows; with none it is that of all."""

    @property
    def family(self) -> str:
        """Return the symbol of the address family of sockets."""
        return "AF_INET6" if self.local.version == 6 or self.mapped else "AF_INET"


_V6: Final[dict[str, Any]] = {
    "local": ip_interface("fd77:1::1/64"),
    "gateway": ip_address("fd77:1::2"),
    "remote": ip_address("2001:db8::1"),
}

_VERSIONS: Final[dict[str, dict[str, Any]]] = {
    "ipv4": {},
    "ipv6": _V6,
    "ipv4-mapped-ipv6": {"mapped": True},
    "ipv4_mapped_ipv6": {"mapped": True},
}

_IGNORED: Final = frozenset({
    "non_fatal", "send_omit_free", "debug", "verbose", "v", "speed", "netmask_ip",
    "wire_client", "wire_server", "define", "D",
})  # fmt: skip
"""Options that change nothing here."""


def _prefixed(config: Configuration, text: str) -> IpInterface:
    return ip_interface(text if "/" in text else f"{text}/{config.local.network.prefixlen}")


_READERS: Final[dict[str, Callable[[Configuration, str], dict[str, Any]]]] = {
    "ip_version": lambda _, text: _VERSIONS[text],
    "tolerance_usecs": lambda _, text: {"tolerance": int(text) * MICROSECOND},
    "local_ip": lambda config, text: {"local": _prefixed(config, text)},
    "gateway_ip": lambda _, text: {"gateway": ip_address(text)},
    "remote_ip": lambda _, text: {"remote": ip_address(text.split("/")[0])},
    "mtu": lambda _, text: {"mtu": int(text)},
    "bind_port": lambda _, text: {"port": int(text)},
    "connect_port": lambda _, text: {"connect_port": int(text)},
    "compare_ecr": lambda _, text: {"compare_echo": text != "0"},
    "only": lambda _, text: {"only": text},
}
"""By option: the fields of `Configuration` it sets."""


def configure(script: Script) -> Configuration:
    """Return what the option lines say.  Raises ScriptError for options nobody knows."""
    config = Configuration()
    # The version first: addresses are of its family.
    for line, name, text in sorted(script.options, key=lambda option: option[1] != "ip_version"):
        if name in _IGNORED:
            continue
        reader = _READERS.get(name)
        if reader is None:
            raise ScriptError(script.path, line, f"unsupported: option --{name}")
        try:
            config = replace(config, **reader(config, text))
        except (KeyError, ValueError):
            raise ScriptError(script.path, line, f"bad value in --{name}={text}") from None
    return config
