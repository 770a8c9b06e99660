from __future__ import annotations

from ipaddress import ip_address

import pytest

from plait.errors import UsageError
from plait.linux.destinations import Pattern, parse_choice

MATCHES = {
    "address": ("10.0.0.1:80", ("10.0.0.1", 80), True),
    "another port": ("10.0.0.1:80", ("10.0.0.1", 81), False),
    "another address": ("10.0.0.1:80", ("10.0.0.2", 80), False),
    "any port": ("10.0.0.1:*", ("10.0.0.1", 9), True),
    "any address": ("*:80", ("2001:db8::1", 80), True),
    "anything": ("*:*", ("192.0.2.7", 1), True),
    "network": ("10.0.0.0/8:443", ("10.200.0.9", 443), True),
    "beside the network": ("10.0.0.0/8:443", ("11.0.0.1", 443), False),
    "a network by one of its hosts": ("10.1.2.3/8:443", ("10.9.9.9", 443), True),
    "IPv6": ("[2001:db8::1]:443", ("2001:db8::1", 443), True),
    "IPv6 network": ("[2001:db8::/32]:443", ("2001:db8:9::9", 443), True),
    "the other family": ("0.0.0.0/0:443", ("2001:db8::1", 443), False),
    "spaces": (" 10.0.0.1:80 ", ("10.0.0.1", 80), True),
    "a name": ("localhost:80", ("127.0.0.1", 80), True),
}


@pytest.mark.parametrize(("text", "to", "matches"), MATCHES.values(), ids=MATCHES.keys())
def test_a_pattern(text: str, to: tuple[str, int], matches: bool) -> None:
    address, port = to
    assert Pattern.parse(text).matches((ip_address(address), port)) is matches


MISTAKES = {
    "no port": ("10.0.0.1", "is not HOST:PORT"),
    "no host": (":80", "is not HOST:PORT"),
    "nothing": ("", "is not HOST:PORT"),
    "port 0": ("*:0", "is not a port"),
    "port 65536": ("*:65536", "is not a port"),
    "a service": ("*:http", "is not a port"),
    "digits of other scripts": ("*:٨٠", "is not a port"),
    "IPv6 without brackets": ("2001:db8::1:80", "write \\[2001:db8::1\\]:80"),
    "no network": ("10.0.0.0/33:80", "is not a network"),
    "no such name": ("nowhere.invalid:80", "cannot resolve"),
    "no name at all": (f"{'a' * 70}.b:80", "cannot resolve"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Pattern.parse(text)


CHOICES = {
    "named": (["*:80,*:443"], [], 443, True),
    "not named": (["*:80", "*:443"], [], 22, False),
    "excepted": ([], ["*:22"], 22, False),
    "not excepted": ([], ["*:22"], 80, True),
    "named and excepted": (["*:*"], ["*:22"], 22, False),
    "named and not excepted": (["*:80"], ["*:22"], 80, True),
}


@pytest.mark.parametrize(
    ("only", "excepted", "port", "covered"), CHOICES.values(), ids=CHOICES.keys()
)
def test_a_choice(only: list[str], excepted: list[str], port: int, covered: bool) -> None:
    choice = parse_choice(only, excepted)
    assert choice is not None
    assert choice.covers((ip_address("10.0.0.1"), port)) is covered
    assert choice.selects is bool(only)


def test_no_lists_are_no_choice() -> None:
    assert parse_choice([], []) is None
