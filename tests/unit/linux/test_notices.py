from __future__ import annotations

from ipaddress import ip_address

import pytest

from plait.addresses import Path
from plait.linux.netlink import attribute
from plait.linux.notices import NoticeKind, parse_notice

HEAD = b"\x0a\x01\0\0"


def body(kind: int, *attributes: bytes) -> bytes:
    return bytes([kind]) + HEAD[1:] + b"".join(attributes)


TOKEN = attribute(1, 0xCAFE)
ENDS = (
    attribute(5, ip_address("10.9.2.1").packed),
    attribute(7, ip_address("10.9.1.2").packed),
    attribute(9, b"\x13\x88"),
    attribute(10, b"\x13\x89"),
)
PATH = Path(ip_address("10.9.2.1"), 5000, ip_address("10.9.1.2"), 5001)


def test_a_subflow_that_was_reset_tells_error_and_reason() -> None:
    notice = parse_notice(
        body(11, TOKEN, *ENDS, attribute(4, 2, "B"), attribute(12, 104, "B"), attribute(16, 6))
    )
    assert notice is not None
    assert (notice.kind, notice.token, notice.path) == (NoticeKind.SUB_CLOSED, 0xCAFE, PATH)
    assert (notice.error, notice.reset_reason, notice.remote_id) == (104, 6, 2)


def test_ipv4_in_ipv6_is_ipv4() -> None:
    mapped = bytes(10) + b"\xff\xff" + ip_address("10.9.1.2").packed
    notice = parse_notice(body(6, TOKEN, attribute(8, mapped), attribute(4, 9, "B")))
    assert notice is not None
    assert (notice.address, notice.path, notice.remote_id) == (ip_address("10.9.1.2"), None, 9)


@pytest.mark.parametrize("kind", [15, 16, 200])
def test_notices_of_no_connection_are_none(kind: int) -> None:
    assert parse_notice(body(kind, *ENDS)) is None
