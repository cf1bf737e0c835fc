# SPDX-License-Identifier: Apache-2.0
"""The lab and the guest that a benchmark plays with. What was there before is there afterwards."""
import json
import os
import subprocess
import sys

import base
import guests
import hosts
import network
import processes
import redis
from base import LabError, UsageError

HOSTS = ["host1", "host2"]
LAB = os.path.join(base.SOURCES, "lab")
GUEST = "bench-probe"
REDIS_GUEST = "bench-redis"
IMAGE_GUESTS = tuple(f"bench-image-{number}" for number in range(1, 9))
ANSWER_SECONDS = 30
MAKE_SECONDS = 1800
# At 100 Mbit/s libvirt's own move does not converge under the load of the faster links: there the guest changes less. (A
# block of 4 KiB that changes on disk is mirrored as 64 KiB.)
SLOW_LINK_DIRTY_MIB = 1
SLOW_LINK_DISK_RATE_MIB = 0.05
SLOW_LINK_WRITES = 300  # under these it does converge


def lab(*words, check=True, timeout=300):
    """One verb of the lab's; its text."""
    try:
        done = subprocess.run([sys.executable, LAB, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise LabError(f"`lab {' '.join(map(str, words))}` did not end within {timeout} s.") from None
    if check and done.returncode != 0:
        said = (done.stderr + done.stdout).strip().splitlines()
        raise LabError(f"`lab {' '.join(map(str, words))}` failed: {said[-1] if said else 'no message'}")
    return done.stdout


class Stage:
    """`with Stage(...)`: two hosts with libvirt reachable over the move network, taken down again if it was us who made them."""

    def __init__(self, drover, keep):
        self.drover, self.keep = drover, keep
        self.ours = False
        self.former_rates = {}

    def __enter__(self):
        there = hosts.known()
        self.ours = not there
        if there and not set(HOSTS) <= set(there):
            raise UsageError("The lab that is up has no host2: run `lab down` or `lab up --hosts 2`.")
        try:
            lab("up", "--libvirt-tcp", *([] if self.drover else ["--no-drover"]))
            self.former_rates = {(move, name): state["rate"]
                                 for move, states in network.link_state(HOSTS)["networks"].items()
                                 for name, state in states["hosts"].items()}
            if self.drover:
                self.check_drover()
            self.remove_guests()
        except BaseException:
            self.__exit__()
            raise
        return self

    def remove_guests(self, check=True):
        for name in (GUEST, REDIS_GUEST, *IMAGE_GUESTS):
            lab("guest", "--remove", name, check=check)

    def check_drover(self):
        for name in HOSTS:
            if processes.read_pid(hosts.pid_file(name, "droverd")) is None:
                raise UsageError("droverd does not run in the lab: build Drover (preset release) or set DROVER_BIN, "
                                 "or measure libvirt alone with --side libvirt.")

    def __exit__(self, *_):
        if self.ours and not self.keep:
            lab("down", check=False)
        elif hosts.known():
            if not self.keep:
                self.remove_guests(check=False)
            for (move, name), rate in self.former_rates.items():
                lab("link", move, rate, "--host", name, check=False)


class Guest:
    """The probe guest under load: made anew whenever other settings are wanted or something went wrong."""

    def __init__(self, options):
        self.options = options
        self.name = GUEST
        self.settings = None

    def ensure(self, load):
        """The guest runs with this load; answers where."""
        wanted = {"memory": self.options.memory, "disk": self.options.disk, "fill": self.options.fill,
                  "compressible": self.options.compressible, **load}
        where = [host for host, state in self.states().items() if state == "running"]
        if self.settings == wanted and len(where) == 1:
            return where[0]
        self.settings = None
        lab("guest", "--remove", self.name)
        for host in HOSTS:
            self.remove_image(host)
        lab("guest", HOSTS[0], self.name, *(word for key, value in wanted.items() for word in (f"--{key}", value)))
        self.settings = wanted
        return HOSTS[0]

    def forget(self):
        """Something failed: the next `ensure` starts from nothing."""
        self.settings = None

    def states(self):
        known = base.load("guests", {}).get(self.name)
        return guests.states(known) if known else {}

    @property
    def image(self):
        return guests.need(self.name)["disk"]

    def create_image(self, host):
        hosts.run_inside(host, "qemu-img", "create", "-q", "-f", "qcow2", self.image, self.size)

    def remove_image(self, host):
        if self.name in base.load("guests", {}):
            path = hosts.outside(host, self.image)
            if os.path.exists(path):
                os.unlink(path)

    def verify(self):
        """Every record in memory and on disk is right: raises otherwise. A busy machine may be slow to answer."""
        guests.answering(guests.need(self.name), ANSWER_SECONDS)
        said = lab("verify", self.name, "--json", check=False)
        result = json.loads(said or "{}")
        if not result.get("ok"):
            raise LabError(f"The guest lost something: {result.get('error', 'it does not answer')}.")

    @property
    def size(self):
        return guests.need(self.name)["size"]

    def describe(self, load):
        return {"guest": "probe", "memory_mib": self.options.memory, "disk": self.options.disk,
                "disk_filled_mib": self.options.fill, "dirty_mib_per_s": load["dirty"], "disk_dirty_mib_per_s": load["disk-rate"],
                "compressible_percent": self.options.compressible}

    def load(self, slow):
        """What it changes each second, in MiB."""
        load = {"dirty": self.options.dirty, "disk-rate": self.options.disk_rate}
        if slow:
            load = {"dirty": min(load["dirty"], SLOW_LINK_DIRTY_MIB), "disk-rate": min(load["disk-rate"], SLOW_LINK_DISK_RATE_MIB)}
        return load

    @property
    def bytes_to_move(self):
        """About as much as it has."""
        return (self.options.memory + self.options.fill) << 20

    def allocated_bytes(self, host):
        return os.stat(hosts.outside(host, self.image)).st_blocks * 512


class RedisGuest(Guest):
    """The Debian with a full Redis under write load. Each move begins with the same state, restored on the first host."""

    def __init__(self, options):
        super().__init__(options)
        self.name = REDIS_GUEST

    def ensure(self, load):
        lab("guest", "--remove", self.name)
        for host in HOSTS:
            self.remove_image(host)
        # The first of a machine makes the state, which takes minutes.
        lab("guest", HOSTS[0], self.name, "--redis", load["writes"], timeout=MAKE_SECONDS)
        return HOSTS[0]

    def describe(self, load):
        return {"guest": "redis", "memory_mib": redis.MEMORY_MIB, "disk": redis.DISK, "writes_per_s": load["writes"]}

    def load(self, slow):
        writes = self.options.writes
        return {"writes": min(writes, SLOW_LINK_WRITES) if slow else writes}

    def verify(self):
        super().verify()
        redis.check(self.name)

    @property
    def bytes_to_move(self):
        return 2 * redis.MEMORY_MIB << 20


GUESTS = {"redis": RedisGuest, "probe": Guest}


def settle():
    """Writes out what earlier moves left in the page cache, so that no move pays for another."""
    base.run("sync", "-f", base.LAB_DIR)
