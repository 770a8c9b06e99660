"""Making a TUN device in the current network namespace, setting it up and taking it away."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from plait.drivers.kernel_view import apart
from plait.drivers.tun_spec import IpInterface, TunSpec
from plait.errors import UsageError

_CLONE_DEVICE: Final = "/dev/net/tun"

# linux/if_tun.h
_TUNSETIFF: Final = 0x400454CA
_TUNSETOFFLOAD: Final = 0x400454D0
_TUNSETVNETHDRSZ: Final = 0x400454D8
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000
_IFF_VNET_HDR: Final = 0x4000
_IFF_MULTI_QUEUE: Final = 0x0100
_TUN_F_CSUM: Final = 0x01
_TUN_F_TSO4: Final = 0x02
_TUN_F_TSO6: Final = 0x04
_TUN_F_TSO_ECN: Final = 0x08

_TSO: Final = _TUN_F_CSUM | _TUN_F_TSO4 | _TUN_F_TSO6

_IFA_F_NODAD: Final = 0x02
"""Use an IPv6 address without duplicate detection; linux/if_addr.h."""

_LOCAL_TABLE: Final = 255
"""RT_TABLE_LOCAL; linux/rtnetlink.h."""

QUEUE_PACKETS: Final = 10_000
"""txqueuelen: the kernel must not drop a window's worth of packets before they are read."""

IPV6_QUIET: Final = {
    "accept_dad": "0",
    "router_solicitations": "0",
    "addr_gen_mode": "1",
}
"""No link-local address, hence neither duplicate detection nor router solicitations."""

_ROUTE_SECONDS: Final = 0.005
_ROUTE_LOOKS: Final = 400
"""Two seconds in all; after that a repeated SYN has to do."""


class TunInUse(UsageError):
    """Another program has the device open."""


