# SPDX-License-Identifier: Apache-2.0
"""Case `storage`: the disk of a running guest goes to another folder of its host, by `drover move --to-storage` and by
`virsh blockcopy --pivot`. Both copy with the guest's own QEMU, on one device; what counts is the wall time of the command.

Drover's has the plan in it, a new image of the same format and cluster size, both definitions, the sync of the new image, and the
removal of the old one. blockcopy makes its image itself, and leaves the old one and the persistent definition as they were;
`blockcopy_synced` is followed by a sync of it, which a move ends with.
"""
import os
import shlex

import droverd
import hosts
import stage
from case_moves import Moves
from meters import Meters
from sides import MoveFailed, last_move, phases, timed

NAME, LINK = "storage", "local"
BLOCKCOPY, SYNCED = "blockcopy", "blockcopy_synced"
FOLDER = "/var/lib/libvirt/images/bench-storage"


def disk_of(host, name):
    """The image that the running guest writes to."""
    for line in hosts.virsh(host, "domblklist", name).stdout.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == "vda":
            return words[1]
    raise MoveFailed(f"{name} has no disk vda")


def check_place(host, name, path):
    if (found := disk_of(host, name)) != path:
        raise MoveFailed(f"afterwards the disk is {found}, not {path}")


class Blockcopy:
    def __init__(self, synced):
        self.synced = synced

    def move(self, guest, host, target, timeout):
        copy = shlex.join(["virsh", "-q", "blockcopy", guest.name, "vda", "--dest", target, "--format", "qcow2",
                           "--transient-job", "--wait", "--pivot"])
        sync = shlex.join(["sync", target])
        command = hosts.inside(host, ["sh", "-c", f"{copy} && {sync}" if self.synced else f"exec {copy}"])
        with Meters(guest.name, host, stage.HOSTS) as meters:
            timed(command, hosts.environment(), meters, timeout,
                  lambda: hosts.virsh(host, "blockjob", guest.name, "vda", "--abort", check=False))
        return {**meters.read, "pause_ms": None, "job_s": None}


class ToStorage:
    def move(self, guest, host, target, timeout):
        command = hosts.inside(host, ["drover", "--json", "move", guest.name, "--to-storage", FOLDER, "--yes", "--delete-now",
                                      "--accept", "SAME_DEVICE"])
        with Meters(guest.name, host, stage.HOSTS) as meters:
            said = timed(command, hosts.environment(droverd.binaries()), meters, timeout, lambda: None)
        move = last_move(said)
        return {**meters.read, "pause_ms": None, "job_s": None, "phases_s": phases(move), "report": move.get("report", {})}


class Storage(Moves):
    name, against = NAME, BLOCKCOPY

    def __init__(self, options, scene, say):
        super().__init__(options, scene, say)
        self.sides = {BLOCKCOPY: Blockcopy(False), SYNCED: Blockcopy(True), "drover": ToStorage()}
        self.disk_bytes = None

    def run(self, _link):
        return {**super().run(LINK), "disk_bytes": self.disk_bytes}

    def warm_up(self):
        """One move of each side that does not count."""
        for name in self.sides:
            self.attempt(name, LINK, None)
        self.warmed_up = True

    def shape(self, link):
        """Nothing goes over a network."""

    def attempt(self, name, link, number):
        """The guest is made anew for each: what one side wrote is no part of the next."""
        try:
            return super().attempt(name, link, number)
        finally:
            stage.lab("guest", "--remove", self.guest.name)
            self.guest.forget()
            for host in stage.HOSTS:
                hosts.run_inside(host, "rm", "-rf", FOLDER)

    def carry(self, side, source, destination, link):
        target = f"{FOLDER}/{os.path.basename(self.guest.image)}"
        hosts.run_inside(source, "mkdir", "-p", "-m", "711", FOLDER)
        hosts.run_inside(source, "rm", "-f", target)
        stage.settle()
        self.disk_bytes = self.guest.allocated_bytes(source)
        sample = {"source": source, **side.move(self.guest, source, target, self.limit(link))}
        check_place(source, self.guest.name, target)
        return sample
