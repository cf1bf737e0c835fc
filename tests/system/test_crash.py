# SPDX-License-Identifier: Apache-2.0
"""Programs die in the middle of a move: the guest runs on, on exactly one host, and nothing is left on the other."""
import os

import pytest

from marks import LONG
from product import ALL, PHASES, assert_clean, brief, drop_all, until
from runners import RunnerWatch


@pytest.fixture
def slow(lab, pair):
    """A link on which a small guest takes a while, for its disk and for its memory, and which its writes do not fill."""
    with lab.guest("host1", "slow", memory=192, disk="256M", fill=48, dirty=2, disk_rate=0.05) as guest:
        lab.run("link", "100mbit")
        yield guest
        lab.run("link", "unlimited")


def assert_at_source(lab, pair, move, files):
    """Undone: the guest runs on at the source, and nothing is left at the destination."""
    host1, host2 = pair
    assert (move["state"], move["runner"]) == ("failed", "source") and move["error"]["message"], brief(move)
    result = lab.verify("slow")
    assert result["ok"] and result["states"] == {"host1": "running"}, result
    assert_clean(*pair)
    assert host2.files() == files


VICTIMS = [("host1", "mover", "copy-memory"), ("host2", "mover", "copy-disks"), ("host2", "qemu", "copy-memory")]
if ALL:
    VICTIMS = [(host, role, phase) for host, role in (("host1", "mover"), ("host2", "mover"), ("host2", "qemu"),
                                                      ("host1", "gate"), ("host2", "gate"))
               for phase in ("copy-disks", "copy-memory")]


@pytest.mark.parametrize("victim, role, phase", VICTIMS)
def test_killed_while_copying(lab, pair, slow, victim, role, phase):
    host1, host2 = pair
    files = host2.files()
    with RunnerWatch("slow", *pair) as watch:
        move_id = host1.start_move("slow", "host2")
        host1.wait_phase(move_id, phase)
        until(lambda: moved_bytes(host1.move(move_id), phase) > 4 << 20, "bytes flow")
        {"host1": host1, "host2": host2}[victim].kill(role)
        move = host1.wait_move(move_id)
        assert_at_source(lab, pair, move, files)
        watch.assert_one_runner(*pair)


def moved_bytes(move, phase):
    progress = move["progress"]["disks" if phase == "copy-disks" else "memory"]
    return progress["done_bytes"] if move["state"] == "running" else 1 << 60


QUICK = [("host1", "copy-memory"), ("host2", "verify")]
RESTARTS = [(host, phase) for host in ("host1", "host2") for phase in PHASES] if ALL else QUICK


@pytest.mark.parametrize("victim, phase", RESTARTS)
def test_droverd_killed_and_started_again(lab, pair, slow, victim, phase):
    """In whichever phase the daemon dies, the move is finished or undone. (A short phase may be over before the blow.)"""
    host1, host2 = pair
    files = host2.files()
    with RunnerWatch("slow", *pair) as watch:
        move_id = host1.start_move("slow", "host2")
        # No request stands between seeing the phase and the blow.
        [pid] = {"host1": host1, "host2": host2}[victim].pids("droverd")
        host1.wait_phase(move_id, phase, pause=0)
        os.kill(pid, 9)
        {"host1": host1, "host2": host2}[victim].start_droverd()
        move = host1.wait_move(move_id)
        watch.assert_one_runner(*pair)
    if move["state"] == "done":
        result = lab.verify("slow")
        assert result["ok"] and result["states"] == {"host2": "running"}, result
        assert_clean(*pair)
        drop_all(host1)
        assert host1.files() == [name for name in host1.files() if not name.startswith("slow.")]
    else:
        assert_at_source(lab, pair, move, files)


@LONG
def test_droverd_killed_again_and_again(lab, pair, slow):
    """On both hosts, as long as the move lasts."""
    host1, host2 = pair
    files = host2.files()
    with RunnerWatch("slow", *pair) as watch:
        move_id = host1.start_move("slow", "host2")
        host1.wait_phase(move_id, "copy-disks")
        for host in (host1, host2) * (3 if ALL else 1):
            host.kill_droverd()
            host.start_droverd()
        move = host1.wait_move(move_id)
        watch.assert_one_runner(*pair)
    if move["state"] == "done":
        assert lab.verify("slow")["ok"]
        assert_clean(*pair)
        drop_all(host1)
    else:
        assert_at_source(lab, pair, move, files)


def test_a_link_that_breaks_and_returns_is_a_stall(lab, pair, slow):
    host1, host2 = pair
    with RunnerWatch("slow", *pair) as watch:
        move_id = host1.start_move("slow", "host2")
        for phase in ("copy-disks", "copy-memory"):
            host1.wait_phase(move_id, phase)
            lab.run("link", "cut")
            until_stalled(host1, move_id)
            lab.run("link", "restore")
        move = host1.wait_move(move_id)
        assert move["state"] == "done", brief(move)
        assert lab.verify("slow")["states"] == {"host2": "running"}
        watch.assert_one_runner(*pair)
    assert_clean(*pair)
    drop_all(host1)


def until_stalled(host, move_id):
    """Waits until a break has lasted long enough that no buffer hides it."""
    state = {"seen": None, "same": 0}

    def stalled():
        move = host.move(move_id)
        seen = (move["progress"]["disks"]["done_bytes"], move["progress"]["memory"]["done_bytes"], move["state"])
        state["same"] = state["same"] + 1 if seen == state["seen"] else 0
        state["seen"] = seen
        return state["same"] >= 6

    until(stalled, "the move stalls", pause=0.5)


@LONG
@pytest.mark.parametrize("victim", ["host1", "host2"])
def test_a_host_loses_power_while_copying(lab, pair, slow, victim):
    host1, host2 = pair
    files = host2.files()
    move_id = host1.start_move("slow", "host2")
    host1.wait_phase(move_id, "copy-memory")
    lab.run("power", victim, "off")
    lab.run("power", victim, "on")
    move = host1.wait_move(move_id)
    assert move["state"] == "failed", brief(move)
    if victim == "host2":
        assert_at_source(lab, pair, move, files)
    else:
        # Its running state went with the power; its disk did not, and no other host has the VM.
        assert host1.domstate("slow") == "shut off" and host2.domstate("slow") == ""
        assert_clean(*pair)
        assert host2.files() == files
