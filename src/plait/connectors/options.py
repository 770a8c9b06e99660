"""What every connector takes besides the options of its library."""

from __future__ import annotations

from typing import TypedDict

from plait.aio.eyeballs import LocalAddrs
from plait.aio.ladder import Backend
from plait.aio.stack import Stack
from plait.host.settings import Settings


class ReachOptions(TypedDict, total=False):
    """The options of `plait.create_connection` that are about the network."""

    backend: Backend
    stack: Stack | None
    local_addr: LocalAddrs | None
    happy_eyeballs_delay: float | None
    settings: Settings | None
    intent: str | None
