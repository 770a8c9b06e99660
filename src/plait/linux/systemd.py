"""systemd's unit files: what a service starts, and a drop-in that starts it otherwise.

Files are read as systemd.unit(5) says, without asking systemd, which need not be running.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from plait.errors import UsageError

_SEARCHED: Final = (
    "etc/systemd/system.control",
    "run/systemd/system.control",
    "run/systemd/transient",
    "run/systemd/generator.early",
    "etc/systemd/system",
    "etc/systemd/system.attached",
    "run/systemd/system",
    "run/systemd/system.attached",
    "run/systemd/generator",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
    "run/systemd/generator.late",
)
"""Where units lie below the root, the first to be found winning (systemd.unit(5), table 1)."""

_DROP_INS: Final = "etc/systemd/system"
_OURS: Final = "plait.conf"
_MARK: Final = "# Made by `plait unit enable`; `plait unit disable` removes it. "
_NAME: Final = re.compile(r"[A-Za-z0-9:_.\\@-]+")
_PREFIXES: Final = re.compile(r"[-@:+!|]*")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_@%+=:,./*\[\]-]+")


class Units:
    """The services of a machine, or of one whose files lie below `root`."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def drop_in(self, service: str) -> Path:
        """Return where our drop-in for a service is, or would be.  Raises UsageError."""
        return self._root / _DROP_INS / f"{_full(service)}.d" / _OURS

    def enabled(self) -> dict[str, list[str]]:
        """Return the services that have our drop-in, with what they start."""
        found = sorted((self._root / _DROP_INS).glob(f"*.service.d/{_OURS}"))
        return {path.parent.name[:-2]: _started([path]) for path in found if _intact(path)}

    def enable(self, service: str, runner: Sequence[str]) -> tuple[Path, str]:
        """Let a service be started by `runner`; return the file written and what it says.

        Raises:
            UsageError: There is no such service, or what it starts cannot be started so.
        """
        path = self.drop_in(service)
        if path.exists() and not _intact(path):
            raise UsageError(f"{path} was changed by hand: move it away first")
        lines = [_wrapped(line, runner, path) for line in self.started(service)]
        body = "\n".join(("[Service]", "ExecStart=", *lines, ""))
        text = f"{_MARK}{_digest(body)}\n{body}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(".new")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(path)
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from None
        return path, text

    def disable(self, service: str) -> Path:
        """Remove what `enable` wrote; return the file.  Raises UsageError."""
        path = self.drop_in(service)
        if not path.exists():
            raise UsageError(f"{_full(service)} is not enabled: see `plait unit status`")
        if not _intact(path):
            raise UsageError(f"{path} was changed by hand: remove it by hand")
        try:
            path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
        except OSError as error:
            raise UsageError(f"cannot remove {path}: {error.strerror}") from None
        return path

    def started(self, service: str) -> list[str]:
        """Return the values of ExecStart= that hold without our drop-in.  Raises UsageError."""
        name = _full(service)
        fragment = next(self._find(name), None)
        if fragment is None:
            raise UsageError(f"there is no service {name}: see `systemctl list-unit-files`")
        if fragment.resolve() == Path("/dev/null"):
            raise UsageError(f"{name} is masked: run `systemctl unmask {name}` first")
        lines = _started([fragment, *self._drop_ins(name)])
        if not lines:
            raise UsageError(f"{name} starts nothing: {fragment} has no ExecStart=")
        return lines

    def _find(self, name: str) -> Iterator[Path]:
        """Return where a unit is, then where the template is that it is an instance of."""
        template = re.sub(r"@.+\.service$", "@.service", name)
        for one in dict.fromkeys((name, template)):
            for directory in _SEARCHED:
                path = self._root / directory / one
                if path.is_symlink() or path.exists():
                    yield path

    def _drop_ins(self, name: str) -> list[Path]:
        """Return the drop-ins of others, in the order in which they hold."""
        stem = name.removesuffix(".service")
        prefixes = [f"{stem[: match.end()]}.service" for match in re.finditer("-", stem)]
        template = re.sub(r"@.+\.service$", "@.service", name)
        found: dict[str, Path] = {}
        for one in dict.fromkeys((name, template, *reversed(prefixes), "service")):
            for directory in _SEARCHED:
                for path in (self._root / directory / f"{one}.d").glob("*.conf"):
                    found.setdefault(path.name, path)
        if found.get(_OURS) == self.drop_in(name):
            del found[_OURS]
        return [found[name] for name in sorted(found)]


def _full(service: str) -> str:
    """Return the whole name of a service.  Raises UsageError."""
    if not _NAME.fullmatch(service):
        raise UsageError(f"{service!r} is not the name of a service")
    kind = Path(service).suffix
    if kind in {".socket", ".timer", ".target", ".mount", ".path", ".slice", ".scope"}:
        raise UsageError(f"{service} is no service: name the one that it starts")
    return service if kind == ".service" else f"{service}.service"


def _started(files: Iterable[Path]) -> list[str]:
    """Return the values of ExecStart= in these files; an empty one forgets those before."""
    lines: list[str] = []
    for path in files:
        for section, key, value in _assignments(path):
            if (section, key) == ("[Service]", "ExecStart"):
                lines = [*lines, value] if value else []
    return lines


def _assignments(path: Path) -> Iterator[tuple[str, str, str]]:
    """Return section, key and value of each line; lines that end in a backslash go on."""
    try:
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    section, whole = "", ""
    for line in text.splitlines():
        if line.lstrip().startswith(("#", ";")):
            continue
        if line.endswith("\\"):
            whole += f"{line[:-1]} "
            continue
        whole, done = "", whole + line
        if done.startswith("["):
            section = done.strip()
        elif "=" in done:
            key, _, value = done.partition("=")
            yield section, key.strip(), value.strip()


def _wrapped(line: str, runner: Sequence[str], path: Path) -> str:
    """Return an ExecStart= that starts by `runner` what `line` starts.  Raises UsageError."""
    prefixes = _PREFIXES.match(line)
    assert prefixes is not None
    if "@" in prefixes[0]:
        raise UsageError(f"ExecStart={line} gives argv[0], which cannot be kept: write {path}")
    if re.search(r"\s;(\s|$)", line):
        raise UsageError(f"ExecStart={line} has several commands: write {path} by hand")
    words = " ".join(_quoted(word) for word in runner)
    return f"ExecStart={prefixes[0]}{words} {line[prefixes.end() :].lstrip()}"


def _quoted(word: str) -> str:
    """Return a word as systemd.service(5) wants it, without specifiers and variables."""
    literal = word.replace("%", "%%").replace("$", "$$")
    if _PLAIN.fullmatch(literal):
        return literal
    escaped = literal.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _digest(body: str) -> str:
    """Return what tells a file of ours from one that was changed since."""
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def _intact(path: Path) -> bool:
    """Return whether a drop-in is as we wrote it."""
    head, _, body = path.read_text("utf-8", "replace").partition("\n")
    return head == _MARK + _digest(body)
