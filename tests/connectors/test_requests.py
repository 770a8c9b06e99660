from __future__ import annotations

from typing import Any

import pytest
import requests
from support.api_world import TLS
from support.served import BODY, GREETING, SERVER, Served, leaks_nothing

from plait.connectors.requests import Adapter, connection_of
from plait.errors import UsageError


def session_over(backend: Any) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # it would choose another certificate
    session.verify = str(TLS / "certificate.pem")
    for scheme in ("http://", "https://"):
        session.mount(scheme, Adapter(backend=backend))
    return session


@pytest.mark.rfc("6897", "6.1", "M6897-6.1-01")  # the certificate has no other address
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_session_fetches_over_two_subflows(server: Served, scheme: str) -> None:
    def client(backend: Any) -> None:
        with session_over(backend) as session:
            assert session.get(server.url("hello", scheme), timeout=5).text == GREETING
            response = session.get(server.url("body", scheme), stream=True, timeout=5)
            connection = connection_of(response)
            assert response.content == BODY
            server.check(connection)

    server.block(client)


def test_errors_are_those_of_requests(server: Served) -> None:
    def client(backend: Any) -> None:
        with session_over(backend) as session:
            with pytest.raises(requests.ConnectionError, match="cannot connect"):
                session.get(f"http://{SERVER}:9/", timeout=5)
            with pytest.raises(requests.exceptions.ConnectTimeout):
                session.get("http://10.0.1.9/", timeout=0.05)
            with pytest.raises(requests.ConnectionError, match=r"nowhere\.invalid"):
                session.get("http://nowhere.invalid/", timeout=5)
            session.verify = True
            with pytest.raises(requests.exceptions.SSLError):
                session.get(server.url("hello", "https"), timeout=5)

    server.block(client)


def test_a_proxy_is_reached_the_same_way(server: Served) -> None:
    def client(backend: Any) -> None:
        with session_over(backend) as session:
            response = session.get(
                "http://nowhere.invalid/hello",
                proxies={"http": server.url("")},
                stream=True,
                timeout=5,
            )
            assert connection_of(response).info.backend == server.row
            assert response.text == GREETING

    server.block(client)


def test_a_response_that_was_read_has_no_connection(server: Served) -> None:
    def client(backend: Any) -> None:
        with session_over(backend) as session:
            response = session.get(server.url("hello"), timeout=5)
            with pytest.raises(UsageError, match="stream=True"):
                connection_of(response)

    server.block(client)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_sessions_leave_no_descriptor_behind(server: Served, scheme: str) -> None:
    def client(backend: Any) -> None:
        def visit() -> None:
            with session_over(backend) as session:
                assert session.get(server.url("hello", scheme), timeout=5).text == GREETING

        leaks_nothing(visit)

    server.block(client)
