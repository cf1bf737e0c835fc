#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/failure_policy.md has a cell for each phase of the code and each fault of the failure suite, and for nothing else; the suite can
stop a move in each phase; and its quick choice touches each of both."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests" / "failure"))

import rig  # noqa: E402, F401  (sets the paths of what the suite stands on)
import harm  # noqa: E402
import moments  # noqa: E402
import policy  # noqa: E402

QUICK_LEAST = 25


def main():
    try:
        cells = policy.read()
    except policy.PageError as error:
        print(error)
        return 1
    phases, faults = policy.phases_of_the_code(), list(harm.FAULTS)
    wrong = policy.disagreements(cells, phases, faults, moments.MOMENTS)
    if not phases:
        wrong.append("src/model/names.cpp: the table of phases is no longer where this check looks for it")
    quick = policy.quick(cells, QUICK_LEAST)
    for kind in set(policy.HEADS) - {"live"}:
        wrong += policy.strangers(policy.read(kind), phases, faults, moments.MOMENTS_OF[kind])
    possible = [cell for cell in cells if cell.ends]
    wrong += [f"{phase}: the quick choice does not touch it" for phase in phases if phase not in {cell.phase for cell in quick}]
    wrong += [f"{fault}: the quick choice does not touch it" for fault in faults
              if fault in {cell.fault for cell in possible} and fault not in {cell.fault for cell in quick}]
    if len(quick) < QUICK_LEAST:
        wrong.append(f"the quick choice has {len(quick)} cells, not {QUICK_LEAST}")
    print("\n".join(wrong) or f"{len(cells)} cells of the failure policy, {len(possible)} of them possible, {len(quick)} quick.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
