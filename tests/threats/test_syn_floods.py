"""Floods of SYNs with MP_CAPABLE from addresses that do not exist."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from support.script import (
    KEY,
    PORT,
    UNCHECKED,
    Script,
    found,
    resets,
    syns,
)

from plait.host.events import Accepted
from plait.wire.mptcp.mp_capable import MpCapableAck, MpCapableSyn, MpCapableSynAck
from plait.wire.segment import SYN, Segment

BACKLOG = 16
FLOOD = 2000


def flood(script: Script, count: int = FLOOD) -> list[Segment]:
    made = [
        script.flow(ip_address("10.66.0.0") + number, 1024 + number).segment(
            SYN, options=[MpCapableSyn()]
        )
        for number in range(count)
    ]
    script.host.receive(script.now, made)
    return script.turn()


@pytest.mark.rfc("7430", "4", "T-7430-4")
@pytest.mark.rfc("8684", "3.1", "M8684-3.1-13")
@pytest.mark.parametrize("cookies", ["when needed", "never"])
def test_a_flood_takes_a_backlog_and_who_is_real_speaks_multipath(cookies: str) -> None:
    script = Script(replace(UNCHECKED, backlog=BACKLOG, syn_cookies=cookies, max_answers=64))
    script.host.listen(0, PORT)
    answers = flood(script)
    known = script.host._connections
    sizes = (len(known.by_id), len(known.by_flow), len(known.by_token))
    assert sizes == (BACKLOG, BACKLOG, BACKLOG)
    assert len(answers) == BACKLOG + (64 if cookies == "when needed" else 0)
    counters = script.host.counters
    spoilt = FLOOD - BACKLOG
    assert counters.tcp_req_q_full_do_cookies == (spoilt if cookies == "when needed" else 0)
    assert counters.listen_drops == (spoilt if cookies == "never" else 0)
    real = script.flow()
    answered = syns(real.send(SYN, options=[MpCapableSyn()]))
    assert bool(answered) == (cookies == "when needed")
    if answered:
        (option,) = found(answered, MpCapableSynAck)
        assert isinstance(option, MpCapableSynAck)
        echo = MpCapableAck(sender_key=KEY, receiver_key=option.sender_key)
        real.send(options=[echo])
        (accepted,) = script.heard(Accepted)
        assert script.host.info(accepted.connection_id).is_mptcp


@pytest.mark.rfc("7430", "4", "T-7430-4")
def test_third_acks_that_were_guessed_open_nothing() -> None:
    """A cookie proves that who sends it was sent it."""
    script = Script(replace(UNCHECKED, syn_cookies="always"))
    script.host.listen(0, PORT)
    flood(script, 10)
    resets_seen = 0
    for number in range(100):
        flow = script.flow(ip_address("10.77.0.1"), 2000 + number)
        flow.irs = number << 20
        echo = MpCapableAck(sender_key=KEY, receiver_key=bytes(8))
        resets_seen += len(resets(flow.send(seq=1, ack=1, options=[echo])))
    assert resets_seen == script.host.counters.syncookies_failed == 100
    assert not script.host._connections.by_id
    assert not script.host._connections.by_token
