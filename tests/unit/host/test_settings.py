"""What is derived from settings."""

from __future__ import annotations

from typing import Any

import pytest

from plait.errors import UnknownNameError
from plait.host.settings import Settings


@pytest.mark.rfc("7323", "2.2", "B7323-01")
@pytest.mark.parametrize(
    ("receive_buffer", "scale"),
    [(700, 0), (65_535, 0), (65_536, 1), (1 << 20, 5), (4 << 20, 7), (1 << 40, 14)],
)
def test_the_window_scale_is_the_smallest_that_tells_the_buffer(
    receive_buffer: int, scale: int
) -> None:
    assert Settings(receive_buffer=receive_buffer).window_scale == scale


@pytest.mark.parametrize("setting", ["syn_cookies", "fast_open"])
def test_unknown_words_are_refused(setting: str) -> None:
    words: dict[str, Any] = {setting: "maybe"}
    with pytest.raises(UnknownNameError, match="choose from"):
        Settings(**words)
