"""What a connection tells of itself, whatever it runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.api_world import Scenario, World, echo, settled, until

from plait.aio.connection import connection_of
from plait.errors import UsageError
from plait.host.events import Closed, Lost, SubflowUp

Run = Callable[[Scenario[Any]], Any]


@pytest.mark.rfc("6897", "5.3.2", "M6897-5.3.2-01", "M6897-5.3.2-04")
@pytest.mark.rfc("6897", "5.2", "M6897-5.2-03", "M6897-5.2-04")
@pytest.mark.rfc("hesmans", "3", "HESM-11")
def test_both_ends_tell_what_they_run_on(run: Run) -> None:
    async def scenario(world: World) -> None:
        mptcp = not world.differs("multipath")
        for end, backend in zip(await settled(await world.both()), world.backends, strict=True):
            info = end.info
            assert info.backend == backend
            assert info.is_mptcp is end.multipath is mptcp
            assert info.version == (1 if mptcp else None)
            assert info.bytes_sent == info.bytes_received == 5
            assert info.subflows[0].path.remote_port
            assert (info.token is not None) is mptcp
            if mptcp:
                assert info.fallback_reason is None
                assert end.connid == info.token
                assert end.paths[0].local == info.subflows[0].path.local
            else:
                assert info.fallback_reason == "Multipath TCP is off"

    run(scenario)


@pytest.mark.rfc("hesmans", "3", "HESM-09")
def test_plain_tcp_has_no_subflows(run: Run) -> None:
    async def scenario(world: World) -> None:
        here, _ = await world.both()
        connection = connection_of(here[1])
        if not world.differs("multipath"):
            assert connection.subflows()
            return
        for ask in (connection.subflows, lambda: connection.connid, lambda: connection.paths):
            with pytest.raises(UsageError):
                ask()

    run(scenario)


@pytest.mark.rfc("6897", "4.2.1", "M6897-4.2.1-02")
@pytest.mark.rfc("6897", "5.3.4", "M6897-5.3.4-01")
@pytest.mark.rfc("hesmans", "3", "HESM-01", "HESM-02", "HESM-03")
def test_two_paths_make_two_subflows_at_both_ends(run: Run) -> None:
    async def scenario(world: World) -> None:
        ends = await settled(await world.both())
        if world.paths < 2:
            return
        await until(lambda: all(len(end.paths) >= 2 for end in ends))
        for end in ends:
            subflows = end.subflows()
            ids = [subflow.id for subflow in subflows]
            assert len(set(ids)) == len(ids)
            assert all(1 <= number <= 255 for number in ids)
            assert all(path.local.version == path.remote.version for path in end.paths)
        ours = {(path.local_port, path.remote_port) for path in ends[0].paths}
        theirs = {(path.remote_port, path.local_port) for path in ends[1].paths}
        assert ours & theirs == ours

    run(scenario)


def test_events_end_with_the_end(run: Run) -> None:
    async def scenario(world: World) -> None:
        here, there = await world.both()
        connection, _ = await settled((here, there))
        events = connection.events()
        if world.paths > 1:
            async for happening in events:
                if isinstance(happening.event, SubflowUp):
                    break
        for _, writer in (here, there):
            writer.close()
        last = None
        async for happening in events:
            last = happening.event
        assert isinstance(last, Closed | Lost)
        assert connection.info.bytes_sent == 5  # the last snapshot stays

    run(scenario)


@pytest.mark.rfc("6897", "5.3.5", "M6897-5.3.5-01")
def test_connection_ids_are_unique(run: Run) -> None:
    async def scenario(world: World) -> None:
        if world.differs("multipath"):
            return
        await world.serve(echo)
        writers = [(await world.connect())[1] for _ in range(50)]
        assert len({connection_of(writer).connid for writer in writers}) == 50

    run(scenario)


def test_the_last_snapshot_is_kept(run: Run) -> None:
    async def scenario(world: World) -> None:
        await world.serve(echo)
        reader, writer = await world.connect()
        connection = connection_of(writer)
        writer.write(b"hello")
        writer.write_eof()
        assert await reader.read() == b"hello"
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.02)
        assert connection.info.bytes_received == (6 if world.differs("received") else 5)
        assert connection.info.backend == world.backends[0]

    run(scenario)
