"""The kernel's MPTcpExt counters of one network namespace, as `nstat` shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from plait.errors import UsageError

_NETSTAT: Final = Path("/proc/thread-self/net/netstat")
"""Not /proc/net, which shows the namespace of the process's first thread."""

_PREFIX: Final = "MPTcpExt:"


class KernelCounters:
    """What the calling thread's network namespace counts from now on.

    That is nothing where the kernel has no Multipath TCP.
    """

    def __init__(self) -> None:
        self._before = self._counted()

    def snapshot(self) -> dict[str, int]:
        """Return what was counted since this object was made, names that stood still included."""
        return difference(self._before, self._counted())

    @staticmethod
    def _counted() -> dict[str, int]:
        try:
            return snapshot()
        except UsageError:
            return {}


def snapshot() -> dict[str, int]:
    """Return the counters of the calling thread's network namespace.

    Raises UsageError where the kernel has no Multipath TCP.
    """
    return parse(_NETSTAT.read_text(encoding="ascii"))


def parse(netstat: str) -> dict[str, int]:
    """Return the MPTcpExt counters of a netstat file: one line of names, one of values.

    Raises UsageError if there are none.
    """
    rows = [line.split()[1:] for line in netstat.splitlines() if line.startswith(_PREFIX)]
    if len(rows) != 2:
        raise UsageError("the kernel counts no MPTcpExt events: it was built without MPTCP")
    names, values = rows
    return dict(zip(names, map(int, values), strict=True))


def difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Return what was counted between two snapshots, names that stood still included."""
    return {name: count - before.get(name, 0) for name, count in after.items()}
