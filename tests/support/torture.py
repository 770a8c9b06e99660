"""A case of the torture rig without faults, for tests that add their own."""

from __future__ import annotations

from typing import Final

from plait.sim.torture.case import Case, PartyPlan, PathPlan, TalkPlan

PLAIN: Final = Case(
    seed=1,
    paths=(PathPlan(rate_mbit=10, delay_ms=5, queue_ms=50),) * 2,
    talks=(TalkPlan(start=0, initiator=PartyPlan(octets=50_000), listener=PartyPlan(octets=3000)),),
)
