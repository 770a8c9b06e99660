"""DSS: data sequence mapping and Data ACK (RFC 8684, 3.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from plait.errors import DecodeError
from plait.wire.option import Option

KIND: Final = 30
SUBTYPE: Final = 0x2

DATA_ACK: Final = 0x01
"""A: the Data ACK is present."""

DATA_ACK_8: Final = 0x02
"""a: the Data ACK is 8 octets."""

MAPPING: Final = 0x04
"""M: data sequence number, subflow sequence number and length are present."""

DSN_8: Final = 0x08
"""m: the data sequence number is 8 octets."""

DATA_FIN: Final = 0x10
"""F: the mapping ends with the last octet of the data stream."""

NO_CHECKSUM: Final = -1

_FORMS: Final[dict[int, tuple[struct.Struct, struct.Struct]]] = {
    flags: (
        struct.Struct("!BBBB" + fields),
        struct.Struct("!BBBB" + fields + ("H" if flags & MAPPING else "")),
    )
    for flags, fields in {
        0: "",
        DATA_ACK: "I",
        DATA_ACK | DATA_ACK_8: "Q",
        MAPPING: "IIH",
        MAPPING | DSN_8: "QIH",
        MAPPING | DATA_ACK: "IIIH",
        MAPPING | DATA_ACK | DATA_ACK_8: "QIIH",
        MAPPING | DSN_8 | DATA_ACK: "IQIH",
        MAPPING | DSN_8 | DATA_ACK | DATA_ACK_8: "QQIH",
    }.items()
}
"""By effective flags: the form without and with the checksum."""

BODIES: Final[dict[int, struct.Struct]] = {
    KIND << 24 | form.size << 16 | SUBTYPE << 12 | flags | fin: struct.Struct("!" + form.format[5:])
    for flags, forms in _FORMS.items()
    for form in forms
    for fin in (0, DATA_FIN)
}
"""By the first 4 octets as one number: the fields after them.  Well-formed heads only."""


@dataclass(init=False, slots=True)
class Dss(Option):
    """One DSS option; numbers are as on the wire, in the width that `flags` says."""

    flags: int
    data_ack: int
    dsn: int
    ssn: int
    length: int
    """Data-Level Length in octets, DATA_FIN counted; 0 makes the mapping infinite."""

    checksum: int
    """16 bits, or `NO_CHECKSUM` where none was negotiated."""

    def __init__(
        self,
        flags: int,
        data_ack: int = 0,
        dsn: int = 0,
        ssn: int = 0,
        length: int = 0,
        checksum: int = NO_CHECKSUM,
    ) -> None:
        self.flags = flags
        self.data_ack = data_ack
        self.dsn = dsn
        self.ssn = ssn
        self.length = length
        self.checksum = checksum

    def size(self) -> int:
        """Return the octets the option takes, 4 to 28."""
        return _form(self.flags)[self.checksum >= 0].size

    def serialize(self) -> bytes:
        """Return the option, kind octet first, unpadded."""
        flags = self.flags
        checked = self.checksum >= 0
        form = _form(flags)[checked]
        head = (KIND, form.size, SUBTYPE << 4, flags & 0x1F)
        if not flags & MAPPING:
            return form.pack(*head, self.data_ack) if flags & DATA_ACK else form.pack(*head)
        if flags & DATA_ACK:
            if checked:
                return form.pack(
                    *head, self.data_ack, self.dsn, self.ssn, self.length, self.checksum
                )
            return form.pack(*head, self.data_ack, self.dsn, self.ssn, self.length)
        if checked:
            return form.pack(*head, self.dsn, self.ssn, self.length, self.checksum)
        return form.pack(*head, self.dsn, self.ssn, self.length)


def _form(flags: int) -> tuple[struct.Struct, struct.Struct]:
    """Return the two forms; the width flags mean nothing without their field (RFC 8684, 3.3)."""
    if not flags & DATA_ACK:
        flags &= ~DATA_ACK_8
    if not flags & MAPPING:
        flags &= ~DSN_8
    return _FORMS[flags & 0x0F]


def parse_dss(option: bytes) -> Dss:
    """Decode one whole option, kind octet first.  Raises DecodeError on an illegal length."""
    if len(option) < 4:
        raise DecodeError("DSS is at least 4 octets", 1)
    flags = option[3]
    plain, checked = _form(flags)
    length = len(option)
    if length == plain.size:
        fields = plain.unpack(option)
        checksum = NO_CHECKSUM
    elif length == checked.size:
        fields = checked.unpack(option)
        checksum = fields[-1]
    else:
        raise DecodeError(f"DSS with flags {flags:#04x} is not {length} octets", 1)
    at = 4
    data_ack = 0
    if flags & DATA_ACK:
        data_ack = fields[4]
        at = 5
    if not flags & MAPPING:
        return Dss(flags & 0x1F, data_ack)
    return Dss(flags & 0x1F, data_ack, fields[at], fields[at + 1], fields[at + 2], checksum)


def parse_dss_at(octets: bytes | memoryview, at: int, head: int, body: struct.Struct) -> Dss:
    """Decode a DSS in place, its first 4 octets already read as `head` and found in `BODIES`."""
    fields = body.unpack_from(octets, at + 4)
    flags = head & 0x1F
    if not flags & MAPPING:
        return Dss(flags, fields[0]) if fields else Dss(flags)
    return Dss(flags, *fields) if flags & DATA_ACK else Dss(flags, 0, *fields)
