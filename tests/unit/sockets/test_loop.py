from __future__ import annotations

import asyncio
import threading
from ipaddress import ip_address

import pytest

from plait.aio.stack import Stack
from plait.drivers.memory import pair
from plait.errors import UsageError
from plait.sockets.loop import at_once, call, loop_of, run_stack, wait


def make_stack() -> Stack:
    near, far = pair([ip_address("10.0.0.1")], [ip_address("10.0.0.2")])
    far.close()
    return Stack([near])


async def none() -> None:
    await asyncio.sleep(0)


async def thread() -> int:
    return threading.get_ident()


def test_a_stack_runs_in_the_background_while_the_block_lasts() -> None:
    with run_stack(make_stack()) as stack:
        assert stack.loop is not None
        assert loop_of(stack) is stack.loop
        assert wait(stack.loop, thread()) != threading.get_ident()
        assert call(stack.loop, threading.get_ident) == wait(stack.loop, thread())
    with pytest.raises(UsageError, match="the stack is closed"):
        call(stack.loop, lambda: at_once(stack.create_server(asyncio.Protocol, None, 0)))


def test_errors_come_to_who_called() -> None:
    with run_stack(make_stack()) as stack:
        assert stack.loop is not None
        with pytest.raises(ZeroDivisionError):
            call(stack.loop, lambda: 1 // 0)


def test_a_stack_stays_on_the_loop_that_it_runs_on() -> None:
    async def main() -> None:
        async with make_stack() as stack:
            loop = asyncio.get_running_loop()
            assert loop_of(stack) is loop
            assert call(loop, threading.get_ident) == threading.get_ident()
            with pytest.raises(UsageError, match="would block the event loop"):
                wait(loop, none())

    asyncio.run(main())


def test_at_once_waits_for_nothing() -> None:
    assert at_once(thread()) == threading.get_ident()
    with pytest.raises(UsageError, match="waited for"):
        at_once(none())
