"""A web server on aiohttp that tells its visitors what they came by.

python examples/aiohttp_server.py --port 8080
python examples/aiohttp_client.py http://localhost:8080/
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from aiohttp import web

import plait
from plait.connectors.aiohttp import Site
from plait.errors import PlaitError


async def tell(request: web.Request) -> web.Response:
    """Answer with what the connection runs on."""
    assert request.transport is not None
    connection = plait.connection_of(request.transport)
    info = connection.info
    return web.json_response(
        {
            "backend": info.backend,
            "multipath": info.is_mptcp,
            "reason": info.fallback_reason,
            "paths": [str(subflow.path) for subflow in info.subflows],
        }
    )


async def data(request: web.Request) -> web.Response:
    """Answer with as many octets as the path says."""
    return web.Response(body=bytes(int(request.match_info["octets"])))


async def serve(host: str | None, port: int, backend: str) -> None:
    """Serve until interrupted."""
    application = web.Application()
    application.router.add_get("/", tell)
    application.router.add_get(r"/data/{octets:\d{1,9}}", data)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = Site(runner, host, port, backend=backend)
        await site.start()
        print(f"serving {site.name}", flush=True)
        await asyncio.get_running_loop().create_future()
    finally:
        await runner.cleanup()


def main() -> int:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(description="Serve HTTP over Multipath TCP and TCP.")
    parser.add_argument("--host", help="an address of ours; all by default")
    parser.add_argument("--port", type=int, default=8080, help="0 for any")
    parser.add_argument("--backend", default="auto", help="auto, kernel or tcp")
    options = parser.parse_args()
    try:
        asyncio.run(serve(options.host, options.port, options.backend))
    except KeyboardInterrupt:
        return 130
    except (OSError, PlaitError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
