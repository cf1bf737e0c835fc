#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The model of the handover (tests/model/handover.pml) has the names of the code's states: of the ownership records,
the gates' machines, the phases, the states of a move, and the destination's answers. A state that is new in the code
has to be thought about in the model."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def text(path):
    return (ROOT / path).read_text()


def between(source, first, last):
    """What stands between the two, which must be there."""
    return source.split(first, 1)[1].split(last, 1)[0]


def words(source):
    return {word.replace("-", "_") for word in re.findall(r'"([a-z_-]+)"', source)}


def code_names():
    records = text("src/gate/ownership_record.cpp")
    names = text("src/model/names.cpp")
    gate_states = ("kNames[] = {", "}")
    return {
        "record": words(between(records, "kSourceStates{", "};")),
        "decision": {"reserved"} | words(between(records, "Result<Decision> decision_of", "return fail")),
        "sgate": words(between(text("src/gate/source_machine.cpp"), *gate_states)),
        "dgate": words(between(text("src/gate/destination_machine.cpp"), *gate_states)),
        "phase": words(between(names, "kPhases{{", "}};")),
        "job": words(between(names, "kStates{{", "}};")),
        "answer": words(between(text("src/move/peer_messages.cpp"), "kKinds{", "}};")),
    }


def model_names(group):
    declared = re.search(rf"^mtype:{group} = \{{([^}}]*)\}};", text("tests/model/handover.pml"), re.M)
    if declared is None:
        return set()
    # A guest that is gone is told apart by whether it ran.
    return {re.sub(r"_ran_\w+$", "", name.strip().removeprefix(f"{group}_")) for name in declared.group(1).split(",")}


def main():
    faults = []
    for group, in_code in code_names().items():
        in_model = model_names(group)
        if not in_code:
            faults.append(f"{group}: its names are no longer where this check looks for them in the code")
        faults += [f"{group}_{name}: in the code, not in tests/model/handover.pml" for name in sorted(in_code - in_model)]
        faults += [f"{group}_{name}: in tests/model/handover.pml, not in the code" for name in sorted(in_model - in_code)]
    print("\n".join(faults) or "The model of the handover has the code's names.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
