"""The page of the experiments, and what makes it."""

from __future__ import annotations

import pickle
from inspect import cleandoc
from pathlib import Path

import pytest

from experiments.__main__ import PAGE, STUDIES
from experiments.page import page
from experiments.study import EXAMPLES, SCHEDULERS, Study, Table, collect, markdown, shown, simulate
from plait.host.intents import INTENTS
from plait.scheduling import schedulers

QUICK, WHOLE = True, False

CELLS: dict[str, tuple[list[float | None], str]] = {
    "one seed": ([1.25], "1.2"),
    "several": ([1.0, 2.0, 3.0], "2.0 ±1.0"),
    "not of all": ([1.0, 3.0, None], "2.0 ±1.4 (2 of 3)"),
    "of one": ([None, 4.0], "4.0 (1 of 2)"),
    "of none": ([None], "-"),
    "empty": ([], "-"),
}


@pytest.mark.parametrize(("values", "text"), CELLS.values(), ids=CELLS.keys())
def test_cells(values: list[float | None], text: str) -> None:
    assert shown(values, 1) == text


def test_a_table_has_the_columns_of_all_its_rows() -> None:
    table = Table(name="t", caption="So:", digits=0)
    rows: dict[str, dict[str, list[float | None]]] = {"a": {"x": [1.0]}, "b": {"y": [2.0]}}
    assert markdown(table, rows).splitlines() == [
        "So:",
        "",
        "| scheduler | x | y |",
        "|---|---:|---:|",
        "| a | 1 | - |",
        "| b | - | 2 |",
    ]


def test_every_scheduler_and_intent_of_plait_has_a_row() -> None:
    own = {name for name in schedulers.names() if schedulers.find(name).__module__[:6] == "plait."}
    assert set(SCHEDULERS) == own
    intents = {
        case.row for study in STUDIES if study.name == "handover" for case in study.cases(1, QUICK)
    }
    assert intents - {"TCP on Wi-Fi"} == set(INTENTS)


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
@pytest.mark.parametrize("quick", [True, False])
def test_cases_travel_to_other_processes_and_are_alike_for_all_seeds(
    study: Study, quick: bool
) -> None:
    cases = study.cases(1, quick)
    copies = pickle.loads(pickle.dumps(cases))  # noqa: S301 - what we have just written
    assert [case.scenario for case in copies] == [case.scenario for case in cases]
    named = [(case.table, case.row) for case in cases]
    assert named == [(case.table, case.row) for case in study.cases(2, quick)]
    assert {table for table, _ in named} <= {table.name for table in study.tables}


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_the_page_is_that_of_these_experiments(study: Study) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"## {study.title}\n\n{cleandoc(study.text or '')}\n" in text
    assert f"\n\n{cleandoc(study.reading)}\n" in text
    assert all(table.caption in text for table in study.tables)
    assert all(f"\n| {case.row} | " in text for case in study.cases(1, WHOLE))


def test_the_scenarios_of_the_page_are_there() -> None:
    words = PAGE.read_text(encoding="utf-8").split("(../examples/sim/")[1:]
    named = {word.partition(")")[0] for word in words}
    assert len(named) >= 6
    assert all(Path(EXAMPLES, name).is_file() for name in named)


def test_the_same_seed_gives_the_same_page() -> None:
    study = next(one for one in STUDIES if one.name == "completion")
    cases = [case for case in study.cases(1, QUICK) if case.row in {"default", "redundant"}]
    pages = []
    for _ in range(2):
        samples: dict[str, dict[str, dict[str, list[float | None]]]] = {}
        collect(cases, [simulate(case, 3) for case in cases], samples)
        pages.append(page([(study, samples)], 1))
    assert pages[0] == pages[1]
    assert "| redundant | 0.1" in pages[0]
