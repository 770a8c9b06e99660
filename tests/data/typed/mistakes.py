"""Calls that a type checker has to refuse: an ignored error that is none is an error itself."""

import plait


async def main() -> None:
    await plait.open_connection("localhost")  # type: ignore[call-arg]
    await plait.open_connection("localhost", "80")  # type: ignore[arg-type]
    await plait.open_connection("localhost", 80, timout=1)  # type: ignore[call-arg]
    await plait.open_connection("localhost", 80, backend=80)  # type: ignore[arg-type]
    await plait.start_server(lambda line: line, None, 80)  # type: ignore[arg-type,misc]
    plait.connection_of("stream")  # type: ignore[arg-type]
