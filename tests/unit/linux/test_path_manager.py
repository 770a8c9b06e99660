from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address

import pytest
from unit.aio.kernel_pair import drop_privileges

from plait.errors import PrivilegeError
from plait.linux.netns import Namespace, can_make_namespaces
from plait.linux.notices import Notices
from plait.linux.path_manager import (
    BACKUP,
    FULLMESH,
    SIGNAL,
    SUBFLOW,
    Endpoint,
    Limits,
    PathManager,
)

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(not can_make_namespaces(), reason="making network namespaces needs root"),
]

FIRST = Endpoint(address=ip_address("10.9.1.1"), id=3, flags=SUBFLOW | BACKUP)
SECOND = Endpoint(address=ip_address("::1"), id=4, port=5555, flags=SIGNAL)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with Namespace() as made:
        yield made


def test_endpoints_come_change_and_go(namespace: Namespace) -> None:
    def work() -> None:
        with PathManager() as manager:
            manager.add_endpoint(FIRST)
            manager.add_endpoint(SECOND)
            assert manager.endpoints() == [FIRST, SECOND]
            changed = Endpoint(address=FIRST.address, id=3, flags=SUBFLOW | FULLMESH)
            manager.change_endpoint(changed)
            assert manager.endpoints() == [changed, SECOND]
            manager.remove_endpoint(changed)
            assert manager.endpoints() == [SECOND]
            manager.remove_endpoints()
            assert manager.endpoints() == []

    namespace.run(work)


def test_limits_are_what_was_set(namespace: Namespace) -> None:
    def work() -> None:
        with PathManager() as manager:
            manager.set_limits(Limits(subflows=5, add_addr_accepted=3))
            assert manager.limits() == Limits(subflows=5, add_addr_accepted=3)

    namespace.run(work)


CHANGES: dict[str, Callable[[PathManager], object]] = {
    "endpoints": lambda manager: manager.add_endpoint(FIRST),
    "limits": lambda manager: manager.set_limits(Limits(subflows=1, add_addr_accepted=1)),
    "one connection": lambda manager: manager.remove(1, 1),
    "events": lambda _: Notices(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_changes_need_a_capability_and_queries_do_not(
    namespace: Namespace, change: Callable[[PathManager], object]
) -> None:
    def work() -> None:
        drop_privileges()
        with PathManager() as manager:
            assert manager.endpoints() == []
            assert manager.limits().subflows >= 0
            with pytest.raises(PrivilegeError, match="needs CAP_NET_ADMIN"):
                change(manager)

    namespace.run(work)
