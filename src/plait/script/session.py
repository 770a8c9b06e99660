"""Scripts as files: reading them, running them on back ends and what came of that."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Final

from plait.errors import UsageError
from plait.script.backend import Backend
from plait.script.errors import Difference, Mismatch, ScriptError, UnavailableError
from plait.script.kernel import on_kernel
from plait.script.packets import Strictness
from plait.script.parser import parse_script
from plait.script.runner import Run, Watch
from plait.script.settings import Configuration, configure
from plait.script.stack import on_stack
from plait.script.syntax import Script
from plait.units import Nanos

_Opener = Callable[[Configuration, Path, Callable[[Backend], None]], None]

BACKENDS: Final[dict[str, _Opener]] = {"kernel": on_kernel, "stack": on_stack}
"""By name: what opens a back end, hands it to some work and closes it."""


class Status(Enum):
    """How a run ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"
    """The script cannot be run as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One run of one script on one back end."""

    path: str
    backend: str
    status: Status
    seconds: float = 0.0
    line: int = 0
    message: str = ""
    expected: str = ""
    actual: str = ""
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user chooses for all scripts."""

    strictness: Strictness = field(default_factory=Strictness)
    tolerance: Nanos | None = None
    """Instead of the scripts' own."""

    defines: Mapping[str, str] | None = None
    """Texts that stand in for names."""


def find_scripts(paths: list[Path]) -> list[Path]:
    """Return the files, and the scripts in the directories, that are named.

    Raises UsageError for what does not exist or holds none.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob("*.pkt")) if path.is_dir() else [path]
        if not inside or not inside[0].exists():
            raise UsageError(f"{path}: there is no script (*.pkt)")
        found += inside
    return found


def load(path: Path, options: Options) -> tuple[Script, Configuration]:
    """Read a script.  Raises ScriptError for what cannot be read or is not supported."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError(str(path), 1, f"cannot be read: {error}") from None
    defines = options.defines or {}
    if defines:
        names = "|".join(re.escape(name) for name in defines)
        text = re.sub(rf"\b({names})\b", lambda found: defines[found[0]], text)
    script = parse_script(text, str(path))
    config = configure(script)
    if options.tolerance is not None:
        config = replace(config, tolerance=options.tolerance)
    return script, config


def _check_side(config: Configuration, backend: str) -> None:
    if config.only not in {"", backend}:
        raise UnavailableError(f"the script shows what the {config.only} does")


def run_script(
    path: Path, backend: str, options: Options | None = None, watch: Watch | None = None
) -> Result:
    """Run a script on the back end of this name and return what came of it."""
    chosen = options or Options()
    begun = time.monotonic()
    result = Result(path=str(path), backend=backend, status=Status.PASSED)
    try:
        script, config = load(path, chosen)
        _check_side(config, backend)

        def work(host: Backend) -> None:
            Run(script, config, host, chosen.strictness, watch).run()

        BACKENDS[backend](config, path.parent, work)
    except Mismatch as found:
        result = replace(
            result,
            status=Status.FAILED,
            line=found.line,
            message=found.what,
            expected=found.expected,
            actual=found.actual,
            differences=found.differences,
        )
    except ScriptError as error:
        result = replace(result, status=Status.ERROR, line=error.line, message=error.what)
    except UnavailableError as error:
        result = replace(result, status=Status.SKIPPED, message=str(error))
    return replace(result, seconds=time.monotonic() - begun)
