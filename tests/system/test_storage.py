# SPDX-License-Identifier: Apache-2.0
"""Storage moves: disks of a VM, running or off, to other folders of its host; cancels, crashes, a place that fills up."""
import contextlib
import json
import os
import subprocess
import time

import pytest

from marks import LONG
from product import IMAGES, assert_clean, brief, codes, drop_all, until

GUEST = {"memory": 128, "disk": "128M", "fill": 32, "dirty": 0.25, "disk_rate": 0.2}
OTHER = f"{IMAGES}/other"
ACCEPT = {"accepted_codes": ["SAME_DEVICE"]}


@pytest.fixture
def host(pair):
    """host1 with a second folder for images."""
    host1, _ = pair
    host1.run("mkdir", "-p", "-m", "711", OTHER)
    yield host1
    drop_all(host1)
    assert_clean(host1)
    host1.run("rm", "-rf", OTHER)


@pytest.fixture
def guest(lab, host):
    with lab.guest("host1", "mover", **GUEST) as made:
        yield made


def disks(host, name, *words):
    """Target -> path, as libvirt has it."""
    lines = host.virsh("domblklist", name, *words).stdout.splitlines()
    return dict(line.split() for line in lines if line.strip() and not line.startswith("-") and "Target" not in line)


def start(host, name, check=True, **request):
    body = {"kind": "storage", "disks_to": OTHER, **ACCEPT, **request}
    return host.start_move(name, "", check=check, **body)


def allocated(host, path):
    return host.path(path).stat().st_blocks * 512


def off(host, name):
    host.virsh("destroy", name)
    until(lambda: host.domstate(name) == "shut off", "it is off")


def on(lab, host, name):
    """Booted again: its records on disk are read and adopted."""
    host.virsh("start", name)
    return until(lambda: (found := lab.json("verify", name, "--reboot-allowed", check=False))["ok"] and found,
                 lambda: lab.json("verify", name, "--reboot-allowed", check=False))


def expect_there(host, name, folder=OTHER, targets=("vda",)):
    """Both definitions have the new place, and nothing is left in the old one but the quarantine."""
    for words in ((), ("--inactive",)):
        found = disks(host, name, *words)
        assert all(os.path.dirname(found[target]) == folder for target in targets), found


@contextlib.contextmanager
def own_file_system(host, folder, size="700M"):
    """A folder on a file system of its own."""
    host.run("mkdir", "-p", folder)
    host.run("mount", "-t", "tmpfs", "-o", f"size={size},mode=711", "tmpfs", folder)
    try:
        yield
    finally:
        until(lambda: host.run("umount", folder, check=False).returncode == 0, "it can be unmounted", patience=20)
        host.run("rmdir", folder)


def test_disks_of_a_running_vm(lab, host, guest):
    """qcow2: plan with its warning, the command line, records, definitions, quarantine, sparseness, and back to where it was."""
    before = allocated(host, guest["disk"])
    plan = host.plan("mover", "", kind="storage", disks_to=OTHER)
    assert plan["kind"] == "storage" and codes(plan, "warning") == ["SAME_DEVICE"] and not codes(plan, "blocker"), plan
    shown = host.drover("plan", "mover", "--to-storage", OTHER).stdout
    assert "disks to another place" in shown and "SAME_DEVICE" in shown, shown
    refused = host.drover("move", "mover", "--to-storage", OTHER, "--yes", check=False)
    assert refused.returncode == 2 and "--accept SAME_DEVICE" in refused.stderr, refused.stderr
    said = host.drover("move", "mover", "--to-storage", OTHER, "--yes", "--accept", "SAME_DEVICE").stdout
    assert "lie in their new place" in said and "undo" in said, said
    expect_there(host, "mover")
    result = lab.verify("mover")
    assert result["ok"], result
    new = f"{OTHER}/{os.path.basename(guest['disk'])}"
    assert allocated(host, new) <= 1.05 * before + (1 << 20), (allocated(host, new), before)
    assert [disk["original_path"] for disk in host.kept()] == [guest["disk"]]
    move = host.moves()[0]
    assert move["plan"]["kind"] == "storage" and move["report"]["disks_sent_bytes"] > 0, brief(move)
    # Back, by item: the undo that it told.
    back = host.drover("move", "mover", "--item", f"vda={IMAGES}", "--yes", "--accept", "SAME_DEVICE").stdout
    assert "lie in their new place" in back, back
    expect_there(host, "mover", IMAGES)
    assert lab.verify("mover")["ok"]


def test_disks_of_a_vm_that_is_off(lab, host, guest):
    """qcow2; it cannot be started meanwhile, and starts from the new place afterwards."""
    off(host, "mover")
    move = start(host, "mover", bandwidth_bytes_per_second=16 << 20)
    host.wait_phase(move, "copy-disks")
    refused = host.virsh("start", "mover", check=False)
    assert refused.returncode != 0 and "lock" in refused.stderr, refused.stderr
    ended = host.wait_move(move)
    assert ended["state"] == "done", brief(ended)
    expect_there(host, "mover")
    on(lab, host, "mover")


