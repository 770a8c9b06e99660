"""Going up and down: the plan is carried out, or all of it is taken back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final

from plait.drivers.kernel_view import read_kernel
from plait.drivers.nft import objects
from plait.drivers.programs import check_program
from plait.errors import UsageError
from plait.uplinks.discovery import Uplink, find_uplinks
from plait.uplinks.journal import Attachment, Journal, load, locked, namespace_cookie
from plait.uplinks.plan import TABLE, make_plan
from plait.uplinks.steps import Command, Step, perform_all, undo_all

_DEAF_TO: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def prepare(
    wanted: Sequence[str], slots: int, owner: int | None
) -> tuple[list[Uplink], list[Step], list[list[Attachment]]]:
    """Return what would be done.  Raises UsageError, before any change, if it cannot be."""
    for name in ("ip", "nft"):
        check_program(name, "plait up")
    if any(one["name"] == TABLE and one["family"] == "inet" for one in objects("table")):
        raise UsageError(
            f"a table inet {TABLE} is in the packet filter that plait up knows nothing of: "
            f"remove it with `nft delete table inet {TABLE}`"
        )
    view = read_kernel()
    uplinks = find_uplinks(view, wanted)
    return uplinks, *make_plan(view, uplinks, slots, owner)


def obstacles() -> list[str]:
    """Return the chains of others that drop forwarded packets unless they are told otherwise."""
    return [
        f"{chain['family']} {chain['table']} {chain['name']}"
        for chain in objects("chain")
        if chain.get("hook") == "forward" and chain.get("policy") == "drop"
    ]


def go_up(
    wanted: Sequence[str], slots: int, owner: int | None, done: Callable[[Command], None]
) -> list[Uplink]:
    """Make the changes and return the uplinks; after any error all is as before.

    Args:
        done: Called with each command that was carried out.

    Raises:
        UsageError: It is up already, or cannot be done.
    """
    with locked():
        present = load()
        if present is not None:
            raise UsageError(
                "plait is up: see `plait up --status`, or run `plait down` first"
                if present.complete
                else "an earlier `plait up` was cut short: run `plait down` first"
            )
        uplinks, steps, plan = prepare(wanted, slots, owner)
        journal = Journal(cookie=namespace_cookie(), steps=steps, slots=plan)
        try:
            perform_all(steps, journal.note, done)
            journal.complete = True
            journal.save()
        except BaseException:
            with _deaf():
                take_back(journal, done)
            raise
        return uplinks


def go_down(done: Callable[[Command], None]) -> bool:
    """Take every change back; return whether there was any.

    Raises UsageError with what could not be taken back; the journal is kept then.
    """
    with locked():
        journal = load()
        if journal is None:
            return False
        with _deaf():
            take_back(journal, done)
        return True


def take_back(journal: Journal, done: Callable[[Command], None]) -> None:
    """Undo what a journal tells of, and remove it.  Raises UsageError if something is left."""
    failures = undo_all(journal.steps[: journal.begun], done)
    if failures:
        raise UsageError(f"{'; '.join(failures)}: see to that and run `plait down` again")
    journal.remove()


@contextmanager
def _deaf() -> Iterator[None]:
    """Ignore signals that would stop the work half way; they reach the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ignore(_: int, __: FrameType | None) -> None:
        """Do nothing; unlike SIG_IGN, programs that are started do not inherit it."""

    kept = {number: signal.signal(number, ignore) for number in _DEAF_TO}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
