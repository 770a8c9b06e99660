"""Every test of this suite runs once for each row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.api_world import ROWS, Scenario, play


@pytest.fixture(params=ROWS, ids=lambda row: row)
def run(request: pytest.FixtureRequest) -> Callable[[Scenario[Any]], Any]:
    """Run a scenario in the world of a row."""
    row: str = request.param
    return lambda scenario: play(row, scenario)
