"""What can be wrong with a script, and what a run can find."""

from __future__ import annotations

from dataclasses import dataclass, field

from plait.errors import PlaitError


class ScriptError(PlaitError):
    """A script cannot be run as it is; the message begins with file and line."""

    def __init__(self, path: str, line: int, what: str) -> None:
        super().__init__(f"{path}:{line}: {what}")
        self.path = path
        self.line = line
        self.what = what


class UnsupportedError(PlaitError):
    """A script wants something that this interpreter, or this back end, does not have."""

    def __init__(self, what: str) -> None:
        super().__init__(f"unsupported: {what}")
        self.what = what


class UnavailableError(PlaitError):
    """A back end cannot work on this machine; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that was expected and is not so."""

    field: str
    expected: str
    actual: str


@dataclass(eq=False)
class Mismatch(Exception):
    """A line of a script did not come true."""

    what: str
    differences: tuple[Difference, ...] = ()
    expected: str = ""
    """The packet that was expected, as the script writes it."""

    actual: str = ""
    """The packet that came."""

    line: int = field(default=0)

    def __str__(self) -> str:
        """Return the finding in one line."""
        parts = [f"{one.field} is {one.actual}, not {one.expected}" for one in self.differences]
        return self.what + (": " + "; ".join(parts) if parts else "")