class TunDevice:
    """An open TUN device; everything made with it goes when it is closed.

    Attributes:
        fd: The non-blocking descriptor; -1 once closed.
        header: Whether a virtio-net header stands before each packet.
        segmentation: Whether the kernel sends super-segments.
    """

    def __init__(self, spec: TunSpec) -> None:
        """Make or attach the device; raises UsageError saying what to do when that fails."""
        self.header = spec.offload
        self.segmentation = False
        self._name = spec.name
        self._added: list[IpInterface] = []
        self._made = not _exists(spec.name)
        self.fd = _open_clone_device(spec.name)
        try:
            _set_interface(self.fd, spec)
            self.segmentation = _set_offload(self.fd, wanted=spec.offload)
            apart(lambda: self._configure(spec))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the device, or only what was added to one that was there before."""
        if self.fd < 0:
            return
        if not self._made and self._added:
            with suppress(NetlinkError, OSError):
                apart(self._remove_addresses)
        os.close(self.fd)
        self.fd = -1

    def _configure(self, spec: TunSpec) -> None:
        """Bring the device to what `spec` says, changing only what differs."""
        _quiet_ipv6(spec.name)
        if any(interface.version == 6 for interface in spec.peer):
            _set_ipv6(spec.name, "disable_ipv6", "0")
        with IPRoute() as route:
            index = socket.if_nametoindex(spec.name)
            link = next(iter(route.get_links(index)))
            wanted: dict[str, int | str] = {}
            if link.get_attr("IFLA_MTU") != spec.mtu:
                wanted["mtu"] = spec.mtu
            if self._made:
                wanted["txqlen"] = QUEUE_PACKETS
            if link["state"] != "up":
                wanted["state"] = "up"
            if wanted:
                _request(spec.name, "set it up", lambda: route.link("set", index=index, **wanted))
            present = {
                (address.get_attr("IFA_LOCAL") or address.get_attr("IFA_ADDRESS"))
                for address in route.get_addr(index=index)
            }
            for interface in spec.peer:
                if str(interface.ip) not in present:
                    self._add_address(route, index, interface)
            _await_addresses(route, spec.peer)

    def _add_address(self, route: IPRoute, index: int, interface: IpInterface) -> None:
        _request(
            self._name,
            f"give it {interface}",
            lambda: route.addr(
                "add",
                index=index,
                address=str(interface.ip),
                prefixlen=interface.network.prefixlen,
                flags=_IFA_F_NODAD if interface.version == 6 else 0,
            ),
        )
        self._added.append(interface)

    def _remove_addresses(self) -> None:
        with IPRoute() as route:
            index = socket.if_nametoindex(self._name)
            for interface in self._added:
                route.addr(
                    "del",
                    index=index,
                    address=str(interface.ip),
                    prefixlen=interface.network.prefixlen,
                )


def _await_addresses(route: IPRoute, peer: Sequence[IpInterface]) -> None:
    """Wait until IPv6 addresses can be reached.

    The kernel routes to them from a work queue, even without duplicate detection; what arrives
    before is dropped.
    """
    wanted = {str(interface.ip) for interface in peer if interface.version == 6}
    for _ in range(_ROUTE_LOOKS if wanted else 0):
        routes = route.get_routes(family=socket.AF_INET6, table=_LOCAL_TABLE)
        if wanted <= {entry.get_attr("RTA_DST") for entry in routes}:
            return
        time.sleep(_ROUTE_SECONDS)


def _exists(name: str) -> bool:
    """Return whether the namespace has an interface of this name."""
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def _open_clone_device(name: str) -> int:
    try:
        return os.open(_CLONE_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        raise UsageError(
            f"TUN {name}: this user may not open {_CLONE_DEVICE}: run as root, or have its mode "
            "set to 0666 as most systems do"
        ) from None
    except OSError as error:
        raise UsageError(
            f"TUN {name}: {_CLONE_DEVICE} is not usable ({error.strerror}): load the kernel's tun "
            "module (modprobe tun), or give this container the device"
        ) from None


def _set_interface(fd: int, spec: TunSpec) -> None:
    flags = _IFF_TUN | _IFF_NO_PI | (_IFF_VNET_HDR if spec.offload else 0)
    flags |= _IFF_MULTI_QUEUE if spec.multi_queue else 0
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", spec.name.encode(), flags))
    except PermissionError:
        raise UsageError(_no_permission(spec.name)) from None
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise TunInUse(
                f"TUN {spec.name} is in use: choose another name or stop the program that has it"
            ) from None
        raise UsageError(
            f"TUN {spec.name}: the kernel refuses it ({error.strerror}): choose a name that no "
            "other kind of interface has, nor a device with several queues, or with one if it is "
            "to have several"
        ) from None


def _no_permission(name: str) -> str:
    return (
        f"TUN {name}: making it needs CAP_NET_ADMIN: run as root, or in a namespace of your own "
        "(unshare --user --map-root-user --net)"
    )


def _set_offload(fd: int, *, wanted: bool) -> bool:
    """Ask for super-segments and partial checksums; return whether the kernel gives them."""
    if not wanted:
        fcntl.ioctl(fd, _TUNSETOFFLOAD, 0)  # an attached device may have kept them
        return False
    fcntl.ioctl(fd, _TUNSETVNETHDRSZ, struct.pack("i", 10))
    for features in (_TSO | _TUN_F_TSO_ECN, _TSO):
        try:
            fcntl.ioctl(fd, _TUNSETOFFLOAD, features)
        except OSError:
            continue  # EINVAL: an older kernel
        return True
    return False


def _quiet_ipv6(name: str) -> None:
    for key, value in IPV6_QUIET.items():
        _set_ipv6(name, key, value)


def _set_ipv6(name: str, key: str, value: str) -> None:
    with suppress(OSError):  # no IPv6, or a read-only /proc: adding an address will tell
        Path(f"/proc/sys/net/ipv6/conf/{name}/{key}").write_text(value, encoding="ascii")


def _request(name: str, purpose: str, request: Callable[[], object]) -> None:
    try:
        request()
    except NetlinkError as error:
        if error.code in {errno.EPERM, errno.EACCES}:
            raise UsageError(f"{_no_permission(name)}; it could not {purpose}") from None
        raise UsageError(
            f"TUN {name}: the kernel does not {purpose}: {os.strerror(error.code)}"
        ) from None
