# SPDX-License-Identifier: Apache-2.0
"""A host out of memory: its processes together get hardly a page more, and the kernel ends the largest when one asks for more. By a
control group of the machine, of the first or the second kind."""
import os
import pathlib
import time

import product

V1 = pathlib.Path("/sys/fs/cgroup/memory")
V2 = pathlib.Path("/sys/fs/cgroup")
# Enough for what daemons do, not for a guest.
LEFT_BYTES = 8 << 20


def is_v1():
    return (V1 / "cgroup.procs").exists()


def own_group():
    """The group that this process is in: the hosts' groups are made below it, where we may."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, kinds, path = line.split(":", 2)
        if ("memory" in kinds.split(",")) if is_v1() else kinds == "":
            return (V1 if is_v1() else V2) / path.strip("/")
    return V1 if is_v1() else V2


def group(host):
    return own_group() / f"{product.network.PREFIX}{host.name}"


def move_in(host, folder):
    """Every process of the host; one may end while we look."""
    for pid in product.lab_hosts.members(host.name):
        try:
            (folder / "cgroup.procs").write_text(str(pid))
        except OSError:
            continue


def limit(folder):
    return folder / ("memory.limit_in_bytes" if is_v1() else "memory.max")


def strike(host):
    """What the processes have is not counted: it stays with the group that they come from."""
    folder = group(host)
    folder.mkdir(exist_ok=True)
    limit(folder).write_text(str(LEFT_BYTES))
    move_in(host, folder)


def mend(host):
    """The processes that are left go back, and the group goes away."""
    folder = group(host)
    if not folder.exists():
        return
    limit(folder).write_text("-1" if is_v1() else "max")
    end = time.monotonic() + 10
    while True:
        for pid in (folder / "cgroup.procs").read_text().split():
            try:
                (folder.parent / "cgroup.procs").write_text(pid)
            except OSError:
                continue
        try:
            return os.rmdir(folder)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
