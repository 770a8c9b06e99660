from __future__ import annotations

import pytest

from plait.errors import UsageError
from plait.linux.counters import difference, parse

NETSTAT = """TcpExt: SyncookiesSent TW
TcpExt: 0 7
MPTcpExt: MPCapableSYNRX MPJoinAckRx
MPTcpExt: 3 1
"""


def test_counters_are_those_of_mptcp_alone() -> None:
    assert parse(NETSTAT) == {"MPCapableSYNRX": 3, "MPJoinAckRx": 1}


def test_a_kernel_without_mptcp_is_the_users_to_know() -> None:
    with pytest.raises(UsageError, match="without MPTCP"):
        parse("TcpExt: TW\nTcpExt: 7\n")


def test_difference_keeps_what_stood_still_and_takes_new_names() -> None:
    assert difference({"a": 1, "b": 2}, {"a": 1, "b": 5, "c": 4}) == {"a": 0, "b": 3, "c": 4}
