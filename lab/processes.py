# SPDX-License-Identifier: Apache-2.0
"""Which processes belong to a host, and ending them: by process id and namespace, never by name alone."""
import os
import signal
import time

from base import LabError

KINDS = ("net", "mnt", "uts")
ROLES = {"gate": ("drover-gate",), "mover": ("drover-mover",), "droverd": ("droverd",), "libvirtd": ("libvirtd",),
         "qemu": ("qemu-system-x86_64", "qemu-system-x86", "kvm")}


def start_time(pid):
    """When a process began, in kernel ticks: with the pid it names a process for good, though pids are used again."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def write_pid(path, pid):
    with open(path, "w") as file:
        file.write(f"{pid} {start_time(pid)}\n")


def read_pid(path):
    """The pid in a pid file if that very process still lives, else None."""
    try:
        with open(path) as file:
            pid, began = map(int, file.read().split())
    except (OSError, ValueError):
        return None
    return pid if start_time(pid) == began else None


def spaces(pid):
    """The namespaces of a process, by kind, as inode numbers."""
    found = {}
    for kind in KINDS:
        try:
            found[kind] = os.stat(f"/proc/{pid}/ns/{kind}").st_ino
        except OSError:
            pass
    return found


def all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def members(netns_inode, holder=None):
    """Every process of a host.

    A process in the host's network namespace is one; so is one that shares a mount or UTS namespace with such a process
    (a mover may well have left the network namespace), unless that is the machine's own.
    """
    machine = set(spaces(1).values()) | set(spaces(os.getpid()).values())
    everyone = {pid: set(spaces(pid).values()) for pid in all_pids()}
    ours = {netns_inode} if netns_inode else set()
    if holder:
        ours |= set(spaces(holder).values()) - machine
    for theirs in list(everyone.values()):
        if netns_inode and netns_inode in theirs:
            ours |= theirs - machine
    return sorted(pid for pid, theirs in everyone.items() if theirs & ours and pid != os.getpid())


def parents():
    """pid -> its parent's pid, for every process."""
    found = {}
    for pid in all_pids():
        try:
            with open(f"/proc/{pid}/stat") as file:
                found[pid] = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            pass
    return found


def reaped(folder):
    """Every process below a reaper whose pid file lies in a host's folder, be it in whatever namespace: what a host's
    daemons leave behind stays below their reaper. The reapers themselves are not counted; they end with the last of these."""
    reapers = set()
    for pid in all_pids():
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                words = file.read().split("\0")
        except OSError:
            continue
        if len(words) > 2 and words[1].endswith("/reaper.py") and words[2].startswith(folder + "/"):
            reapers.add(pid)
    above, below = parents(), set()
    for pid in above:
        line = [pid]
        while line[-1] in above and line[-1] not in reapers:
            line.append(above[line[-1]])
        if line[-1] in reapers:
            below.update(line[:-1])
    return {pid for pid in below if start_time(pid) is not None}


def kill_members(find, patience=10.0):
    """Kills until `find` finds nobody: a process may fork while we look."""
    end = time.monotonic() + patience
    while True:
        pids = find()
        if not pids:
            return
        for pid in pids:
            send(pid, signal.SIGKILL)
        if time.monotonic() > end:
            raise LabError(f"Processes {pids} do not die: look at them with ps, then run the verb again.")
        time.sleep(0.02)


def state(pid):
    """The kernel's letter for what a process does (S sleeps, T is stopped, ...), "" if there is none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def is_stopped(pid):
    return state(pid) == "T"


def stop_all(find, patience=10.0):
    """Lets everybody that `find` finds stand still (SIGSTOP): a process may fork while we look."""
    end = time.monotonic() + patience
    while moving := [pid for pid in find() if state(pid) not in ("", "T", "Z", "X")]:
        for pid in moving:
            send(pid, signal.SIGSTOP)
        if time.monotonic() > end:
            raise LabError(f"Processes {moving} do not stand still: look at them with ps, then run the verb again.")
        time.sleep(0.005)


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def program(pid):
    """The file name of the program that a process runs."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).removesuffix(" (deleted)")
    except OSError:
        return ""


def with_role(pids, role):
    """Those of a host's processes that play a role: gate, mover, droverd, libvirtd or qemu."""
    return [pid for pid in pids if program(pid) in ROLES[role]]


def stop(pid, patience=10.0):
    """Asks a process to end, then insists."""
    began = start_time(pid)
    send(pid, signal.SIGTERM)
    end = time.monotonic() + patience
    while began is not None and start_time(pid) == began:
        if time.monotonic() > end:
            send(pid, signal.SIGKILL)
        time.sleep(0.02)
