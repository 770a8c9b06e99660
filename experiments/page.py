"""`docs/experiments.md`: the texts of the studies around their tables."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import cleandoc
from typing import Final

from experiments.study import Samples, Study, markdown

_HEAD: Final = """\
# Experiments

What plait's policies do in networks that are known to be hard, both ends being plait, in the
simulator. `make experiments` writes this page; `python -m experiments --only NAME` runs one
experiment, and `plait sim` one of its scenarios. Every value is the mean over {seeds} and its
standard deviation. Times are simulated ones, so the same version gives the same page anywhere.

The tables are as they come out: where a policy loses, to another or to plain TCP, they show it. The
reduced forms of these experiments are tests (`tests/policies/experiments`).
"""


def page(done: Iterable[tuple[Study, Samples]], seeds: int) -> str:
    """Return the whole page."""
    count = "one seed" if seeds == 1 else f"seeds 1 to {seeds}"
    head = _HEAD.format(seeds=count)
    return "\n".join([head, *(section(study, samples) for study, samples in done)])


def section(study: Study, samples: Samples) -> str:
    """Return one experiment: why and how, the tables, how to read them."""
    parts = [f"## {study.title}", cleandoc(study.text or "")]
    parts += [
        markdown(table, samples[table.name]) for table in study.tables if table.name in samples
    ]
    if study.reading:
        parts.append(cleandoc(study.reading))
    return "\n\n".join(parts) + "\n"
