"""Adding and removing paths of one kernel connection that a user-space path manager steers.

The kernel opens no subflow of such a connection by itself, so adding an address means joining from
it; a listener, which cannot know whether its peer is reachable from there, announces it instead.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from plait.addresses import IpAddress, Path
from plait.aio.connection import LocalAddress, endpoint_of
from plait.errors import UsageError
from plait.linux.families import family_of
from plait.linux.path_manager import BACKUP, SIGNAL, Endpoint, PathManager, is_unreachable
from plait.mptcp.info import ConnectionInfo

_MAX_ID = 255


def join(
    info: ConnectionInfo,
    local: tuple[IpAddress, int] | None,
    remote: tuple[IpAddress, int],
    *,
    backup: bool = False,
) -> Path:
    """Begin to join a subflow, and return its path, the local port 0 if the kernel chooses it.

    Raises UsageError if there is no such path.
    """
    address, port = local or (_source(remote[0]), 0)
    if address.version != remote[0].version:
        raise UsageError(f"{address} and {remote[0]} are of different families")
    token = info.token or 0
    with PathManager() as manager:
        address_id = _address_id(manager, token, address, port)
        flags = BACKUP if backup else 0
        endpoint = Endpoint(address=address, id=address_id, port=port, flags=flags)
        try:
            manager.create_subflow(token, endpoint, *remote)
        except OSError as error:
            if is_unreachable(error):
                raise UsageError(f"there is no path from {address} to {remote[0]}") from None
            raise UsageError(f"the kernel refuses the subflow: {error.strerror}") from None
    return Path(address, port, *remote)


def add_addresses(
    info: ConnectionInfo, addresses: Sequence[LocalAddress], *, initiator: bool
) -> None:
    """Join from each address that is not in use, or announce it.

    Raises OSError with EADDRNOTAVAIL if one is no usable address of ours; nothing has changed then.
    """
    wanted = [endpoint_of(address) for address in addresses]
    for address, port in wanted:
        _check_usable(address, port)
    used = {one.path.local for one in info.subflows if one.established}
    remotes = {one.path.remote.version: one.path for one in reversed(info.subflows)}
    for address, port in wanted:
        if address in used:
            continue
        if initiator and address.version in remotes:
            path = remotes[address.version]
            join(info, (address, port), (path.remote, path.remote_port))
        else:
            _announce(info.token or 0, address, port)


def remove_addresses(info: ConnectionInfo, addresses: Sequence[LocalAddress]) -> None:
    """Withdraw addresses and end their subflows.  Raises UsageError if none would be left."""
    going = {endpoint_of(address)[0] for address in addresses}
    live = [one for one in info.subflows if one.established]
    if all(one.path.local in going for one in live):
        raise UsageError("no subflow would be left: close the connection instead")
    token = info.token or 0
    with PathManager() as manager:
        known = {one.id for one in manager.addresses(token) if one.address in going}
        if any(one.path.local in going and one.local_id == 0 for one in live):
            known.add(0)  # the address of the first subflow
        for address_id in sorted(known):
            manager.remove(token, address_id)
        for one in live:
            if one.path.local in going and one.local_id not in known:
                manager.destroy_subflow(token, one.path)


def _announce(token: int, address: IpAddress, port: int) -> None:
    with PathManager() as manager:
        address_id = _address_id(manager, token, address, port)
        endpoint = Endpoint(address=address, id=address_id, port=port, flags=SIGNAL)
        manager.announce(token, endpoint)


def _address_id(manager: PathManager, token: int, address: IpAddress, port: int) -> int:
    """Return the id that the connection has for an address, or one that is free."""
    taken: set[int] = set()
    for known in manager.addresses(token):
        if (known.address, known.port) == (address, port):
            return known.id
        taken.add(known.id)
    free = (number for number in range(1, _MAX_ID + 1) if number not in taken)
    found = next(free, None)
    if found is None:
        raise UsageError("the connection has 255 local addresses already")
    return found


def _source(remote: IpAddress) -> IpAddress:
    """Return the address that this host would use to reach `remote`."""
    with socket.socket(family_of(remote), socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(remote), 9))
        except OSError as error:
            raise UsageError(f"there is no path to {remote}: {error.strerror}") from None
        return type(remote)(probe.getsockname()[0].partition("%")[0])


def _check_usable(address: IpAddress, port: int) -> None:
    """Raise OSError with EADDRNOTAVAIL unless a socket can have the address."""
    with socket.socket(family_of(address), socket.SOCK_STREAM) as probe:
        try:
            probe.bind((str(address), port))
        except OSError as error:
            text = f"{address} is not an address of this network namespace: see `ip addr`"
            raise OSError(error.errno or errno.EADDRNOTAVAIL, text) from None
