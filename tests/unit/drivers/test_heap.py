"""Memory of packets is faulted in once, not by every burst."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_BURSTS = """
import os, resource, sys
from collections import deque
from plait.drivers.heap import keep_freed

def bursts(count):
    for _ in range(count):
        burst = [os.read(zeros, 65_545) for _ in range(64)]
        assert all(packet == burst[0] for packet in burst)

zeros = os.open("/dev/zero", os.O_RDONLY)
if sys.argv[1] == "kept":
    keep_freed()
bursts(4)
before = resource.getrusage(resource.RUSAGE_SELF)
bursts(20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before.ru_minflt)
"""


def faults(how: str) -> int:
    """Return the page faults of twenty bursts of 4 MB in a process of its own."""
    command = [sys.executable, "-c", _BURSTS, how]
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told what to keep")
def test_bursts_are_read_into_memory_that_is_there() -> None:
    kept, given_back = faults("kept"), faults("given back")
    assert kept < 100
    assert given_back > 5_000, "what is asked of glibc would make no difference"
