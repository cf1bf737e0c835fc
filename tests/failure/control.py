# SPDX-License-Identifier: Apache-2.0
"""The control of the cells with a loss of power: with syncing as it is, a VM that has just come is whole after its host lost its power;
on a host that syncs nothing the same check must fail. If it did not, those cells would mean nothing."""
import cells
import policy
import rig as rigs

CELL = policy.Cell("settle", "destination-power", ("D-off",))


def main(rig):
    rig.build()
    honest = cells.run_cell(rig, CELL)
    print(f"with syncing: {'passed' if honest.passed else 'FAILED: ' + '; '.join(honest.wrong)}", flush=True)
    if not honest.passed:
        rig.build()
    for host in rig.hosts:
        rigs.lab_faults.put(rig.faults_of(host), "no-sync")
    rig.keeps_faults = True
    lax = cells.run_cell(rig, CELL)
    print("without syncing: " + ("PASSED, so the check finds nothing" if lax.passed else "failed, as it must: " + lax.wrong[0]))
    return 0 if honest.passed and not lax.passed else 1
