"""Whether the core under test is compiled, and what no compiled one can show."""

from __future__ import annotations

from typing import Final

import pytest

from plait import ranges

COMPILED: Final = not ranges.__file__.endswith(".py")

interpreted: Final = pytest.mark.skipif(
    COMPILED, reason="the core is compiled: nothing can take the place of its functions and hosts"
)
