# SPDX-License-Identifier: Apache-2.0
"""Where in a phase a fault strikes, and how the move is made to stand there: docs/failure_policy.md, "The moment of the fault".

A moment is arranged before the move starts, awaited, and let go after the blow. While it is stood in, the source's droverd may be
stopped; then it answers nothing.
"""
import contextlib
import os
import signal
import time

import rig as rigs
from product import ENDED, until

REACHED_WITHIN = 90.0
CARRIED_BYTES = 1 << 20


class Moment:
    """What the moments have in common: where they can be."""
    may_be_late = False  # the fault may find nothing to strike any more


class Missed(Exception):
    """The move ended, or went past, before the moment came: nothing can be said about the cell."""


class Held(Moment):
    """droverd of the source stands still just after a row with this text was written to its journal, of a move that is under way:
    that of the move before is written again late."""

    def __init__(self, text):
        self.text = "\n".join([text, *(f'!"state":"{state}"' for state in ENDED)])

    def arrange(self, scene):
        rigs.lab_faults.put(scene.rig.faults_of(scene.source), "hold", self.text)

    def wait(self, scene):
        folder = scene.rig.faults_of(scene.source)
        pids = scene.source.pids("droverd")

        def holds():
            if rigs.lab_faults.is_held(folder, pids):
                return True
            if scene.has_ended():
                raise Missed(f"the move ended before {self.text}")
            return False

        until(holds, f"droverd holds at {self.text}", REACHED_WITHIN, pause=0.01)

    def let_go(self, scene):
        for pid in scene.source.pids("droverd"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


class Carrying(Moment):
    """Disks or memory flow, at a rate at which the blow comes in time."""

    def __init__(self, phase, part, rate):
        self.phase, self.part, self.rate = phase, part, rate

    def arrange(self, scene):
        scene.rig.lab.run("link", self.rate)

    def wait(self, scene):
        def flows(move):
            return move["state"] in ENDED or move["phase"] not in BEFORE[self.phase]

        def carried():
            move = scene.source.move(scene.move_id)
            if move["state"] in ENDED or move["phase"] != self.phase:
                raise Missed(f"the move is {move['state']} in {move['phase']}")
            return move["progress"][self.part]["done_bytes"] >= CARRIED_BYTES

        scene.source.wait_move(scene.move_id, flows, REACHED_WITHIN, pause=0.02)
        until(carried, f"{self.part} flow", REACHED_WITHIN, pause=0.02)

    def let_go(self, scene):
        if not scene.keeps_link:
            scene.rig.lab.run("link", "unlimited")


class Answered(Moment):
    """libvirt at the destination has switched, and its answer is held: nobody has heard it."""
    AT = "finish:reply:before"

    def arrange(self, scene):
        host = scene.destination
        host.path("/run/libvirt/" + rigs.RELAY).unlink()
        scene.rig.lab.run("rpc-relay", host.name, "start", "--at", self.AT, "--do", "hold")

    def wait(self, scene):
        scene.rig.lab.run("rpc-relay", scene.destination.name, "wait", "--at", self.AT, "--timeout", REACHED_WITHIN)

    def let_go(self, scene):
        scene.rig.lab.run("rpc-relay", scene.destination.name, "release", check=False)


class Sometime(Moment):
    """So long after the move began, whatever it does then."""
    may_be_late = True

    def __init__(self, delay_s, rate):
        self.delay_s, self.rate = delay_s, rate

    def arrange(self, scene):
        scene.rig.lab.run("link", self.rate)

    def wait(self, _scene):
        time.sleep(self.delay_s)

    def let_go(self, scene):
        if not scene.keeps_link:
            scene.rig.lab.run("link", "unlimited")


def entered(phase):
    """The row that says that a phase has begun: it is the only one without an end."""
    return Held(f'{{"phase":"{phase}","started_at"')


MOMENTS = {
    "plan": entered("plan"),
    "admit": entered("admit"),
    "reserve": Held('"reserved":true'),
    "prepare": Held('"autostart_cleared":true'),
    "copy-disks": Carrying("copy-disks", "disks", "20mbit"),
    "copy-memory": Carrying("copy-memory", "memory", "60mbit"),
    "switch": Answered(),
    "verify": entered("verify"),
    "settle": entered("settle"),
}
# Those of moves without libvirt's migration, as far as they are others: they ask the destination themselves to take the VM.
COLD = {**MOMENTS, "switch": Held('"migrate_called":true')}
MOMENTS_OF = {"live": MOMENTS, "quick": COLD, "offline": {phase: at for phase, at in COLD.items() if phase != "copy-memory"}}
ORDER = list(MOMENTS)
BEFORE = {phase: ORDER[:number] for number, phase in enumerate(ORDER)}
