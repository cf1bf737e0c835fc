# SPDX-License-Identifier: Apache-2.0
"""Case `shared-nothing`: a running guest and its disk go from host to host, by libvirt alone and by Drover, in turn.

Every move is a measured one: what one side carried to host2, the other carries back. The order turns round each run (libvirt,
Drover, Drover, libvirt, ...), so that both sides move in both directions, and each as often after itself as after the other.
Before each move what earlier ones wrote is put to disk, and the guest works on for a moment; after it the guest proves that
nothing was lost.
"""
import time

import goals
import stage
from base import LabError
from sides import SIDES, MoveFailed

NAME = "shared-nothing"
REST_SECONDS = 2.0
ATTEMPTS = 2
LINK_BYTES_PER_SECOND = {"100mbit": 12.5e6, "1gbit": 125e6}
SLOWEST_BYTES_PER_SECOND = 20e6  # of any link that is faster than the machine
# At 100 Mbit/s libvirt's own move does not converge under the load of the faster links: there the guest changes less. (A
# block of 4 KiB that changes on disk is mirrored as 64 KiB.)
SLOW_LINK = "100mbit"
SLOW_LINK_DIRTY_MIB = 1
SLOW_LINK_DISK_RATE_MIB = 0.05


class Moves:
    def __init__(self, options, scene, say):
        self.options, self.say = options, say
        self.guest = stage.Guest(options)
        self.sides = {name: SIDES[name]() for name in options.side}
        self.scene = scene
        self.warmed_up = False

    def run(self, link):
        """All runs on one link; a case as the JSON file has it."""
        stage.lab("link", link)
        samples = {name: [] for name in self.sides}
        if not self.warmed_up:
            self.warm_up()
        for number in range(self.options.runs):
            names = list(self.sides)
            for name in names if number % 2 == 0 else reversed(names):
                sample = self.attempt(name, link, number)
                if sample:
                    samples[name].append(sample)
        result = goals.compare(NAME, link, samples)
        result["guest"] = self.describe(link)
        return result

    def load(self, link):
        """What the guest changes each second, in MiB."""
        load = {"dirty": self.options.dirty, "disk-rate": self.options.disk_rate}
        if link == SLOW_LINK:
            load = {"dirty": min(load["dirty"], SLOW_LINK_DIRTY_MIB), "disk-rate": min(load["disk-rate"], SLOW_LINK_DISK_RATE_MIB)}
        return load

    def describe(self, link):
        load = self.load(link)
        return {"memory_mib": self.options.memory, "disk": self.options.disk, "disk_filled_mib": self.options.fill,
                "dirty_mib_per_s": load["dirty"], "disk_dirty_mib_per_s": load["disk-rate"],
                "compressible_percent": self.options.compressible}

    def warm_up(self):
        """One move of each side that does not count: programs and libraries are read in, daemons have done it once."""
        stage.lab("link", "unlimited")
        for name in self.sides:
            self.attempt(name, "unlimited", None)
        self.warmed_up = True

    def limit(self, link):
        """After so long a move has gone wrong."""
        size = (self.options.memory + self.options.fill) * (1 << 20)
        return 120 + 5 * size / LINK_BYTES_PER_SECOND.get(link, SLOWEST_BYTES_PER_SECOND)

    def attempt(self, name, link, number):
        """One move, after which the guest must prove its memory and disk. One that fails is told and repeated once, with a new
        guest: on an overloaded machine QEMU's emulation loses a page now and then, whoever carries it."""
        label = f"{link:9} {'warm-up' if number is None else f'run {number + 1}/{self.options.runs}':8} {name:7}"
        for _ in range(ATTEMPTS):
            try:
                source = self.guest.ensure(self.load(link))
                # The lab boots guests whatever the link; a link's shape is set once more in case the lab was repaired.
                stage.lab("link", link)
                destination = next(host for host in stage.HOSTS if host != source)
                stage.settle()
                time.sleep(REST_SECONDS)
                sample = self.sides[name].move(self.guest, source, destination, self.limit(link))
                if not sample["connection_survived"]:
                    raise MoveFailed("the connection from the LAN broke")
                self.guest.verify()
            except (MoveFailed, LabError, OSError) as error:
                self.tell(self.scene.repeated, f"{' '.join(label.split())}: {error}")
                self.guest.forget()
                continue
            self.say(f"{label} {source}->{destination} {sample['wall_s']:7.2f} s {sample['wire_bytes'] / 1e6:8.1f} MB  "
                     f"pause {text(sample['pause_ms'])} ms  silence {text(sample['silence_ms'])} ms")
            return {"source": source, **sample}
        self.tell(self.scene.failures, f"{' '.join(label.split())}: not measured")
        return None

    def tell(self, where, what):
        where.append(what)
        self.say(f"FAILED  {what}")


def text(value):
    return "    -" if value is None else f"{value:5.0f}"
