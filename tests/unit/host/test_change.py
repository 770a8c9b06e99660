from __future__ import annotations

from dataclasses import replace

import pytest
from support.script import PLAIN, PORT, Script

from plait.errors import UsageError
from plait.units import SECOND
from plait.wire.segment import ACK, SYN


def opened() -> tuple[Script, int]:
    """Return a host with one open connection of a peer that says nothing."""
    script = Script(PLAIN)
    script.host.listen(0, PORT)
    flow = script.flow()
    flow.send(SYN)
    flow.send(ACK)
    return script, script.events[0].connection_id


def test_keep_alive_can_be_asked_for_at_any_time() -> None:
    script, connection_id = opened()
    assert script.wait(10 * SECOND) == []
    wanted = replace(PLAIN, keepalive=True, keepalive_idle=15 * SECOND)
    script.host.change(script.now, connection_id, wanted)
    script.turn()
    assert script.wait(4 * SECOND) == []
    assert len(script.wait(2 * SECOND)) == 1
    script.host.change(script.now, connection_id, PLAIN)
    script.turn()
    assert script.wait(100 * SECOND) == []


def test_small_segments_wait_once_nodelay_is_off() -> None:
    script, connection_id = opened()
    script.host.change(script.now, connection_id, replace(PLAIN, nodelay=False))
    assert len(script.write(connection_id, b"first")) == 1
    assert script.write(connection_id, b"second") == []
    script.host.change(script.now, connection_id, replace(PLAIN, nodelay=True))
    assert [segment.length for segment in script.turn()] == [6]


@pytest.mark.parametrize("congestion", ["cubic", "bbr"])
def test_pacing_comes_and_goes_except_where_the_controller_needs_it(congestion: str) -> None:
    script, connection_id = opened()
    plain = replace(PLAIN, congestion=congestion)
    sender = script.connection(connection_id).subflows[0].tcp.sender
    for pacing in (False, True, False):
        script.host.change(script.now, connection_id, replace(plain, pacing=pacing))
        assert (sender.pacer is not None) == (pacing or congestion == "bbr")
        assert script.write(connection_id, bytes(2000))


def test_what_the_handshake_settled_stays() -> None:
    script, connection_id = opened()
    with pytest.raises(UsageError, match="max_mss: choose before"):
        script.host.change(script.now, connection_id, replace(PLAIN, max_mss=500))
