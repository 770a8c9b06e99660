"""The options that every command with a network takes.

Nothing of the stack is imported for them: `plait run` starts programs all day.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import click

from plait.errors import UsageError

VERSIONS: Final = ("v1", "v0", "both", "off")
UDP_PORT: Final = 8684
"""What the layers below have, too, and tests compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOptions:
    """Which policies the stack follows; None leaves a choice to it."""

    pm: str | None = None
    scheduler: str | None = None
    cc: str | None = None
    intent: str | None = None
    """A combination of these three; each can still be given apart."""

    def chosen(self) -> dict[str, str]:
        """Return what was given, under the names that scenarios have for it."""
        values = {
            "intent": self.intent,
            "path_manager": self.pm,
            "scheduler": self.scheduler,
            "congestion": self.cc,
        }
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions(PolicyOptions):
    """Which networks the stack is attached to, and how it is set up."""

    tun: tuple[str, ...] = ()
    packet: tuple[str, ...] = ()
    udp: tuple[str, ...] = ()
    udp_port: int = UDP_PORT
    """UDP port of the side that listens."""

    secret_file: str | None = None
    mptcp: str = "v1"
    """`v1`, `v0`, `both` or `off`."""

    checksum: str | None = None
    """`on` or `off`."""

    pcap: str | None = None

    def words(self) -> list[str]:
        """Return the words of a command line that say the same."""
        said: list[str] = []
        for one in fields(self):
            value = getattr(self, one.name)
            if value != one.default:
                option = f"--{one.name.replace('_', '-')}"
                for word in value if isinstance(value, tuple) else (value,):
                    said += [option, str(word)]
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions(StackOptions):
    """Which back end to use, and how it is set up; None leaves a choice to the back end."""

    via: str = "stack"
    """`stack` or `kernel`."""

    json: str | None = None
    """A file name; `-` is standard output."""

    def check(self) -> None:
        """Raise UsageError if the options contradict each other or name impossible files."""
        check_writable(self.pcap, self.json)
        if self.via == "stack":
            return
        for given, option, instead in (
            (self.tun, "--tun", "the kernel uses its own interfaces"),
            (self.packet, "--packet", "the kernel uses its own interfaces"),
            (self.udp, "--udp", "the kernel sends TCP as it is"),
            (self.pm, "--pm", "the kernel's path manager is set with `ip mptcp`"),
            (self.scheduler, "--scheduler", "set `sysctl net.mptcp.scheduler`"),
            (self.intent, "--intent", "the kernel's policies are set one by one"),
            (self.pcap, "--pcap", "record the kernel's packets with tcpdump"),
            (
                self.mptcp in {"v0", "both"},
                f"--mptcp {self.mptcp}",
                "Linux speaks version 1 of Multipath TCP",
            ),
        ):
            if given:
                raise UsageError(f"{option} goes with --via stack only: {instead}")


_POLICIES: Final = (
    click.option(
        "--pm",
        metavar="NAME[:KEY=VALUE,...]",
        help="Path manager of the stack; `plait plugins` lists what there is.",
    ),
    click.option("--scheduler", metavar="NAME[:KEY=VALUE,...]", help="Scheduler of the stack."),
    click.option("--cc", metavar="NAME[:KEY=VALUE,...]", help="Congestion control."),
    click.option(
        "--intent",
        metavar="NAME",
        help="Path manager, scheduler and congestion control that go together; `plait plugins` "
        "lists what there is.",
    ),
)

_STACK: Final = (
    click.option(
        "--tun",
        multiple=True,
        metavar="SPEC",
        help="A path of the stack: NAME,local=A[+A...],peer=B/LEN[,mtu=N][,offload=on|off]. "
        "Creates the TUN device NAME, gives the kernel's side B/LEN and the stack the "
        "addresses A. Repeat it for more paths.",
    ),
    click.option(
        "--packet",
        multiple=True,
        metavar="SPEC",
        help="A path of the stack on an interface: IF[,local=A/LEN[+A/LEN]][,gateway=G[+G]]"
        "[,shared][,ports=LO-HI]. The stack has the addresses A, or shares those of the kernel, "
        "which leaves it the ports. Repeat it for more paths.",
    ),
    click.option(
        "--udp",
        multiple=True,
        metavar="SPEC",
        help="A path of the stack in UDP datagrams, without privilege: LOCAL[:PORT][@IF], an IPv6 "
        "address in brackets. The peer is a plait with --udp as well. Repeat it for more paths.",
    ),
    click.option(
        "--udp-port",
        type=click.IntRange(1, 65535),
        default=UDP_PORT,
        show_default=True,
        help="UDP port of the side that listens.",
    ),
    click.option(
        "--secret-file",
        metavar="FILE",
        help="Holds the secret, 16 octets at least, that both ends of --udp share; or set "
        "PLAIT_SECRET.",
    ),
    *_POLICIES,
    click.option(
        "--mptcp",
        type=click.Choice(VERSIONS),
        default="v1",
        show_default=True,
        help="Versions of Multipath TCP, or plain TCP.  With both, a listener answers either, "
        "and who connects offers v1 first.",
    ),
    click.option(
        "--checksum", type=click.Choice(["on", "off"]), help="Ask for DSS checksums, or do not."
    ),
    click.option(
        "--pcap",
        metavar="FILE",
        help="Record the stack's packets.",
    ),
)

_OPTIONS: Final = (
    click.option(
        "--via",
        type=click.Choice(["stack", "kernel"]),
        default="stack",
        show_default=True,
        help="plait's own stack, or IPPROTO_MPTCP sockets of this kernel.",
    ),
    *_STACK,
    click.option(
        "--json",
        metavar="FILE",
        help="At exit, write what the connection was as one JSON object; - is standard output.",
    ),
)


def network_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which gets them as its argument `network`."""
    return _gathered(command, "network", NetworkOptions, _OPTIONS)


def stack_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add those of the stack, which the command gets as its argument `stack`."""
    return _gathered(command, "stack", StackOptions, _STACK)


def policy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of policies alone, which the command gets as its argument `policies`."""
    return _gathered(command, "policies", PolicyOptions, _POLICIES)


def _gathered(
    command: Callable[..., Any],
    argument: str,
    kind: type[PolicyOptions],
    options: Sequence[Callable[..., Any]],
) -> Callable[..., Any]:
    """Return a command that takes options as one record."""
    names = [field.name for field in fields(kind)]

    @functools.wraps(command)
    def gathered(**arguments: Any) -> Any:
        chosen = {name: arguments.pop(name) for name in names}
        return command(**{argument: kind(**chosen)}, **arguments)

    decorated: Callable[..., Any] = gathered
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def check_writable(*paths: str | None) -> None:
    """Raise UsageError if a file cannot be written; make nothing yet.  `-` and None are fine."""
    for path in paths:
        if path is not None and path != "-":
            _check_writable(Path(path))


def _check_writable(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a directory: name a file")
    if not path.exists() and not path.parent.is_dir():
        raise UsageError(f"there is no directory {path.parent}: make it first")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"cannot write {path}: permission denied")
