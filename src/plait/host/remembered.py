"""What a host remembers about its peers, within a bound."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """Values by key; where there are too many, the one least recently used goes."""

    __slots__ = ("_limit", "_values")

    def __init__(self, limit: int) -> None:
        """Make an empty table of at most `limit` values; 0 remembers nothing."""
        self._limit = limit
        self._values: dict[bytes, T] = {}

    def __len__(self) -> int:
        """Return how many values there are."""
        return len(self._values)

    def find(self, key: bytes) -> T | None:
        """Return the value of a key and count that as a use of it."""
        value = self._values.pop(key, None)
        if value is not None:
            self._values[key] = value
        return value

    def put(self, key: bytes, value: T) -> None:
        """Remember a value in place of the one before."""
        self._values.pop(key, None)
        if len(self._values) >= self._limit:
            if not self._values:
                return
            del self._values[next(iter(self._values))]
        self._values[key] = value

    def forget(self, key: bytes) -> None:
        """Remember nothing of a key."""
        self._values.pop(key, None)
