# SPDX-License-Identifier: Apache-2.0
"""Moves at a time: one begins no sooner than asked, and one with a window switches inside it and never outside."""
import datetime
import time

import pytest

from marks import LONG
from product import assert_clean, brief, drop_all

GUEST = {"memory": 128, "disk": "128M", "fill": 32, "dirty": 0.25, "disk_rate": 0.1}


@pytest.fixture
def guest(lab, pair):
    with lab.guest("host1", "night", **GUEST):
        yield pair
    drop_all(*pair)


def minute(ahead):
    """The first full minute that is at least so many seconds ahead."""
    now = datetime.datetime.now().astimezone()
    return (now + datetime.timedelta(seconds=ahead + 60)).replace(second=0, microsecond=0)


def clock(at):
    return at.strftime("%H:%M")


def begun(move, phase):
    """When a phase began."""
    text = next(entry["started_at"] for entry in move["phases"] if entry["phase"] == phase)
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def warning(move):
    return (move["progress"].get("warning") or {}).get("code")


def memory_waits(host, move):
    """Its disks are copied, and it says that memory waits."""
    return host.wait_move(move, lambda seen: warning(seen) == "WINDOW_AWAITED" and seen["progress"]["percent"] >= 50)


def test_a_window_ahead_is_waited_for_and_kept(lab, guest):
    """Disks are copied at once; the source's daemon is killed while memory waits; the switch is inside."""
    host1, host2 = guest
    opens = minute(20)
    closes = opens + datetime.timedelta(minutes=1)
    move = host1.start_move("night", "host2", window=f"{clock(opens)}-{clock(closes)}")
    waiting = memory_waits(host1, move)
    assert waiting["phase"] == "copy-disks" and clock(opens) in waiting["progress"]["warning"]["what"], brief(waiting)
    host1.kill_droverd()
    host1.start_droverd()
    memory_waits(host1, move)
    assert clock(opens) in host1.drover("show", move).stdout
    while datetime.datetime.now().astimezone() < opens - datetime.timedelta(seconds=1):
        seen = host1.move(move)
        assert seen["phase"] == "copy-disks" and seen["state"] == "running", brief(seen)
        assert lab.verify("night")["states"]["host1"] == "running"
        time.sleep(1)
    ended = host1.wait_move(move)
    assert ended["state"] == "done", brief(ended)
    for phase in ("copy-memory", "switch", "verify"):
        assert opens <= begun(ended, phase) < closes, (phase, ended["phases"], opens, closes)
    result = lab.verify("night")
    assert result["ok"] and result["states"] == {"host2": "running"}, result
    assert_clean(*guest)


def test_a_move_that_waits_for_its_window_can_be_cancelled(lab, guest):
    host1, _ = guest
    later = minute(3600 * 5)
    move = host1.start_move("night", "host2", window=f"{clock(later)}-{clock(later + datetime.timedelta(minutes=5))}")
    memory_waits(host1, move)
    time.sleep(2)  # QEMU has connected
    host1.drover("cancel", move)
    ended = host1.wait_move(move, patience=40)
    assert ended["state"] == "cancelled", brief(ended)
    assert "copy-memory" not in [entry["phase"] for entry in ended["phases"]], ended["phases"]
    result = lab.verify("night")
    assert result["ok"] and result["states"] == {"host1": "running"}, result
    assert_clean(*guest)


@LONG
def test_under_a_limit_of_one_who_waits_for_a_window_lets_others_go(lab, pair):
    """Two VMs with one window are both in sync before it; a third moves meanwhile; in the window they go one after the other."""
    host1, host2 = pair
    for host in pair:
        host.drover("settings", "live-moves=1")
    names = ("night", "late", "day")
    with lab.guest("host1", names[0], **GUEST), lab.guest("host1", names[1], **GUEST), lab.guest("host1", names[2], **GUEST):
        opens = minute(80)
        closes = opens + datetime.timedelta(minutes=2)
        window = f"{clock(opens)}-{clock(closes)}"
        night, late = (host1.start_move(name, "host2", window=window) for name in names[:2])
        memory_waits(host1, night)
        memory_waits(host1, late)
        host2.restart_droverd()  # it gives them their places again, until they are given back once more
        day = host1.wait_move(host1.start_move("day", "host2"), patience=100)
        assert day["state"] == "done", brief(day)
        moves = [host1.wait_move(move) for move in (night, late)]
        assert [move["state"] for move in moves] == ["done"] * 2, [brief(move) for move in moves]
        first, second = sorted(moves, key=lambda move: begun(move, "copy-memory"))
        assert opens <= begun(first, "copy-memory") and begun(second, "switch") < closes
        assert begun(second, "copy-memory") >= begun(first, "settle").replace(microsecond=0), (first["phases"], second["phases"])
        for name in names:
            result = lab.verify(name)
            assert result["ok"] and result["states"] == {"host2": "running"}, result
        for host in pair:
            host.drover("settings", "live-moves=2")
    assert_clean(*pair)
    drop_all(*pair)


