"""From uplinks to the changes that let a stack use them.

Packets of a stack come out of a TUN device with a private source address.  A rule for that address
leads them to a table of their own with the uplink's gateway; the packet filter masquerades them,
and lets nothing else pass that the changes would let pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import count
from pathlib import Path
from typing import Final

from plait.drivers.kernel_view import KernelView
from plait.drivers.tun_device import IPV6_QUIET, QUEUE_PACKETS
from plait.errors import UsageError
from plait.uplinks.discovery import Uplink, Way
from plait.uplinks.journal import Attachment
from plait.uplinks.steps import Step, read_sysctl, set_sysctl

TABLE: Final = "plait"
"""Of the packet filter."""

_FIRST_NUMBER: Final = 7000
"""Where free numbers of tables and priorities of rules are looked for."""

_NETWORKS: Final = (ip_network("10.201.0.0/16"), ip_network("100.64.0.0/16"))
_NETWORK_V6: Final = IPv6Network("fd70:6c61:6974::/48")
_DEVICES: Final = 64
"""/30 networks in a /24."""

_LAST_METRIC: Final = 4278198272
"""Of the route that refuses, which must come after every other."""

_ALL_V6: Final = "net/ipv6/conf/all/forwarding"
_SYSCTLS_V6: Final = Path("/proc/sys/net/ipv6/conf")


def make_plan(
    view: KernelView, uplinks: Sequence[Uplink], slots: int, owner: int | None
) -> tuple[list[Step], list[list[Attachment]]]:
    """Return the changes, and the devices of each stack that can run at a time.

    Args:
        slots: How many.
        owner: The user who may use the devices without privileges, None for root alone.

    Raises:
        UsageError: There is no room.
    """
    if not 0 < slots * len(uplinks) <= _DEVICES:
        most = _DEVICES // len(uplinks)
        raise UsageError(f"--slots {slots} is not 1 to {most}, with {len(uplinks)} uplinks")
    known = {link.name for link in view.links}
    names = (name for name in map("plait{}".format, count()) if name not in known)
    network, network_v6 = _free_networks(view)
    pairs = zip(network.subnets(new_prefix=30), network_v6.subnets(new_prefix=126), strict=False)
    plan = [
        [_attachment(next(names), uplink, *next(pairs)) for uplink in uplinks] for _ in range(slots)
    ]
    taken = set(view.rules) | {route.table for route in view.routes}
    numbers = (number for number in count(_FIRST_NUMBER) if number not in taken)
    steps: list[Step] = []
    for attachment in (one for slot in plan for one in slot):
        steps += _device(attachment, owner)
    for at, uplink in enumerate(uplinks):
        number = next(numbers)
        steps += _routes(uplink, number)
        steps += _rules((slot[at] for slot in plan), number)
    forwarding = list(_forwarding(uplinks, plan))
    steps.append(_filter(plan, list(_closed(uplinks, forwarding))))
    return steps + forwarding, plan


def _attachment(
    name: str, uplink: Uplink, network: IPv4Network, network_v6: IPv6Network
) -> Attachment:
    """Return the device of one stack for one uplink."""
    chosen = [network if way.version == 4 else network_v6 for way in uplink.ways]
    return Attachment(
        name=name,
        uplink=uplink.link.name,
        local=tuple(str(one[2]) for one in chosen),
        peer=tuple(f"{one[1]}/{one.prefixlen}" for one in chosen),
        mtu=uplink.link.mtu,
    )


def _free_networks(view: KernelView) -> tuple[IPv4Network, IPv6Network]:
    """Return a /24 and a /64 that no route and no address of the machine knows."""
    taken = [route.destination for route in view.routes if not route.default]
    taken += [address.network for link in view.links for address in link.addresses]

    def free(one: IPv4Network | IPv6Network) -> bool:
        return not any(one.version == other.version and one.overlaps(other) for other in taken)

    v4 = (part for whole in _NETWORKS for part in whole.subnets(new_prefix=24) if free(part))
    v6 = (part for part in _NETWORK_V6.subnets(new_prefix=64) if free(part))
    network, network_v6 = next(v4, None), next(v6, None)
    if not isinstance(network, IPv4Network) or network_v6 is None:
        raise UsageError(
            f"no private network is free: routes cover {' and '.join(map(str, _NETWORKS))}"
        )
    return network, network_v6


def _device(attachment: Attachment, owner: int | None) -> Iterator[Step]:
    """Yield the steps that make a TUN device and set it up."""
    name = attachment.name
    user = () if owner is None else ("user", str(owner))
    yield Step(
        ("ip", "tuntap", "add", "dev", name, "mode", "tun", *user, "vnet_hdr"),
        (("ip", "link", "delete", "dev", name),),
    )
    for key, value in IPV6_QUIET.items():
        if read_sysctl(f"net/ipv6/conf/lo/{key}") is not None:
            yield Step(set_sysctl(f"net/ipv6/conf/{name}/{key}", value))
    queue = str(QUEUE_PACKETS)
    mtu = str(attachment.mtu)
    yield Step(("ip", "link", "set", "dev", name, "mtu", mtu, "txqueuelen", queue, "up"))
    for peer in attachment.peer:
        flags = ("nodad",) if ":" in peer else ()
        yield Step(("ip", "address", "add", peer, "dev", name, *flags))


def _routes(uplink: Uplink, number: int) -> Iterator[Step]:
    """Yield the steps that fill a table with the routes of one uplink."""
    device = ("dev", uplink.link.name, "table", str(number))
    for way in uplink.ways:
        ip = _ip(way.version)
        flush = ((*ip, "route", "flush", "table", str(number)),)
        last = ("table", str(number), "metric", str(_LAST_METRIC))
        yield Step((*ip, "route", "add", "unreachable", "default", *last), flush)
        for network in way.networks:
            yield Step((*ip, "route", "add", str(network), *device))
        yield Step((*ip, "route", "add", "default", *_via(way), *device))


def _via(way: Way) -> tuple[str, ...]:
    if way.gateway is None:
        return ()
    return ("via", str(way.gateway), *(("onlink",) if way.onlink else ()))


def _rules(attachments: Iterable[Attachment], number: int) -> Iterator[Step]:
    """Yield the steps that lead packets of stacks to a table."""
    for attachment in attachments:
        for local in attachment.local:
            ip = _ip(6 if ":" in local else 4)
            rule = ("from", local, "lookup", str(number), "priority", str(number))
            yield Step((*ip, "rule", "add", *rule), ((*ip, "rule", "delete", *rule),))


def _forwarding(uplinks: Sequence[Uplink], plan: Sequence[Sequence[Attachment]]) -> Iterator[Step]:
    """Yield the steps that let packets pass between devices and uplinks."""
    names = {uplink.link.name: uplink for uplink in uplinks}
    devices = [one.name for slot in plan for one in slot]
    for name in (*names, *devices):
        yield from _switch(f"net/ipv4/conf/{name}/forwarding", "1", new=name in devices)
    six = [name for name, uplink in names.items() if any(w.version == 6 for w in uplink.ways)]
    if not six or read_sysctl(_ALL_V6) == "1":
        return
    if read_sysctl("net/ipv6/conf/all/force_forwarding") is not None:  # Linux 6.17
        for name in (*six, *devices):
            yield from _switch(f"net/ipv6/conf/{name}/force_forwarding", "1", new=name in devices)
        return
    for name in six:  # routers ignore the advertisements that default routes came with
        if read_sysctl(f"net/ipv6/conf/{name}/accept_ra") == "1":
            yield from _switch(f"net/ipv6/conf/{name}/accept_ra", "2")
    kept = [f"net/ipv6/conf/{link}/forwarding" for link in _forwarders()]
    undo = [set_sysctl(_ALL_V6, "0")]
    undo += [set_sysctl(name, "1") for name in kept]
    yield Step(set_sysctl(_ALL_V6, "1"), tuple(undo))


def _switch(name: str, value: str, *, new: bool = False) -> Iterator[Step]:
    """Yield the step that sets a sysctl, if it is not so yet.

    Args:
        new: It is of a device that is still to be made, and goes with it.
    """
    old = None if new else read_sysctl(name)
    if new:
        yield Step(set_sysctl(name, value))
    elif old is not None and old != value:
        yield Step(set_sysctl(name, value), (set_sysctl(name, old),))


def _forwarders() -> list[str]:
    """Return the interfaces that forward IPv6 although not all do, the default for new ones too."""
    names = sorted(path.name for path in _SYSCTLS_V6.iterdir())
    return [
        name
        for name in names
        if name != "all" and read_sysctl(f"net/ipv6/conf/{name}/forwarding") == "1"
    ]


def _closed(uplinks: Sequence[Uplink], forwarding: Sequence[Step]) -> Iterator[str]:
    """Yield what the packet filter must drop since the changes made a router where none was."""
    changed = {step.do[-1].partition("=")[0] for step in forwarding}
    for name in dict.fromkeys(uplink.link.name for uplink in uplinks):
        if f"net/ipv4/conf/{name}/forwarding" in changed:
            yield f'meta nfproto ipv4 iifname "{name}"'
        if f"net/ipv6/conf/{name}/force_forwarding" in changed:
            yield f'meta nfproto ipv6 iifname "{name}"'
    if _ALL_V6 in changed:
        others = ", ".join(f'"{name}"' for name in _forwarders())
        yield "meta nfproto ipv6" + (f" iifname != {{ {others} }}" if others else "")


def _filter(plan: Sequence[Sequence[Attachment]], closed: Sequence[str]) -> Step:
    """Return the step that masquerades, and lets nothing pass but what stacks asked for."""
    chain = f"add chain inet {TABLE}"
    rule = f"add rule inet {TABLE}"
    lines = [
        f"create table inet {TABLE}",
        f"{chain} outgoing {{ type nat hook postrouting priority srcnat; }}",
        f"{chain} forwarded {{ type filter hook forward priority filter; }}",
    ]
    for one in (one for slot in plan for one in slot):
        for local in one.local:
            ip = "ip6" if ":" in local else "ip"
            out = f'{ip} saddr {local} iifname "{one.name}" oifname "{one.uplink}"'
            back = f'{ip} daddr {local} iifname "{one.uplink}" oifname "{one.name}"'
            lines += [
                f'{rule} outgoing {ip} saddr {local} oifname "{one.uplink}" masquerade',
                f"{rule} forwarded {out} accept",
                f"{rule} forwarded {back} ct state established,related accept",
            ]
        lines += [f'{rule} forwarded {way}ifname "{one.name}" drop' for way in "io"]
    lines += [f"{rule} forwarded {packets} drop" for packets in closed]
    return Step(("nft", "\n".join(lines)), (("nft", f"delete table inet {TABLE}"),))


def _ip(version: int) -> tuple[str, ...]:
    return ("ip",) if version == 4 else ("ip", "-6")
