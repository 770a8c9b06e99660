"""What several processes cannot have."""

from __future__ import annotations

import pytest

from plait.cli.main import run

TUN = ("--tun", "t1,local=10.9.1.1,peer=10.9.1.2/24")
REFUSED = {
    "no device": ((), "--workers goes with --tun only"),
    "kernel": (("--via", "kernel"), "--workers goes with --tun only"),
    "UDP": ((*TUN, "--udp", "127.0.0.1"), "--workers goes with --tun only"),
    "packet": ((*TUN, "--packet", "eth0"), "--workers goes with --tun only"),
    "capture": ((*TUN, "--pcap", "out.pcap"), "--pcap is written by one process"),
    "JSON": ((*TUN, "--json", "-"), "--json tells of one process"),
    "one": ((*TUN, "--one"), "--one and --workers exclude each other"),
}


@pytest.mark.parametrize(("words", "complaint"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(
    words: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["perf", "server", "5001", "--workers", "2", *words]) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "17", "many"])
def test_impossible_numbers(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["perf", "server", "5001", "--workers", count, *TUN]) == 2
    assert "--workers" in capsys.readouterr().err
