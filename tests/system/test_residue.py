# SPDX-License-Identifier: Apache-2.0
"""The way back: what the first host still has of a VM's disks need not travel again."""
import pytest

from product import assert_clean, brief, codes, drop_all

FILL = 96  # MiB of the disk that hold content
MIB = 1 << 20
RATE = "24M"  # slower than any machine names what it holds: on a link faster than that, nothing need be named


@pytest.fixture(autouse=True)
def nothing_kept(pair):
    yield
    drop_all(*pair)


def move_over(source, destination, name):
    """Its report; the guest runs there and all its records are right."""
    source.drover("move", name, destination.name, "--yes", "--bandwidth", RATE)
    move = source.moves()[0]
    assert (move["state"], move["destination"]) == ("done", destination.name), brief(move)
    result = source.lab.verify(name)
    assert result["ok"] and result["states"] == {destination.name: "running"}, result
    return move["report"]


def test_disks_left_behind_do_not_travel_back(lab, pair):
    """Also when both droverd died in between: nothing but the journal and the files is needed."""
    host1, host2 = pair
    with lab.guest("host1", "back", memory=192, disk="256M", fill=FILL, dirty=1, disk_rate=1):
        there = move_over(host1, host2, "back")
        assert there["kinds"]["residue_bytes"] == 0, there
        [disk] = host1.kept()
        kept = host1.path(disk["kept_path"])
        before = kept.stat()
        for host in pair:
            host.kill_droverd()
            host.start_droverd()

        plan = host2.plan("back", "host1")
        [note] = [finding for finding in plan["findings"] if finding["code"] == "RESIDUE_USED"]
        assert note["level"] == "note" and "host1 still has back's disks" in note["what"], note
        back = move_over(host2, host1, "back")
        assert back["kinds"]["residue_bytes"] > FILL * MIB / 2, back
        assert back["kinds"]["misses"] == 0, back
        assert back["wire_bytes"] < there["wire_bytes"] - FILL * MIB / 4, (there, back)
        after = kept.stat()
        assert (after.st_ino, after.st_mtime_ns, after.st_mode) == (before.st_ino, before.st_mtime_ns, before.st_mode)
    assert_clean(*pair)


def test_only_what_the_peer_itself_took_over_is_named_to_it(lab, pair):
    """Dropped disks are gone for a move back, and the plan does not speak of them."""
    host1, host2 = pair
    with lab.guest("host1", "drop", memory=128, disk="128M", fill=16):
        move_over(host1, host2, "drop")
        drop_all(host1)
        assert "RESIDUE_USED" not in codes(host2.plan("drop", "host1"))
        assert move_over(host2, host1, "drop")["kinds"]["residue_bytes"] == 0
    assert_clean(*pair)


def test_a_second_attempt_costs_only_what_the_first_did_not_bring(lab, pair):
    """With keep-residue = "disks". What is kept is no disk: it cannot be restored, only dropped."""
    host1, host2 = pair
    host2.configure(keep_residue="disks")
    try:
        with lab.guest("host1", "again", memory=128, disk="512M", fill=256):
            move_id = host1.start_move("again", "host2", bandwidth_bytes_per_second=24 * MIB)
            host1.wait_move(move_id, lambda seen: seen["progress"]["disks"]["done_bytes"] > 160 * MIB or seen["state"] == "done")
            host1.drover("cancel", move_id)
            assert host1.wait_move(move_id)["state"] == "cancelled"
            result = lab.verify("again")
            assert result["ok"] and result["states"] == {"host1": "running"}, result
            assert_clean(*pair)

            [kept] = host2.kept()
            assert kept["allocated_bytes"] >= 64 * MIB and host2.path(kept["kept_path"]).exists(), kept
            refused = host2.drover("quarantine", "restore", move_id, check=False)
            assert refused.returncode != 0 and "unfinished copy" in refused.stderr, refused.stderr
            [note] = [finding for finding in host1.plan("again", "host2")["findings"] if finding["code"] == "RESIDUE_USED"]
            assert "an unfinished copy" in note["what"], note
            report = move_over(host1, host2, "again")
            assert report["kinds"]["residue_bytes"] > 64 * MIB, report
    finally:
        host2.configure(keep_residue=None)
    assert_clean(*pair)


def test_memory_left_behind_does_not_travel_back(lab, pair):
    """With --keep-residue memory, for the peer that the VM went to. A restart of droverd is the end of it."""
    host1, host2 = pair
    with lab.guest("host1", "memo", memory=192, disk="128M", fill=8, dirty=0.5, disk_rate=0):
        host1.drover("move", "memo", "host2", "--yes", "--keep-residue", "memory", "--delete-now")
        assert lab.verify("memo")["ok"]
        [memory] = host1.kept()
        assert (memory["original_path"], memory["kept_path"]) == ("memory", "") and memory["allocated_bytes"] > 64 * MIB, memory
        assert "encrypted" in host1.drover("residue", "list").stdout
        notes = [finding["what"] for finding in host2.plan("memo", "host1")["findings"] if finding["code"] == "RESIDUE_USED"]
        assert notes and "memory" in notes[0], notes
        back = move_over(host2, host1, "memo")
        assert back["kinds"]["residue_bytes"] > 64 * MIB, back
        assert back["kinds"]["misses"] < 1000, back
        assert host1.kept() == [], "the VM is here again"

        host1.drover("move", "memo", "host2", "--yes", "--keep-residue", "memory", "--delete-now")
        host1.restart_droverd()
        assert host1.kept() == []
        assert move_over(host2, host1, "memo")["kinds"]["residue_bytes"] == 0
    assert_clean(*pair)
