"""Which rung is taken, which are skipped, and what is said of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from plait.aio import ladder
from plait.aio.kernel import Kernel
from plait.aio.ladder import climb, use_stack
from plait.aio.stack import Stack
from plait.drivers.memory import pair
from plait.errors import NotSupportedError, UnknownNameError, UsageError
from plait.linux.mptcp_sockets import kernel_has_mptcp
from plait.linux.netns import Namespace, can_make_namespaces

REFUSES = "the kernel refuses"
NO_STACK = "no stack is configured: see plait.use_stack"

Taken = tuple[str, str | None]


def make_stack() -> Stack:
    return Stack([pair([ip_address("10.0.0.1")], [ip_address("10.0.0.2")])[0]])


def take(
    backend: ladder.Backend, stack: Stack | None = None, *, refusing: Sequence[str] = ()
) -> Taken:
    """Climb, with rungs that refuse, and return the rung and the reason."""

    async def work(on: Stack | Kernel, reason: str | None) -> Taken:
        name = "stack" if isinstance(on, Stack) else "kernel" if on.options.mptcp else "tcp"
        if name in refusing:
            raise NotSupportedError(f"the {name} refuses")
        return name, reason

    return asyncio.run(climb(backend, stack, work))


@pytest.fixture
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ladder.VARIABLE, raising=False)


pytestmark = [
    pytest.mark.usefixtures("no_variable"),
    pytest.mark.skipif(not kernel_has_mptcp(), reason="this kernel's Multipath TCP is off"),
]

TAKEN: dict[str, tuple[ladder.Backend, bool, Sequence[str], Taken]] = {
    "auto": ("auto", False, (), ("kernel", None)),
    "the kernel refuses": ("auto", False, ["kernel"], ("tcp", f"{REFUSES}; {NO_STACK}")),
    "the rung below": ("kernel,stack,tcp", True, ["kernel"], ("stack", REFUSES)),
    "two below": (
        ["kernel", "stack", "tcp"],
        True,
        ["kernel", "stack"],
        ("tcp", f"{REFUSES}; the stack refuses"),
    ),
    "auto with a stack": ("auto", True, (), ("stack", None)),
    "one by name": ("tcp", False, (), ("tcp", None)),
    "another order": (("stack", "kernel"), False, (), ("kernel", NO_STACK)),
    "spaces": ("stack , tcp", True, (), ("stack", None)),
}


@pytest.mark.rfc("6897", "4.5", "M6897-4.5-01")
@pytest.mark.parametrize(
    ("backend", "stack", "refusing", "expected"), TAKEN.values(), ids=TAKEN.keys()
)
def test_rungs(
    backend: ladder.Backend, refusing: Sequence[str], expected: Taken, *, stack: bool
) -> None:
    assert take(backend, make_stack() if stack else None, refusing=refusing) == expected


@pytest.mark.parametrize("given", ["tcp", "stack,tcp", " tcp "])
def test_the_environment_says_what_auto_means(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(ladder.VARIABLE, given)
    assert take("auto")[0] == "tcp"
    assert take("kernel") == ("kernel", None)
    assert take("auto", make_stack()) == ("stack", None)
    monkeypatch.setenv(ladder.VARIABLE, "auto")
    assert take("auto") == ("kernel", None)


def test_what_to_run_on_can_be_given_itself() -> None:
    stack, kernel = make_stack(), Kernel(mptcp=False)

    async def work(on: Stack | Kernel, reason: str | None) -> tuple[Stack | Kernel, str | None]:
        return on, reason

    for given in (stack, kernel):
        assert asyncio.run(climb(given, None, work)) == (given, None)


def test_use_stack_holds_in_its_block_and_its_tasks() -> None:
    outer, inner = make_stack(), make_stack()

    async def which() -> Stack | Kernel | None:
        async def work(on: Stack | Kernel, _: str | None) -> Stack | Kernel:
            return on

        try:
            return await climb("stack", None, work)
        except NotSupportedError:
            return None

    async def scenario() -> None:
        assert await which() is None
        with use_stack(outer) as used:
            assert used is outer
            with use_stack(inner):
                assert await which() is inner
                task = asyncio.create_task(which())
            assert await which() is outer
            assert await task is inner
        assert await which() is None

    asyncio.run(scenario())


def test_the_last_reason_is_raised_if_no_rung_is_left() -> None:
    with pytest.raises(NotSupportedError) as raised:
        take("stack")
    assert str(raised.value) == NO_STACK
    with pytest.raises(NotSupportedError) as raised:
        take(["kernel", "stack"], refusing=["kernel"])
    assert str(raised.value) == f"{REFUSES}; {NO_STACK}"


def test_what_the_network_says_is_no_reason_to_go_on() -> None:
    tried: list[str | None] = []

    async def work(_: Stack | Kernel, reason: str | None) -> None:
        tried.append(reason)
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        asyncio.run(climb("auto", None, work))
    assert tried == [None]


def test_misuse_is_no_reason_to_go_on() -> None:
    async def work(_: Stack | Kernel, __: str | None) -> None:
        raise UsageError("bad address")

    with pytest.raises(UsageError, match="bad address"):
        asyncio.run(climb("auto", None, work))


@pytest.mark.parametrize("name", ["quic", "", "kernel,quic"])
def test_a_wrong_name_is_told(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown backend"):
        take(name)
    monkeypatch.setenv(ladder.VARIABLE, name)
    with pytest.raises(UnknownNameError, match="unknown PLAIT_BACKEND"):
        take("auto")


def test_no_rung_at_all_is_told() -> None:
    with pytest.raises(UsageError, match="backend names no rung"):
        take([])


@pytest.mark.privileged
@pytest.mark.skipif(not can_make_namespaces(), reason="making network namespaces needs root")
def test_a_kernel_that_is_switched_off_is_skipped() -> None:
    with Namespace() as namespace:
        namespace.set_sysctl("net.mptcp.enabled", 0)
        rung, reason = namespace.run(lambda: take("auto"))
    assert rung == "tcp"
    off = "Multipath TCP is switched off in this kernel: run `sysctl net.mptcp.enabled=1`"
    assert reason == f"{off}; {NO_STACK}"