def test_raw_disks_running_and_off(lab, host, guest):
    """A raw disk with holes keeps them, and its content, running and off; the other disk stays."""
    raw = f"{IMAGES}/second.img"
    host.run("truncate", "-s", "256M", raw)
    content = host.path(raw)
    with open(content, "r+b") as file:
        for place in (0, 40 << 20, 200 << 20):
            file.seek(place)
            file.write(os.urandom(6 << 20))
    digest = subprocess.run(["sha256sum", content], capture_output=True, text=True, check=True).stdout.split()[0]
    before = allocated(host, raw)
    host.virsh("attach-disk", "mover", raw, "vdb", "--targetbus", "virtio", "--driver", "qemu", "--subdriver", "raw",
               "--live", "--config")
    try:
        ended = host.wait_move(start(host, "mover", disks_to="", items=[{"item": "vdb", "place": OTHER}]))
        assert ended["state"] == "done", brief(ended)
        expect_there(host, "mover", targets=("vdb",))
        assert disks(host, "mover")["vda"] == guest["disk"]
        assert allocated(host, f"{OTHER}/second.img") <= 1.05 * before + (1 << 20)
        off(host, "mover")
        drop_all(host)
        ended = host.wait_move(start(host, "mover", disks_to="", items=[{"item": "vdb", "place": IMAGES}]))
        assert ended["state"] == "done", brief(ended)
        assert allocated(host, raw) <= 1.05 * before
        again = subprocess.run(["sha256sum", host.path(raw)], capture_output=True, text=True, check=True).stdout.split()[0]
        assert again == digest
    finally:
        host.run("rm", "-f", raw)


@pytest.mark.parametrize("state", ["running", pytest.param("off", marks=LONG)])
def test_an_image_becomes_another_format(lab, host, guest, state):
    """qcow2 to raw, and back; holes stay holes."""
    before = allocated(host, guest["disk"])
    words = ("--yes", "--accept", "SAME_DEVICE")
    if state == "off":
        off(host, "mover")
    host.drover("move", "mover", "--to-storage", OTHER, "--format", "raw", *words)
    raw = f"{OTHER}/mover.img"
    for inactive in ((), ("--inactive",)):
        assert disks(host, "mover", *inactive)["vda"] == raw
        assert "type='raw'" in host.virsh("dumpxml", "mover", *inactive).stdout
    assert json.loads(host.run("qemu-img", "info", "-U", "-f", "raw", "--output=json", raw).stdout)["format"] == "raw"
    assert allocated(host, raw) <= 1.05 * before + (16 << 20), (allocated(host, raw), before)
    host.drover("move", "mover", "--to-storage", IMAGES, "--format", "qcow2", *words)
    there = f"{IMAGES}/mover.qcow2"
    assert disks(host, "mover")["vda"] == there
    assert json.loads(host.run("qemu-img", "info", "-U", "--output=json", there).stdout)["format"] == "qcow2"
    if state == "off":
        on(lab, host, "mover")
    else:
        assert lab.verify("mover")["ok"]


def test_a_cancelled_one_leaves_nothing(lab, host, guest):
    move = start(host, "mover", bandwidth_bytes_per_second=4 << 20)
    host.wait_phase(move, "copy-disks")
    host.drover("cancel", move)
    assert host.wait_move(move)["state"] == "cancelled"
    assert disks(host, "mover")["vda"] == guest["disk"] and host.files(OTHER) == [] and host.kept() == []
    assert "mirror" not in host.virsh("dumpxml", "mover").stdout
    assert lab.verify("mover")["ok"]


@pytest.mark.parametrize("state", ["running", pytest.param("off", marks=LONG)])
def test_droverd_dies_midway(lab, host, guest, state):
    """QEMU goes on alone and is taken over; qemu-img ends, and the copy begins anew. Killed in the copy and at the switch."""
    if state == "off":
        off(host, "mover")
    move = start(host, "mover", bandwidth_bytes_per_second=12 << 20)
    host.wait_phase(move, "copy-disks")
    for _ in range(2):
        host.kill_droverd()
        time.sleep(0.5)
        host.start_droverd()
        time.sleep(0.3)
    ended = host.wait_move(move)
    assert ended["state"] == "done", brief(ended)
    expect_there(host, "mover")
    assert len(host.files(OTHER)) == 1 and len(host.kept()) == 1
    if state == "off":
        on(lab, host, "mover")
    assert lab.verify("mover", *(["--reboot-allowed"] if state == "off" else []))["ok"]


