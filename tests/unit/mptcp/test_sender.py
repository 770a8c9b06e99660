"""The sending half of the data level against a model."""

from __future__ import annotations

import pytest

from plait.mptcp.sender import StreamSender


def wrote(length: int, capacity: int = 1000, edge: int = 10_000) -> StreamSender:
    sender = StreamSender(capacity)
    sender.on_window(edge)
    sender.write(bytes(length))
    return sender


def test_write_takes_what_fits_and_tells_once_of_room() -> None:
    sender = StreamSender(100)
    assert sender.write(bytes(80)) == 80
    assert sender.write(bytes(80)) == 20
    assert sender.write(b"x") == 0
    assert not sender.room_again()
    sender.on_granted(1, 81)
    sender.on_ack(30)
    assert not sender.room_again()
    sender.on_ack(60)
    assert sender.room_again()
    assert not sender.room_again()


def test_any_room_is_told_of_once_nothing_is_left_to_grant() -> None:
    sender = StreamSender(100)
    assert sender.write(bytes(120)) == 100
    sender.on_granted(1, 101)
    assert not sender.room_again()
    sender.on_ack(2)
    assert sender.room_again()


@pytest.mark.rfc("8684", "3.3.5", "M8684-3.3.5-04")
def test_grants_end_at_the_peers_window() -> None:
    sender = wrote(500, edge=101)
    assert sender.next_range() == (1, 101)
    sender.on_granted(1, 101)
    assert sender.next_range() is None
    assert sender.blocked()
    sender.on_window(151)
    assert sender.next_range() == (101, 151)


@pytest.mark.rfc("8684", "3.3.5", "M8684-3.3.5-01")
def test_the_peers_window_never_moves_left() -> None:
    sender = wrote(500, edge=401)
    sender.on_window(101)
    assert sender.next_range() == (1, 401)


ACKS = {"old": 1, "of nothing sent": 102, "of a DATA_FIN never sent": 501}


@pytest.mark.rfc("8684", "3.3.2", "M8684-3.3.2-11")
@pytest.mark.parametrize("ack", ACKS.values(), ids=ACKS.keys())
def test_data_acks_outside_what_is_in_flight_are_ignored(ack: int) -> None:
    sender = wrote(500)
    sender.on_granted(1, 101)
    assert sender.on_ack(ack) == 0
    assert sender.snd_una == 1


@pytest.mark.rfc("8684", "3.3.6", "M8684-3.3.6-05")
def test_what_is_to_go_again_goes_first_until_it_is_acked() -> None:
    sender = wrote(500)
    sender.on_granted(1, 201)
    sender.reinject.add(51, 101)
    assert sender.next_range() == (51, 101)
    sender.on_ack(81)
    assert sender.next_range() == (81, 101)
    sender.on_granted(81, 101)
    assert sender.next_range() == (201, 501)


def test_the_data_fin_is_ready_once_all_was_granted_and_acked_one_beyond() -> None:
    sender = wrote(500)
    sender.fin_queued = True
    assert not sender.fin_sendable
    sender.on_granted(1, 501)
    assert sender.fin_sendable
    sender.on_ack(501)
    assert not sender.fin_acked
    sender.on_ack(502)
    assert sender.fin_acked
    assert not sender.fin_sendable
