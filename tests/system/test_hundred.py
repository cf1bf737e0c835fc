# SPDX-License-Identifier: Apache-2.0
"""A hundred VMs in one command, ten at a time: 30 probe guests that run, the rest tiny and paused. Both daemons are killed in the
middle. Prints what docs/benchmarks.md tells (pytest -s)."""
import contextlib
import datetime
import json
import os
import subprocess
import threading
import time
import uuid

import pytest

from product import IMAGES, REPO, assert_clean, brief, drop_all, until

# Guests that run keep processors busy under TCG, whatever they do. For a look at a smaller run: VMs in all, of these running, limit.
VMS, PROBES, LIMIT = map(int, os.environ.get("DROVER_TEST_HUNDRED", "100,30,10").split(","))
TINY = VMS - PROBES
FIRST, LATER = 50, VMS // 10  # priority of those that are put first, and how many
NEEDS_GIB = 12
PATIENCE = 1500
PROBE = {"memory": 96, "disk": "48M", "fill": 8, "records": 12, "dirty": 0.05, "disk_rate": 0.02}

DOMAIN = """<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>16</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{images}/{name}.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
</domain>
"""


def free_gib():
    with open("/proc/meminfo") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) / (1 << 20)


def make_tiny(host, name):
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(host.path(f"{IMAGES}/{name}.qcow2")), "4M"], check=True)
    host.define(DOMAIN.format(name=name, uuid=uuid.uuid4(), images=IMAGES))
    host.virsh("start", name, "--paused")


def give_way(hosts):
    """What the slices of systemd do on a real host: guests that take all processors leave libvirtd and droverd theirs."""
    for host in hosts:
        for pid in host.pids("qemu"):
            with contextlib.suppress(OSError):  # it, or a thread of it, ended just now
                for thread in os.listdir(f"/proc/{pid}/task"):
                    os.setpriority(os.PRIO_PROCESS, int(thread), 19)


@contextlib.contextmanager
def giving_way(hosts):
    """Those that arrive, too."""
    over = threading.Event()

    def go_on():
        while not over.wait(1):
            give_way(hosts)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def remove_tiny(hosts, name):
    for host in hosts:
        if host.domstate(name):
            host.virsh("destroy", name, check=False)
            host.virsh("undefine", name, check=False)
        host.path(f"{IMAGES}/{name}.qcow2").unlink(missing_ok=True)


@pytest.fixture
def hundred(lab, pair):
    if free_gib() < NEEDS_GIB:
        pytest.skip(f"needs {NEEDS_GIB} GiB of free memory, {free_gib():.0f} are free")
    host1, _ = pair
    probes = [f"probe{number:02}" for number in range(PROBES)]
    tiny = [f"tiny{number:02}" for number in range(TINY)]
    words = [word for key, value in PROBE.items() for word in ("--" + key.replace("_", "-"), value)]
    try:
        # Thirty guests that do nothing keep two cores busy under TCG: until all are there they stand still.
        for name in probes:
            lab.run("guest", "host1", name, *words)
            host1.virsh("suspend", name)
        for name in tiny:
            make_tiny(host1, name)
        give_way(pair)
        for name in probes:
            host1.virsh("resume", name)
        for host in pair:
            host.drover("settings", f"live-moves={LIMIT}")
        yield probes, tiny
    finally:
        for name in probes:
            lab.run("guest", "--remove", name)
        for name in tiny:
            remove_tiny(pair, name)
        for host in pair:
            host.drover("settings", "live-moves=2")
        drop_all(*pair)


class Census:
    """Looks for the time of a `with`: never more than LIMIT move, and whatever waits has its position."""

    def __init__(self, host):
        self.host, self.most, self.looks, self.wrong, self.over = host, 0, 0, [], threading.Event()

    def look(self):
        before = set()
        while not self.over.wait(0.3):
            try:
                moves = self.host.moves()
                queue = self.host.get("/v1/queue")["moves"]
            except (OSError, AssertionError, ValueError):
                continue  # the daemon is being killed
            self.looks += 1
            # A list is not of one instant: one may have ended and the next begun while it was made. Whatever is under way in two
            # lists was so between them.
            under_way = {move["id"] for move in moves if move["state"] == "running" and "queue" not in move}
            at_once, before = len(under_way & before), under_way
            self.most = max(self.most, at_once)
            if at_once > LIMIT:
                self.wrong.append(f"{at_once} move at once")
            positions = [move["queue"]["position"] for move in queue]
            if positions != list(range(1, len(queue) + 1)):
                self.wrong.append(f"positions {positions}")

    def __enter__(self):
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def waiting(host):
    return [move["id"] for move in host.get("/v1/queue")["moves"]]


