# SPDX-License-Identifier: Apache-2.0
"""Images that become others on their way: qcow2 to raw, and home again; thin ones full, and full ones thin; what cannot."""
import contextlib
import hashlib
import json
import os

import pytest

from marks import LONG
from product import IMAGES, assert_clean, brief, codes, drop_all, lab_hosts, until

GUEST = {"memory": 128, "disk": "128M", "fill": 32, "dirty": 0.25, "disk_rate": 0.2}
NAME = "former"
SECOND, OTHER = f"{IMAGES}/second.img", f"{IMAGES}/other"
MIB = 1 << 20


@pytest.fixture(autouse=True)
def nothing_left(pair):
    yield
    drop_all(*pair)
    assert_clean(*pair)


@pytest.fixture
def guest(lab, pair):
    with lab.guest("host1", NAME, **GUEST) as made:
        yield made


def off(host):
    host.virsh("destroy", NAME)
    until(lambda: host.domstate(NAME) == "shut off", "it is off")


def allocated(host, path):
    return host.path(path).stat().st_blocks * 512


def move(host, destination, kind, *words, disks=128):
    host.drover("move", NAME, destination, "--yes", *(["--quick"] if kind == "quick" else []), *words)
    made = host.moves()[0]
    assert (made["state"], made["plan"]["kind"]) == ("done", kind), brief(made)
    proof = made["report"]["proof"]
    assert proof["compared_bytes"] == disks * MIB and not proof["text"], proof
    return made


def holds(lab, host, kind):
    """Its records are as they were, there and nowhere else."""
    if kind == "offline":
        host.virsh("start", NAME)
        until(lambda: lab.json("verify", NAME, "--reboot-allowed", check=False)["ok"], "its records are as they were")
        off(host)
    else:
        result = lab.verify(NAME)
        assert result["ok"] and result["states"] == {host.name: "running"}, result


def disk_is(host, path, kind):
    """In both definitions, and as the image says itself."""
    for words in ((), ("--inactive",)):
        text = host.virsh("dumpxml", *words, NAME).stdout
        assert f"file='{path}'" in text and f"type='{kind}'" in text, text
    told = host.run("qemu-img", "info", "-U", "-f", kind, "--output=json", path).stdout
    assert json.loads(told)["virtual-size"] == 128 * MIB, told
    qcow2 = host.path(path).read_bytes()[:4] == b"QFI\xfb"
    assert qcow2 == (kind == "qcow2"), path


@pytest.mark.parametrize("kind", ["live", pytest.param("quick", marks=LONG), pytest.param("offline", marks=LONG)])
def test_an_image_becomes_another_there_and_back(lab, pair, guest, kind):
    """Holes stay holes, and of a copy in the former format what is the same is used by its content."""
    host1, host2 = pair
    if kind == "offline":
        off(host1)
    before = allocated(host1, guest["disk"])
    plan = host1.plan(NAME, "host2", format="raw", **({"kind": "quick"} if kind == "quick" else {}))
    assert [(one["format"], one["destination_path"]) for one in plan["placements"]] == [("raw", f"{IMAGES}/{NAME}.img")], plan
    move(host1, "host2", kind, "--format", "raw")
    disk_is(host2, f"{IMAGES}/{NAME}.img", "raw")
    assert allocated(host2, f"{IMAGES}/{NAME}.img") <= 1.05 * before + 16 * MIB
    holds(lab, host2, kind)
    # Slower than any machine names what it holds.
    back = move(host2, "host1", kind, "--format", "qcow2", *(["--bandwidth", "16M"] if kind == "offline" else []))
    disk_is(host1, guest["disk"], "qcow2")
    assert allocated(host1, guest["disk"]) <= 1.05 * before + 16 * MIB
    if kind == "offline":
        assert back["report"]["kinds"]["residue_bytes"] > 4 * MIB, back["report"]
    holds(lab, host1, kind)


def test_what_cannot_become_another(lab, pair, guest):
    """A word that is no format, and a chain that shall stay one."""
    host1, _ = pair
    said = host1.drover("plan", NAME, "host2", "--format", "vmdk", check=False)
    assert said.returncode != 0 and "raw or qcow2" in said.stdout + said.stderr, said
    overlay = f"{IMAGES}/{NAME}.outside"
    host1.virsh("snapshot-create-as", NAME, "outside", "--disk-only", "--atomic", "--no-metadata")
    try:
        plan = host1.plan(NAME, "host2", format="raw")
        assert codes(plan, "blocker") == ["DISK_BACKING_CHAIN"], plan
        flat = host1.plan(NAME, "host2", format="raw", flatten=True)
        assert flat["placements"][0]["format"] == "raw" and not codes(flat, "blocker"), flat
    finally:
        host1.virsh("destroy", NAME)
        host1.run("rm", "-f", overlay)


