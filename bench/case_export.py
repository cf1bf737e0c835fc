# SPDX-License-Identifier: Apache-2.0
"""Case `export`: `drover export` of a guest beside `qemu-img convert` of the same disk, into the same folder; the wall time of the
command counts. Cases `export` of a guest that runs, `export-off` of one that is off.

Both read what the page cache has, and run at the same priority (an export runs at nice 5). An export ends when what it wrote is on the
disk; `convert` does not wait for that, `convert_synced` does.
"""
import droverd
import goals
import hosts
import stage
from base import LabError
from case_moves import Moves
from case_storage import disk_of
from meters import Stopwatch
from sides import MoveFailed, timed

NAME, OFF_NAME, LINK = "export", "export-off", "local"
CONVERT, SYNCED = "convert", "convert_synced"
FOLDER = "/var/lib/libvirt/images/bench-export"
SAME_PRIORITY = ("nice", "-n", "5")


class Convert:
    def __init__(self, synced):
        self.synced = synced

    def run(self, guest, host, disk, timeout):
        target = f"{FOLDER}/converted.qcow2"
        words = f"qemu-img convert -U -f qcow2 -O qcow2 {disk} {target}" + (f" && sync {target}" if self.synced else "")
        meters = Stopwatch()
        with meters:
            timed(hosts.inside(host, [*SAME_PRIORITY, "sh", "-c", words]), hosts.environment(), meters, timeout, lambda: None)
        return meters.read


class Export:
    def run(self, guest, host, disk, timeout):
        meters = Stopwatch()
        with meters:
            timed(hosts.inside(host, ["drover", "--json", "export", guest.name, f"{FOLDER}/export", "--yes"]),
                  hosts.environment(droverd.binaries()), meters, timeout, lambda: None)
        return meters.read


class Exports(Moves):
    """The guest is read only: one and the same for all runs."""
    name, against, runs = NAME, CONVERT, True

    def __init__(self, options, scene, say):
        super().__init__(options, scene, say)
        self.sides = {CONVERT: Convert(False), SYNCED: Convert(True), "drover": Export()}

    def run(self, _link):
        host = self.guest.ensure(self.load(LINK))
        disk = disk_of(host, self.guest.name)
        if not self.runs:
            hosts.virsh(host, "destroy", self.guest.name)
        samples = {name: [] for name in self.sides}
        disk_bytes = self.guest.allocated_bytes(host)
        hosts.run_inside(host, "mkdir", "-p", "-m", "711", FOLDER)
        try:
            for number in range(-1, self.options.runs):  # the first warms the page cache up
                for name in self.sides if number % 2 == 0 else reversed(self.sides):
                    self.measure(name, host, disk, number, samples)
        finally:
            hosts.run_inside(host, "rm", "-rf", FOLDER)
            self.guest.forget()
            stage.lab("guest", "--remove", self.guest.name)
        result = goals.compare(self.name, LINK, samples, self.against)
        result["guest"] = self.guest.describe(self.load(LINK))
        return {**result, "disk_bytes": disk_bytes}

    def measure(self, name, host, disk, number, samples):
        label = f"{self.name:10} {'warm-up' if number < 0 else f'run {number + 1}/{self.options.runs}':8} {name:14}"
        try:
            stage.settle()
            sample = self.sides[name].run(self.guest, host, disk, self.limit(LINK))
        except (MoveFailed, LabError, OSError) as error:
            return self.tell(self.scene.failures, f"{' '.join(label.split())}: {error}")
        finally:
            hosts.run_inside(host, "sh", "-c", f"rm -rf {FOLDER}/*")
        self.say(f"{label} {sample['wall_s']:7.2f} s")
        if number >= 0:
            samples[name].append(sample)
        return None


class ExportsOff(Exports):
    name, runs = OFF_NAME, False
