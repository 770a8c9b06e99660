"""A judge from outside: tshark reads what plait sends, and finds nothing wrong with it."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from interop.lab import Lab, Plan, close, connect, exchange, in_lab, subflows_up

from plait.drivers.base import Driver
from plait.drivers.capture import Capture, wall_clock_epoch
from plait.trace.pcap import PcapWriter

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark"),
]

COMPLAINTS = "_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0"


def tshark(capture: Path, shown: str, *fields: str) -> list[str]:
    """Return a line for each packet that passes the display filter."""
    words = ["tshark", "-r", str(capture), "-o", "tcp.check_checksum:TRUE", "-Y", shown]
    if fields:
        words += ["-T", "fields", *(word for field in fields for word in ("-e", field))]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("offload", [True, False], ids=["offload", "mtu1500"])
def test_tshark_understands_a_connection_of_two_subflows(
    family: int, offload: bool, tmp_path: Path
) -> None:
    files = [tmp_path / f"path{number}.pcap" for number in range(2)]
    closing = ExitStack()

    def wrap(path: int, driver: Driver) -> Driver:
        file = closing.enter_context(files[path].open("wb"))
        return Capture(driver, PcapWriter(file), wall_clock_epoch())

    async def scenario(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=True)
        await subflows_up(lab, ours, theirs, 2)
        await exchange(ours, theirs, 200_000)
        await close((ours, theirs))

    with closing:
        in_lab(Plan(family=family, offload=offload, paths=2, wrap=wrap), scenario)
    seen: Counter[str] = Counter()
    for file in files:
        assert tshark(file, COMPLAINTS) == []
        for line in tshark(file, "tcp.option_kind == 30", "tcp.options.mptcp.subtype"):
            seen.update(line.split(","))
    assert seen["0"] >= 3  # MP_CAPABLE on SYN, SYN/ACK and ACK
    assert seen["1"] == 3  # MP_JOIN likewise
    assert seen["2"] > 10  # DSS
