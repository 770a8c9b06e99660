"""The process that answers stopped calls, one after the other, until no program is left.

It does little, so that little can go wrong: receive a call, ask the `Steering`, send the answer.
Calls that are being answered lie in memory shared with the guardian (`plait.linux.guardian`), to
which they are left if this process is killed.
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable
from contextlib import suppress
from mmap import mmap
from typing import Final

from plait.linux.journal import Journal
from plait.linux.seccomp import NOTIFICATION_OCTETS, Listener, Notification
from plait.linux.seccomp_filter import CALLS
from plait.linux.steering import Answer, Call, Proceed, Steering

SLOTS: Final = 1024
"""Calls that can be answered at the same time; further ones would not survive the supervisor."""

_FAILED: Final = "plait failed: "

_THEIRS: Final = {errno.EBADF, errno.EFAULT, errno.ENOENT, errno.ENOTSOCK}
"""What a program's own mistake leads to; the kernel tells it when the call happens."""


class Slots:
    """Notifications in memory that processes forked from this one share."""

    def __init__(self, count: int = SLOTS) -> None:
        memory = mmap(-1, count * NOTIFICATION_OCTETS)
        offsets = range(0, count * NOTIFICATION_OCTETS, NOTIFICATION_OCTETS)
        self._slots = [Notification(memory, offset) for offset in offsets]
        self._free = list(range(count))

    def take(self) -> tuple[int, Notification]:
        """Return an unused slot and its number, which is -1 if it is not shared."""
        try:
            number = self._free.pop()
        except IndexError:
            return -1, Notification()
        return number, self._slots[number]

    def give_back(self, number: int) -> None:
        """Let a slot be used again."""
        if number >= 0:
            self._slots[number].clear()
            self._free.append(number)

    def open_calls(self) -> list[int]:
        """Return the ids of calls that were received and not answered."""
        return [slot.id for slot in self._slots if slot.id]


class Supervisor:
    """Answers what a listener reports as a steering decides."""

    _listener: Listener
    """From `serve` on: before that there is no call to answer."""

    def __init__(self, steering: Steering, journal: Journal, slots: Slots) -> None:
        self._journal = journal
        self._slots = slots
        self._handlers: dict[tuple[int, int], tuple[str, Callable[[Call], Answer]]] = {
            (architecture, number): (name, getattr(steering, f"on_{name}", steering.on_call))
            for name in steering.calls
            for architecture, number in CALLS[name].items()
        }

    def serve(self, listener: Listener, command: int) -> None:
        """Answer until the last program under the filter is gone.

        Args:
            command: A pidfd of the program that was started first; when it has ended, its
                terminal is let go.
        """
        self._listener = listener
        listener.take_turns()
        poll = select.poll()
        poll.register(listener.fileno(), select.POLLIN)
        poll.register(command, select.POLLIN)
        while True:
            for fd, events in poll.poll():
                if fd == command:
                    poll.unregister(command)
                    self._journal.close_terminal()
                elif events & select.POLLIN:
                    self._receive()
                else:
                    return

    def answer(self, call: Call, answer: Answer) -> None:
        """Send an answer, from any thread; if that fails the call proceeds."""
        try:
            self._send(call, answer)
        finally:
            answer.release()

    def tell(self, call: Call, answer: Answer) -> None:
        """Say what a program got, from any thread."""
        self._journal.tell(call, answer)

    def waits(self, call: Call) -> bool:
        """Return whether a call still waits, from any thread."""
        return self._listener.waits(call.id)

    def _receive(self) -> None:
        """Take one call and have it answered."""
        number, slot = self._slots.take()
        try:
            self._listener.receive(slot)
        except OSError:  # its thread was killed, or a signal came before we did
            self._slots.give_back(number)
            return
        call_id, tid, system_call, architecture, arguments = slot.read()
        name, handler = self._handlers[architecture, system_call]
        call = Call(name, call_id, tid, arguments, number)
        try:
            answer = handler(call)
        except Exception as error:  # noqa: BLE001  whatever it is, the program must go on
            theirs = isinstance(error, OSError) and error.errno in _THEIRS
            answer = Proceed() if theirs else Proceed(got="TCP", why=f"{_FAILED}{error!r}")
        self.answer(call, answer)

    def _send(self, call: Call, answer: Answer) -> None:
        """Tell and send an answer, or that the call proceeds."""
        if answer.deferred:
            return
        self._journal.tell(call, answer)
        try:
            answer.send(self._listener, call)
        except OSError as error:
            if error.errno != errno.ENOENT:
                self._journal.tell(call, Proceed(got="TCP", why=os.strerror(error.errno or 0)))
                with suppress(OSError):
                    self._listener.proceed(call.id)
        self._slots.give_back(call.slot)
