"""Processes that are started together, and end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from plait.aio.workers import make_workers
from plait.drivers.packet_sharing import start_of
from plait.errors import UsageError
from plait.host.sharing import MOST

PROGRAM = """
import os, time
from plait.aio.workers import make_workers, run_workers

def work(worker):
    os.write(1, b"%d %d\\n" % (worker.index, os.getpid()))
    {work}

print("status", run_workers(make_workers(3), work), flush=True)
"""


def started(work: str) -> subprocess.Popen[str]:
    """Run a program that starts three processes."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(work=work)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def processes(program: subprocess.Popen[str]) -> list[int]:
    """Return those of the workers, by index."""
    assert program.stdout is not None
    lines = sorted(program.stdout.readline() for _ in range(3))
    return [int(line.split()[1]) for line in lines]


def gone(process: int) -> bool:
    """Return whether a process ends in a few seconds, waited for or not."""
    for _ in range(300):
        if not start_of(process):
            return True
        time.sleep(0.01)
    return False


WAIT = "time.sleep(60)"
ENDS = {
    "returned": (f"{WAIT} if worker.index else time.sleep(0.3); return 5", "status 5", ""),
    "raised": (f"{WAIT} if worker.index else time.sleep(0.3); 1 / 0", "status 1", "ZeroDivision"),
}


@pytest.mark.parametrize(("work", "said", "complaint"), ENDS.values(), ids=ENDS.keys())
def test_when_one_ends_all_end(work: str, said: str, complaint: str) -> None:
    program = started(work)
    every = processes(program)
    printed, complaints = program.communicate(timeout=20)
    assert said in printed
    assert complaint in complaints
    assert all(map(gone, every))


def test_one_that_is_killed_is_named() -> None:
    program = started(WAIT)
    every = processes(program)
    os.kill(every[1], signal.SIGKILL)
    _, complaints = program.communicate(timeout=20)
    assert "ChildProcessError: worker 1 was killed by SIGKILL" in complaints
    assert all(map(gone, every))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_they_end_with_the_one_that_started_them(number: signal.Signals) -> None:
    program = started(WAIT)
    every = processes(program)
    os.kill(program.pid, number)
    program.communicate(timeout=20)
    assert all(map(gone, every))


def test_parts_fit_together() -> None:
    workers = make_workers(3)
    assert [worker.index for worker in workers] == [0, 1, 2]
    assert len({worker.share.secret for worker in workers}) == 1
    others = make_workers(1)
    assert others[0].share.secret != workers[0].share.secret
    for worker in workers + others:
        worker.exchange.close()


def test_there_are_not_too_many() -> None:
    with pytest.raises(UsageError):
        make_workers(MOST + 1)
