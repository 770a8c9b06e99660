"""The UDP driver: the stack's TCP segments in UDP datagrams, so that no privilege is needed.

`docs/udp-encapsulation.md` has the format; `format` is its code, `sessions` decides who may send.
"""

from plait.drivers.udp.driver import Udp
from plait.drivers.udp.spec import UdpSpec

__all__ = ["Udp", "UdpSpec"]
