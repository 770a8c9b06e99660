"""Taking faults away from a case that fails, as long as it still fails in the same way."""

from __future__ import annotations

from typing import Final

from plait.sim.torture.case import Case
from plait.sim.torture.rig import Verdict, run_case

MOST_RUNS: Final = 60
"""Runs spent on one case."""


def shrink(case: Case, verdict: Verdict, runs: int = MOST_RUNS) -> tuple[frozenset[int], Verdict]:
    """Return the faults that the case fails without, and how it fails then.

    Greedy: one fault after the other is taken away and brought back if it was needed.  Faults that
    excuse a loss stay, since without them another outcome would be asked for.
    """
    gone: frozenset[int] = frozenset()
    again = True
    while again:
        again = False
        for number, fault in enumerate(case.faults):
            if number in gone or fault.fatal:
                continue
            if runs <= 0:
                return gone, verdict
            runs -= 1
            tried = run_case(case.without(gone | {number}))
            if tried.invariant == verdict.invariant:
                gone |= {number}
                verdict = tried
                again = True
    return gone, verdict
