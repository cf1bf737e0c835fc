# SPDX-License-Identifier: Apache-2.0
"""A host's disk: ext4 on a loop file, with all that a host keeps over a boot. So it can be full, and a loss of power takes what was
not synced."""
import fnmatch
import os
import re
import time

from base import LabError, run


def paths(host_dir):
    """(image, mount point)"""
    return os.path.join(host_dir, "disk.img"), os.path.join(host_dir, "disk")


def exists(host_dir):
    return os.path.exists(paths(host_dir)[0])


def ensure(host_dir, size_bytes):
    """Makes and mounts the disk, whichever of it is missing."""
    image, folder = paths(host_dir)
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(image):
        with open(image + ".new", "wb") as file:
            file.truncate(size_bytes)
        # No share for root: a full disk is full for everybody.
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", image + ".new")
        os.rename(image + ".new", image)
    mount(host_dir)


def loop_of(image):
    """The loop device of an image, "" if it has none."""
    return run("losetup", "--noheadings", "--output", "NAME", "--associated", image).stdout.strip()


def mount(host_dir):
    image, folder = paths(host_dir)
    if not os.path.ismount(folder):
        loop = loop_of(image) or run("losetup", "--find", "--show", image).stdout.strip()
        run("mount", "-o", "noatime", loop, folder)


def of_others(host_dir):
    """Where disks of all other hosts are mounted, of this lab and of those beside it."""
    own = os.path.realpath(paths(host_dir)[1])
    with open("/proc/self/mounts") as mounts:
        points = {re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), line.split()[1]) for line in mounts}
    return sorted(point for point in points if point != own and fnmatch.fnmatch(point, "*/hosts/*/disk"))


def is_alive(loop):
    """The file system on it is in memory still, wherever it is mounted."""
    return os.path.exists(f"/sys/fs/ext4/{os.path.basename(loop)}")


def snapshot(host_dir):
    """A copy of the disk as it is without its host's memory: what was not written out yet is not on it. REQUIRES: the host's
    processes stand still."""
    image, _ = paths(host_dir)
    # The kernel writes out what it had begun meanwhile. A copy that has a later write and lacks an earlier one is of no instant: it
    # counts if the disk is still the same afterwards.
    for _ in range(20):
        run("cp", "--sparse=always", image, image + ".lost")
        if run("cmp", "--silent", image, image + ".lost", check=False).returncode == 0:
            return
    raise LabError(f"{image} is written to all the time: something of its host does not stand still.")


def take_snapshot(host_dir, renumber):
    """The copy becomes what is on the host's disk, as its file system's own recovery makes it. The device stays the same, as it does
    on most hosts, or gets another number, as on those that number theirs anew at each boot. REQUIRES: the host has no process any
    more."""
    image, folder = paths(host_dir)
    loop = loop_of(image)
    end = time.monotonic() + 10
    # As long as it is alive nothing of it is lost, and it would be written on top of what is put there.
    while (os.path.ismount(folder) and run("umount", folder, check=False).returncode != 0) or (loop and is_alive(loop)):
        if time.monotonic() > end:
            raise LabError(f"{folder} is in use: see who has it with fuser -vm, or grep disk /proc/*/mounts, then run `lab down`.")
        time.sleep(0.05)
    if renumber:
        old = loop_of(image)
        os.rename(image + ".lost", image)
        run("losetup", "--find", "--show", image)  # before the old one is free
        if old:
            run("losetup", "--detach", old)  # it goes when nobody looks at it any more
    else:
        run("fallocate", "--punch-hole", "--offset", 0, "--length", os.path.getsize(image), image)
        run("dd", f"if={image}.lost", f"of={image}", "bs=1M", "conv=notrunc,sparse", "status=none")
        os.unlink(image + ".lost")
    mount(host_dir)
    if not os.listdir(folder):
        raise LabError(f"{image} holds nothing any more: run `lab down`.")


def release(host_dir):
    """The disk is given up, whatever is on it."""
    image, folder = paths(host_dir)
    if exists(host_dir):
        run("umount", "--lazy", folder, check=False)
        for loop in loop_of(image).split():  # two, if it ends while the device is changed
            run("losetup", "--detach", loop, check=False)
