"""From the octets of a Multipath TCP option to the module that knows its subtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from plait.errors import DecodeError
from plait.wire.mptcp import (
    add_addr,
    dss,
    experimental,
    mp_capable,
    mp_fail,
    mp_fastclose,
    mp_join,
    mp_prio,
    mp_tcprst,
    remove_addr,
)
from plait.wire.option import Option, UnknownOption

_PARSERS: Final[dict[int, Callable[[bytes], Option]]] = {
    mp_capable.SUBTYPE: mp_capable.parse_mp_capable,
    mp_join.SUBTYPE: mp_join.parse_mp_join,
    dss.SUBTYPE: dss.parse_dss,
    add_addr.SUBTYPE: add_addr.AddAddr.parse,
    remove_addr.SUBTYPE: remove_addr.RemoveAddr.parse,
    mp_prio.SUBTYPE: mp_prio.MpPrio.parse,
    mp_fail.SUBTYPE: mp_fail.MpFail.parse,
    mp_fastclose.SUBTYPE: mp_fastclose.MpFastclose.parse,
    mp_tcprst.SUBTYPE: mp_tcprst.MpTcprst.parse,
    experimental.SUBTYPE: experimental.MpExperimental.parse,
}


def parse_mptcp(option: bytes) -> Option:
    """Decode one whole option of kind 30, kind octet first.

    A subtype nobody assigned and a length its subtype forbids give an `UnknownOption`: hosts
    ignore those (RFC 8684, 3 and 7.2).
    """
    parser = _PARSERS.get(option[2] >> 4) if len(option) > 2 else None
    if parser is not None:
        try:
            return parser(option)
        except DecodeError:
            pass
    return UnknownOption(option[0], option[2:])
