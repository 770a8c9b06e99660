"""Hot steps take no more bytecodes than before; `make bytecodes` renews what is stored."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support import bytecodes
from support.build import COMPILED

from plait.wire.checksum import BACKEND

pytestmark = [
    pytest.mark.skipif(COMPILED, reason="the core is compiled: it has no bytecodes"),
    pytest.mark.skipif(
        bytecodes.VERSION not in bytecodes.stored(),
        reason=f"no figures are stored for Python {bytecodes.VERSION}",
    ),
    pytest.mark.skipif(BACKEND != "numpy", reason="the figures were taken with numpy"),
]


@pytest.mark.parametrize("world", bytecodes.WORLDS)
def test_no_step_takes_a_tenth_more(world: str) -> None:
    found = bytecodes.Stream(*bytecodes.WORLDS[world]).run()
    known = bytecodes.stored()[bytecodes.VERSION][world]
    assert found.keys() == known.keys()
    assert bytecodes.risen(found, known) == []


def test_work_is_noticed() -> None:
    """Without checksums what they cost is missing, and the figures with them are a rise."""
    world = "super-segments, one path"
    settings = replace(bytecodes.CUBIC, checksum=False)
    without = bytecodes.Stream(*bytecodes.WORLDS[world], settings).run()
    risen = bytecodes.risen(bytecodes.stored()[bytecodes.VERSION][world], without)
    assert [text.partition(":")[0] for text in risen] == ["receive", "send"]
