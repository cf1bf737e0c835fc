# SPDX-License-Identifier: Apache-2.0
"""A host's disk: ext4 on a loop file, with all that a host keeps over a boot. So it can be full, and a loss of power takes what was
not synced."""
import os
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


def mount(host_dir):
    image, folder = paths(host_dir)
    if not os.path.ismount(folder):
        run("mount", "-o", "loop,noatime", image, folder)


def snapshot(host_dir):
    """A copy of the disk as it is without its host's memory: what was not written out yet is not on it. REQUIRES: the host's
    processes stand still."""
    image, _ = paths(host_dir)
    run("cp", "--sparse=always", image, image + ".lost")


def take_snapshot(host_dir):
    """The copy becomes the host's disk, as its file system's own recovery makes it. REQUIRES: the host has no process any more."""
    image, folder = paths(host_dir)
    end = time.monotonic() + 5
    while run("umount", folder, check=False).returncode != 0:
        if time.monotonic() > end:
            run("umount", "-l", folder)
        time.sleep(0.05)
    os.rename(image + ".lost", image)
    mount(host_dir)
    if not os.listdir(folder):
        raise LabError(f"{image} holds nothing any more: run `lab down`.")
