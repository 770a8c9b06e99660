"""Runs a command under one of the steerings below: python steerings.py [--below] NAME COMMAND..."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
import time
from pathlib import Path

from plait.errors import UsageError
from plait.linux.journal import Journal
from plait.linux.steering import LATER, Answer, Answering, Call, Proceed, Replace, Result, Steering
from plait.linux.supervised import run_supervised

STOPPED = Path("stopped")
"""Made in the command's folder when a call was received that gets no answer yet."""

GO = Path("go")
"""Made there by the test when the answer is to come."""


class Never(Steering):
    """Receives and does not answer."""

    def __init__(self) -> None:
        self._stopped = STOPPED.absolute()

    def on_socket(self, call: Call) -> Answer:
        self._stopped.touch()
        return LATER


class Slow(Steering):
    """Lets programs named `slow` wait and answers the others at once."""

    killable = False

    def __init__(self) -> None:
        self._stopped = STOPPED.absolute()
        self._go = GO.absolute()

    def start(self, answering: Answering) -> None:
        self._answering = answering

    def on_socket(self, call: Call) -> Answer:
        if call.target.program() != "slow":
            return Proceed()
        threading.Thread(target=self._answer, args=(call,)).start()
        self._stopped.touch()
        return LATER

    def _answer(self, call: Call) -> None:
        while not self._go.exists():
            time.sleep(0.01)
        try:
            call.target.make_socket(call.family, call.kind, 0).close()
            why = "it waited"
        except OSError:
            why = "it has ended"
        self._answering.answer(call, Proceed(got="TCP", why=why))


class Failing(Steering):
    """Has a bug."""

    def on_socket(self, call: Call) -> Answer:
        raise ZeroDivisionError


class Relay(Steering):
    """Connects programs to itself, whatever they connect to, and refuses port 1."""

    calls = ("connect", "getpeername")

    def start(self, answering: Answering) -> None:
        self._kept: list[socket.socket] = []

    def on_connect(self, call: Call) -> Answer:
        to = call.destination()
        if to is None:
            return Proceed()
        if to[1] == 1:
            return Result(error=errno.EHOSTDOWN, got="nothing", why="port 1", to=to)
        ours, theirs = socket.socketpair()
        ours.sendall(f"relayed to {to[0]} {to[1]}".encode())
        ours.shutdown(socket.SHUT_WR)
        self._kept.append(ours)
        return Replace(theirs, call.fd, result=0)

    def on_call(self, call: Call) -> Answer:
        length = int.from_bytes(call.target.read(call.arguments[2], 4), "little")
        name = b"\2\0\0\7\12\1\2\3" + bytes(8)
        call.target.write(call.arguments[1], name[:length])
        call.target.write(call.arguments[2], (16).to_bytes(4, "little"))
        return Result()


class Impossible(Steering):
    """Cannot start."""

    def start(self, answering: Answering) -> None:
        raise UsageError("there is nothing to steer by")


class Kin(Steering):
    """Tells whether a program that connects descends from its supervisor."""

    calls = ("connect",)

    def on_connect(self, call: Call) -> Answer:
        to = call.destination()
        pid = call.target.process()
        while pid not in {0, os.getpid()}:
            status = Path(f"/proc/{pid}/status").read_text()
            pid = int(status.partition("PPid:")[2].split()[0])
        return Proceed(got="TCP", why="kin" if pid else "a stranger", to=to)


if __name__ == "__main__":
    below, words = sys.argv[1] == "--below", sys.argv[1:]
    name, *command = words[below:]
    kinds = (Never, Slow, Failing, Relay, Impossible, Kin)
    steering = {kind.__name__.lower(): kind for kind in kinds}[name]
    try:
        run_supervised(command, steering(), Journal(explain=os.dup(2)), below=below)
    except UsageError as error:
        sys.exit(str(error))
