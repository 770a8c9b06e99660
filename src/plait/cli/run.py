"""`plait run`: an unmodified program speaks Multipath TCP."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import click

from plait.cli.options import StackOptions, stack_options
from plait.cli.running import Command
from plait.errors import UsageError
from plait.linux.destinations import Choice, parse_choice
from plait.linux.journal import Journal
from plait.linux.kernel_steering import KernelSteering, missing_in_kernel
from plait.linux.seccomp import Nested
from plait.linux.steering import Steering
from plait.linux.supervised import NotStarted, become, run_supervised


@dataclass(frozen=True, slots=True)
class Rung:
    """What programs' sockets can become."""

    steering: Callable[[StackOptions, Choice | None], Steering]
    """Makes who decides about them.  Raises UsageError."""

    missing: Callable[[StackOptions], str | None]
    """Returns why this machine cannot serve it, or None."""


def _of_the_stack() -> Any:
    """Return the module that few runs need."""
    return import_module("plait.cli.run_stack")


RUNGS: Final = {
    "kernel": Rung(lambda _, choice: KernelSteering(choice), lambda _: missing_in_kernel()),
    "stack": Rung(
        lambda options, choice: _of_the_stack().steering(options, choice),
        lambda options: _of_the_stack().missing(options),
    ),
}
"""What `--via` can name, the best first."""

_AUTO: Final = "auto"

_EXAMPLES: Final = """\b
Examples:
  plait run curl https://example.com/
  plait run --explain -- python3 -m http.server 8000
  plait run --only 'example.com:443,10.0.0.0/8:*' -- ./program --its-option
  plait run --except '*:22' --json run.jsonl -- make
  plait run --via stack --tun t1,local=10.9.1.1,peer=10.9.1.2/24 \\
      --tun t2,local=10.9.2.1,peer=10.9.2.2/24 curl http://10.9.1.2/
  sudo plait up; plait run --via stack curl https://example.com/
"""


_OPTIONS: Final = (
    click.option(
        "--via",
        type=click.Choice([*RUNGS, _AUTO]),
        default=_AUTO,
        show_default=True,
        help="Whose Multipath TCP: this kernel's, or that of plait's own stack. auto takes what "
        "this machine has, the stack if options of it are given, plain TCP at the worst.",
    ),
    click.option(
        "--only",
        multiple=True,
        metavar="HOST:PORT,...",
        help="Connections to these alone; all else is TCP, servers too.  HOST is a name, an "
        "address, a network or *, with brackets around IPv6; PORT a number or *.",
    ),
    click.option(
        "--except",
        "excepted",
        multiple=True,
        metavar="HOST:PORT,...",
        help="Connections to these are TCP.",
    ),
)


def steering_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that say what sockets become: `via`, `only` and `excepted`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(
    "run",
    cls=Command,
    epilog=_EXAMPLES,
    context_settings={"allow_interspersed_args": False},
)
@steering_options
@stack_options
@click.option("--explain", is_flag=True, help="Say of each connection what it got, and why.")
@click.option("--json", "json_file", metavar="FILE", help="The same as JSON, one object a line.")
@click.argument("words", nargs=-1, required=True, metavar="COMMAND...", type=click.UNPROCESSED)
def command(
    via: str,
    only: tuple[str, ...],
    excepted: tuple[str, ...],
    stack: StackOptions,
    explain: bool,
    json_file: str | None,
    words: tuple[str, ...],
) -> int:
    """Run a command whose TCP connections become Multipath TCP.

    It holds for the command and all its descendants, for connections they open and for servers,
    whatever they are written in.  This is no security boundary: a program can get around it.

    Exit status: that of the command; 126 or 127 when it cannot be executed or found; 2 when the
    request is impossible.
    """
    choice = parse_choice(only, excepted)
    try:
        steering = _steering(via, stack, choice)
        journal = Journal(os.dup(2) if explain else None, _open(json_file))
        if steering is None:
            become(words)
        try:
            run_supervised(words, steering, journal)
        except Nested as error:
            _say(f"{error}: it decides about {words[0]} too")
            become(words)
    except NotStarted as error:
        _say(str(error))
        return error.status


def check_options(via: str, options: StackOptions) -> str:
    """Return which rung the options mean.  Raises UsageError if they are not for it."""
    words = options.words()
    if words and via == "kernel":
        raise UsageError(f"{words[0]} is for plait's own stack: give --via stack")
    return "stack" if words and via == _AUTO else via


def _steering(via: str, options: StackOptions, choice: Choice | None) -> Steering | None:
    """Return who decides; None if there is nothing but TCP, which is said."""
    via = check_options(via, options)
    if via != _AUTO:
        reason = RUNGS[via].missing(options)
        if reason is not None and via == "stack":
            raise UsageError(reason)
        if reason is not None:
            _say(f"{reason}; until then programs get TCP")
        return RUNGS[via].steering(options, choice)
    reasons = {name: rung.missing(options) for name, rung in RUNGS.items()}
    for name, reason in reasons.items():
        if reason is None:
            return RUNGS[name].steering(options, choice)
    _say(f"plain TCP it is: {'; '.join(reason for reason in reasons.values() if reason)}")
    return None


def _open(path: str | None) -> int | None:
    """Return a descriptor to write a file anew, `-` being standard output.  Raises UsageError."""
    if path is None:
        return None
    if path == "-":
        return os.dup(1)
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {(error.strerror or '').lower()}") from None


def _say(line: str) -> None:
    """Write a line to standard error."""
    click.echo(f"plait run: {line}", err=True)
