"""Running scenarios: one world, one seed, one result."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from plait.arguments import nanos
from plait.sim.flows import Flow
from plait.sim.recorder import LinkRecord, Recorder
from plait.sim.result import result
from plait.sim.scenario import Scenario
from plait.sim.seed import Seed
from plait.sim.world import World, naming
from plait.trace.pcap import PcapWriter
from plait.units import SECOND


class Simulation:
    """A scenario that is ready to run, once.  Raises UsageError, which names the key.

    Args:
        scenario: What to simulate.
        seed: Overrides the scenario's.

    Attributes:
        world: Nodes and links, for tests that look inside.
        recorder: What was measured so far.
        flows: By name.
    """

    def __init__(self, scenario: Scenario, seed: int | None = None) -> None:
        self.scenario = scenario
        self.world = World(scenario, Seed(scenario.seed if seed is None else seed))
        self.end = round(scenario.duration_s * SECOND)
        self.recorder = Recorder(self.world.clock, nanos(scenario.interval_ms), scenario.series)
        for name, (forth, back) in self.world.links.items():
            self.recorder.links[f"{name}/forth"] = LinkRecord(forth)
            self.recorder.links[f"{name}/back"] = LinkRecord(back)
        self.flows = {
            name: naming(f"flows.{name}", Flow, self.world, self.recorder, name, number)
            for number, name in enumerate(scenario.flows)
        }
        for name, window in scenario.windows.items():
            start, stop = round(window.start_s * SECOND), round(window.stop_s * SECOND)
            self.recorder.add_window(name, start, stop)
        self.recorder.start()

    def run(
        self, *, pcap: Path | None = None, progress: Callable[[float], None] | None = None
    ) -> dict[str, Any]:
        """Let the scenario's time pass and return what was measured.

        Args:
            pcap: A directory to write a capture of every node to.
            progress: Told now and then what part is done, 0 to 1.
        """
        clock = self.world.clock
        with ExitStack() as files:
            if pcap is not None:
                pcap.mkdir(parents=True, exist_ok=True)
                for name, node in self.world.nodes.items():
                    file = files.enter_context((pcap / f"{name}.pcap").open("wb"))
                    node.tap = PcapWriter(file)
            step = max(1, self.end // 100)
            while clock.now < self.end:
                clock.run(min(self.end, clock.now + step))
                if progress is not None:
                    progress(clock.now / self.end)
            for node in self.world.nodes.values():
                node.tap = None
        self.recorder.finish()
        return result(self.world, self.recorder)


def run(scenario: Scenario, seed: int | None = None, pcap: Path | None = None) -> dict[str, Any]:
    """Simulate a scenario and return what was measured, ready for JSON."""
    return Simulation(scenario, seed).run(pcap=pcap)


def dump(results: dict[str, Any]) -> str:
    """Return results as JSON; the same results are the same text."""
    return json.dumps(results, indent=2, ensure_ascii=False) + "\n"
