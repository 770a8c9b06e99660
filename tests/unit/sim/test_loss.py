from __future__ import annotations

from random import Random

import pytest

from plait.errors import UsageError
from plait.sim.loss import Bernoulli, GilbertElliott, Loss, Mask, Numbered

MANY = 20_000


def lost(loss: Loss, count: int) -> str:
    return "".join("x" if loss.lose() else "." for _ in range(count))


def test_no_loss_loses_nothing() -> None:
    assert lost(Loss(), 10) == ".........."


def test_independent_losses_have_their_share() -> None:
    share = lost(Bernoulli(Random(1), 0.1), MANY).count("x") / MANY
    assert 0.09 < share < 0.11


def test_bursts_have_their_share_and_their_length() -> None:
    pattern = lost(GilbertElliott(Random(1), to_bad=0.01, to_good=0.25), MANY)
    bursts = [run for run in pattern.split(".") if run]
    assert 0.025 < pattern.count("x") / MANY < 0.055  # 0.01 / 0.26
    assert 3 < sum(map(len, bursts)) / len(bursts) < 5  # 1 / 0.25


def test_states_have_losses_of_their_own() -> None:
    pattern = lost(GilbertElliott(Random(1), 0.0, 1.0, in_bad=1.0, in_good=0.3), MANY)
    assert 0.28 < pattern.count("x") / MANY < 0.32


MASKS = {
    "once": (Mask("x..x"), "x..x......"),
    "repeated": (Mask(".x", repeat=True), ".x.x.x.x.x"),
    "numbers": (Numbered([1, 4]), "x..x......"),
}


@pytest.mark.parametrize(("loss", "pattern"), MASKS.values(), ids=MASKS.keys())
def test_scripts(loss: Loss, pattern: str) -> None:
    assert lost(loss, 10) == pattern


WRONG = {
    "probability": lambda: Bernoulli(Random(), 1.5),
    "state": lambda: GilbertElliott(Random(), -0.1, 0.5),
    "letters": lambda: Mask("x-"),
    "nothing": lambda: Mask(""),
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
def test_what_is_no_loss_is_refused(make: object) -> None:
    with pytest.raises(UsageError):
        make()  # type: ignore[operator]  # a table of functions
