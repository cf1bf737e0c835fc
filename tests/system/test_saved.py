# SPDX-License-Identifier: Apache-2.0
"""VMs that are off, and whose memory is kept (virsh managedsave): it moves with them, and the guest goes on from it, on one host."""
import time

import pytest

from marks import LONG
from product import IMAGES, assert_clean, brief, codes, drop_all

GUEST = {"memory": 128, "disk": "128M", "fill": 32, "dirty": 0.25, "disk_rate": 0.2}
SLOW = 8 << 20  # bytes a second, for tests that do something in the middle
MIB = 1 << 20
SAVES = "/var/lib/libvirt/qemu/save"


@pytest.fixture(autouse=True)
def nothing_left(pair):
    yield
    drop_all(*pair)
    for host in pair:
        assert not host.files(SAVES), host.files(SAVES)
    assert_clean(*pair)


@pytest.fixture
def guest(lab, pair):
    """Its memory is kept on host1."""
    with lab.guest("host1", "kept", **GUEST) as made:
        save(pair[0])
        try:
            yield made
        finally:
            forget(pair)


def save(host):
    host.virsh("managedsave", "kept")
    assert host.domstate("kept") == "shut off" and "kept.save" in host.files(SAVES)


def forget(pair):
    """virsh undefines no VM whose memory is kept where libvirtd has not saved it itself."""
    for host in pair:
        host.path(f"{SAVES}/kept.save").unlink(missing_ok=True)


def is_kept(host, other):
    """Off on this host, with its memory, and the other host does not know it."""
    assert (host.domstate("kept"), other.domstate("kept")) == ("shut off", "")
    assert "kept.save" in host.files(SAVES) and "kept.save" not in other.files(SAVES)


def goes_on(lab, host):
    """From its memory: every record of memory and disk is right, without a boot in between."""
    host.virsh("start", "kept")
    result = lab.verify("kept")
    assert result["ok"] and result["states"] == {host.name: "running"}, result
    assert "kept.save" not in host.files(SAVES)


def went(move, state="done"):
    assert (move["plan"]["kind"], move["state"]) == ("offline", state), brief(move)
    return move


def start(host, **request):
    return host.start_move("kept", "host2", bandwidth_bytes_per_second=SLOW, **request)


def test_there_and_home(lab, pair, guest):
    """The plan says what travels; at the destination the guest goes on where it was. Back it goes into another folder."""
    host1, host2 = pair
    length = host1.path(f"{SAVES}/kept.save").stat().st_size
    plan = host1.plan("kept", "host2")
    assert plan["kind"] == "offline" and not codes(plan, "blocker") and "VM_SAVED" in codes(plan, "note"), plan["findings"]
    assert plan["expected_bytes"] > length, plan
    host1.drover("move", "kept", "host2", "--yes")
    there = went(host1.moves()[0])
    assert 16 * MIB < there["report"]["memory_sent_bytes"] <= length, there["report"]
    # Once; on a link that is fast nothing is packed.
    sent = there["report"]["memory_sent_bytes"] + there["report"]["disks_sent_bytes"]
    assert there["report"]["wire_bytes"] < 1.05 * sent, there["report"]
    is_kept(host2, host1)
    assert sorted(disk["original_path"] for disk in host1.kept()) == sorted([guest["disk"], f"{SAVES}/kept.save"])
    goes_on(lab, host2)
    save(host2)
    other = f"{IMAGES}/other"
    host1.run("mkdir", "-p", "-m", "711", other)
    try:
        host2.drover("move", "kept", "host1", "--yes", "--disks-to", other)
        went(host2.moves()[0])
        is_kept(host1, host2)
        goes_on(lab, host1)
        assert f"{other}/" in host1.virsh("domblklist", "kept").stdout
    finally:
        host1.virsh("destroy", "kept", check=False)
        host1.virsh("undefine", "kept", check=False)
        host1.run("rm", "-r", other)


