#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the model of the handover (docs/model.md) with spin.

  check.py rules      the rules hold: no state breaks them, and no run goes on for ever
  check.py variants   each variant that leaves a rule out breaks them, in the way it should
  check.py deep       the rules with larger budgets: about two minutes and 2 GB
  check.py trace NAME prints the run that breaks the variant NAME ("rules": none), step by step

Prints a line for each search: states, depth, seconds. Exit code 0: all as expected.
"""
import pathlib
import re
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
MODEL = HERE / "handover.pml"
DEPTH_MAX = 100_000  # steps of one run; the longest is far below
SEARCH = ["-DSAFETY", "-DNOREDUCE", "-DCOLLAPSE"]  # all states, exactly, in little memory
CYCLES = ["-DNP", "-DNOREDUCE", "-DCOLLAPSE"]
PATIENCE = 900  # seconds for one search

# Crashes, lost answers, cuts of the network, cancels.
RULES = [("one fault of each kind", (1, 1, 1, 1)), ("two crashes, a lost answer", (2, 1, 0, 0)), ("two crashes, a cut", (2, 0, 1, 0)),
         ("two crashes, a cancel", (2, 0, 0, 1))]
HELD = [("the guest held, one of each", (1, 1, 1, 1)), ("the guest held, two crashes", (2, 1, 0, 0))]
DEEP = [("two crashes, all else", (2, 1, 1, 1)), ("three crashes", (3, 0, 0, 0))]
# The variant, with which docs/model.md names the rule that it leaves out, and what breaks.
TWO_RUNNERS, WRONG_END = "two runners", "wrong end"
VARIANTS = {
    "NO_FENCE": TWO_RUNNERS,
    "FENCE_DIES_WITH_THE_GATE": TWO_RUNNERS,
    "LOST_REPLY_MEANS_RESUME": TWO_RUNNERS,
    "REFUSED_WITHOUT_COMPARE": TWO_RUNNERS,
    "ACCEPTED_WITHOUT_COMPARE": TWO_RUNNERS,
    "AUTOSTART_IS_LEFT": TWO_RUNNERS,
    "NO_HOOK": TWO_RUNNERS,
    "CANCEL_BEFORE_RECORD": TWO_RUNNERS,
    "JOURNAL_ERROR_MEANS_UNDO": TWO_RUNNERS,
    "SILENCE_MEANS_STOPPED": TWO_RUNNERS,
    "A_LATE_ANSWER_IS_AWAITED": WRONG_END,
    "DOUBT_IS_ONLY_AN_EVENT": WRONG_END,
    "THE_GATE_IS_NOT_TOLD": WRONG_END,
    "ENDED_JOBS_ARE_FORGOTTEN": WRONG_END,
    "UNDO_IS_NOT_JOURNALED": WRONG_END,
    "PROOF_IS_FORGOTTEN": WRONG_END,
    "PROOF_THERE_IS_FORGOTTEN": WRONG_END,
    "SETTLED_BEFORE_FORGOTTEN": WRONG_END,
    "THE_HELD_WAIT_FOR_THEIR_GATE": WRONG_END,
}
OF_THE_HELD = {"THE_HELD_WAIT_FOR_THEIR_GATE"}


def budgets(numbers):
    return [f"-D{name}={number}" for name, number in zip(("CRASHES", "LOSSES", "CUTS", "CANCELS"), numbers)]


def search(folder, defines, compiled=SEARCH, arguments=()):
    """What pan said, as text. The trail of what it found stays in `folder`."""
    subprocess.run(["spin", *defines, "-a", MODEL], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["gcc", "-O2", "-w", "-o", "pan", *compiled, "pan.c"], cwd=folder, check=True)
    # -E: who waits for nothing more is no error; the_end judges that.
    return subprocess.run(["./pan", f"-m{DEPTH_MAX}", "-E", "-w24", *arguments], cwd=folder, capture_output=True, text=True,
                          timeout=PATIENCE).stdout


def number(pattern, said):
    found = re.search(pattern, said)
    return int(found.group(1)) if found else -1


def judge(said):
    """"" where nothing was found and all was searched."""
    if number(r"errors: (\d+)", said) == 0 and "not completed" not in said and "max search depth" not in said:
        return ""
    broken = re.search(r"assertion violated (.*) \(at depth", said)
    if broken is None:
        return "a run without end" if "non-progress cycle" in said else f"no result: {said[-500:]}"
    return TWO_RUNNERS if re.search("two_runners|older_disks", broken.group(1)) else WRONG_END


def never_reached(said):
    """Lines of the model that no run came to: a rule that cannot happen is a fault of the model."""
    return [line.strip() for line in re.findall(r"^\t(.*state \d+, .*)$", said, re.M) if '"-end-"' not in line]


def report(name, said, seconds, verdict):
    states, depth = number(r"(\d+) states, stored", said), number(r"depth reached (\d+)", said)
    print(f"{name:28} {states:>9} states, depth {depth:>3}, {seconds:5.1f} s: {verdict}", flush=True)


def check(name, expected, *arguments, complete=False):
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        said = search(folder, *arguments)
        found = judge(said)
        missed = never_reached(said) if complete else []
        right = found == expected and not missed
        report(name, said, time.monotonic() - started, (found or "holds") if right else f"WRONG: found '{found}', expected '{expected}'")
        for line in missed:
            print(f"  never reached: {line}")
        return right


def check_rules(configurations, *defines):
    return [check(name, "", [*budgets(numbers), *defines], complete=numbers == RULES[0][1]) for name, numbers in configurations]


def variant_defines(name):
    return [f"-D{name}"] + (["-DHELD"] if name in OF_THE_HELD else []) + (["-DONLY_SAFETY"] if VARIANTS[name] == TWO_RUNNERS else [])


def trace(name):
    with tempfile.TemporaryDirectory() as folder:
        defines = variant_defines(name) if name in VARIANTS else []
        # A short run is easier to read than the first that is found.
        said = search(folder, defines, ["-DSAFETY", "-DNOREDUCE", "-DCOLLAPSE", "-DBFS"])
        print(judge(said) or "holds")
        trail = pathlib.Path(folder) / "handover.pml.trail"
        if not trail.exists():
            return
        told = subprocess.run(["spin", *defines, "-t", "-p", "-k", trail, MODEL], cwd=folder, capture_output=True, text=True).stdout
    last = ""
    for step, process, file, line in re.findall(r"^\s*(\d+):\s+proc\s+\d+ \((\w+):\d+\) \S*?(\w+\.pml):(\d+) ", told, re.M):
        if step != last:
            source = (HERE / file).read_text().splitlines()[int(line) - 1].strip()
            print(f"{step:>3} {process:20} {file}:{line:4} {source}")
        last = step


def main():
    words = sys.argv[1:]
    if words[:1] == ["trace"] and len(words) == 2:
        return trace(words[1])
    if words == ["rules"]:
        results = check_rules(RULES) + check_rules(HELD, "-DHELD")
        results.append(check("no run without end", "", budgets((1, 1, 1, 1)), CYCLES, ["-l"]))
    elif words == ["deep"]:
        results = check_rules(DEEP)
    elif words == ["variants"]:
        results = [check(name, expected, variant_defines(name)) for name, expected in VARIANTS.items()]
    else:
        print(__doc__)
        return 2
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
