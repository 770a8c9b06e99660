from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from plait.errors import UsageError
from plait.script.packets import Strictness
from plait.script.report import exit_status, explain, summary, to_json, to_junit
from plait.script.session import Options, Result, Status, find_scripts, run_script
from plait.units import MILLISECOND

SYSCTL = '`sysctl -q net.ipv4.tcp_rmem="4096 131072 6291456" net.ipv4.tcp_timestamps=0`\n'
LISTEN = """0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>
"""
SYN_ACK = "+0 > S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK,nop,wscale 7>\n"
ACCEPT = "+.01 < . 1:1(0) ack 1 win 257\n+0 accept(3, ..., ...) = 4\n"
OPEN = SYSCTL + LISTEN + SYN_ACK + ACCEPT


def run(tmp_path: Path, text: str, options: Options | None = None) -> Result:
    path = tmp_path / "t.pkt"
    path.write_text(text, encoding="utf-8")
    return run_script(path, "stack", options)


RIGHT = {
    "data": "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n",
    "pieces": "+0 write(4, ..., 3000) = 3000\n+0 > P. 1:3001(3000) ack 1\n",
    "text": '+0 write(4, "hello", 5) = 5\n+0 > P. 1:6(5) ack 1\n',
    "any time": "+0 write(4, ..., 10) = 10\n* > P. 1:11(10) ack 1\n* > P. 1:11(10) ack 1 <...>\n",
    "range": "+0 write(4, ..., 9) = 9\n+0 > P. 1:10(9) ack 1\n+.1~+.4 > P. 1:10(9) ack 1 <...>\n",
    "blocking read": "+0 < P. 1:3(2) ack 1 win 9\n+0 > . 1:1(0) ack 3\n"
    "+0 read(4, ..., 9) = 2\n+0...0.1 read(4, ..., 9) = 5\n"
    "+.1 < P. 3:8(5) ack 1 win 9\n* > . 1:1(0) ack 8\n",
    "waiting read": "+.1 < P. 1:6(5) ack 1 win 9\n+0 > . 1:1(0) ack 6\n+0 read(4, ..., 9) = 5\n",
    "poll": "+0 poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLOUT}], 1, 0) = 1\n",
    "poll that waits": "+0...0.05 poll([{fd=4, events=POLLIN, revents=0}], 1, 50) = 0\n",
    "option": "+0 setsockopt(4, SOL_TCP, TCP_NODELAY, [1], 4) = 0\n"
    "+0 getsockopt(4, SOL_TCP, TCP_NODELAY, [1], [4]) = 0\n",
    "errno": "+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n"
    "+0 read(4, ..., 9) = -1 EAGAIN (Resource temporarily unavailable)\n",
    "descriptor that is none": "+0 read(9, ..., 9) = -1 EBADF (Bad file descriptor)\n",
    "ioctl": "+0 < P. 1:6(5) ack 1 win 9\n+0 > . 1:1(0) ack 6\n+0 ioctl(4, SIOCINQ, [5]) = 0\n",
    "code": "+0 %{ assert tcpi_state == 1, tcpi_state }%\n",
    "helper that is not there": "+0 `../common/defaults.sh`\n",
    "vector": "+0 writev(4, [{..., 3}, {..., 4}], 2) = 7\n+0 > P. 1:8(7) ack 1\n",
    "message": "+0 < P. 1:6(5) ack 1 win 9\n+0 > . 1:1(0) ack 6\n"
    "+0 recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 9}], msg_flags=0}, 0) = 5\n",
    "unreachable": "+0 < icmp unreachable host_unreachable [1:1(0)]\n+0 write(4, ..., 1) = 1\n",
    "RST": "+0 < R. 1:1(0) ack 1 win 0\n"
    "+0 poll([{fd=4, events=POLLIN, revents=POLLIN|POLLERR|POLLHUP}], 1, 0) = 1\n"
    "+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [ECONNRESET], [4]) = 0\n",
}


@pytest.mark.parametrize("lines", RIGHT.values(), ids=RIGHT.keys())
def test_what_comes_true(tmp_path: Path, lines: str) -> None:
    result = run(tmp_path, OPEN + lines)
    assert result.status is Status.PASSED, explain(result)


WRONG = {
    "flags": ("+0 close(4) = 0\n+0 > P. 1:1(0) ack 1\n", "flags"),
    "seq": ("+0 close(4) = 0\n+0 > F. 2:2(0) ack 1\n", "seq"),
    "ack": ("+0 close(4) = 0\n+0 > F. 1:1(0) ack 2\n", "ack"),
    "length": ("+0 write(4, ..., 9) = 9\n+0 > P. 1:9(8) ack 1\n", "length"),
    "win": ("+0 close(4) = 0\n+0 > F. 1:1(0) ack 1 win 1\n", "win"),
    "urg": ("+0 close(4) = 0\n+0 > F. 1:1(0) ack 1 urg 1\n", "urg"),
    "options": ("+0 close(4) = 0\n+0 > F. 1:1(0) ack 1 <nop,nop>\n", "options"),
    "ECN": ("+0 close(4) = 0\n+0 > [ce] F. 1:1(0) ack 1\n", "ECN"),
    "early": ("+0 close(4) = 0\n+.1 > F. 1:1(0) ack 1\n", "time"),
    "late": (
        "+.1 < P. 1:6(5) ack 1 win 9\n+0 > . 1:1(0) ack 6\n+.1 read(4, ..., 9) = 6\n",
        "result",
    ),
    "result": ("+0 close(9) = 0\n", "result"),
    "errno": ("+0 close(9) = -1 EAGAIN (Resource)\n", "result"),
    "output": ("+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [5], [4]) = 0\n", "output"),
    "revents": ("+0 poll([{fd=4, events=POLLOUT, revents=0}], 1, 0) = 1\n", "output"),
    "blocking": ("+0...0.2 poll([{fd=4, events=POLLIN, revents=0}], 1, 50) = 0\n", "time"),
}


