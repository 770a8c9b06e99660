"""What `plait up` has changed, on disk: one file for each network namespace.

A step is noted before it is made, so that `plait down` can take back everything whatever became of
the program that made it.  Files are replaced whole and never half written.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from plait.drivers.base import network_namespace
from plait.errors import NotSupportedError, PrivilegeError
from plait.uplinks.steps import Step

DIRECTORY: Final = Path("/run/plait")

_SO_NETNS_COOKIE: Final = 71
"""Linux 5.14: unlike its inode, the cookie of a namespace is never used again."""


def _path() -> Path:
    return DIRECTORY / f"{network_namespace()}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A TUN device that is made for a stack, and the uplink its packets leave by."""

    name: str
    uplink: str
    local: tuple[str, ...]
    """Addresses of the stack."""

    peer: tuple[str, ...]
    """Addresses of the kernel's side with prefix lengths."""

    mtu: int


@dataclass(slots=True, kw_only=True)
class Journal:
    """The changes made in one network namespace."""

    cookie: int
    """Of the namespace, 0 where the kernel gives none."""

    steps: list[Step]
    slots: list[list[Attachment]]
    """For each stack that can run at a time, its devices."""

    begun: int = 0
    """How many of the steps were made, the last perhaps not."""

    complete: bool = False
    path: Path = field(default_factory=_path)

    def save(self) -> None:
        """Write the file.  Raises NotSupportedError if that cannot be done."""
        values = asdict(self)
        del values["path"]
        draft = self.path.with_suffix(".new")
        try:
            draft.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
            draft.chmod(0o644)
            draft.replace(self.path)
        except OSError as error:
            raise NotSupportedError(f"cannot write {self.path}: {error.strerror}") from None

    def note(self, begun: int) -> None:
        """Note that a step begins."""
        self.begun = begun
        self.save()

    def remove(self) -> None:
        """Remove the file: nothing is left to take back."""
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(".new").unlink(missing_ok=True)


def load() -> Journal | None:
    """Return the journal of the calling thread's network namespace, None if there is none.

    A file that an earlier namespace of the same inode left counts as none.
    """
    path = _path()
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotSupportedError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise _damaged(path) from None
    try:
        return None if values["cookie"] != namespace_cookie() else _journal(values, path)
    except (KeyError, TypeError):
        raise _damaged(path) from None


@contextmanager
def locked() -> Iterator[None]:
    """Keep other programs from going up or down meanwhile.

    Raises PrivilegeError, or NotSupportedError where root cannot write the journal either.
    """
    try:
        DIRECTORY.mkdir(mode=0o755, exist_ok=True)
        if not os.access(DIRECTORY, os.W_OK):
            raise PermissionError
        held = os.open(DIRECTORY, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if os.geteuid() == 0:
            raise NotSupportedError(
                f"cannot write {DIRECTORY}, where changes are noted "
                f"({error.strerror or 'read-only'}): mount a tmpfs there"
            ) from None
        raise PrivilegeError(
            f"cannot write {DIRECTORY}: interfaces are changed by root: use sudo"
        ) from None
    try:
        fcntl.fcntl(held, fcntl.F_SETFD, 0)  # inherited: commands that outlive us are waited for
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def namespace_cookie() -> int:
    """Return the cookie of the calling thread's network namespace, 0 if the kernel has none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            octets = probe.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
        except OSError:
            return 0
    return int.from_bytes(octets, "little")


def _journal(values: dict[str, Any], path: Path) -> Journal:
    return Journal(
        cookie=values["cookie"],
        steps=[Step(tuple(one["do"]), tuple(map(tuple, one["undo"]))) for one in values["steps"]],
        slots=[[_attachment(one) for one in slot] for slot in values["slots"]],
        begun=values["begun"],
        complete=values["complete"],
        path=path,
    )


def _attachment(values: dict[str, Any]) -> Attachment:
    return Attachment(
        name=values["name"],
        uplink=values["uplink"],
        local=tuple(values["local"]),
        peer=tuple(values["peer"]),
        mtu=values["mtu"],
    )


def _damaged(path: Path) -> NotSupportedError:
    return NotSupportedError(
        f"{path} is damaged: take back what `plait up` printed, and remove the file"
    )
