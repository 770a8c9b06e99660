from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.served import ROWS, Served, served


@pytest.fixture(params=ROWS)
def server(request: pytest.FixtureRequest) -> Iterator[Served]:
    """A server on each back end."""
    with served(request.param) as made:
        yield made
