# SPDX-License-Identifier: Apache-2.0
"""The faults, by name: how each strikes, what mends it, and when."""
import contextlib
import dataclasses
import os
import signal
import threading
import typing

import oom
import rig as rigs

# How long a fault is left to do harm before it is mended, and at most where it lasts until the move has ended.
HARM, CUT = 1.5, 5.0
LASTS_MOST = 25.0
SLOW = "10mbit"  # 1 % of a link of 1 Gbit/s
DAY = 86400
SOURCE, DESTINATION = "source", "destination"


class Absent(Exception):
    """There is nothing that the fault could strike."""


def nothing(_scene):
    pass


@dataclasses.dataclass(frozen=True)
class Fault:
    name: str
    strike: typing.Callable
    mend: typing.Callable = nothing  # daemons that are down are started again after each fault
    harm: float = HARM
    lasts: bool = False  # until the move has ended, or has waited for a while
    keeps_link: bool = False  # the link's state is the fault
    hurts_disk: str = ""  # side whose guest sees errors of its disk: its own writes may fail
    says: str = ""  # pattern of the error of a move without libvirt's migration that it ends in mid-copy: code, reason, what helps
    explains: bool = False  # it takes away what the plan had found to be there: room, or the running VM


FAULTS = {}


def fault(name, strike, mend=nothing, **options):
    FAULTS[name] = Fault(name, strike, mend, **options)


def victims(scene, side, role):
    host = scene.host(side)
    pids = scene.rig.qemus(host) if role == "qemu" else host.pids(role)
    if not pids:
        raise Absent(f"there is no {role} on the {side}")
    return pids


def kill(side, role):
    def strike(scene):
        for pid in victims(scene, side, role):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    return strike


for one_side in (SOURCE, DESTINATION):
    for one_role in ("droverd", "gate", "mover", "libvirtd", "qemu"):
        fault(f"{one_side}-{one_role}", kill(one_side, one_role), explains=one_role == "qemu")


# The road, and the clocks.
def cut(scene):
    scene.rig.lab.run("link", "cut")


def restore(scene):
    scene.rig.lab.run("link", "restore")


def slow_down(scene):
    scene.rig.lab.run("link", SLOW)


def speed_up(scene):
    scene.rig.lab.run("link", "unlimited")


def put(side, name, value):
    def strike(scene):
        rigs.lab_faults.put(scene.rig.faults_of(scene.host(side)), name, value(scene) if callable(value) else value)
    return strike


def clear(scene):
    for host in scene.rig.hosts:
        rigs.lab_faults.clear(scene.rig.faults_of(host))


def jump(scene):
    put(SOURCE, "clock", str(DAY))(scene)
    put(DESTINATION, "clock", str(-DAY))(scene)


fault("cut-5s", cut, restore, harm=CUT)
fault("cut-for-good", cut, restore, lasts=True)
fault("link-1-percent", slow_down, speed_up, lasts=True, keeps_link=True)
fault("clock-jump", jump, clear, lasts=True)


# Disks and memory.
def fill(scene):
    """Not a byte is left on the destination's disk."""
    path = scene.rig.filler(scene.destination)
    with open(path, "wb", buffering=0) as file:
        free = os.statvfs(path)
        with contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
        file.seek(0, os.SEEK_END)
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def empty(scene):
    with contextlib.suppress(FileNotFoundError):
        scene.rig.filler(scene.destination).unlink()


def disk_of(scene):
    return scene.rig.disk


fault("disk-full", fill, empty, lasts=True, hurts_disk=DESTINATION, explains=True,
      says=r"NO_SPACE.*(could not be written on|has only .* free).*(Free space in|Make room)")
fault("out-of-memory", lambda scene: oom.strike(scene.destination), lambda scene: oom.mend(scene.destination), lasts=True,
      explains=True)
fault("read-error", put(SOURCE, "read-error", disk_of), clear, lasts=True)
fault("write-error", put(DESTINATION, "write-error", disk_of), clear, lasts=True, hurts_disk=DESTINATION)


# People and power.
def cancel(scene):
    """Beside us: droverd may be held still at this moment, and answers later."""
    def ask():
        with contextlib.suppress(OSError, ValueError):
            scene.source.api("POST", f"/v1/moves/{scene.move_id}/cancel")

    scene.beside.append(threading.Thread(target=ask, daemon=True))
    scene.beside[-1].start()


def stop_droverds(scene):
    """They are asked to end, as by an upgrade; one that is held still ends when it is let go."""
    scene.ending = [pid for host in scene.rig.hosts for pid in host.pids("droverd")]
    for pid in scene.ending:
        os.kill(pid, signal.SIGTERM)


def await_the_ends(scene):
    for pid in scene.ending:
        rigs.wait_for_end(pid)


def lose_power(*sides, renumber=False):
    """With `renumber` the devices of a host have other numbers afterwards: files are found again by more than these."""
    words = ["--renumber"] if renumber else []

    def strike(scene):
        scene.lost = [scene.host(side) for side in sides]
        # At once: one does not hear of the other's end.
        for host in scene.lost:
            rigs.product.processes.stop_all(lambda name=host.name: rigs.product.lab_hosts.members(name))
        for host in scene.lost:
            scene.rig.lab.run("power", host.name, "off", *words)
    return strike


def boot(scene):
    for host in scene.lost:
        scene.rig.lab.run("power", host.name, "on", "--no-drover")
        scene.rig.link_libvirt(host)


fault("cancel", cancel)
fault("restart", stop_droverds, await_the_ends)
fault("source-power", lose_power(SOURCE), boot, explains=True)
fault("destination-power", lose_power(DESTINATION, renumber=True), boot, explains=True)
fault("both-power", lose_power(SOURCE, DESTINATION, renumber=True), boot, explains=True)
