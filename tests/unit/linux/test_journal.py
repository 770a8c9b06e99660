from __future__ import annotations

import json
import os
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from plait.linux.journal import Journal
from plait.linux.steering import Answer, Call, Proceed

CALL = Call("connect", 1, os.getpid(), (0,) * 6)
WHO = f"{CALL.target.program()}[{os.getpid()}]"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    os.close(reader)


LINES = {
    "all": (
        Proceed(got="TCP", why="asked", to=(ip_address("10.0.0.1"), 80)),
        " 10.0.0.1:80: TCP (asked)",
    ),
    "IPv6": (Proceed(got="MPTCP", to=(ip_address("::1"), 80)), " [::1]:80: MPTCP"),
    "no destination": (Proceed(got="MPTCP"), " connect: MPTCP"),
}


@pytest.mark.parametrize(("answer", "line"), LINES.values(), ids=LINES.keys())
def test_a_line_for_people(pipe: tuple[int, int], answer: Answer, line: str) -> None:
    journal = Journal(explain=pipe[1])
    journal.tell(CALL, answer)
    assert os.read(pipe[0], 999).decode() == f"plait run: {WHO}{line}\n"
    journal.close_terminal()
    journal.tell(CALL, answer)
    assert os.read(pipe[0], 999) == b""


def test_a_line_for_machines(pipe: tuple[int, int]) -> None:
    journal = Journal(json_lines=pipe[1])
    journal.tell(CALL, Proceed(got="TCP", why="asked", to=(ip_address("10.0.0.1"), 80)))
    journal.tell(CALL, Proceed(got="MPTCP"))
    journal.close_terminal()
    first, second = (json.loads(line) for line in os.read(pipe[0], 999).splitlines())
    assert first.pop("time") <= second.pop("time")
    assert first == {
        "pid": os.getpid(),
        "program": CALL.target.program(),
        "call": "connect",
        "destination": "10.0.0.1:80",
        "got": "TCP",
        "why": "asked",
    }
    assert (second["destination"], second["got"], second["why"]) == (None, "MPTCP", "")
    os.close(pipe[1])


def test_what_is_not_worth_telling_is_not_told(pipe: tuple[int, int]) -> None:
    Journal(explain=pipe[1]).tell(CALL, Proceed(why="nobody wants to know"))
    os.close(pipe[1])
    assert os.read(pipe[0], 999) == b""


def test_a_reader_that_does_not_read_holds_up_nobody(pipe: tuple[int, int]) -> None:
    journal = Journal(explain=pipe[1])
    for _ in range(5000):
        journal.tell(CALL, Proceed(got="TCP", why="x" * 90))
    held = os.read(pipe[0], 1 << 20)
    assert held.endswith(b")\n"), "whole lines only"
    journal.close_terminal()


def test_a_reader_that_left_is_forgotten(pipe: tuple[int, int]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    journal = Journal(explain=writer)
    journal.tell(CALL, Proceed(got="TCP"))
    journal.close_terminal()
    os.close(pipe[1])