@pytest.mark.parametrize("dies", [False, pytest.param(True, marks=LONG)])
def test_it_goes_on_with_disks_that_have_moved(lab, pair, guest, dies):
    """A storage move of its disks; with a droverd that dies at the switch, they are all in one place or the other."""
    host1, _ = pair
    other = f"{IMAGES}/other"
    host1.run("mkdir", "-p", "-m", "711", other)
    try:
        plan = host1.plan("kept", "", kind="storage", disks_to=other)
        assert "VM_SAVED" in codes(plan, "note") and not codes(plan, "blocker"), plan["findings"]
        if dies:
            [pid] = host1.pids("droverd")
            move = host1.start_move("kept", "", kind="storage", disks_to=other, accepted_codes=["SAME_DEVICE"])
            host1.wait_phase(move, "switch", pause=0)
            host1.run("kill", "-9", str(pid))
            host1.start_droverd()
        else:
            host1.drover("move", "kept", "--to-storage", other, "--yes", "--accept", "SAME_DEVICE")
            move = host1.moves()[0]["id"]
        ended = host1.wait_move(move)
        assert ended["state"] in ("done", "failed") and (dies or ended["state"] == "done"), brief(ended)
        place = f"{other}/" if ended["state"] == "done" else f"{IMAGES}/kept"
        for shown in ("dumpxml", "managedsave-dumpxml"):
            assert f"<source file='{place}" in host1.virsh(shown, "kept").stdout, shown
        goes_on(lab, host1)
        assert place in host1.virsh("domblklist", "kept").stdout
    finally:
        host1.virsh("destroy", "kept", check=False)
        host1.run("rm", "-rf", other)


def test_a_paused_guest_stays_paused(lab, pair):
    host1, host2 = pair
    with lab.guest("host1", "kept", **GUEST):
        host1.virsh("suspend", "kept")
        save(host1)
        host1.drover("move", "kept", "host2", "--yes")
        is_kept(host2, host1)
        host2.virsh("start", "kept")
        assert host2.domstate("kept") == "paused"
        host2.virsh("resume", "kept")
        assert lab.verify("kept")["ok"]


@pytest.mark.parametrize("phase", [pytest.param("copy-disks", marks=LONG), "copy-memory"])
def test_a_cancelled_one_leaves_the_vm_as_it_was(lab, pair, guest, phase):
    host1, host2 = pair
    move = start(host1)
    host1.wait_phase(move, phase)
    refused = host1.virsh("start", "kept", check=False)
    assert refused.returncode != 0 and "lock" in refused.stderr, refused.stderr
    host1.drover("cancel", move)
    went(host1.wait_move(move), "cancelled")
    is_kept(host1, host2)
    goes_on(lab, host1)


@LONG
@pytest.mark.parametrize("dies", ["host1", "host2"])
def test_droverd_dies_midway(lab, pair, guest, dies):
    host1, host2 = pair
    move = start(host1, retries=2)
    host1.wait_phase(move, "copy-memory")
    time.sleep(1)
    victim = host1 if dies == "host1" else host2
    victim.kill_droverd()
    time.sleep(1)
    is_kept(host1, host2)
    victim.start_droverd()
    assert went(host1.wait_move(move))["attempts"]
    is_kept(host2, host1)
    goes_on(lab, host2)


@pytest.mark.parametrize("dies", ["host1", pytest.param("host2", marks=LONG)])
def test_droverd_dies_at_the_switch(lab, pair, guest, dies):
    """It is on one host, off and with its memory, whichever of both it is."""
    host1, host2 = pair
    victim = host1 if dies == "host1" else host2
    [pid] = victim.pids("droverd")
    move = start(host1, retries=0)
    host1.wait_phase(move, "switch", pause=0)
    victim.run("kill", "-9", str(pid))
    victim.start_droverd()
    ended = host1.wait_move(move)
    assert ended["state"] in ("done", "failed"), brief(ended)
    here, there = (host2, host1) if ended["state"] == "done" else (host1, host2)
    is_kept(here, there)
    goes_on(lab, here)


def test_a_destination_that_does_not_take_it(lab, pair, guest):
    """Its libvirt has got another VM of that name meanwhile: the source has the VM, and its memory, again."""
    host1, host2 = pair
    move = start(host1)
    host1.wait_phase(move, "copy-memory")
    host2.define("<domain type='qemu'><name>kept</name><memory unit='MiB'>64</memory>"
                 "<os><type arch='x86_64'>hvm</type></os></domain>")
    try:
        assert went(host1.wait_move(move), "failed")["runner"] == "source"
        assert not host2.files(SAVES), host2.files(SAVES)
    finally:
        host2.virsh("undefine", "kept")
    is_kept(host1, host2)
    goes_on(lab, host1)


def test_memory_that_is_removed_meanwhile_ends_the_move(lab, pair, guest):
    host1, host2 = pair
    move = start(host1, retries=0)
    host1.wait_phase(move, "copy-memory")
    host1.virsh("managedsave-remove", "kept")
    went(host1.wait_move(move), "failed")
    assert (host1.domstate("kept"), host2.domstate("kept")) == ("shut off", "")


def test_a_file_in_the_way_is_not_replaced(pair, guest):
    host1, host2 = pair
    host2.path(f"{SAVES}/kept.save").write_bytes(b"another's")
    try:
        assert codes(host1.plan("kept", "host2"), "blocker") == ["VM_SAVED"]
    finally:
        host2.path(f"{SAVES}/kept.save").unlink()