def test_a_move_begins_at_its_time(lab, guest):
    """Also after its daemon was killed; nobody else waits for it."""
    host1, _ = guest
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=12)
    move = host1.start_move("night", "host2", begin_at=at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert "as asked" in host1.move(move)["queue"]["waits_for"]
    assert at.astimezone().strftime("%H:%M") in host1.drover("queue").stdout
    host1.kill_droverd()
    host1.start_droverd()
    time.sleep(3)
    assert host1.move(move)["phase"] == "plan"
    ended = host1.wait_move(move)
    assert ended["state"] == "done", brief(ended)
    assert begun(ended, "prepare") >= at.replace(microsecond=0), (ended["phases"], at)
    assert_clean(*guest)


def test_bad_times_are_refused(guest):
    host1, _ = guest
    for words, said in ((["--window", "02:00"], "02:00-04:00"), (["--window", "02:00-02:00"], "never opens"),
                        (["--window", "25:00-02:00"], "02:00-04:00"), (["--begin", "soon"], "+30m"),
                        (["--begin", "2020-01-01T00:00"], "year")):
        refused = host1.drover("move", "night", "host2", "--yes", *words, check=False)
        assert refused.returncode == 2 and said in refused.stderr, (words, refused.stderr)
    status, answer = host1.start_move("night", "host2", check=False, window="02:00-02:00")
    assert status == 400, answer
    assert host1.get("/v1/queue")["moves"] == []


def test_a_pattern_names_the_vms_that_run(lab, guest):
    host1, _ = guest
    refused = host1.drover("move", "day*", "host2", "--yes", check=False)
    assert refused.returncode == 3 and "fits day*" in refused.stderr, refused.stderr
    host1.drover("move", "nig?t*", "host2", "--yes")
    assert lab.verify("night")["states"] == {"host2": "running"}
    again = host1.drover("move", "night*", "host2", "--yes", check=False)
    assert again.returncode == 3, "it is there already"
    assert_clean(*guest)


@LONG
def test_memory_that_does_not_fit_waits_for_the_next_window(lab, pair):
    """The link is so slow that memory cannot be over before the window closes: nothing is switched outside of it."""
    host1, _ = pair
    with lab.guest("host1", "night", memory=512, disk="128M", fill=300, dirty=4, disk_rate=0.1):
        opens = minute(60)
        closes = opens + datetime.timedelta(minutes=1)
        move = host1.start_move("night", "host2", window=f"{clock(opens)}-{clock(closes)}")
        memory_waits(host1, move)
        lab.run("link", "10mbit")
        while datetime.datetime.now().astimezone() < closes + datetime.timedelta(seconds=20):
            assert lab.verify("night")["states"]["host1"] == "running"
            time.sleep(2)
        seen = host1.move(move)
        assert seen["state"] == "running" and warning(seen) == "WINDOW_AWAITED", brief(seen)
        host1.drover("cancel", move)
        assert host1.wait_move(move)["state"] == "cancelled"
        assert lab.verify("night")["ok"]
    assert_clean(*pair)
    drop_all(*pair)


@LONG
def test_a_window_closes_although_droverd_is_away(lab, pair):
    """Memory is under way when the source's daemon is killed: the mover knows when to stop."""
    host1, host2 = pair
    with lab.guest("host1", "night", memory=512, disk="128M", fill=16, dirty=4, disk_rate=0.1, compressible=0):
        opens = minute(30)
        closes = opens + datetime.timedelta(minutes=1)
        move = host1.start_move("night", "host2", window=f"{clock(opens)}-{clock(closes)}")
        memory_waits(host1, move)
        lab.run("link", "50mbit")
        host1.wait_phase(move, "copy-memory")
        lab.run("link", "10mbit")
        host1.kill_droverd()
        while datetime.datetime.now().astimezone() < closes:
            time.sleep(1)
        lab.run("link", "unlimited")
        time.sleep(20)
        assert lab.verify("night")["states"]["host1"] == "running", "it was switched outside of its window"
        host1.start_droverd()
        host1.wait_move(move, lambda seen: warning(seen) == "WINDOW_AWAITED")
        host1.drover("cancel", move)
        assert host1.wait_move(move)["state"] == "cancelled"
        assert lab.verify("night")["ok"]
    assert_clean(*pair)
    drop_all(*pair)
