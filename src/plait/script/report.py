"""What runs of scripts came to, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree as ET

from plait.script.session import Result, Status


def explain(result: Result) -> list[str]:
    """Return the lines that say what is wrong, none if nothing is."""
    if result.status is Status.PASSED:
        return []
    if result.status is Status.SKIPPED:
        return [result.message]
    lines = [f"{result.path}:{result.line}: {result.message}"]
    if result.expected:
        lines.append(f"  expected  {result.expected}")
    if result.actual:
        lines.append(f"  actual    {result.actual}")
    lines += [
        f"  {one.field}: expected {one.expected}, actual {one.actual}" for one in result.differences
    ]
    return lines


def summary(results: list[Result]) -> str:
    """Return the last line: how many runs ended in which way."""
    parts = []
    for status in Status:
        count = sum(result.status is status for result in results)
        if count:
            parts.append(
                f"{count} {status.value}" if status is not Status.ERROR else f"{count} bad"
            )
    return ", ".join(parts)


def exit_status(results: list[Result]) -> int:
    """Return 0 if nothing failed, 2 if a script is bad, else 1."""
    if any(result.status is Status.ERROR for result in results):
        return 2
    return int(any(result.status is Status.FAILED for result in results))


def to_json(results: list[Result]) -> str:
    """Return all results as JSON."""
    objects: list[dict[str, Any]] = []
    for result in results:
        fields = asdict(result)
        fields["status"] = result.status.value
        objects.append(fields)
    return json.dumps({"results": objects}, indent=2) + "\n"


def to_junit(results: list[Result]) -> str:
    """Return all results in the form that continuous integration reads."""
    counts = {status: sum(result.status is status for result in results) for status in Status}
    suite = ET.Element(
        "testsuite",
        name="plait script",
        tests=str(len(results)),
        failures=str(counts[Status.FAILED]),
        errors=str(counts[Status.ERROR]),
        skipped=str(counts[Status.SKIPPED]),
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    elements = {Status.FAILED: "failure", Status.ERROR: "error", Status.SKIPPED: "skipped"}
    for result in results:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=result.backend,
            name=result.path,
            time=f"{result.seconds:.3f}",
        )
        if result.status in elements:
            child = ET.SubElement(case, elements[result.status], message=result.message)
            child.text = "\n".join(explain(result))
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
