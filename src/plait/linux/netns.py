"""Network namespaces that clean up after themselves.

A namespace is held by a file descriptor, so an anonymous one vanishes with its interfaces,
endpoints and counters when it is closed, and at the latest when the process ends in any way.
A named one is bound to /run/netns for `ip netns exec` and must be closed to go away.

Code runs inside in a thread of its own: a thread's namespace cannot leak into the others.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from pyroute2 import IPRoute

from plait.addresses import IpAddress
from plait.errors import UsageError
from plait.linux import libc
from plait.linux.closing import Closing
from plait.linux.path_manager import Endpoint, Limits, PathManager
from plait.linux.threads import in_thread

IpInterface: TypeAlias = IPv4Interface | IPv6Interface

_NAMES: Final = Path("/run/netns")
_NODAD: Final = 0x02
"""IFA_F_NODAD: without it an IPv6 address is unusable for a second."""

_Result = TypeVar("_Result")


class Namespace(Closing):
    """A new network namespace with its loopback interface up; a context manager.

    Args:
        name: Name under /run/netns, None for an anonymous namespace.

    Raises:
        UsageError: The process may not make namespaces, or the name is taken.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self._fd = in_thread(lambda: _create(name))
        try:
            self.run(_loopback_up)
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor that holds the namespace."""
        return self._fd

    def close(self) -> None:
        """Let the namespace go; sockets and devices of it that are still open keep it alive."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        if self.name is not None:
            mount = _NAMES / self.name
            with contextlib.suppress(OSError):
                libc.unmount(str(mount))
            mount.unlink(missing_ok=True)

    def run(self, work: Callable[[], _Result]) -> _Result:
        """Return what `work` returns, called in a thread that is inside the namespace."""

        def inside() -> _Result:
            libc.setns(self._fd, libc.CLONE_NEWNET)
            return work()

        return in_thread(inside)

    def set_sysctl(self, name: str, value: str | int) -> None:
        """Set a sysctl under `net` given with dots.  Raises UsageError if there is none."""

        def write() -> None:
            try:
                Path("/proc/sys", *name.split(".")).write_text(str(value), encoding="ascii")
            except OSError as error:
                raise UsageError(f"cannot set sysctl {name}: {error.strerror}") from None

        self.run(write)

    def add_address(self, interface: str, address: IpInterface) -> None:
        """Give an interface an address, usable at once, and bring it up."""

        def add() -> None:
            with IPRoute() as routes:
                index = _index(routes, interface)
                flags = {"flags": _NODAD} if address.version == 6 else {}
                routes.addr(
                    "add",
                    index=index,
                    address=str(address.ip),
                    prefixlen=address.network.prefixlen,
                    **flags,
                )
                routes.link("set", index=index, state="up")

        self.run(add)

    def add_route(self, destination: IpInterface, interface: str, *, table: int = 254) -> None:
        """Route a network through an interface; table 254 is the main one."""

        def add() -> None:
            with IPRoute() as routes:
                index = _index(routes, interface)
                routes.route("add", dst=str(destination.network), oif=index, table=table)

        self.run(add)

    def set_link(self, interface: str, *, up: bool) -> None:
        """Bring an interface up or take it down."""

        def change() -> None:
            with IPRoute() as routes:
                state = "up" if up else "down"
                routes.link("set", index=_index(routes, interface), state=state)

        self.run(change)

    def set_mptcp_limits(self, *, subflows: int, add_addr_accepted: int) -> None:
        """Limit what the kernel's path manager does for each connection."""
        limits = Limits(subflows=subflows, add_addr_accepted=add_addr_accepted)

        def change() -> None:
            with PathManager() as manager:
                manager.set_limits(limits)

        self.run(change)

    def add_mptcp_endpoint(self, address: IpAddress, address_id: int, flags: int) -> None:
        """Tell the kernel's path manager about a local address.

        Args:
            flags: As in `plait.linux.path_manager.Endpoint`.
        """
        endpoint = Endpoint(address=address, id=address_id, flags=flags)

        def add() -> None:
            with PathManager() as manager:
                manager.add_endpoint(endpoint)

        self.run(add)

    def remove_mptcp_endpoints(self) -> None:
        """Make the kernel's path manager forget every address."""

        def flush() -> None:
            with PathManager() as manager:
                manager.remove_endpoints()

        self.run(flush)


def veth_pair(first: Namespace, first_name: str, second: Namespace, second_name: str) -> None:
    """Join two namespaces by a virtual cable; both ends still want an address."""

    def add() -> None:
        with IPRoute() as routes:
            routes.link(
                "add",
                ifname=first_name,
                kind="veth",
                peer={"ifname": second_name, "net_ns_fd": second.fileno()},
            )

    first.run(add)


def can_make_namespaces() -> bool:
    """Return whether this process may make network namespaces."""
    try:
        Namespace().close()
    except UsageError:
        return False
    return True


def _create(name: str | None) -> int:
    """Put the calling thread into a new namespace and return a descriptor of it."""
    mount = None if name is None else _NAMES / name
    try:
        libc.unshare(libc.CLONE_NEWNET)
        if mount is not None:
            _NAMES.mkdir(exist_ok=True)
            mount.touch(exist_ok=False)
            libc.bind_mount("/proc/thread-self/ns/net", str(mount))
    except FileExistsError:
        raise UsageError(f"a network namespace {name!r} exists: see `ip netns`") from None
    except OSError as error:
        raise UsageError(
            f"cannot make a network namespace ({error.strerror}): run as root, "
            "or inside `unshare --user --map-root-user --net`"
        ) from None
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _loopback_up() -> None:
    """Bring up the loopback interface, always the first."""
    with IPRoute() as routes:
        routes.link("set", index=1, state="up")


def _index(routes: IPRoute, interface: str) -> int:
    """Return the number of an interface.  Raises UsageError if there is none."""
    found: list[int] = list(routes.link_lookup(ifname=interface))
    if not found:
        raise UsageError(f"there is no interface {interface!r} in the namespace")
    return found[0]
