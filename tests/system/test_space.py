# SPDX-License-Identifier: Apache-2.0
"""Room at the destination: a copy halts before its disk is full, goes on when there is room, and gives up cleanly."""
import time

import pytest

from product import ALL, IMAGES, assert_clean, brief, codes, drop_all, until

LONG = pytest.mark.skipif(not ALL, reason="slow: DROVER_TEST_ALL=1")
GUEST = {"memory": 128, "disk": "256M", "fill": 160, "dirty": 0.25, "disk_rate": 0.1}
SMALL = f"{IMAGES}/small"


@pytest.fixture
def small(lab, pair):
    """host2 has a file system of its own for disks, of 600 MB; the link needs some 15 s for the guest."""
    host1, host2 = pair
    lab.run("link", "100mbit")
    host2.run("mkdir", "-p", SMALL)
    host2.run("mount", "-t", "tmpfs", "-o", "size=600M,mode=0755", "small", SMALL)
    host2.drover("settings", f"allowed-folders+={SMALL}", "space-reserve=256M", "space-patience=10m")
    with lab.guest("host1", "grows", **GUEST):
        yield pair
    host2.drover("settings", f"allowed-folders-={SMALL}", "space-reserve=256M", "space-patience=10m")
    drop_all(*pair)
    until(lambda: host2.run("umount", SMALL, check=False).returncode == 0, "nobody uses the file system", patience=20)
    host2.run("rmdir", SMALL)


def fill(host):
    """Leaves 200 MB."""
    host.run("sh", "-c", f"df -k --output=avail {SMALL} | tail -n 1 | {{ read k; "
                         f"fallocate -l $((k - 200 * 1024))K {SMALL}/other; }}")


def begin(host1, **request):
    move = host1.start_move("grows", "host2", disks_to=SMALL, **request)
    host1.wait_move(move, lambda seen: seen["progress"]["disks"]["done_bytes"] > 8 << 20)
    return move


def halted(host1, move):
    """The progress says so, and the copy stands still."""
    seen = host1.wait_move(move, lambda seen: (seen["progress"].get("warning") or {}).get("code") == "SPACE_AWAITED")
    assert seen["phase"] == "copy-disks", brief(seen)
    assert SMALL in seen["progress"]["warning"]["what"], seen["progress"]["warning"]
    return seen


def free(host):
    return int(host.run("df", "-k", "--output=avail", SMALL).stdout.split()[-1]) << 10


def test_a_copy_halts_before_the_disk_is_full_and_goes_on(lab, small):
    host1, host2 = small
    move = begin(host1)
    fill(host2)
    halted(host1, move)
    time.sleep(2)  # what was under way arrives
    left = free(host2)
    time.sleep(3)
    assert free(host2) == left > 64 << 20, "nothing is written, and the disk is far from full"
    assert lab.verify("grows")["states"]["host1"] == "running"
    # droverd of the source dies and comes back: it halts still.
    host1.kill_droverd()
    host1.start_droverd()
    halted(host1, move)
    host2.run("rm", f"{SMALL}/other")
    ended = host1.wait_move(move)
    assert ended["state"] == "done", brief(ended)
    result = lab.verify("grows")
    assert result["ok"] and result["states"] == {"host2": "running"}, result
    assert_clean(*small)


def test_a_copy_for_which_nobody_makes_room_gives_up_cleanly(lab, small):
    host1, host2 = small
    host2.drover("settings", "space-patience=4s")
    move = begin(host1)
    fill(host2)
    ended = host1.wait_move(move)
    assert ended["state"] == "failed" and ended["error"]["code"] == "NO_SPACE", brief(ended)
    assert ended["error"]["retry"] == "later" and "space-reserve" in ended["error"]["message"], brief(ended)
    result = lab.verify("grows")
    assert result["ok"] and result["states"] == {"host1": "running"}, result
    assert host2.files(IMAGES) == ["small"], "nothing is left"
    assert_clean(*small)


@LONG
def test_a_halted_copy_can_be_cancelled(lab, small):
    host1, host2 = small
    move = begin(host1)
    fill(host2)
    halted(host1, move)
    host1.drover("cancel", move)
    ended = host1.wait_move(move, patience=30)
    assert ended["state"] == "cancelled", brief(ended)
    assert lab.verify("grows")["ok"]
    assert_clean(*small)


@LONG
def test_a_guest_that_fills_the_disk_while_memory_is_copied_stays(lab, small):
    """Then nothing may be held any more: the move is given up while there is a quarter of the reserve."""
    host1, host2 = small
    move = begin(host1)
    host1.wait_phase(move, "copy-memory")
    lab.run("link", "5mbit")
    host2.run("sh", "-c", f"df -k --output=avail {SMALL} | tail -n 1 | {{ read k; "
                          f"fallocate -l $((k - 40 * 1024))K {SMALL}/other; }}")
    ended = host1.wait_move(move)
    assert ended["state"] == "failed" and ended["error"]["code"] == "NO_SPACE", brief(ended)
    lab.run("link", "unlimited")
    assert lab.verify("grows")["ok"]
    assert_clean(*small)


def test_a_plan_counts_what_other_moves_were_promised(lab, small):
    """Two disks that fit alone and not together: the second is refused by its plan, not in the middle."""
    host1, host2 = small
    with lab.guest("host1", "second", **GUEST):
        assert "SPACE_SHORT" not in codes(host1.plan("second", "host2", disks_to=SMALL))
        move = begin(host1)
        host2.run("fallocate", "-l", "100M", f"{SMALL}/other")
        plan = host1.plan("second", "host2", disks_to=SMALL)
        assert "SPACE_SHORT" in codes(plan, "blocker"), plan["findings"]
        host1.drover("cancel", move)
        host1.wait_move(move)
        assert "SPACE_SHORT" not in codes(host1.plan("second", "host2", disks_to=SMALL))
    assert_clean(*small)
