"""Load split: shares of the stream as the operator wants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.errors import UsageError
from plait.scheduling.base import Grant, Scheduler, SubflowView, grant_on, usable
from plait.units import Nanos, Octets


@mypyc_attr(allow_interpreted_subclasses=True)
class LoadSplit(Scheduler):
    """Keeps the octets on the subflows in proportion to their shares.

    Shares count by the order in which the subflows were made; the last one stands for all that
    come later.  A subflow that is full does not hold up the others unless the split is `strict`.
    """

    name: ClassVar[str] = "load-split"

    def __init__(self, split: str = "50/50", strict: bool = False) -> None:
        """Take shares such as `70/30`, in any unit.  Raises UsageError."""
        try:
            self._shares = [int(part) for part in split.split("/")]
        except ValueError as error:
            raise UsageError(f"split: {split!r} is no list of shares such as 70/30") from error
        if min(self._shares) <= 0:
            raise UsageError(f"split: a share must be more than 0, not {split!r}")
        self._strict = strict
        self._sent: dict[int, float] = {}

    def schedule(
        self, now: Nanos, start: Octets, stop: Octets, edge: Octets, subflows: Sequence[SubflowView]
    ) -> list[Grant]:
        """Grant one burst to the subflow that is furthest behind its share."""
        allowed = usable(subflows)
        self._meet(allowed)
        ready = allowed if self._strict else [view for view in allowed if view.room]
        if not ready:
            return []
        chosen = min(ready, key=lambda view: self._sent[view.index])
        if not chosen.room:
            return []
        grant = grant_on(chosen, start, stop)
        share = self._shares[min(chosen.index, len(self._shares) - 1)]
        self._sent[chosen.index] += (grant.stop - grant.start) / share
        return [grant]

    def _meet(self, views: Sequence[SubflowView]) -> None:
        """Let new subflows start level with those that are least used, and forget the ended."""
        known = {view.index: self._sent.get(view.index) for view in views}
        least = min((sent for sent in known.values() if sent is not None), default=0.0)
        self._sent = {index: least if sent is None else sent for index, sent in known.items()}
