# SPDX-License-Identifier: Apache-2.0
"""docs/failure_policy.md as data: for each phase of the code and each fault, where the VM may be at the end."""
import dataclasses
import pathlib
import re

REPO = pathlib.Path(__file__).resolve().parents[2]
PAGE = REPO / "docs" / "failure_policy.md"
NAMES = REPO / "src" / "model" / "names.cpp"

# What a cell may say: (states that the move may end in, side that the VM is on, whether it runs).
ENDS = {
    "S": (("failed", "cancelled"), "source", True),
    "D": (("done",), "destination", True),
    "S-off": (("failed", "cancelled"), "source", False),
    "D-off": (("done", "parked"), "destination", False),
}

# Kind of move -> how the tables of its cells begin.
HEADS = {"live": "| phase | `", "quick": "| phase, quick | `", "offline": "| phase, offline | `"}


@dataclasses.dataclass(frozen=True)
class Cell:
    phase: str
    fault: str
    ends: tuple = ()  # keys of ENDS; empty: the cell is impossible
    reason: str = ""  # why it is
    kind: str = "live"  # of move

    @property
    def name(self):
        return f"{self.phase}/{self.fault}"


class PageError(Exception):
    """The page cannot be read; the text says what is wrong with it."""


def phases_of_the_code():
    """The names of the phases in their order, from the code's own table."""
    source = NAMES.read_text()
    table = source.split("kPhases{{", 1)[1].split("}};", 1)[0]
    return re.findall(r'\{Phase::k\w+, "([a-z-]+)"\}', table)


def words_of(row):
    return [word.strip() for word in row.strip().strip("|").split("|")]


def cell_of(kind, phase, fault, text, reasons):
    if text.startswith("– "):
        if text[2:] not in reasons:
            raise PageError(f"{phase}/{fault}: there is no reason {text[2:]}")
        return Cell(phase, fault, reason=reasons[text[2:]], kind=kind)
    ends = tuple(text.split(" / "))
    for end in ends:
        if end not in ENDS:
            raise PageError(f"{phase}/{fault}: '{text}' is no end: say {', '.join(ENDS)}, or – and the number of a reason")
    return Cell(phase, fault, ends, kind=kind)


def read(kind="live", page=PAGE):
    """Every cell of the page's tables of this kind of move, in the order of the phases there, then of the faults."""
    lines = page.read_text().splitlines()
    reasons = dict(re.match(r"(\d+)\. (.+)", line).groups() for line in lines if re.match(r"\d+\. ", line))
    cells, faults = [], []
    for line in lines:
        if line.startswith(HEADS[kind]):
            faults = [word.strip("`") for word in words_of(line)[1:]]
        elif faults and line.startswith("| `"):
            phase, *texts = words_of(line)
            if len(texts) != len(faults):
                raise PageError(f"{phase}: {len(texts)} cells for {len(faults)} faults")
            cells += [cell_of(kind, phase.strip("`"), fault, text, reasons) for fault, text in zip(faults, texts)]
        elif not line.startswith("|"):
            faults = []
    known = phases_of_the_code()
    return sorted(cells, key=lambda cell: known.index(cell.phase) if cell.phase in known else len(known))


def faults_of(cells):
    return list(dict.fromkeys(cell.fault for cell in cells))


def disagreements(cells, phases, faults, moments):
    """What the page, the code's phases, the suite's faults and the suite's means to stop in a phase do not have in common."""
    there = {(cell.phase, cell.fault) for cell in cells}
    found = [f"{phase}/{fault}: no cell in docs/failure_policy.md" for phase in phases for fault in faults
             if (phase, fault) not in there]
    found += [f"{phase}/{fault}: in docs/failure_policy.md, not in the code or the suite" for phase, fault in sorted(there)
              if phase not in phases or fault not in faults]
    found += [f"{phase}: tests/failure/moments.py cannot stop a move in it" for phase in phases if phase not in moments]
    if len(there) != len(cells):
        found.append("docs/failure_policy.md: a cell is there twice")
    return found


def strangers(cells, phases, faults, moments):
    """What a page of few cells names that the code or the suite does not have."""
    found = [f"{cell.kind} {cell.name}: in docs/failure_policy.md, not in the code or the suite" for cell in cells
             if cell.phase not in phases or cell.fault not in faults]
    found += [f"{phase}: tests/failure/moments.py cannot stop such a move in it" for phase in {cell.phase for cell in cells}
              if phase not in moments]
    return found if cells else ["docs/failure_policy.md: there are no cells of this kind of move"]


def quick(cells, least=25):
    """A few cells that touch each phase and each fault, always the same ones: for each fault the phase that was used least."""
    used, chosen = {}, []
    possible = [cell for cell in cells if cell.ends]
    faults = faults_of(cells)
    # Faults with few phases choose first: the others have more to choose from.
    rounds = sorted(faults, key=lambda fault: sum(cell.fault == fault for cell in possible))
    for fault in rounds * 2:
        if len(chosen) >= max(least, len(faults)):
            break
        left = [cell for cell in possible if cell.fault == fault and cell not in chosen]
        if left:
            cell = min(left, key=lambda cell: used.get(cell.phase, 0))
            used[cell.phase] = used.get(cell.phase, 0) + 1
            chosen.append(cell)
    return [cell for cell in cells if cell in chosen]
