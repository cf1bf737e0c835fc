# SPDX-License-Identifier: Apache-2.0
"""The two sides of the comparison. Each carries the guest, running, with its disk and its definition, from one host to the
other, leaves nothing at the source, and says what it cost."""
import json
import re
import subprocess

import droverd
import hosts
import network
import stage
from meters import Meters


class MoveFailed(Exception):
    """A move did not go through; the text says why."""


def timed(command, environment, meters, timeout, on_timeout):
    """Runs the move's command to its end under the meters, and gives its text."""
    child = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    try:
        out, errors = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        on_timeout()
        try:
            child.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
        raise MoveFailed(f"no end within {timeout:.0f} s") from None
    except BaseException:
        child.kill()
        child.wait()
        raise
    meters.command_ended()
    if child.returncode != 0:
        raise MoveFailed(f"exit code {child.returncode}: {last_words(errors + out)}")
    return out


def last_words(said):
    """Why a command failed, from its last line: text, or JSON with an error in it."""
    lines = said.strip().splitlines()
    if not lines:
        return "no message"
    try:
        error = json.loads(lines[-1])["error"]
        return " ".join([error["message"], *error["causes"]])
    except (ValueError, KeyError, TypeError):
        return lines[-1]


def job_of(guest, host):
    """libvirt's own account of the move just done, by name; {} if somebody has read it already."""
    said = hosts.virsh(host, "domjobinfo", guest.name, "--completed", "--keep-completed", check=False).stdout
    found = {}
    for line in said.splitlines():
        name, _, rest = line.partition(":")
        value = re.match(r"\s*([0-9.]+)\s*(\S*)", rest)
        if value:
            number = float(value[1])
            unit = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}.get(value[2].split("/")[0], 1)
            found[name.strip()] = number * unit
    return found


def elapsed(job):
    """Seconds of libvirt's own job, None where nobody can tell any more."""
    return job["Time elapsed"] / 1000 if "Time elapsed" in job else None


def check_arrival(guest, destination):
    states = guest.states()
    if states != {destination: "running"}:
        raise MoveFailed(f"afterwards the guest is {states or 'nowhere'}, not running on {destination} alone")


COPY_STORAGE = ("--copy-storage-all",)


class Libvirt:
    """`virsh migrate` as its manual has it for hosts that share nothing. The image at the destination is made before the clock
    runs and the source's is deleted after it stopped: libvirt does neither."""
    name = "libvirt"

    def __init__(self, flags=(), storage=COPY_STORAGE):
        self.flags = [*storage, *flags]

    def move(self, guest, source, destination, timeout):
        guest.remove_image(destination)
        guest.create_image(destination)
        command = hosts.inside(source, [
            "virsh", "-q", "migrate", "--live", "--p2p", "--persistent", "--undefinesource", *self.flags,
            guest.name, f"qemu+tcp://{destination}/system", "--migrateuri", f"tcp://{network.move_address(destination)}"])
        with Meters(guest.name, source, stage.HOSTS) as meters:
            timed(command, hosts.environment(), meters, timeout,
                  lambda: hosts.virsh(source, "domjobabort", guest.name, check=False))
        check_arrival(guest, destination)
        job = job_of(guest, destination)
        guest.remove_image(source)
        return {**meters.read, "pause_ms": job.get("Total downtime"), "job_s": elapsed(job),
                "memory_passes": job.get("Iteration")}

    def leave(self, guest, source, destination, timeout):
        """A move that is followed by one back. Nothing stays that could help it."""
        self.move(guest, source, destination, timeout)

    def restart(self, host):
        """Nothing of ours runs there."""

    def clear(self, host):
        """Nothing of ours is left there."""


