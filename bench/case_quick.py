# SPDX-License-Identifier: Apache-2.0
"""Case `quick`: `drover move --quick` beside what an administrator does by hand: `virsh save`, a copy of the saved memory and of the
disk, `virsh restore`. The pause is what counts: by hand from the start of the first command to the end of the last, for that long
the guest stands still; Drover's is what its report says.

The copy by hand is one file after the other over plain TCP (plain_copy.py), faster than scp. Case `quick-memory`: the same where
both hosts see the disk, so that only the memory has to be copied.
"""
import os
import subprocess
import sys
import time

import case_memory
import hosts
import network
import stage
from case_moves import Moves
from meters import Meters
from sides import Drover, MoveFailed, check_arrival

NAME, MEMORY_NAME = "quick", "quick-memory"
LINKS = ("1gbit",)
BY_HAND = "virsh"
PORT = 7999
STATE = "/var/lib/libvirt/images/bench-quick.state"
COPY = os.path.join(os.path.dirname(os.path.realpath(__file__)), "plain_copy.py")


def copy(source, destination, path):
    """One file, to the same path on the other host."""
    words = [sys.executable, COPY, "receive", network.move_address(destination), str(PORT), path]
    taker = subprocess.Popen(hosts.inside(destination, words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        if taker.stdout.readline() != "ready\n":
            raise MoveFailed(f"{destination} takes no file")
        hosts.run_inside(source, sys.executable, COPY, "send", network.move_address(destination), PORT, path)
        if taker.wait(timeout=60) != 0:
            raise MoveFailed(f"{destination} did not take {path}")
    finally:
        taker.kill()
        taker.wait()
        taker.stdout.close()


class ByHand:
    """save, copy, restore; the definition follows when the clock has stopped."""
    name = BY_HAND

    def __init__(self, with_disk):
        self.with_disk = with_disk

    def move(self, guest, source, destination, _timeout):
        definition = hosts.virsh(source, "dumpxml", guest.name, "--inactive", "--security-info").stdout
        try:
            with Meters(guest.name, source, stage.HOSTS) as meters:
                began = time.monotonic()
                hosts.virsh(source, "save", guest.name, STATE, "--running")
                copy(source, destination, STATE)
                if self.with_disk:
                    copy(source, destination, guest.image)
                hosts.virsh(destination, "restore", STATE)
                pause = time.monotonic() - began
                meters.command_ended()
        finally:
            for host in (source, destination):
                hosts.run_inside(host, "rm", "-f", STATE)
        hosts.run_inside(destination, "virsh", "-q", "define", "/dev/stdin", input=definition)
        hosts.virsh(source, "undefine", guest.name, "--nvram")
        check_arrival(guest, destination)
        if self.with_disk:
            guest.remove_image(source)
        return {**meters.read, "pause_ms": round(pause * 1000), "job_s": None}


class Quick(Drover):
    """What libvirt says of its last job is not asked: there was no migration."""

    def __init__(self):
        super().__init__(["--quick"])

    def move(self, guest, source, destination, timeout):
        found = super().move(guest, source, destination, timeout)
        return {**found, "pause_ms": found["report"].get("pause_ms")}


class QuickMoves(Moves):
    name, against, with_disk = NAME, BY_HAND, True

    def __init__(self, options, scene, say):
        super().__init__(options, scene, say)
        if not self.with_disk:
            self.guest = case_memory.shared(self.guest)
        self.sides = {BY_HAND: ByHand(self.with_disk), "drover": Quick()}

    def carry(self, side, source, destination, link):
        """Seconds of silence are what this case is about: whether a connection of the LAN outlives them is its client's affair."""
        return {**super().carry(side, source, destination, link), "connection_survived": True}


class QuickMemory(QuickMoves):
    name, with_disk = MEMORY_NAME, False
