"""The words of one option, and what they are read against."""

from __future__ import annotations

from typing import Any

from plait.script.conversation import Conversation, Flow
from plait.script.errors import UnsupportedError
from plait.script.options import Fields
from plait.script.syntax import Expression, Item, Number, OptionSpec, PacketSpec, Word


class Scope:
    """One option of one packet."""

    def __init__(
        self,
        conversation: Conversation,
        flow: Flow,
        packet: PacketSpec,
        spec: OptionSpec,
        actual: Fields,
    ) -> None:
        self.conversation = conversation
        self.flow = flow
        self.packet = packet
        self.spec = spec
        self.actual = actual
        self.payload = b""
        self.inbound = packet.inbound

    def item(self, text: str) -> Item | None:
        """Return the first item that begins with this word."""
        return next((item for item in self.spec.items if item.text == text), None)

    def has(self, text: str) -> bool:
        """Return whether the word is there."""
        return self.item(text) is not None

    def value(self, text: str) -> Expression | None:
        """Return what stands behind `text=`; None where it does not, or is `auto`."""
        item = self.item(text)
        if item is None or item.value == Word("auto"):
            return None
        return item.value

    def integer(self, text: str) -> int | None:
        """Return the number behind `text=`, None where there is none."""
        value = self.value(text)
        if value is None or isinstance(value, Number):
            return None if value is None else value.value
        raise UnsupportedError(f"{self.spec.name} {text} that is no number")

    def following(self, text: str) -> int | None:
        """Return the number in the item after a word, as in `mpcdatalen 100`."""
        items = self.spec.items
        for at, item in enumerate(items[:-1]):
            if item.text == text:
                return int(items[at + 1].text, 0)
        return None

    def check(self, known: frozenset[str]) -> None:
        """Raise UnsupportedError for a word that is none of the option's."""
        for item in self.spec.items:
            if item.text not in known and not item.text[:1].isdigit():
                raise UnsupportedError(f"{self.spec.name} {item.text}")

    def given(self, **fields: Any) -> Fields:
        """Return the fields that have a value; of an injected packet all of them."""
        if self.inbound:
            return fields
        return {name: value for name, value in fields.items() if value is not None}
