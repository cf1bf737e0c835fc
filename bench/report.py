# SPDX-License-Identifier: Apache-2.0
"""What a run prints at its end: a table of ratios, the goals, and what the sides took. Markdown, to be kept as it is."""
import statistics

import case_busy
import case_group
import case_idle
import case_mover
import goals
from sides import LIBVIRT_WAYS

DROVERS = ("drover", case_group.UNGROUPED, "drover_literal")
MOVER_PEAK_BYTES_MAX = 256 << 20
FIGURES = (("wall", "wall_s", "{:.2f} s", 1), ("wire", "wire_bytes", "{:.1f} MB", 1e-6), ("pause", "pause_ms", "{:.0f} ms", 1),
           ("silence", "silence_ms", "{:.0f} ms", 1))


def table(head, rows):
    """A Markdown table with even columns."""
    rows = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def show(value, form, scale=1):
    return "-" if value is None else form.format(value * scale)


def verdict(reached):
    return {True: "reached", False: "FALLS SHORT", None: "not measured"}[reached]


def ratios(results):
    rows = []
    for result in results:
        wanted = dict((goal.figure, (goal, reached)) for goal, reached in goals.verdicts(result))
        for name, figure, form, scale in FIGURES:
            goal, reached = wanted.get(name, (None, None))
            rows.append([result["case"], result["link"], result["runs"], name,
                         show(result.get(result.get("against"), {}).get(figure), form, scale),
                         show(result.get("drover", {}).get(figure), form, scale), show(result[f"{name}_ratio"], "{:.2f}"),
                         f"<= {goal.most}" if goal else "", verdict(reached) if goal else ""])
    return table(["case", "link", "runs", "figure", "libvirt, or one pair", "Drover", "ratio", "goal", ""], rows)


def mean(samples, pick):
    values = [value for value in map(pick, samples) if value is not None]
    return statistics.mean(values) if values else None


def processors(results):
    """Processor seconds of a move, mean over the runs."""
    rows = []
    for result in results:
        for side in ("libvirt", *DROVERS):
            samples = result.get(side, {}).get("samples", [])
            if samples:
                cells = [show(mean(samples, lambda sample, role=role: sample["cpu_s"].get(role)), "{:.2f}")
                         for role in ("mover", "gate", "droverd", "libvirtd", "qemu")]
                rows.append([result["case"], result["link"], side, *cells])
    return table(["case", "link", "side", "movers", "gates", "droverds", "libvirtds", "QEMUs"], rows)


def phases(results):
    """Where Drover's time goes, mean over the runs; beside it the time of libvirt's job in a move by libvirt alone."""
    rows = []
    for result in results:
        samples = result.get("drover", {}).get("samples", [])
        names = list(dict.fromkeys(name for sample in samples for name in sample.get("phases_s", {})))
        spent = ", ".join(f"{name} {show(mean(samples, lambda sample, n=name: sample['phases_s'].get(n)), '{:.2f}')}"
                          for name in names)
        job = show(mean(result.get("libvirt", {}).get("samples", []), lambda sample: sample["job_s"]), "{:.2f}")
        rows.append([result["case"], result["link"], job, spent or "-"])
    return table(["case", "link", "libvirt's job (s)", "Drover's phases (s)"], rows)


KINDS = (("untouched", "untouched_bytes"), ("zero", "zero_bytes"), ("same", "same_bytes"), ("cached", "cached_bytes"),
         ("own disk", "own_disk_bytes"), ("residue", "residue_bytes"), ("group", "group_bytes"),
         ("packed", "packed_bytes"), ("became", "wire_bytes"), ("resent", "resent_bytes"))


def kinds(results):
    """What Drover made of the bytes that QEMU gave it, medians in MB; "" if no build told."""
    rows = []
    for result in results:
        for side in DROVERS:
            found = result.get(side, {}).get("kinds")
            if found:
                rows.append([result["case"], result["link"], side, *(show(found.get(kind), "{:.1f}", 1e-6) for _, kind in KINDS),
                             show(found.get("misses"), "{:.0f}")])
    return table(["case", "link", "side", *(name for name, _ in KINDS), "misses"], rows) if rows else ""


