# SPDX-License-Identifier: Apache-2.0
"""What is to be reached, as data, and the ratios of one case to hold against it. A ratio is Drover's median divided by
libvirt's, so lower is better."""
import statistics
from dataclasses import dataclass

FIGURES = ("wall_s", "wire_bytes", "pause_ms", "silence_ms")
LOCAL = "local"  # the link of what stays on its host
PAUSE_SLACK_MS = 50  # a pause so close to libvirt's counts as reached: timers and schedulers weigh as much


@dataclass(frozen=True)
class Goal:
    figure: str  # wall, wire, pause, silence
    most: float


# (case, link) -> goals
GOALS = {
    ("shared-nothing", "100mbit"): [Goal("wire", 0.25), Goal("wall", 0.30), Goal("pause", 1.2)],
    ("shared-nothing", "1gbit"): [Goal("wire", 0.32), Goal("wall", 0.62), Goal("pause", 1.2)],
    ("shared-nothing", "unlimited"): [Goal("wall", 1.15), Goal("pause", 1.2)],
    ("memory", "100mbit"): [Goal("wire", 0.30), Goal("wall", 0.38), Goal("pause", 1.2)],
    ("memory", "1gbit"): [Goal("wire", 0.40), Goal("wall", 0.72), Goal("pause", 1.2)],
    ("memory", "unlimited"): [Goal("wall", 1.15), Goal("pause", 1.2)],
    ("return", "1gbit"): [Goal("wire", 0.12), Goal("wall", 0.50), Goal("pause", 1.2)],
    ("return-memory", "1gbit"): [Goal("wire", 0.06), Goal("wall", 0.48), Goal("pause", 1.2)],
    ("group", "1gbit"): [Goal("wire", 0.15), Goal("wall", 0.60), Goal("pause", 1.2)],
    ("quick", "1gbit"): [Goal("pause", 0.5)],
    ("quick-memory", "1gbit"): [Goal("pause", 0.5)],
    ("storage", "local"): [Goal("wall", 1.15)],
    ("export", "local"): [Goal("wall", 1.2)],
    ("export-off", "local"): [Goal("wall", 1.2)],
    ("multilink", "1gbit"): [Goal("wall", 0.60), Goal("pause", 1.2)],
}
REFERENCES_SAVE_LEAST = 0.25  # of the bytes of the run without them, at 100 Mbit/s


def median(samples, figure):
    values = [sample[figure] for sample in samples if sample.get(figure) is not None]
    return statistics.median(values) if values else None


def ratio(ours, theirs):
    return None if ours is None or not theirs else round(ours / theirs, 3)


def medians(samples):
    return {**{figure: median(samples, figure) for figure in FIGURES}, "kinds": kinds(samples),
            "mover_peak_bytes": max((sample["mover_peak_bytes"] for sample in samples), default=None),
            "mover_cpu_s": median([{"mover_cpu_s": sum(sample["mover_cpu_s"])} for sample in samples], "mover_cpu_s")}


def kinds(samples):
    """Kind -> median bytes, of what memory and disks said: how it travelled. {} for a side that does not tell."""
    told = [found for sample in samples if (found := sample.get("report", {}).get("kinds"))]
    return {kind: median(told, kind) for kind in (told[0] if told else {})}


def alone(case, link, runs, **figures):
    """A case without a counterpart at libvirt, as the JSON file has it: the same members, but no ratios."""
    return {"case": case, "link": link, "runs": runs, "wire_ratio": None, "wall_ratio": None, "pause_ratio": None,
            "pause_diff_ms": None, "silence_ratio": None, **figures}


def references_save(absolute):
    """The share of the bytes on the wire that references spare, None where it was not measured."""
    ours, literal = (absolute.get(side, {}).get("wire_bytes") for side in ("drover", "drover_literal"))
    return None if None in (ours, literal) or not literal else round(1 - ours / literal, 3)


def compare(case, link, samples, against="libvirt"):
    """One case as the JSON file has it; `samples` is side -> list of measured moves, of which Drover's stand in ratio to
    those of `against`."""
    absolute = {side: {**medians(moves), "samples": moves} for side, moves in samples.items()}
    ours, theirs = (absolute.get(side, dict.fromkeys(FIGURES)) for side in ("drover", against))
    difference = None if None in (ours["pause_ms"], theirs["pause_ms"]) else round(ours["pause_ms"] - theirs["pause_ms"], 1)
    runs = min((len(moves) for side, moves in samples.items() if side in ("drover", against)), default=0)
    return {"case": case, "link": link, "against": against, "runs": runs,
            "wire_ratio": ratio(ours["wire_bytes"], theirs["wire_bytes"]), "wall_ratio": ratio(ours["wall_s"], theirs["wall_s"]),
            "pause_ratio": ratio(ours["pause_ms"], theirs["pause_ms"]), "pause_diff_ms": difference,
            "silence_ratio": ratio(ours["silence_ms"], theirs["silence_ms"]),
            "references_save": references_save(absolute), **absolute}


def reached(result, goal):
    """True, False, or None when it was not measured."""
    value = result.get(f"{goal.figure}_ratio")
    if value is None:
        return None
    # Where less than libvirt's is wanted, 50 ms more than libvirt's is not it.
    slack = goal.figure == "pause" and goal.most >= 1 and result["pause_diff_ms"] <= PAUSE_SLACK_MS
    return value <= goal.most or slack


def verdicts(result):
    """(goal, reached) for each goal of this case and link. They were set for the Redis guest; another has none, but where no
    network is crossed."""
    if result.get("guest", {}).get("guest") == "probe" and result["link"] != LOCAL:
        return []
    return [(goal, reached(result, goal)) for goal in GOALS.get((result["case"], result["link"]), [])]
