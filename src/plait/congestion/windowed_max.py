"""The largest of recent values, where time may be any count that does not decrease."""

from __future__ import annotations

from collections import deque


class WindowedMax:
    """Keeps what is or may become the maximum: values that fall from the oldest to the newest."""

    def __init__(self) -> None:
        self._values: deque[tuple[int, int]] = deque()

    def update(self, now: int, value: int, length: int) -> int:
        """Take a value and return the largest of those less than `length` old."""
        values = self._values
        while values and values[-1][1] <= value:
            values.pop()
        values.append((now, value))
        while values[0][0] <= now - length:
            values.popleft()
        return values[0][1]
