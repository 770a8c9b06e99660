"""Making lost subflows again, with back-off and a memory of pairs of addresses that fail.

A pair is a local address and an address and port of the peer.  One that carried a subflow until it
was reset or timed out is tried again, after a delay that doubles with each failure.  A pair that
never worked is not, nor one where the peer said by MP_TCPRST that it will not work (RFC 8684, 3.6
and 3.9.3).  When the peer advertises the address again, or the local one comes back, all is
forgiven.  What to open is for the path manager to say, once it is time.  Where the application
closed a subflow, none is made until it asks for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plait.mptcp.state import OVER, Mode
from plait.mptcp.tasks import Task
from plait.mptcp.troubles import Loss
from plait.tcp.receiver import NEVER
from plait.tcp.state import Failure

if TYPE_CHECKING:
    from plait.addresses import IpAddress, Path
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.pathing.base import OpenSubflow
    from plait.units import Nanos

MAX_PAIRS: Final = 64
"""Pairs remembered; the oldest is forgotten first."""


class Rejoin(Task):
    """A lost subflow whose path manager is asked for another one."""

    __slots__ = ()

    def is_over(self) -> bool:
        """Return False: that the subflow is gone is why this waits."""
        return False

    def on_time(self, connection: Connection, now: Nanos) -> None:
        """Ask the path manager; what it answers may be done by now."""
        self.at = NEVER
        path = self.subflow.path
        loss = _loss_at(connection, path)
        if loss is None or loss.again_at > now or connection.state in OVER:
            return
        loss.tried_at = now
        connection.consult(now, lambda manager, view: manager.on_retry(view, path))


def _loss_at(connection: Connection, path: Path | OpenSubflow) -> Loss | None:
    """Return what is known of the pair that a path or a wish is between, if it failed."""
    losses = connection.troubles.losses
    return None if losses is None else losses.get((path.local, path.remote, path.remote_port))


def _remember(connection: Connection, path: Path) -> Loss:
    """Begin to remember a pair; the oldest makes room."""
    losses = connection.troubles.losses
    if losses is None:
        losses = connection.troubles.losses = {}
    loss = losses[path.local, path.remote, path.remote_port] = Loss()
    if len(losses) > MAX_PAIRS:
        del losses[next(iter(losses))]
    return loss


def on_ended(connection: Connection, now: Nanos, subflow: Subflow) -> None:
    """Note how a subflow of ours ended, and plan to make it again if that may help."""
    failure = subflow.tcp.failure
    if failure is None or not subflow.initiator or connection.mode is Mode.TCP:
        return
    loss = _loss_at(connection, subflow.path)
    if loss is None:
        loss = _remember(connection, subflow.path)
    elif loss.forbidden or now < loss.again_at < NEVER:
        return  # another one between these addresses was lost before
    settings = connection.settings
    if subflow.was_active and now - loss.tried_at > settings.rejoin_delay_max:
        loss.tries = 0  # it lasted
    loss.worked = loss.worked or subflow.was_active
    delay = min(settings.rejoin_delay << min(loss.tries, 32), settings.rejoin_delay_max)
    loss.tries += 1
    if not delay or not _may_pass(subflow, failure, loss):
        loss.again_at = NEVER
        loss.forbidden = subflow.was_active
        return
    loss.again_at = now + delay
    connection.tasks.append(Rejoin(subflow, loss.again_at))


def _may_pass(subflow: Subflow, failure: Failure, loss: Loss) -> bool:
    """Return whether a subflow may work again between the same addresses.

    A reason that comes with a reset says so, the peer's and ours alike.  Without one a reset ends a
    subflow that worked if some box lost its state, but a new one if it is refused.
    """
    if failure is Failure.ABORTED:
        return subflow.transient
    if subflow.reset_reason is not None:
        return subflow.transient and loss.worked
    if failure in (Failure.RESET, Failure.REFUSED):
        return subflow.was_active
    return loss.worked


def is_barred(connection: Connection, now: Nanos, wish: OpenSubflow) -> bool:
    """Return whether a subflow is not to be opened, now or ever."""
    loss = _loss_at(connection, wish)
    return loss is not None and loss.again_at > now


def forbid(connection: Connection, path: Path) -> None:
    """The application wants no subflow between these addresses."""
    loss = _loss_at(connection, path) or _remember(connection, path)
    loss.unwanted = loss.forbidden = True
    loss.again_at = NEVER


def allow(connection: Connection, wish: OpenSubflow) -> None:
    """It wants one after all."""
    losses = connection.troubles.losses or {}
    losses.pop((wish.local, wish.remote, wish.remote_port), None)


def welcome(connection: Connection, address: IpAddress) -> None:
    """The application gives the connection an address: subflows may be made from it."""
    losses = connection.troubles.losses or {}
    for pair in [pair for pair in losses if pair[0] == address]:
        del losses[pair]


def forgive(connection: Connection, address: IpAddress) -> None:
    """An address of either side is there again: what failed with it may work."""
    losses = connection.troubles.losses or {}
    for pair, loss in list(losses.items()):
        if address not in pair[:2] or loss.unwanted:
            continue
        if loss.worked and not loss.forbidden:
            loss.again_at = loss.tries = 0
        else:
            del losses[pair]
