# SPDX-License-Identifier: Apache-2.0
"""What the failure suite and the soak say: a line for each cell as it ends, the matrix, and the JSON file."""
import dataclasses
import json

import policy


@dataclasses.dataclass
class Outcome:
    phase: str
    fault: str
    end: str = ""
    runs_on: str = ""
    passed: bool = False
    seconds: float = 0.0
    wrong: list = dataclasses.field(default_factory=list)
    move: str = ""
    foreseeable: bool = False


def line(outcome, number, count):
    said = f"[{number}/{count}] {outcome.phase}/{outcome.fault}: {outcome.end or 'no end'}"
    said += f", runs on {outcome.runs_on}" if outcome.runs_on else ", does not run"
    said += f", {outcome.seconds} s: " + ("passed" if outcome.passed else "FAILED")
    return "\n".join([said, *(f"    {wrong}" for wrong in outcome.wrong)])


def matrix(outcomes):
    """A row for each fault, a column for each phase: the end that was found, with ! where the cell did not pass."""
    phases = policy.phases_of_the_code()
    found = {(outcome.phase, outcome.fault): outcome for outcome in outcomes}
    faults = list(dict.fromkeys(outcome.fault for outcome in outcomes))
    rows = [["", *phases]]
    for fault in faults:
        cells = [found.get((phase, fault)) for phase in phases]
        rows.append([fault, *(("" if cell is None else (cell.end or "?") + ("" if cell.passed else " !")) for cell in cells)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip() for row in rows)


def summary(outcomes):
    failed = [outcome for outcome in outcomes if not outcome.passed]
    seconds = sum(outcome.seconds for outcome in outcomes)
    foreseeable = sum(outcome.foreseeable for outcome in outcomes)
    return (f"{len(outcomes)} cells, {len(outcomes) - len(failed)} passed, {len(failed)} failed, {seconds / 60:.1f} minutes; "
            f"moves that failed for a reason that the plan could have known: {foreseeable}")


def told(outcomes, kind="", seed=None):
    """What stands at the end: of the cells of one kind of move, or of the soak with a seed."""
    if seed is not None:
        return f"soak with seed {seed}: {summary(outcomes)}"
    return f"{kind} moves\n\n{matrix(outcomes)}\n\n{summary(outcomes)}"


def write(path, outcomes, **what):
    """`what`: as told() takes it."""
    with open(path, "w") as file:
        json.dump({**what, "foreseeable": sum(outcome.foreseeable for outcome in outcomes),
                   "cells": [dataclasses.asdict(outcome) for outcome in outcomes]}, file, indent=1, ensure_ascii=False)
        file.write("\n")


def read(path):
    """What told() says of a file that write() made."""
    with open(path) as file:
        found = json.load(file)
    outcomes = [Outcome(**cell) for cell in found.pop("cells")]
    del found["foreseeable"]
    return told(outcomes, **found)


def good(outcomes):
    return all(outcome.passed for outcome in outcomes) and not any(outcome.foreseeable for outcome in outcomes)
