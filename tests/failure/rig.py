# SPDX-License-Identifier: Apache-2.0
"""What the failure suite acts on: two hosts of the lab with disks of their own and faults in their daemons, and one probe guest that
moves back and forth between them."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests" / "system"))

import product  # noqa: E402  (the path has to be set first)
from lab_verbs import Lab, make_whole  # noqa: E402
from product import IMAGES, until  # noqa: E402

import faults as lab_faults  # noqa: E402  (the lab's own, whose path product has set)
import guests as lab_guests  # noqa: E402

GUEST = "probe"
DISK_SIZE = "1G"  # of a host
# Short in the lab: a move is given up, and what waits for the other host ends, within seconds.
PATIENCE_MS = 12000
LIBVIRT, RELAY = "libvirt-sock", "relay-sock"


class Rig:
    def __init__(self):
        self.lab = Lab()
        self.hosts = tuple(product.Host(self.lab, name) for name in ("host1", "host2"))
        self.keeps_faults = False  # those in the daemons stay over `mend`

    # The lab.
    def build(self, **guest):
        """A new lab, whatever was there before; `guest`: what of the guest shall be other than usual."""
        self.lab.run("down")
        self.lab.run("up", "--disks", DISK_SIZE, "--faults", timeout=600)
        for host in self.hosts:
            host.configure(libvirt_socket="/run/libvirt/" + RELAY, patience_ms=PATIENCE_MS)
            host.drover("settings", "live-moves=1")
        self.mend()
        wanted = {"memory": 96, "disk": "64M", "fill": 12, "records": 24, "dirty": 1, "disk_rate": 0.05, **guest}
        self.lab.run("guest", "host1", GUEST, *(word for key, value in wanted.items()
                                                for word in ("--" + key.replace("_", "-"), value)))
        for host in self.hosts:
            subprocess.run(["sync", "--file-system", host.path(IMAGES)], check=True)

    def remove(self):
        self.lab.run("down")

    def mend(self):
        """Every host is on, every daemon runs, the network is whole, no fault and no relay is left."""
        for host in self.hosts:
            if not self.keeps_faults:
                lab_faults.clear(self.faults_of(host))
            with contextlib.suppress(FileNotFoundError):
                self.filler(host).unlink()
            if not product.lab_hosts.holder(host.name):
                self.lab.run("power", host.name, "on")
            for pid in host.pids("droverd") + host.pids("libvirtd"):
                os.kill(pid, signal.SIGCONT)
        make_whole(self.lab, *self.hosts)
        for host in self.hosts:
            self.link_libvirt(host)

    @staticmethod
    def link_libvirt(host):
        """Without a relay the gates' way to libvirt is libvirt's own socket."""
        path = host.path("/run/libvirt/" + RELAY)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        path.symlink_to(LIBVIRT)

    @staticmethod
    def faults_of(host):
        return product.lab_hosts.faults_dir(host.name)

    @staticmethod
    def filler(host):
        """The file that fills a host's disk."""
        return host.path("/var/lib/drover") / "filler"

    # The guest.
    @property
    def uuid(self):
        return lab_guests.need(GUEST)["uuid"]

    @property
    def disk(self):
        return f"{IMAGES}/{GUEST}.qcow2"

    def qemus(self, host):
        """The processes on a host that are a QEMU of the guest."""
        return [pid for pid in host.pids("qemu") if self.uuid.encode() in command_line(pid)]

    def runner(self):
        """The host on which the guest runs by its process, None if there is none, or more than one."""
        there = [host for host in self.hosts if self.qemus(host)]
        return there[0] if len(there) == 1 else None

    def other(self, host):
        return next(it for it in self.hosts if it is not host)

    @staticmethod
    def shut_off(host):
        host.virsh("destroy", GUEST)
        until(lambda: host.domstate(GUEST) == "shut off", "the guest is off", 30)

    def start(self, host):
        """Boots the guest where it is off, and remembers the boot."""
        host.virsh("start", GUEST)
        self.adopt_boot()

    def adopt_boot(self):
        guest = lab_guests.need(GUEST)
        lab_guests.update(GUEST, boot=lab_guests.answering(guest, lab_guests.BOOT_SECONDS))

    def keep_logs(self, folder):
        """Copies of the logs of every host's daemons, before the lab goes."""
        for host in self.hosts:
            for log in host.folder.glob("*.log"):
                os.makedirs(os.path.join(folder, host.name), exist_ok=True)
                shutil.copy(log, os.path.join(folder, host.name))

    def drop_quarantine(self):
        product.drop_all(*self.hosts)


def command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def wait_for_end(pid, patience=30):
    until(lambda: product.processes.state(pid) in ("", "Z", "X"), f"process {pid} ends", patience)




def missing():
    """What the suite lacks here, "" if it can run."""
    if os.geteuid() != 0:
        return "the lab needs root"
    if not any((folder / "droverd").exists() for folder in product.programs()):
        return "Drover is not built: build it, or set DROVER_BIN to the folder of its programs"
    return ""
