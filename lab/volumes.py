# SPDX-License-Identifier: Apache-2.0
"""A pool of block devices for a host: partitions of a loop device, which libvirt's pool type "disk" makes and deletes."""
import os

import hosts
from base import LabError, run
from disks import loop_of

POOL = "blocks"


def image_of(host_dir):
    return os.path.join(host_dir, "volumes.img")


def ensure(host, size_bytes):
    """The pool on that host, active; the loop device it is on."""
    image = image_of(hosts.host_dir(host))
    if not os.path.exists(image):
        with open(image, "wb") as file:
            file.truncate(size_bytes)
    # This kernel may know no partition tables: parted tells it what there is, and --partscan makes it forget that at the end.
    loop = loop_of(image) or run("losetup", "--find", "--show", "--partscan", image).stdout.strip()
    if run("parted", "--script", loop, "print", check=False).returncode != 0:
        run("parted", "--script", loop, "mklabel", "gpt")
    if POOL not in hosts.virsh(host, "pool-list", "--all", "--name").stdout.split():
        hosts.virsh(host, "pool-define-as", POOL, "disk", "--source-dev", loop, "--source-format", "gpt", "--target", "/dev")
    if POOL not in hosts.virsh(host, "pool-list", "--name").stdout.split():
        hosts.virsh(host, "pool-start", POOL)
    return loop


def release(host_dir):
    """The loop device is given up, with all its partitions, whatever is on them."""
    image = image_of(host_dir)
    if not os.path.exists(image):
        return
    for loop in loop_of(image).split():
        run("partx", "--delete", loop, check=False)
        if run("losetup", "--detach", loop, check=False).returncode != 0:
            raise LabError(f"{loop} is in use: see who has it with fuser -v {loop}*, then run `lab down`.")