@contextlib.contextmanager
def zeroes(*hosts):
    """A raw image of 32 MiB that takes all its room: 6 MiB of it hold something, the rest are zeroes that were written."""
    content = bytearray(32 * MIB)
    content[4 * MIB:10 * MIB] = os.urandom(6 * MIB)
    hosts[0].path(SECOND).write_bytes(content)
    try:
        yield hashlib.sha256(content).hexdigest()
    finally:
        for host in hosts:
            host.run("rm", "-f", SECOND, f"{OTHER}/second.img")


def plug(host):
    host.virsh("attach-disk", NAME, SECOND, "vdb", "--targetbus", "virtio", "--driver", "qemu", "--subdriver", "raw", "--live", "--config")


def content(host, path):
    return hashlib.sha256(host.path(path).read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", [pytest.param("live", marks=LONG), pytest.param("quick", marks=LONG), "offline"])
def test_room_is_left_and_taken_on_the_way(lab, pair, guest, kind):
    """thin: zeroes take no room there, whatever they took here. full: all of the disk has its room at once."""
    host1, host2 = pair
    with zeroes(host1, host2) as digest:
        plug(host1)
        if kind == "offline":
            off(host1)
        before = allocated(host1, guest["disk"])
        assert allocated(host1, SECOND) >= 32 * MIB
        move(host1, "host2", kind, "--allocation", "thin", disks=160)
        assert allocated(host2, SECOND) <= 8 * MIB and content(host2, SECOND) == digest
        assert allocated(host2, guest["disk"]) <= 1.05 * before + MIB
        holds(lab, host2, kind)
        move(host2, "host1", kind, "--allocation", "full", disks=160)
        assert allocated(host1, SECOND) >= 32 * MIB and content(host1, SECOND) == digest
        assert allocated(host1, guest["disk"]) >= 128 * MIB
        text = host1.virsh("dumpxml", "--inactive", NAME).stdout
        assert "detect_zeroes" not in text and "discard" not in text, text
        holds(lab, host1, kind)
        drop_all(*pair)


@pytest.mark.parametrize("state", ["running", pytest.param("off", marks=LONG)])
def test_room_is_left_and_taken_within_a_host(lab, pair, guest, state):
    host1, _ = pair
    words = ("--yes", "--accept", "SAME_DEVICE")
    kind = "offline" if state == "off" else "live"
    host1.run("mkdir", "-p", "-m", "711", OTHER)
    try:
        with zeroes(host1) as digest:
            plug(host1)
            if state == "off":
                off(host1)
            before = allocated(host1, guest["disk"])
            host1.drover("move", NAME, "--to-storage", OTHER, "--allocation", "thin", *words)
            there = f"{OTHER}/second.img"
            assert allocated(host1, there) <= 8 * MIB and content(host1, there) == digest
            assert allocated(host1, f"{OTHER}/{NAME}.qcow2") <= 1.05 * before + MIB
            drop_all(host1)
            host1.drover("move", NAME, "--to-storage", IMAGES, "--allocation", "full", *words)
            assert allocated(host1, SECOND) >= 32 * MIB and content(host1, SECOND) == digest
            assert allocated(host1, guest["disk"]) >= 128 * MIB
            holds(lab, host1, kind)
            drop_all(host1)
    finally:
        host1.run("rm", "-rf", OTHER)


def test_the_room_of_full_images_is_counted(pair, guest):
    host1, _ = pair
    large = f"{IMAGES}/large.img"
    host1.run("truncate", "-s", "8T", large)
    try:
        host1.virsh("attach-disk", NAME, large, "vdb", "--targetbus", "virtio", "--driver", "qemu", "--subdriver", "raw", "--live")
        plan = host1.plan(NAME, "host2")
        assert len(plan["placements"]) == 2 and "SPACE_SHORT" not in codes(plan), plan
        assert "SPACE_SHORT" in codes(host1.plan(NAME, "host2", allocation="full"), "blocker")
        said = host1.drover("plan", NAME, "host2", "--allocation", "some", check=False)
        assert said.returncode != 0 and "thin or full" in said.stdout + said.stderr, said
    finally:
        host1.virsh("destroy", NAME)
        host1.run("rm", "-f", large)


@LONG
def test_what_both_hosts_see_stays_as_it_is(lab, pair):
    host1, _ = pair
    for host in pair:
        host.drover("settings", f"allowed-folders+={lab_hosts.SHARED}")
    try:
        with lab.guest("host1", NAME, **GUEST, folder=lab_hosts.SHARED) as guest:
            plan = host1.plan(NAME, "host2", format="raw")
            assert "DISK_STAYS" in codes(plan, "note") and not codes(plan, "blocker"), plan
            assert [(one["shared"], one["format"], one["destination_path"]) for one in plan["placements"]] == [
                (True, "qcow2", guest["disk"])], plan
    finally:
        for host in pair:
            host.drover("settings", f"allowed-folders-={lab_hosts.SHARED}")