class Drover:
    """`drover move`, everything in it: the plan, the destination's image, the verification, deleting the source's disk."""
    name = "drover"
    leave_flags = ()

    def __init__(self, flags=()):
        self.flags = flags
        self.forget_ways()

    def forget_ways(self):
        """The link is another one from now on."""
        self.measured_from = set()

    def measure_way(self, guest, source, destination):
        """A plan, the first time: a move by --yes takes the way to another host as it was measured within a day (docs/forecast.md)."""
        if source in self.measured_from:
            return
        path = f"PATH={hosts.environment(droverd.binaries())['PATH']}"
        hosts.run_inside(source, "env", path, "drover", "plan", guest.name, destination, *self.flags, check=False)
        self.measured_from.add(source)

    def move(self, guest, source, destination, timeout):
        return self.carry(guest, source, destination, timeout, ["--delete-now"])

    def leave(self, guest, source, destination, timeout):
        """A move that is followed by one back: the source keeps the disk, as it does for every user who says nothing."""
        self.carry(guest, source, destination, timeout, self.leave_flags)

    def restart(self, host):
        """All of Drover's processes there: gates and movers end with their move."""
        stage.lab("droverd", host, "kill")
        stage.lab("droverd", host, "start")

    def clear(self, host):
        """Drops what the host keeps."""
        path = f"PATH={hosts.environment(droverd.binaries())['PATH']}"
        said = hosts.run_inside(host, "env", path, "drover", "--json", "quarantine", "list", check=False).stdout
        for move in {disk["move_id"] for disk in json.loads(said or "{}").get("disks", [])}:
            hosts.run_inside(host, "env", path, "drover", "quarantine", "drop", move, "--yes", check=False)

    def carry(self, guest, source, destination, timeout, disposal):
        guest.remove_image(destination)
        self.measure_way(guest, source, destination)
        command = hosts.inside(source, ["drover", "--json", "move", guest.name, destination, "--yes", *disposal, *self.flags])
        environment = hosts.environment(droverd.binaries())
        with Meters(guest.name, source, stage.HOSTS) as meters:
            said = timed(command, environment, meters, timeout, lambda: self.cancel(source, environment))
        check_arrival(guest, destination)
        move = last_move(said)
        job = job_of(guest, destination)
        pause = job.get("Total downtime", move.get("report", {}).get("pause_ms"))
        return {**meters.read, "pause_ms": pause, "job_s": elapsed(job),
                "memory_passes": job.get("Iteration"), "phases_s": phases(move), "report": move.get("report", {})}

    def cancel(self, source, environment):
        said = hosts.run_inside(source, "env", f"PATH={environment['PATH']}", "drover", "--json", "moves", check=False).stdout
        for move in json.loads(said or "[]"):
            if move.get("state") == "running":
                hosts.run_inside(source, "env", f"PATH={environment['PATH']}", "drover", "cancel", move["id"], check=False)


def last_move(said):
    """The last state of the move in the command's JSON lines, {} if there is none."""
    found = {}
    for line in said.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and "phases" in value:
            found = value
    return found


def seconds_of_day(text):
    """An RFC 3339 time of today as seconds; differences are what counts."""
    hours, minutes, seconds = re.search(r"T(\d\d):(\d\d):(\d\d(?:\.\d+)?)", text).groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def phases(move):
    """Phase -> seconds, in their order."""
    found = {}
    for phase in move.get("phases", []):
        if phase.get("ended_at"):
            spent = (seconds_of_day(phase["ended_at"]) - seconds_of_day(phase["started_at"])) % 86400
            found[phase["phase"]] = round(found.get(phase["phase"], 0) + spent, 3)
    return found


def has_switch(name):
    """Whether this build's `drover move` knows an option."""
    program = f"{droverd.binaries()}/drover"
    return name in subprocess.run([program, "move", "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout


# Drover once more, sending everything as bytes: what references save is the difference.
NO_REFERENCES = "--no-references"
LITERAL = "drover_literal"
PLAIN = "libvirt"  # what the goals are held against
# What else `virsh migrate` can do about memory, as flags beside the plain move's.
LIBVIRT_WAYS = {PLAIN: (), "libvirt_xbzrle": ("--compressed", "--comp-methods", "xbzrle"),
                "libvirt_mt": ("--compressed", "--comp-methods", "mt"), "libvirt_parallel": ("--parallel", "--parallel-connections", "2")}
