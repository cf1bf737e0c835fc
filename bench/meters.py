# SPDX-License-Identifier: Apache-2.0
"""What is read off while a move runs: the kernel's counters of the wire, processor time and memory of each program, and
the silence that a client on the guests' LAN lives through."""
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time

import hosts
import network
import processes
from base import SOURCES, LabError

TICKS = os.sysconf("SC_CLK_TCK")
PERIOD_SECONDS = 0.25
# /proc shows the first 15 bytes of a name.
ROLE_OF = {name[:15]: role for role, names in processes.ROLES.items() for name in names}


def wire_bytes(host):
    """Bytes that crossed a host's move interfaces so far, both directions. A large segment counts its headers once."""
    links = json.loads(network.ip(network.netns_of(host), "-s", "-j", "link", "show").stdout)
    of_moves = [link["stats64"] for link in links if link["ifname"].startswith("move")]
    return sum(counters["rx"]["bytes"] + counters["tx"]["bytes"] for counters in of_moves)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_bytes(pid, line):
    """A line of a process's status in bytes: VmRSS is what it holds now, VmHWM the most that it ever held."""
    with open(f"/proc/{pid}/status") as file:
        for text in file:
            if text.startswith(line + ":"):
                return int(text.split()[1]) * 1024
    return 0


def parent(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


class Membership:
    """Which host a process belongs to: by its namespaces, or, if it left them all, by who collects it when it ends."""

    def __init__(self, names):
        machine = set(processes.spaces(os.getpid()).values())
        self.spaces = {name: set(processes.spaces(hosts.holder(name)).values()) - machine for name in names}
        self.collectors = {}
        for name in names:
            daemon = processes.read_pid(hosts.pid_file(name, "droverd"))
            if daemon:
                self.collectors[parent(daemon)] = name

    def host_of(self, pid):
        theirs = set(processes.spaces(pid).values())
        for name, spaces in self.spaces.items():
            if theirs & spaces:
                return name
        try:
            while pid > 1:
                pid = parent(pid)
                if pid in self.collectors:
                    return self.collectors[pid]
        except OSError:
            pass
        return None


class Sampler(threading.Thread):
    """Reads processor time and peak memory of the hosts' programs several times a second, for a mover ends by itself and
    takes its counters along. `result` is by (host, role)."""

    def __init__(self, names):
        super().__init__(daemon=True)
        self.membership = Membership(names)
        self.ended = threading.Event()
        self.known = {}  # (pid, start time) -> (host, role), None for another lab's
        self.cpu = {}    # the same -> [first, last]
        self.peak = {}   # the same -> bytes
        self.sample(first=True)
        self.start()

    def sample(self, first=False):
        for pid in processes.all_pids():
            try:
                with open(f"/proc/{pid}/comm") as file:
                    role = ROLE_OF.get(file.read().rstrip("\n"))
                if role is None:
                    continue
                key = (pid, processes.start_time(pid))
                if key not in self.known:
                    host = self.membership.host_of(pid)
                    self.known[key] = host and (host, role)
                if self.known[key] is None:
                    continue
                now = cpu_seconds(pid)
                # What a process used before the move is not the move's; one that began within it counts whole.
                self.cpu.setdefault(key, [now if first else 0.0, now])[1] = now
                self.peak[key] = max(self.peak.get(key, 0), memory_bytes(pid, "VmHWM"))
            except (OSError, IndexError):
                continue  # it ended while we looked

    def run(self):
        while not self.ended.wait(PERIOD_SECONDS):
            self.sample()

    def stop(self):
        self.ended.set()
        self.join()
        self.sample()

    def cpu_by_role(self):
        total = {}
        for key, (first, last) in self.cpu.items():
            role = self.known[key][1]
            total[role] = total.get(role, 0.0) + last - first
        return {role: round(seconds, 2) for role, seconds in sorted(total.items())}

    def cpu_of(self, host, role):
        return round(sum(last - first for key, (first, last) in self.cpu.items() if self.known[key] == (host, role)), 2)

    def peak_of(self, role):
        return max((size for key, size in self.peak.items() if self.known[key][1] == role), default=0)


class Watch:
    """`lab watch` beside a move: from its first answer until `stop`."""
    START_SECONDS = 20

    def __init__(self, guest):
        self.child = subprocess.Popen([sys.executable, os.path.join(SOURCES, "lab"), "watch", guest],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                      start_new_session=True)
        ready, _, _ = select.select([self.child.stderr], [], [], self.START_SECONDS)
        if not ready or self.child.stderr.readline() != "watching\n":
            self.stop()
            raise LabError(f"The guest {guest} does not answer on the LAN before the move.")

    def stop(self):
        """The longest silence in milliseconds, and whether the one connection survived."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            said, _ = self.child.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            said, _ = self.child.communicate()
        try:
            found = json.loads(said)
        except ValueError:
            return None, False
        return found["longest_silence_ms"], found["ok"]


class Stopwatch:
    """What is timed within one host: a clock, and no other meter. Members as those of Meters."""

    def __init__(self):
        self.read = {}

    def __enter__(self):
        self.began = time.monotonic()
        return self

    def command_ended(self):
        self.read["wall_s"] = round(time.monotonic() - self.began, 3)

    def __exit__(self, *_):
        self.read.update(wire_bytes=None, pause_ms=None, silence_ms=None, cpu_s={}, mover_cpu_s=[], mover_peak_bytes=0, job_s=None)


class Meters:
    """All meters of one move: `with Meters(...) as meters: ...`, then `meters.read`."""
    LEAD_SECONDS = 1.0  # silence is watched a little before and after as well

    def __init__(self, guest, source, names):
        self.guest, self.source, self.names = guest, source, names
        self.read = {}

    def __enter__(self):
        self.watch = Watch(self.guest)
        time.sleep(self.LEAD_SECONDS)
        self.sampler = Sampler(self.names)
        self.wire = wire_bytes(self.source)
        self.began = time.monotonic()
        return self

    def command_ended(self):
        """Stops the clock: what follows is not the move's."""
        self.read["wall_s"] = round(time.monotonic() - self.began, 3)
        self.read["wire_bytes"] = wire_bytes(self.source) - self.wire

    def __exit__(self, kind, *_):
        self.sampler.stop()
        if kind is None:
            time.sleep(self.LEAD_SECONDS)
        self.read["silence_ms"], self.read["connection_survived"] = self.watch.stop()
        self.read["cpu_s"] = self.sampler.cpu_by_role()
        self.read["mover_cpu_s"] = [self.sampler.cpu_of(name, "mover") for name in self.names]
        self.read["mover_peak_bytes"] = self.sampler.peak_of("mover")
        self.read["gate_peak_bytes"] = self.sampler.peak_of("gate")
        self.read["droverd_peak_bytes"] = self.sampler.peak_of("droverd")
