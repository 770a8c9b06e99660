"""The commands over plait's stack, with the kernel as peer: octets, JSON, statuses, clean-up."""

from __future__ import annotations

import random
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from interop.shell import TUNS, Shell, load

from plait.trace.pcap import ip_packet, read_pcap
from plait.wire.packet import parse_packet
from plait.wire.segment import Segment

pytestmark = pytest.mark.privileged

DATA = random.Random(3).randbytes(1 << 20)
REPLY = b"and back\n"


ROLES = {
    "stack connects": (["nc", "-l", "5001", "--via", "kernel"], ["nc", "10.9.1.2", "5001", *TUNS]),
    "stack listens": (["nc", "-l", "5001", *TUNS], ["nc", "10.9.1.1", "5001", "--via", "kernel"]),
    "no offload": (
        ["nc", "-l", "5001", "--via", "kernel"],
        ["nc", "10.9.1.2", "5001", "--tun", "t1,local=10.9.1.1,peer=10.9.1.2/24,offload=off"],
    ),
    "IPv6": (
        ["nc", "-l", "5001", "--via", "kernel"],
        ["nc", "fd09:1::2", "5001", "--tun", "t1,local=fd09:1::1,peer=fd09:1::2/64"],
    ),
    "kernel both": (
        ["nc", "-l", "5001", "--via", "kernel"],
        ["nc", "127.0.0.1", "5001", "--via", "kernel"],
    ),
}


@pytest.mark.parametrize("role", ROLES, ids=list(ROLES))
def test_nc_carries_both_directions(role: str, shell: Shell, tmp_path: Path) -> None:
    serve, call = ROLES[role]
    server = shell.listen(*serve)
    client = shell.start(*call, "--json", str(tmp_path / "out.json"))
    with ThreadPoolExecutor(1) as reader:
        served = reader.submit(server.communicate, REPLY, timeout=20)
        received, complaints = client.communicate(DATA, timeout=20)
        assert (received, complaints, client.returncode) == (REPLY, b"", 0)
        assert served.result() == (DATA, b"")
    assert server.returncode == 0
    report = load(tmp_path / "out.json")
    assert report["is_mptcp"] is True
    assert report["bytes_sent"] == len(DATA)
    assert report["bytes_received"] == len(REPLY)
    assert report["fallback_reason"] is None
    assert "t1" not in shell.output("ip", "-br", "link")


def test_nc_falls_back_to_plain_tcp_and_says_why(shell: Shell, tmp_path: Path) -> None:
    server = shell.listen("nc", "-l", "5001", "--via", "kernel", "--mptcp", "off")
    client = shell.start("nc", "10.9.1.2", "5001", *TUNS, "--json", str(tmp_path / "out.json"))
    with ThreadPoolExecutor(1) as reader:
        served = reader.submit(server.communicate, b"", timeout=20)
        client.communicate(DATA, timeout=20)
        assert served.result()[0] == DATA
    assert client.returncode == 0
    report = load(tmp_path / "out.json")
    assert report["is_mptcp"] is False
    assert "SYN/ACK" in report["fallback_reason"]


def test_nc_k_serves_one_after_another(shell: Shell) -> None:
    server = shell.listen("nc", "-k", "-l", "5001", *TUNS)
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.close()
    for text in (b"one\n", b"two\n"):
        client = shell.start("nc", "10.9.1.1", "5001", "--via", "kernel")
        assert client.communicate(text, timeout=10) == (b"", b"")
        assert client.returncode == 0
        assert server.stdout.read(len(text)) == text
    assert server.poll() is None
    server.stdin = None


@pytest.mark.parametrize("direction", [[], ["--reverse"]], ids=["forward", "reverse"])
def test_perf_measures_over_two_paths(direction: list[str], shell: Shell, tmp_path: Path) -> None:
    server = shell.listen("perf", "server", "5001", "--via", "kernel", "-1")
    words = ["perf", "client", "10.9.1.2", "5001", "--bytes", "20000000", *direction, *TUNS]
    files = ["--json", str(tmp_path / "out.json"), "--pcap", str(tmp_path / "out.pcap")]
    client = shell.start(*words, *files)
    printed, complaints = client.communicate(timeout=20)
    assert (complaints, client.returncode) == (b"", 0)
    assert b"bit/s" in printed
    assert server.wait(timeout=10) == 0
    report = load(tmp_path / "out.json")
    moved = report["bytes_received"] if direction else report["bytes_sent"]
    assert moved >= 20_000_000
    assert len(report["subflows"]) == 2
    assert report["counters"]["MPJoinSynAckRx"] == 1
    with (tmp_path / "out.pcap").open("rb") as file:
        packets = [parse_packet(ip_packet(record)) for record in read_pcap(file)]
    carried = sum(packet.length for packet in packets if isinstance(packet, Segment))
    assert carried >= 20_000_000


def test_an_interrupt_leaves_nothing_behind(shell: Shell) -> None:
    waiting = shell.listen("nc", "-l", "5001", *TUNS)
    assert "t1" in shell.output("ip", "-br", "link")
    waiting.send_signal(signal.SIGINT)
    waiting.communicate(timeout=10)
    assert waiting.returncode == 130
    assert "t1" not in shell.output("ip", "-br", "link")


MISUSES = {
    "nobody listens": (["nc", "10.9.1.2", "5001", *TUNS], 1, "refused"),
    "unknown scheduler": (["nc", "10.9.1.2", "5001", *TUNS, "--scheduler", "x"], 2, "scheduler"),
    "unknown controller": (["nc", "10.9.1.2", "5001", *TUNS, "--cc", "x"], 2, "congestion"),
    "unknown path manager": (["nc", "10.9.1.2", "5001", *TUNS, "--pm", "x"], 2, "path manager"),
    "no network": (["nc", "10.9.1.2", "5001"], 2, "--tun"),
    "a bad path": (["nc", "10.9.1.2", "5001", "--tun", "t1"], 2, "local="),
    "a name in use": (
        ["nc", "10.9.1.2", "5001", "--tun", "lo,local=10.9.1.1,peer=10.9.1.2/24"], 2, "lo",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISUSES, ids=list(MISUSES))
def test_misuse_gets_one_clear_line(name: str, shell: Shell) -> None:
    words, status, hint = MISUSES[name]
    refused = shell.start(*words)
    printed, complaint = refused.communicate(timeout=10)
    assert (printed, refused.returncode) == (b"", status)
    assert complaint.startswith(b"plait nc: ")
    assert complaint.count(b"\n") == 1
    assert hint in complaint.decode()
    assert "t1" not in shell.output("ip", "-br", "link")


def test_a_port_in_use_is_said_so(shell: Shell) -> None:
    shell.listen("nc", "-l", "5001", "--via", "kernel")
    second = shell.start("nc", "-l", "5001", "--via", "kernel")
    _, complaint = second.communicate(timeout=10)
    assert second.returncode == 2
    assert b"in use" in complaint