def copies(results):
    """Disks that stay on their host: what each side took, and how much of the disk that is in a second; "" if there are none."""
    rows = []
    for result in results:
        if not result.get("disk_bytes"):
            continue
        ours = goals.median(result.get("drover", {}).get("samples", []), "wall_s")
        for side in [name for name, found in result.items() if isinstance(found, dict) and "samples" in found]:
            wall = goals.median(result[side]["samples"], "wall_s")
            rows.append([result["case"], show(result["disk_bytes"], "{:.0f} MB", 1e-6), side, show(wall, "{:.2f} s"),
                         show(result["disk_bytes"] / wall if wall else None, "{:.0f} MB/s", 1e-6),
                         show(goals.ratio(ours, wall), "{:.2f}")])
    return table(["case", "disk", "side", "wall", "of the disk", "Drover to it"], rows) if rows else ""


def ways(results):
    """libvirt's own ways beside Drover's, where more than the plain one was measured; "" if nowhere."""
    rows = []
    for result in results:
        sides = [side for side in LIBVIRT_WAYS if side in result]
        for side in [*sides, "drover"] if len(sides) > 1 else []:
            found = result.get(side, {})
            rows.append([result["case"], result["link"], side,
                         *(show(found.get(figure), form, scale) for _, figure, form, scale in FIGURES),
                         *(show(goals.ratio(result.get("drover", {}).get(figure), found.get(figure)), "{:.2f}")
                           for figure in ("wall_s", "wire_bytes"))])
    return table(["case", "link", "side", *(name for name, *_ in FIGURES), "Drover's wall to it", "wire"], rows) if rows else ""


def savings(results):
    """(what, measured, goal, reached) of what references save."""
    rows = []
    for result in results:
        saved = result.get("references_save")
        if saved is not None:
            goal = goals.REFERENCES_SAVE_LEAST if result["link"] == "100mbit" else None
            rows.append((f"references save, {result['link']}", f"{saved:.0%}", f">= {goal:.0%}" if goal else "",
                         saved >= goal if goal else None))
    return rows


def peaks(results):
    """(what, measured, goal, reached) of the largest mover of all moves."""
    sizes = [sample["mover_peak_bytes"] for result in results for sample in result.get("drover", {}).get("samples", [])]
    if not any(sizes):
        return []
    return [("mover, most memory", f"{max(sizes) / 1e6:.1f} MB", "< 256 MiB", max(sizes) < MOVER_PEAK_BYTES_MAX)]


def others(results, moves):
    rows = peaks(moves) + savings(moves)
    for result in results:
        if result["case"] == case_idle.NAME:
            rows += case_idle.verdicts(result)
        elif result["case"] == case_mover.NAME:
            rows += case_mover.verdicts(result)
        elif result["case"] == case_busy.NAME:
            rows += case_busy.verdicts(result)
    return [[what, measured, goal, verdict(reached) if goal else ""] for what, measured, goal, reached in rows]


def text(machine, results, scene):
    """The whole report."""
    moves = [result for result in results if "libvirt" in result or "drover" in result]
    parts = [machine]
    if moves:
        parts += ["Medians; the ratio is Drover to libvirt, lower is better:", ratios(moves),
                  "Processor seconds of one move, mean:", processors(moves), "Where the time goes, mean:", phases(moves)]
        told = copies(moves)
        parts += ["Disks that stay on their host, medians:", told] if told else []
        told = ways(moves)
        parts += ["What else libvirt can do, medians:", told] if told else []
        told = kinds(moves)
        parts += ["How bytes travelled, medians in MB:", told] if told else []
    extra = others(results, moves)
    if extra:
        parts += [table(["besides", "measured", "goal", ""], extra)]
    for title, lines in (("Failed:", scene.failures), ("Went wrong and was repeated:", scene.repeated)):
        if lines:
            parts += ["\n".join([title, *(f"* {line}" for line in lines)])]
    return "\n\n".join(parts) + "\n"
