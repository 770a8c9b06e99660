"""Choosing local ports and sources."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence

from plait.addresses import IpAddress, Path
from plait.errors import UsageError
from plait.host.listener import Listeners
from plait.wire.crypto import Entropy


def source_for(addresses: Iterable[IpAddress], remote: IpAddress) -> IpAddress:
    """Return the first local address of the remote one's family.  Raises UsageError."""
    for address in addresses:
        if address.version == remote.version:
            return address
    raise UsageError(f"no local IPv{remote.version} address to reach {remote} from")


def free_path(
    entropy: Entropy, ports: range, tables: Sequence[Container[bytes]], wanted: Path
) -> Path:
    """Return a path whose flow of arrivals is in no table; local port 0 is any of `ports`.

    Ports are drawn at random, and tried upward from there (RFC 6056, 3.3.1): only paths must
    differ, so one port serves many remotes.  Raises UsageError if there is none.
    """
    if wanted.local_port:
        ports = range(wanted.local_port, wanted.local_port + 1)
    for port in _upward(entropy, ports):
        path = Path(wanted.local, port, wanted.remote, wanted.remote_port)
        flow = path.flow_in()
        if not any(flow in table for table in tables):
            return path
    raise UsageError(
        f"no free port for a path from {wanted.local} to {wanted.remote} port {wanted.remote_port}"
    )


def port_to_listen(
    entropy: Entropy, ports: range, listeners: Listeners, address: IpAddress | None, wanted: int
) -> int:
    """Return a port that nobody listens on, 0 is any of `ports`.  Raises UsageError if none is."""
    if not 0 <= wanted < 65536:
        raise UsageError(f"port {wanted} is not between 0 and 65535")
    if wanted:
        if listeners.in_use(address, wanted):
            raise UsageError(f"port {wanted} is in use: choose another or stop who listens there")
        return wanted
    for port in _upward(entropy, ports):
        if not listeners.in_use(address, port):
            return port
    raise UsageError("no free port to listen on")


def _upward(entropy: Entropy, ports: range) -> Iterator[int]:
    """Yield every port once, upward from a random one."""
    start = entropy.below(len(ports)) if len(ports) > 1 else 0
    for step in range(len(ports)):
        yield ports[(start + step) % len(ports)]
