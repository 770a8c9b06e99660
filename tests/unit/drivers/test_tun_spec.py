from __future__ import annotations

from ipaddress import ip_address, ip_interface

import pytest

from plait.drivers.tun_spec import TunSpec
from plait.errors import UsageError

GOOD = {
    "least": (
        "tun1,local=10.9.1.1,peer=10.9.1.2/24",
        TunSpec(
            name="tun1",
            local=(ip_address("10.9.1.1"),),
            peer=(ip_interface("10.9.1.2/24"),),
            mtu=1500,
            offload=True,
        ),
    ),
    "all": (
        "a-b.c_9,mtu=9000,offload=off,peer=10.9.1.2/24+fd09::2/64,local=10.9.1.1+10.9.1.3+fd09::1",
        TunSpec(
            name="a-b.c_9",
            local=(ip_address("10.9.1.1"), ip_address("10.9.1.3"), ip_address("fd09::1")),
            peer=(ip_interface("10.9.1.2/24"), ip_interface("fd09::2/64")),
            mtu=9000,
            offload=False,
        ),
    ),
}

BAD = {
    "empty": ("", "local= is missing"),
    "no local": ("t,peer=10.0.0.2/24", "local= is missing"),
    "no peer": ("t,local=10.0.0.1", "peer= is missing"),
    "no name": (",local=10.0.0.1,peer=10.0.0.2/24", "bad TUN name ''"),
    "long name": ("sixteencharacter,local=10.0.0.1,peer=10.0.0.2/24", "bad TUN name"),
    "template": ("tun%d,local=10.0.0.1,peer=10.0.0.2/24", "bad TUN name"),
    "path": ("..,local=10.0.0.1,peer=10.0.0.2/24", "bad TUN name"),
    "unknown part": ("t,local=10.0.0.1,peer=10.0.0.2/24,speed=1", "bad part 'speed=1'"),
    "no value": ("t,local=10.0.0.1,peer=10.0.0.2/24,mtu", "bad part 'mtu'"),
    "twice": ("t,local=10.0.0.1,local=10.0.0.3,peer=10.0.0.2/24", "local= is there twice"),
    "bad local": ("t,local=10.0.0.256,peer=10.0.0.2/24", "bad local=10.0.0.256"),
    "empty local": ("t,local=10.0.0.1+,peer=10.0.0.2/24", "bad local="),
    "peer without length": ("t,local=10.0.0.1,peer=10.0.0.2", "bad peer=10.0.0.2"),
    "peer with bad length": ("t,local=10.0.0.1,peer=10.0.0.2/33", "bad peer=10.0.0.2/33"),
    "elsewhere": ("t,local=10.0.1.1,peer=10.0.0.2/24", "not in 10.0.0.0/24"),
    "same": ("t,local=10.0.0.2,peer=10.0.0.2/24", "both local and peer"),
    "local twice": ("t,local=10.0.0.1+10.0.0.1,peer=10.0.0.2/24", "local=10.0.0.1 is there twice"),
    "multicast": ("t,local=224.0.0.1,peer=10.0.0.2/24", "not an address of a host"),
    "mtu": ("t,local=10.0.0.1,peer=10.0.0.2/24,mtu=big", "bad mtu=big"),
    "small mtu": ("t,local=10.0.0.1,peer=10.0.0.2/24,mtu=100", "mtu=100 is not 576 to 65535"),
    "IPv6 mtu": ("t,local=fd09::1,peer=fd09::2/64,mtu=1279", "mtu=1279 is not 1280 to 65535"),
    "offload": ("t,local=10.0.0.1,peer=10.0.0.2/24,offload=yes", "bad offload=yes"),
}


@pytest.mark.parametrize(("text", "spec"), GOOD.values(), ids=GOOD.keys())
def test_parse(text: str, spec: TunSpec) -> None:
    assert TunSpec.parse(text) == spec


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_the_message_names_the_bad_part(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        TunSpec.parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
