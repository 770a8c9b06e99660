"""Drivers: what attaches a host to a network, and wrappers that watch or emulate one."""

from plait.drivers.base import Capabilities, Driver, Wrapper

__all__ = ["Capabilities", "Driver", "Wrapper"]
