"""What `plait perf` tells of a connection to the kernel while it lasts."""

from __future__ import annotations

from pathlib import Path

import pytest
from interop.shell import TUNS, Shell, load

pytestmark = pytest.mark.privileged

SECONDS = "0.6"
"""Long enough for the second subflow to come up."""

KERNEL: dict[str, tuple[list[str], list[str]]] = {
    "two subflows": ([], ["subflow_up", "subflow_up"]),
    "TCP": (["--mptcp", "off"], ["fell_back", "subflow_up"]),
}


@pytest.mark.parametrize("verbose", [[], ["-v"]], ids=["quiet", "verbose"])
@pytest.mark.parametrize("name", KERNEL)
def test_events_are_in_the_report_and_on_standard_error_if_asked(
    name: str, verbose: list[str], shell: Shell, tmp_path: Path
) -> None:
    options, expected = KERNEL[name]
    server = shell.listen("perf", "server", "5001", "--via", "kernel", "-1", *options)
    words = ["perf", "client", "10.9.1.2", "5001", "--seconds", SECONDS, *TUNS, *verbose]
    client = shell.start(*words, "--json", str(tmp_path / "out.json"))
    printed, said = client.communicate(timeout=20)
    assert client.returncode == 0
    assert b"subflow up" not in printed
    server.communicate(timeout=20)
    told = [one["event"] for one in load(tmp_path / "out.json")["events"]]
    assert sorted(told[:2]) == expected
    assert (said.decode().count("subflow up") == expected.count("subflow_up")) is bool(verbose)
    assert (b"TCP from now on" in said) is (name == "TCP" and bool(verbose))
