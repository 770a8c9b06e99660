"""What `plait run --via stack` is made of; imported when it is wanted, for it takes a while."""

from __future__ import annotations

from typing import Final

from plait.cli.options import StackOptions, check_writable
from plait.cli.stack import missing_network, open_stack, settings_of
from plait.cli.udp import UdpPaths
from plait.linux.destinations import Choice
from plait.linux.steering import Steering
from plait.proxy.unmodified import StackSteering

_COMMAND: Final = "plait run --via stack"


def steering(options: StackOptions, choice: Choice | None) -> Steering:
    """Return who decides.  Raises UsageError for what can be said before anything starts."""
    check_writable(options.pcap)
    settings_of(options)
    udp = UdpPaths(options, listening=False)
    return StackSteering(lambda kept: open_stack(options, kept, _COMMAND, udp), choice)


def missing(options: StackOptions) -> str | None:
    """Return what to do if there is nothing to attach a stack to, else None."""
    return missing_network(options, _COMMAND)
