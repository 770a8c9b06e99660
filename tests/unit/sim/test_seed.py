from __future__ import annotations

import pytest

from plait.sim.seed import Seed, exponential


def test_a_part_has_the_same_chance_every_time() -> None:
    assert Seed(1).octets("a") == Seed(1).octets("a")
    assert Seed(1).random("a").random() == Seed(1).random("a").random()


@pytest.mark.parametrize(("number", "name"), [(2, "a"), (1, "b"), (11, "a"), (1, "/a")])
def test_other_parts_and_other_seeds_have_another(number: int, name: str) -> None:
    assert Seed(number).octets(name) != Seed(1).octets("a")
    assert Seed(number).random(name).random() != Seed(1).random("a").random()


def test_the_streams_are_those_of_every_version_of_python() -> None:
    random = Seed(7).random("link/loss")
    assert [int(random.random() * 1_000_000) for _ in range(3)] == [209352, 702609, 474853]


def test_the_mean_of_exponential_numbers() -> None:
    random = Seed(1).random("x")
    drawn = [exponential(random, 50.0) for _ in range(20_000)]
    assert 49 < sum(drawn) / len(drawn) < 51
    assert min(drawn) >= 0
