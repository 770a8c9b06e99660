"""Named plug-ins: one registry for each kind, open to entry points."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Generic, TypeVar

from plait.arguments import known_arguments, parse_arguments
from plait.errors import UnknownNameError, UsageError

T = TypeVar("T")


def is_ours(plugin: object) -> bool:
    """Return whether a plug-in comes with plait; others are watched."""
    return type(plugin).__module__.partition(".")[0] == "plait"


class Registry(Generic[T]):
    """Finds classes of one kind by name, and makes instances of them.

    A name that is not built in is looked for among the installed entry points of the group
    `plait.<kind>`, so that a package can add a plug-in without a change here.
    """

    def __init__(self, kind: str, group: str, builtin: dict[str, type[T]]) -> None:
        self.kind = kind
        self._group = group
        self._known = dict(builtin)

    def names(self) -> list[str]:
        """Return the names that can be asked for, sorted."""
        return sorted(self._known | {entry.name: None for entry in entry_points(group=self._group)})

    def add(self, name: str, plugin: type[T]) -> None:
        """Know a class that a program brings along, under a name of its choice."""
        self._known[name] = plugin

    def remove(self, name: str) -> None:
        """Forget a class that was added."""
        del self._known[name]

    def find(self, name: str) -> type[T]:
        """Return the class called `name`.  Raises UnknownNameError."""
        found = self._known.get(name)
        if found is not None:
            return found
        for entry in entry_points(group=self._group):
            if entry.name == name:
                loaded: type[T] = entry.load()
                self._known[name] = loaded
                return loaded
        raise UnknownNameError(self.kind, name, self.names())

    def make(self, text: str, *first: object) -> T:
        """Return an instance for `NAME`, or for `NAME:KEY=VALUE,...` with further arguments.

        `first` are the arguments that come before those.  Raises UsageError.
        """
        name, _, rest = text.partition(":")
        kind = self.find(name)
        if not rest:
            return kind(*first)
        known = dict(list(known_arguments(kind).items())[len(first) :])
        try:
            return kind(*first, **parse_arguments(rest, known))
        except UsageError as error:
            raise UsageError(f"{self.kind} {name}: {error}") from error