@pytest.mark.parametrize(("lines", "field"), WRONG.values(), ids=WRONG.keys())
def test_what_does_not_come_true_is_named(tmp_path: Path, lines: str, field: str) -> None:
    result = run(tmp_path, OPEN + lines)
    assert result.status is Status.FAILED
    assert field in [one.field for one in result.differences]
    assert result.line > OPEN.count("\n")
    assert f"t.pkt:{result.line}: " in explain(result)[0]


SILENT = {
    "nothing leaves": "+0 > . 1:1(0) ack 1\n",
    "assertion": "+0 %{ assert tcpi_state == 5, 'not five' }%\n",
}


@pytest.mark.parametrize("lines", SILENT.values(), ids=SILENT.keys())
def test_other_findings(tmp_path: Path, lines: str) -> None:
    assert run(tmp_path, OPEN + lines).status is Status.FAILED


UNSUPPORTED = {
    "+0 sendfile(4, 5, 6) = 7": "syscall sendfile",
    "+0 < . 1:1(0) ack 1 win 1 <zig 1>": "option zig",
    "+0 < . 1:1(0) ack 1 win 1 <dss dack9=1>": "dss dack9",
    "+0 setsockopt(4, SOL_TCP, TCP_NOSUCH, [1], 4) = 0": "symbol TCP_NOSUCH",
    "+0 setsockopt(4, SOL_SOCKET, SO_BROADCAST, [1], 4) = 0": "socket option 6",
    "+0 setsockopt(4, SOL_TCP, TCP_MAXSEG, [500], 4) = 0": "TCP_MAXSEG of an open connection",
    "+0 `iptables -F`": "command iptables -F",
    "+0 `sysctl -q net.ipv4.tcp_nosuch=1`": "sysctl net.ipv4.tcp_nosuch",
    "+0 %{ assert tcpi_nosuch }%": "variable tcpi_nosuch",
    "+0 < icmp nonsense": "icmp nonsense",
    "+0 < [dscp 1] . 1:1(0) ack 1 win 1": "IP word dscp",
    "--nonsense=1": "option --nonsense",
}


@pytest.mark.parametrize(("line", "what"), UNSUPPORTED.items(), ids=UNSUPPORTED.values())
def test_the_unsupported_is_named_with_its_line(tmp_path: Path, line: str, what: str) -> None:
    text = f"{line}\n{OPEN}" if line.startswith("--") else f"{OPEN}{line}\n"
    result = run(tmp_path, text)
    assert result.status is Status.ERROR
    assert result.message.startswith(f"unsupported: {what}"), result.message
    assert result.line == (1 if line.startswith("--") else text.count("\n"))
    assert exit_status([result]) == 2


def test_loose_ignores_order_and_padding(tmp_path: Path) -> None:
    text = SYSCTL + LISTEN + "+0 > S. 0:0(0) ack 1 <wscale 7,sackOK,mss 1460>\n" + ACCEPT
    assert run(tmp_path, text).status is Status.FAILED
    loose = Options(strictness=Strictness(loose=True))
    assert run(tmp_path, text, loose).status is Status.PASSED
    wrong = text.replace("mss 1460", "mss 1400")
    assert run(tmp_path, wrong, loose).status is Status.FAILED


def test_tolerance_and_definitions(tmp_path: Path) -> None:
    text = OPEN + "+0 close(4) = 0\n+.1 > F. PLACE:PLACE(0) ack 1\n"
    options = Options(tolerance=200 * MILLISECOND, defines={"PLACE": "1"})
    assert run(tmp_path, text, options).status is Status.PASSED


def test_helpers_are_read_line_by_line(tmp_path: Path) -> None:
    helper = tmp_path / "defaults.sh"
    helper.write_text(
        "#!/bin/sh\n# text\nsysctl -q net.ipv4.tcp_sack=0 \\\n  net.ipv4.tcp_timestamps=0\n"
    )
    text = "`./defaults.sh`\n" + LISTEN + "+0 > S. 0:0(0) ack 1 <mss 1460,nop,wscale 7>\n"
    assert run(tmp_path, text).status is Status.PASSED


def test_reports_count_every_end(tmp_path: Path) -> None:
    results = [
        run(tmp_path, OPEN),
        run(tmp_path, OPEN + "+0 > . 1:1(0) ack 1\n"),
        run(tmp_path, "nonsense"),
        Result(path="x.pkt", backend="kernel", status=Status.SKIPPED, message="no root"),
    ]
    assert summary(results) == "1 passed, 1 failed, 1 skipped, 1 bad"
    suite = ET.fromstring(to_junit(results))  # noqa: S314 - our own text
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == [
        "4",
        "1",
        "1",
        "1",
    ]
    told = json.loads(to_json(results))["results"]
    assert [one["status"] for one in told] == ["passed", "failed", "error", "skipped"]
    assert exit_status(results[:1]) == 0
    assert exit_status(results[:2]) == 1
    assert exit_status(results) == 2


def test_scripts_are_found_in_directories(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first, second = tmp_path / "a" / "b.pkt", tmp_path / "c.pkt"
    for path in (first, second):
        path.touch()
    assert find_scripts([tmp_path]) == [first, second]
    with pytest.raises(UsageError, match="no script"):
        find_scripts([tmp_path / "nowhere"])