@LONG
@pytest.mark.parametrize("state", ["running", "off"])
def test_a_place_that_is_full(lab, host, guest, state):
    """The plan says it; and if it fills up meanwhile, the VM does not notice and nothing is left."""
    if state == "off":
        off(host, "mover")
    folder = f"{OTHER}/full"
    with own_file_system(host, folder, "100M"):
        assert "SPACE_SHORT" in codes(host.plan("mover", "", kind="storage", disks_to=folder), "blocker")
    with own_file_system(host, folder, "400M"):
        move = start(host, "mover", disks_to=folder, bandwidth_bytes_per_second=8 << 20)
        host.wait_phase(move, "copy-disks")
        host.run("sh", "-c", f"head -c 500M /dev/zero > {folder}/filler; true")
        ended = host.wait_move(move)
        assert ended["state"] == "failed", brief(ended)
        assert host.run("ls", folder).stdout.split() == ["filler"] and host.kept() == []
    assert disks(host, "mover")["vda"] == guest["disk"]
    if state == "off":
        on(lab, host, "mover")
    else:
        assert lab.verify("mover")["ok"]


def test_plans_that_are_refused(host, guest):
    """Outside the allowed folders, a name that exists, a VM that moves already, an unknown item, one named twice."""
    def blockers(**request):
        return codes(host.plan("mover", "", **{"kind": "storage", **request}), "blocker")

    assert "FOLDER_NOT_ALLOWED" in blockers(disks_to="/etc")
    assert "FOLDER_MISSING" in blockers(disks_to=f"{IMAGES}/absent")
    assert "NOTHING_TO_MOVE" in blockers(disks_to=IMAGES)
    name = os.path.basename(guest["disk"])
    host.run("touch", f"{OTHER}/{name}")
    assert "DISK_EXISTS" in blockers(disks_to=OTHER)
    host.run("rm", f"{OTHER}/{name}")
    twice = host.plan("mover", "", kind="storage", items=[{"item": "vda", "place": OTHER}] * 2)
    assert "twice" in twice["refused"]["error"]["message"], twice
    unknown = host.plan("mover", "", kind="storage", items=[{"item": "vdz", "place": OTHER}])
    assert "vda" in unknown["refused"]["error"]["message"], unknown
    move = start(host, "mover", bandwidth_bytes_per_second=4 << 20)
    assert start(host, "mover", check=False)[0] == 409
    host.drover("cancel", move)
    assert host.wait_move(move)["state"] == "cancelled"


@LONG
def test_storage_moves_have_a_limit_of_their_own(lab, host, guest):
    host.drover("settings", "storage-moves=1")
    with lab.guest("host1", "second", **GUEST):
        first = start(host, "mover", bandwidth_bytes_per_second=8 << 20)
        second = start(host, "second")
        until(lambda: "storage-moves" in host.move(second).get("queue", {}).get("waits_for", ""), "it waits for its turn")
        assert host.wait_move(first)["state"] == "done"
        assert host.wait_move(second)["state"] == "done"
        drop_all(host)
    host.drover("settings", "storage-moves=2")


def test_a_folder_is_emptied_of_what_can_go(lab, host, guest):
    """One VM runs, one is off, one cannot go and says why; what lies elsewhere stays where it is."""
    with lab.guest("host1", "runner", **GUEST, folder=OTHER), lab.guest("host1", "sleeper", **GUEST, folder=OTHER):
        off(host, "sleeper")
        host.run("truncate", "-s", "1M", f"{OTHER}/sharer.raw")
        host.define(f"""<domain type='qemu'><name>sharer</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
            <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices>
            <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{OTHER}/sharer.raw'/>
            <target dev='vda' bus='virtio'/><shareable/></disk></devices></domain>""")
        words = ["evacuate", "host1", "--folder", OTHER + "/", "--to", IMAGES, "--accept", "SAME_DEVICE"]
        try:
            plan = host.drover(*words, "--plan", check=False)
            assert plan.returncode == 2 and "DISK_SHAREABLE" in plan.stdout and "mover" not in plan.stdout, plan.stdout
            lines = [json.loads(line) for line in host.drover("--json", *words, "--plan", check=False).stdout.splitlines()]
            assert [(line["vm"], line["disks"]) for line in lines if "stays" in line] == [("sharer", ["vda"])], lines
            refused = host.drover("evacuate", "host1", "--delete-now", check=False)
            assert refused.returncode == 2 and "--folder" in refused.stderr, refused.stderr
            done = host.drover(*words, "--yes", check=False)
            assert done.returncode == 1, done.stdout + done.stderr  # one stayed
            expect_there(host, "runner", IMAGES)
            expect_there(host, "sleeper", IMAGES)
            assert disks(host, "sharer")["vda"] == f"{OTHER}/sharer.raw"
            assert lab.verify("runner")["ok"]
            on(lab, host, "sleeper")
        finally:
            host.virsh("undefine", "sharer", check=False)
    host.run("rm", "-f", f"{IMAGES}/runner.qcow2", f"{IMAGES}/sleeper.qcow2")
