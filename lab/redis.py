# SPDX-License-Identifier: Apache-2.0
"""The guest that benchmarks move: the probe, and beside it a Debian with a Redis full of data and under write load. Booting and
filling it takes minutes, so its warm state (memory and disk) is kept in the cache and restored in seconds."""
import functools
import glob
import hashlib
import json
import os
import shutil
import time
from types import SimpleNamespace

import base
import guests
import hosts
import image
import network
import redis_root
from base import CACHE_DIR, LabError, UsageError, run

PORT = 6379
DIGEST_LENGTH = 16
STATES = "warm-redis-"  # what the folders of saved states begin with, in the lab's cache
MEMORY_MIB = 1024
DISK = "1536M"
# The probe's own part of the guest: enough to notice damage, too little to matter for the figures.
SETTINGS = {"dirty": 0.25, "compressible": 50, "fill": 16, "disk_rate": 0.02, "records": 32, "system": "redis"}
KEYS = 220_000 + len(("lab:loaded", "lab:pace"))  # the values are made by guest/redis-load.pl
LOAD_SECONDS = 900
SETTLE_SECONDS = 5


@functools.cache
def state_folder(name):
    """Where the warm state of a guest of this name is kept: another one for everything that makes it different."""
    digest = hashlib.sha256(os.path.basename(image.base_image()).encode())
    digest.update(json.dumps([name, image.accelerator()]).encode())
    digest.update(run("qemu-system-x86_64", "--version").stdout.encode())
    for file in (*redis_root.files(), os.path.realpath(__file__), os.path.realpath(redis_root.__file__)):
        digest.update(image.read(file))
    return os.path.join(CACHE_DIR, f"{STATES}{name}-{digest.hexdigest()[:DIGEST_LENGTH]}")


def said(guest, *words):
    """What Redis answers to one command, from the client's place on the LAN; a line or a string."""
    with network.connect(guest["address"], PORT, 5.0) as link:
        link.settimeout(30.0)
        link.sendall(" ".join(map(str, words)).encode() + b"\r\n")
        with link.makefile("r") as answers:
            line = answers.readline().rstrip("\r\n")
            return answers.readline().rstrip("\r\n") if line.startswith("$") and line != "$-1" else line


def pace(name, writes_per_second):
    """How many values the guest writes anew each second, from now on."""
    if said(guests.need(name), "SET", "lab:pace", writes_per_second) != "+OK":
        raise LabError(f"The Redis of the guest '{name}' takes no command: remove the guest and make it again.")


def check(name):
    """Redis has every value that it was given: raises otherwise."""
    held = said(guests.need(name), "DBSIZE")
    if held != f":{KEYS}":
        raise LabError(f"The Redis of the guest '{name}' holds {held.removeprefix(':')} keys, not {KEYS}.")


def wait_until_loaded(guest):
    end = time.monotonic() + LOAD_SECONDS
    while time.monotonic() < end:
        try:
            if said(guest, "GET", "lab:loaded").isdigit():
                return
        except OSError:
            pass
        time.sleep(1)
    raise LabError(f"The Redis of the guest at {guest['address']} was not full within {LOAD_SECONDS} s: see its console with "
                   "`lab exec HOST virsh console`.")


def make_state(host, name, folder):
    """Boots the guest, waits until it is full, and keeps its memory and disk; afterwards it is nowhere."""
    forget_states(name)
    guests.create(host, name, SimpleNamespace(folder="/var/lib/libvirt/images", memory=MEMORY_MIB, vcpus=1, disk=DISK, **SETTINGS))
    guest = guests.need(name)
    wait_until_loaded(guest)
    time.sleep(SETTLE_SECONDS)
    half = folder + ".new"
    os.makedirs(half)
    base.write_file(half + "/domain.xml", hosts.virsh(host, "dumpxml", "--inactive", guest["uuid"]).stdout)
    hosts.virsh(host, "save", guest["uuid"], half + "/memory")
    run("cp", "--sparse=always", hosts.outside(host, guest["disk"]), half + "/disk")
    base.write_file(half + "/guest.json", json.dumps(guests.need(name)))
    os.rename(half, folder)
    guests.remove(name)


def forget_states(name):
    """Takes away what an older lab kept for a guest of this name, and what was left half made: each is more than a gigabyte."""
    for folder in glob.glob(glob.escape(f"{CACHE_DIR}/{STATES}{name}-") + "?" * DIGEST_LENGTH + "*"):
        shutil.rmtree(folder)


def restore(host, name, folder):
    guest = json.loads(image.read(folder + "/guest.json"))
    with base.lock():
        taken = {other["address"] for key, other in base.load("guests", {}).items() if key != name}
        if guest["address"] in taken:
            raise UsageError(f"The address {guest['address']} of the guest '{name}' is taken: remove the other guest first.")
        guest = guests.update(name, **{**guest, "host": host})
        disk = hosts.outside(host, guest["disk"])
        os.makedirs(os.path.dirname(disk), exist_ok=True)
        run("cp", "--sparse=always", folder + "/disk", disk)
        hosts.virsh(host, "define", folder + "/domain.xml")
        hosts.virsh(host, "restore", folder + "/memory")
    return guest


def create(host, name, writes_per_second):
    """`lab guest HOST NAME --redis`: afterwards the guest runs, filled, and writes at this pace."""
    hosts.need(host)
    if name in base.load("guests", {}):
        raise UsageError(f"There is a guest '{name}' already: remove it with `lab guest --remove {name}`.")
    folder = state_folder(name)
    if not os.path.isdir(folder):
        make_state(host, name, folder)
    guest = restore(host, name, folder)
    boot = guests.answering(guest, guests.BOOT_SECONDS)
    pace(name, writes_per_second)
    return {"name": name, "uuid": guest["uuid"], "address": guest["address"], "disk": guest["disk"], "boot": boot,
            "states": guests.states(guest)}
