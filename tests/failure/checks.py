# SPDX-License-Identifier: Apache-2.0
"""What is true after a cell, from QEMU's processes, the guest and files; what droverd says is only held against that."""
import os
import re

import policy
import rig as rigs
from product import ENDED, IMAGES, brief, until

# Within which processes end, and rows are written, after a move has ended.
SETTLES_WITHIN = 30.0
COPYING = ("copy-disks", "copy-memory")
# Codes of errors of the kind that a plan finds.
FORESEEABLE = {"NOT_FOUND", "CONFLICT", "PERMISSION", "POLICY", "NO_SPACE", "INVALID_ARGUMENT", "UNSUPPORTED"}


def where(scene):
    """(side on which the VM is, whether it runs) by processes and libvirt's definitions; (None, …): lost, or in two places. A QEMU
    whose guest stands still, as one behind the fence does, is no runner."""
    sides = {"source": scene.source, "destination": scene.destination}
    running = [side for side, host in sides.items() if scene.rig.qemus(host) and host.domstate(rigs.GUEST) == "running"]
    if running:
        return (running[0] if len(running) == 1 else None), True
    may_start = [side for side, host in sides.items() if host.domstate(rigs.GUEST) and not is_barred(host)]
    return (may_start[0] if len(may_start) == 1 else None), False


def is_barred(host):
    """Whether the host's own ownership record says that nothing may start the VM there (docs/ownership.md, rule 6)."""
    records = host.path("/var/lib/drover/records").glob("*.source")
    return any(re.search(r"^state (switching|released)$", record.read_text(), re.M) for record in records)


def ended_as(move, place):
    """The end of the table that was found, None if it is none of them."""
    for name, (states, side, runs) in policy.ENDS.items():
        if move["state"] in states and place == (side, runs):
            return name
    return None


def settled(scene, move):
    """Waits until the processes are as the end of the move says they are; what is found then."""
    def at_rest():
        place = where(scene)
        return place if ended_as(move, place) in scene.cell.ends else None

    try:
        return until(at_rest, "", SETTLES_WITHIN, pause=0.2)
    except AssertionError:
        return where(scene)


def guest_faults(scene, runs_on, runs):
    """The guest proves its records; one that is off is started where it is, and must boot there with every record of its disk."""
    if not runs:
        scene.rig.start(runs_on)
    result = scene.rig.lab.verify(rigs.GUEST)
    if result["ok"]:
        return []
    if scene.fault.hurts_disk and runs_on is scene.host(scene.fault.hurts_disk) and only_failed_transfers(result):
        scene.disk_was_ill = True
        return []
    return [f"the guest: {result['error']}"]


def only_failed_transfers(result):
    """While its disk gave errors, the guest's own writes failed, as they do on a broken disk: it counts that, and nothing else."""
    bad = [(part, result[part]) for part in ("memory", "disk", "adopted") if part in result and result[part]["bad"]]
    return bool(bad) and all(part == "disk" and found["bad"] == 1 and re.fullmatch(r"\d+ transfers failed", found["first"])
                             for part, found in bad)


def file_faults(scene, runs_on):
    """The disk is where the VM is; elsewhere is nothing of it but what is in quarantine, or listed as residue."""
    faults = []
    for host in scene.rig.hosts:
        kept = {os.path.basename(disk["kept_path"]) for disk in host.kept()}
        expected = {os.path.basename(scene.rig.disk)} if host is runs_on else set()
        there = {name for name in host.files(IMAGES) if name.startswith(rigs.GUEST)} - kept
        faults += [f"{name} is left on {host.name}" for name in sorted(there - expected)]
        faults += [f"{name} is missing on {host.name}" for name in sorted(expected - there)]
        defined = host.domstate(rigs.GUEST)
        if bool(defined) != (host is runs_on):
            faults.append(f"on {host.name} the VM is {defined or 'not defined'}")
    return faults


def leftover_faults(scene, *hosts):
    try:
        until(lambda: not any(host.leftovers() for host in hosts), "", SETTLES_WITHIN, pause=0.3)
    except AssertionError:
        return [f"left on {host.name}: {', '.join(host.leftovers())}" for host in hosts if host.leftovers()]
    return []


def word_faults(scene, move, runs_on, end):
    """droverd's own word agrees, and says why a move did not come about."""
    faults = []
    if move["state"] not in ENDED:
        faults.append(f"the move has not ended: {brief(move)}")
    if move["state"] == "parked" and not move["explanation"]:
        faults.append("the move is parked without an explanation")
    if move["state"] in ("failed", "cancelled", "parked") and not (move.get("error") or {}).get("message"):
        faults.append("the move gives no reason")
    has_it = {"D": "destination", "S": "source"}
    if scene.cell.kind == "offline" and move["state"] != "parked":
        has_it |= {"D-off": "destination", "S-off": "source"}
    if move["runner"] != has_it.get(end, move["runner"]):
        faults.append(f"droverd says that {move['runner']} has the VM, it is on {runs_on.name}")
    if scene.cell.fault == "cancel" and end in ("S", "S-off") and move["state"] != "cancelled":
        faults.append(f"a cancelled move ended as {move['state']}")
    return faults + reason_faults(scene, move)


def reason_faults(scene, move):
    """A fault that the destination alone sees is named to the source's user as what it is, with the host and what helps."""
    if not scene.fault.says or scene.cell.kind == "live" or move["state"] != "failed" or move["phase"] not in COPYING:
        return []
    error = move["error"]
    text = f"{error['code']} {error['message']}"
    if re.search(scene.fault.says, text) and scene.destination.name in text:
        return []
    return [f"the error does not explain {scene.fault.name}: {text} {error['causes']}"]


def foreseeable(scene, move):
    """Whether a move failed for a reason that its plan could have known: one that was there before the fault, or that does not
    come from it."""
    if move["state"] != "failed":
        return False
    code = (move.get("error") or {}).get("code")
    return not scene.struck or (code in FORESEEABLE and not scene.fault.explains)


def after(scene, move):
    """(end as in the table or what it is, host that has the VM or None, what is wrong)"""
    side, runs = settled(scene, move)
    end = ended_as(move, (side, runs))
    faults = []
    if end not in scene.cell.ends:
        faults.append(f"the end is {end or move['state']}, not {' or '.join(scene.cell.ends)}: the VM "
                      f"{'runs' if runs else 'is off'} {'on the ' + side if side else 'nowhere, or on both'}; {brief(move)}")
    twice = scene.watch.twice(scene.source, scene.destination) if scene.watch else []
    if twice:
        faults.append(f"TWO RUNNERS: the source executed the guest in {len(twice)} samples after the destination began")
    if side is None:
        return end, None, faults
    host = scene.host(side)
    faults += word_faults(scene, move, host, end)
    if move["state"] == "parked":
        # What a person has to settle is still there: the other copy, and the records that say who may run it.
        return end, host, faults + parked_faults(scene, host)
    faults += guest_faults(scene, host, runs)
    faults += leftover_faults(scene, *scene.rig.hosts)
    faults += file_faults(scene, host)
    return end, host, faults


def parked_faults(scene, host):
    """The newer disk is there and whole."""
    if not host.path(scene.rig.disk).exists():
        return [f"the disk is missing on {host.name}"]
    return guest_faults(scene, host, bool(scene.rig.qemus(host)))
