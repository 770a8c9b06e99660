"""How UDP paths and secrets are named."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address
from pathlib import Path

import pytest

from plait.drivers.udp.spec import UdpSpec, read_by_others, read_secret
from plait.errors import UsageError

SECRET = b"0123456789abcdef"

FORMS = {
    "192.0.2.1": ("192.0.2.1", 0, None),
    "192.0.2.1:9000": ("192.0.2.1", 9000, None),
    "192.0.2.1@wlan0": ("192.0.2.1", 0, "wlan0"),
    "192.0.2.1:9000@wlan0": ("192.0.2.1", 9000, "wlan0"),
    "[2001:db8::1]": ("2001:db8::1", 0, None),
    "[2001:db8::1]:9000@wlan0": ("2001:db8::1", 9000, "wlan0"),
}


@pytest.mark.parametrize(("text", "parts"), FORMS.items(), ids=FORMS.keys())
def test_form(text: str, parts: tuple[str, int, str | None]) -> None:
    spec = UdpSpec.parse(text, SECRET)
    assert (str(spec.local), spec.port, spec.interface) == parts


def test_a_port_that_is_not_named_is_the_one_given() -> None:
    assert UdpSpec.parse("192.0.2.1", SECRET, port=7).port == 7
    assert UdpSpec.parse("192.0.2.1:8", SECRET, port=7).port == 8


BAD = {
    "": "LOCAL",
    "host.example": "LOCAL",
    "2001:db8::1": "brackets",
    "[192.0.2.1]": "LOCAL",
    "192.0.2.1:": "LOCAL",
    "192.0.2.1:x": "LOCAL",
    "192.0.2.1@": "LOCAL",
    "192.0.2.1:70000": "70000 is not a port",
    str(IPv4Address(0)): "wildcards",
    "224.0.0.1": "wildcards",
    "[fe80::1]@wlan0": "link-local",
}


@pytest.mark.parametrize(("text", "complaint"), BAD.items(), ids=BAD.keys())
def test_bad_forms(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        UdpSpec.parse(text, SECRET)


@pytest.mark.parametrize("mtu", [575, 65536])
def test_bad_mtu(mtu: int) -> None:
    with pytest.raises(UsageError, match=f"mtu={mtu}"):
        UdpSpec(local=ip_address("192.0.2.1"), secret=SECRET, mtu=mtu)


def test_a_short_secret_is_refused_and_a_secret_is_not_shown() -> None:
    with pytest.raises(UsageError, match="15 octets"):
        UdpSpec.parse("192.0.2.1", SECRET[:-1])
    assert "0123" not in repr(UdpSpec.parse("192.0.2.1", SECRET))


def test_secret_files(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    with pytest.raises(UsageError, match="No such file"):
        read_secret(file)
    file.write_bytes(SECRET + b"\n")
    file.chmod(0o600)
    assert read_secret(file) == SECRET
    assert not read_by_others(file)
    file.chmod(0o640)
    assert read_by_others(file)
    file.write_bytes(b"short\n")
    with pytest.raises(UsageError, match="5 octets"):
        read_secret(file)