def kill_both(hosts):
    """In one moment, and started again."""
    for host in hosts:
        host.kill("droverd")
    for host in hosts:
        host.start_droverd()


def began_at(move):
    return datetime.datetime.fromisoformat(move["phases"][0]["started_at"].replace("Z", "+00:00"))


def out_of_order(moves):
    """Pairs of neighbours of which who came later began first. Two that were let begin in one moment write it down in any order."""
    order = sorted((move for move in moves if not move.get("attempts")), key=began_at)
    return [(brief(one), brief(other)) for one, other in zip(order, order[1:], strict=False)
            if one["started_at"] > other["started_at"] and began_at(other) - began_at(one) > datetime.timedelta(seconds=1)]


def test_a_hundred_in_one_command(lab, pair, hundred):
    host1, host2 = pair
    probes, tiny = hundred
    asked = time.monotonic()
    with Census(host1) as census, giving_way(pair):
        command = subprocess.Popen([REPO / "lab" / "lab", "exec", "host1", "drover", "move", *probes, *tiny, "host2", "--yes"],
                                   text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        until(lambda: len(host1.moves()) == PROBES + TINY, "all are asked for", patience=PATIENCE, pause=0.5)
        in_queue = time.monotonic() - asked
        # Those at the end come first.
        put_first = waiting(host1)[-LATER:]
        for move in put_first:
            host1.drover("queue", "priority", move, FIRST)
        queue = waiting(host1)
        still = [move for move in put_first if move in queue]
        assert queue[:len(still)] == still, "who was put first is first, in the order of coming"

        until(lambda: len(waiting(host1)) <= (PROBES + TINY) // 2, "half of them have begun", patience=PATIENCE, pause=0.3)
        before = waiting(host1)
        kill_both(pair)
        after = waiting(host1)
        assert [move for move in after if move in before] == [move for move in before if move in after], "the same order"
        until(lambda: command.poll() is not None, "the command ends", patience=PATIENCE, pause=0.5)
    took = time.monotonic() - asked
    errors = command.stderr.read()
    moves = host1.moves()[:PROBES + TINY]
    assert [brief(move) for move in moves if move["state"] != "done"] == [], errors
    assert command.returncode == 0, errors
    assert census.wrong == [] and census.most == LIMIT, (census.wrong[:5], census.most)

    # Who had priority began before all that waited when it got it; within a priority who came first was first.
    assert out_of_order([move for move in moves if move["id"] in put_first]) == []
    assert out_of_order([move for move in moves if move["id"] not in put_first]) == []

    for names, state in ((tiny, "paused"), (probes, "running")):
        for name in names:
            assert (host1.domstate(name), host2.domstate(name)) == ("", state), name
    assert_clean(*pair)
    # One at a time: among thirty that run none answers soon.
    for name in probes:
        host2.virsh("suspend", name)
    for name in probes:
        host2.virsh("resume", name)
        result = lab.verify(name)
        assert result["ok"] and result["states"] == {"host2": "running"}, (name, result)
        host2.virsh("suspend", name)
    pauses = sorted(move["report"]["pause_ms"] for move in moves if move["plan"]["vm"]["name"] in probes and "pause_ms" in move["report"])
    print(json.dumps({"running": PROBES, "paused": TINY, "seconds": round(took, 1), "until_all_wait_s": round(in_queue, 1), "looks": census.looks,
                      "most_at_once": census.most, "tried_again": sum(bool(move.get("attempts")) for move in moves),
                      "pause_ms_median": pauses[len(pauses) // 2] if pauses else None, "pause_ms_most": pauses[-1] if pauses else None}))
