# SPDX-License-Identifier: Apache-2.0
"""What is to be reached, as data, and the ratios of one case to hold against it. A ratio is Drover's median divided by
libvirt's, so lower is better."""
import statistics
from dataclasses import dataclass

FIGURES = ("wall_s", "wire_bytes", "pause_ms", "silence_ms")
PAUSE_SLACK_MS = 50  # a pause so close to libvirt's counts as reached: timers and schedulers weigh as much


@dataclass(frozen=True)
class Goal:
    figure: str  # wall, wire, pause, silence
    most: float


# (case, link) -> goals
GOALS = {("shared-nothing", link): [Goal("wall", 1.25), Goal("pause", 1.25), Goal("silence", 1.25)]
         for link in ("unlimited", "1gbit")}


def median(samples, figure):
    values = [sample[figure] for sample in samples if sample.get(figure) is not None]
    return statistics.median(values) if values else None


def ratio(ours, theirs):
    return None if ours is None or not theirs else round(ours / theirs, 3)


def medians(samples):
    return {figure: median(samples, figure) for figure in FIGURES}


def alone(case, link, runs, **figures):
    """A case without a counterpart at libvirt, as the JSON file has it: the same members, but no ratios."""
    return {"case": case, "link": link, "runs": runs, "wire_ratio": None, "wall_ratio": None, "pause_ratio": None,
            "pause_diff_ms": None, "silence_ratio": None, **figures}


def compare(case, link, samples):
    """One case as the JSON file has it; `samples` is side -> list of measured moves."""
    absolute = {side: {**medians(moves), "samples": moves} for side, moves in samples.items()}
    ours, theirs = (absolute.get(side, dict.fromkeys(FIGURES)) for side in ("drover", "libvirt"))
    difference = None if None in (ours["pause_ms"], theirs["pause_ms"]) else round(ours["pause_ms"] - theirs["pause_ms"], 1)
    return {"case": case, "link": link, "runs": min((len(moves) for moves in samples.values()), default=0),
            "wire_ratio": ratio(ours["wire_bytes"], theirs["wire_bytes"]), "wall_ratio": ratio(ours["wall_s"], theirs["wall_s"]),
            "pause_ratio": ratio(ours["pause_ms"], theirs["pause_ms"]), "pause_diff_ms": difference,
            "silence_ratio": ratio(ours["silence_ms"], theirs["silence_ms"]), **absolute}


def reached(result, goal):
    """True, False, or None when it was not measured."""
    value = result.get(f"{goal.figure}_ratio")
    if value is None:
        return None
    return value <= goal.most or (goal.figure == "pause" and result["pause_diff_ms"] <= PAUSE_SLACK_MS)


def verdicts(result):
    """(goal, reached) for each goal of this case and link."""
    return [(goal, reached(result, goal)) for goal in GOALS.get((result["case"], result["link"]), [])]
