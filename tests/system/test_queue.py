# SPDX-License-Identifier: Apache-2.0
"""The queue: what may not begin yet waits on its source, in order, through restarts of the daemon."""
import subprocess
import threading

import pytest

from marks import LONG
from product import REPO, assert_clean, brief, drop_all, until

NAMES = ["one", "two", "three"]
GUEST = {"memory": 128, "disk": "128M", "fill": 48, "dirty": 0.25, "disk_rate": 0.1}


@pytest.fixture
def guests(lab, pair):
    """Three small guests on host1, and a link on which each takes a while."""
    host1, host2 = pair
    lab.run("link", "100mbit")
    with lab.guest("host1", NAMES[0], **GUEST), lab.guest("host1", NAMES[1], **GUEST), \
            lab.guest("host1", NAMES[2], **GUEST):
        yield
        for host in pair:
            host.drover("settings", "live-moves=2")
    drop_all(*pair)


def begin(host, *words):
    return subprocess.Popen([REPO / "lab" / "lab", "exec", host.name, "drover", "move", *words, "--yes"], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


def queue(host):
    """Names in order; the positions must be 1, 2, 3, …"""
    moves = host.get("/v1/queue")["moves"]
    assert [move["queue"]["position"] for move in moves] == list(range(1, len(moves) + 1)), moves
    assert all(move["state"] == "running" and move["phase"] == "plan" for move in moves), moves
    return [move["plan"]["vm"]["name"] for move in moves]


def id_of(host, name):
    return next(move["id"] for move in host.moves() if move["plan"]["vm"]["name"] == name)


def under_way(host):
    return [move["plan"]["vm"]["name"] for move in host.moves() if move["state"] == "running" and "queue" not in move]


class AtMost:
    """Watches for the time of a `with` that never more than so many moves of a host are under way. A list is not of one instant, but
    whatever is under way in two of them was so between them."""

    def __init__(self, host, most):
        self.host, self.most, self.seen, self.over = host, most, set(), threading.Event()

    def look(self):
        before = set()
        while not self.over.wait(0.05):
            try:
                now = set(under_way(self.host))
                self.seen.add(len(now & before))
                before = now
            except (OSError, AssertionError, ValueError):
                pass  # the daemon is being killed

    def __enter__(self):
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        assert max(self.seen, default=0) <= self.most, self.seen


def test_three_in_one_command_wait_for_their_turn(lab, pair, guests):
    """Limit 1: positions are seen, one is put first, one is held; the daemon is killed in the middle; all arrive in order."""
    host1, host2 = pair
    host1.drover("settings", "live-moves=1")
    with AtMost(host1, 1):
        command = begin(host1, *NAMES, "host2")
        until(lambda: under_way(host1) == ["one"] and queue(host1) == ["two", "three"], "one moves, two wait")
        shown = host1.drover("queue").stdout
        assert "live-moves" in shown and id_of(host1, "three") in shown, shown
        refused = host1.drover("queue", "hold", id_of(host1, "one"), check=False)
        assert refused.returncode != 0 and "under way" in refused.stderr, refused.stderr

        host1.drover("queue", "priority", id_of(host1, "three"), 10)
        assert queue(host1) == ["three", "two"]
        host1.drover("queue", "hold", id_of(host1, "two"))
        host1.kill_droverd()
        host1.start_droverd()
        assert queue(host1) == ["three", "two"] and host1.move(id_of(host1, "two"))["queue"]["held"]
        host1.wait_move(id_of(host1, "one"))
        host1.wait_move(id_of(host1, "three"))
        assert under_way(host1) == [] and queue(host1) == ["two"], "it is held"
        host1.drover("queue", "release", id_of(host1, "two"))
        said = command.communicate(timeout=300)[0]
    assert command.returncode == 0, said
    moves = {move["plan"]["vm"]["name"]: move for move in host1.moves()[:3]}
    assert [moves[name]["state"] for name in NAMES] == ["done"] * 3, [brief(move) for move in moves.values()]
    # If the kill struck it so early that it was taken back, it came with a second attempt, behind the one that was put first.
    order = ["three", "one", "two"] if moves["one"].get("attempts") else ["one", "three", "two"]
    assert sorted(NAMES, key=lambda name: moves[name]["ended_at"]) == order, [brief(move) for move in moves.values()]
    for name in NAMES:
        result = lab.verify(name)
        assert result["ok"] and result["states"] == {"host2": "running"}, result
    assert_clean(*pair)


@LONG
def test_the_destinations_limit_counts_too_and_cancelled_ones_leave(lab, pair, guests):
    host1, host2 = pair
    refused = host2.drover("settings", "live-moves=0", check=False)
    assert refused.returncode == 2 and "outgoing=off" in refused.stderr, refused.stderr
    host2.drover("settings", "live-moves=1")
    ids = [host1.start_move(name, "host2") for name in NAMES]
    until(lambda: len(under_way(host1)) == 1 and queue(host1) == ["two", "three"], "one moves, two wait")
    until(lambda: "host2" in host1.move(ids[1])["queue"]["waits_for"], "it says that host2 is full")
    host1.drover("queue", "cancel", ids[1])
    assert host1.wait_move(ids[1])["state"] == "cancelled"
    assert queue(host1) == ["three"]
    # More may run at once from now on; what runs is not asked.
    host2.drover("settings", "live-moves=unlimited")
    until(lambda: len(under_way(host1)) == 2, "the third begins beside the first")
    host2.drover("settings", "live-moves=1")
    for move_id, name in ((ids[0], "one"), (ids[2], "three")):
        assert host1.wait_move(move_id)["state"] == "done"
        assert lab.verify(name)["states"] == {"host2": "running"}
    assert lab.verify("two")["states"] == {"host1": "running"}
    assert_clean(*pair)


@LONG
def test_hosts_that_swap_guests_under_a_limit_of_one(lab, pair, guests):
    host1, host2 = pair
    host1.drover("move", "three", "host2", "--yes")
    for host in pair:
        host.drover("settings", "live-moves=1")
    there = [begin(host1, "one", "two", "host2"), begin(host2, "three", "host1")]
    for command in there:
        said = command.communicate(timeout=300)[0]
        assert command.returncode == 0, said
    assert lab.verify("one")["states"] == lab.verify("two")["states"] == {"host2": "running"}
    assert lab.verify("three")["states"] == {"host1": "running"}
    assert_clean(*pair)
