# SPDX-License-Identifier: Apache-2.0
"""Room at the destination: a copy halts before its disk is full, goes on when there is room, and gives up cleanly."""
import time

import pytest

from marks import LONG
from product import ENDED, IMAGES, assert_clean, brief, codes, drop_all, until

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
    host1.wait_move(move, lambda seen: seen["state"] in ENDED or seen["progress"]["disks"]["done_bytes"] > 8 << 20)
    return move


def off(host):
    host.virsh("destroy", "grows")
    until(lambda: host.domstate("grows") == "shut off", "it is off")


def is_whole(lab, host, kind):
    """The guest runs on here, or, of an offline move, boots here with every record of its disk."""
    if kind == "offline":
        host.virsh("start", "grows")
        until(lambda: lab.json("verify", "grows", "--reboot-allowed", check=False)["ok"], "it boots, and its disk is right")
    else:
        result = lab.verify("grows")
        assert result["ok"] and result["states"] == {host.name: "running"}, result


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
@pytest.mark.parametrize("kind", ["offline", "quick"])
def test_a_copy_without_libvirts_migration_halts_as_well(lab, small, kind):
    host1, host2 = small
    if kind == "offline":
        off(host1)
    move = begin(host1, kind=kind)
    fill(host2)
    halted(host1, move)
    time.sleep(2)  # what was under way arrives
    left = free(host2)
    time.sleep(2)
    assert free(host2) == left > 64 << 20, "nothing is written, and the disk is far from full"
    host2.run("rm", f"{SMALL}/other")
    ended = host1.wait_move(move)
    assert (ended["state"], ended["plan"]["kind"]) == ("done", kind), brief(ended)
    assert host1.domstate("grows") == ""
    is_whole(lab, host2, kind)
    assert_clean(*small)


def fill_up(host):
    """Leaves nothing; and nothing is kept free there, so that no copy waits."""
    host.drover("settings", "space-reserve=off")
    host.run("sh", "-c", f"cat /dev/zero > {SMALL}/other", check=False)


@pytest.mark.parametrize("kind", ["offline", pytest.param("quick", marks=LONG), pytest.param("offline, whole images", marks=LONG)])
def test_a_full_disk_is_named_with_what_helps(lab, small, kind):
    """What the destination could not write, where, and why reaches the source's user; the VM is as before, and no file is left."""
    host1, host2 = small
    kind, _, whole = kind.partition(", ")
    if kind == "offline":
        off(host1)
    if whole:
        # An image with a checkpoint within travels byte by byte.
        host1.virsh("snapshot-create-as", "grows", "clean")
    try:
        move = begin(host1, kind=kind)
        fill_up(host2)
        ended = host1.wait_move(move)
        error = ended["error"]
        assert (ended["state"], error["code"], error["retry"]) == ("failed", "NO_SPACE", "later"), brief(ended)
        assert ended["phase"] == "copy-disks" and not ended.get("attempts"), brief(ended)
        assert error["message"].startswith(f"vda of grows could not be written on host2, to {SMALL}/grows.qcow2"), error
        assert f"Free space in {SMALL} on host2" in error["message"] and "--item vda=PLACE" in error["message"], error
        assert any("No space left on device" in cause for cause in error["causes"]), error
        assert not [name for name in host2.files(SMALL) if name.startswith("grows")], host2.files(SMALL)
        assert host2.domstate("grows") == ""
    finally:
        if whole:
            host1.virsh("snapshot-delete", "grows", "clean")
    is_whole(lab, host1, kind)
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
