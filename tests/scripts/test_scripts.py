"""Every script on both back ends; the kernel's runs need root, TUN devices and Multipath TCP."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from plait.script.report import explain
from plait.script.session import BACKENDS, Status, run_script

HERE = Path(__file__).parent
SCRIPTS = sorted(HERE.rglob("*.pkt"))
CLAUSE = re.compile(r"^// rfc: (\d+) (\S+)((?: [A-Z]\w*[\w.-]*)*)$", re.MULTILINE)

TRIES = 2
"""Further runs on the kernel, whose time is real: a loaded machine is not a failure."""

WRONG: dict[str, str] = {}
"""Scripts the kernel passes and plait's stack does not, and why."""

ONLY = re.compile(r"^--only=(\w+)$", re.MULTILINE)
"""Where the two differ on purpose, a pair of scripts says how, `NAME-linux.pkt` for the kernel and
`NAME-plait.pkt` for the stack; docs/rfc/linux-differences.md says why."""


def cases() -> list[object]:
    """Return a case for each script and back end, with the clauses its header names."""
    found: list[object] = []
    for path in SCRIPTS:
        name = path.relative_to(HERE).as_posix()
        text = path.read_text()
        for backend in ONLY.findall(text) or BACKENDS:
            marks: list[pytest.MarkDecorator] = [
                pytest.mark.rfc(number, section, *requirements.split())
                for number, section, requirements in CLAUSE.findall(text)
                if backend == "stack" and name not in WRONG
            ]
            if backend == "kernel":
                marks.append(pytest.mark.privileged)
            elif name in WRONG:
                marks.append(pytest.mark.xfail(reason=WRONG[name], strict=False))
            found.append(pytest.param(path, backend, marks=marks, id=f"{name}-{backend}"))
    return found


@pytest.mark.parametrize(("path", "backend"), cases())
def test_script(path: Path, backend: str) -> None:
    if backend == "kernel" and (os.geteuid() != 0 or not Path("/dev/net/tun").exists()):
        pytest.skip("the kernel's back end needs root and /dev/net/tun")
    result = run_script(path, backend)
    for _ in range(TRIES if backend == "kernel" else 0):
        if result.status is not Status.FAILED:
            break
        result = run_script(path, backend)
    if result.status is Status.SKIPPED:
        pytest.skip(result.message)
    assert result.status is Status.PASSED, "\n".join(explain(result))


def test_pairs() -> None:
    """What only one back end does has a counterpart that shows what the other one does."""
    sides = {"kernel": "-linux", "stack": "-plait"}
    names = {path.stem for path in SCRIPTS}
    for path in SCRIPTS:
        for backend in ONLY.findall(path.read_text()):
            name = path.stem.removesuffix(sides[backend])
            assert {name + side for side in sides.values()} <= names


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_header(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("// ")
    assert CLAUSE.search(text) is not None, f"{path.name}: no `// rfc: NUMBER SECTION ROWS` line"
