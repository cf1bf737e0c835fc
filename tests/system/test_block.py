# SPDX-License-Identifier: Apache-2.0
"""Disks on volumes of pools of block devices: from files to volumes and back, live and offline. The pools are of libvirt's type
`disk`: partitions of loop devices, which hold old data before they are made. LVM was not seen: it needs device-mapper."""
import re

import pytest

from marks import LONG
from product import IMAGES, assert_clean, brief, codes, drop_all, until

GUEST = {"memory": 128, "disk": "96M", "fill": 8, "dirty": 0.25, "disk_rate": 0.2}
NAME = "blocky"
FOREIGN_BYTES = 8 << 20


def volumes(host):
    return sorted(line.split()[0] for line in host.virsh("vol-list", "blocks").stdout.splitlines() if line.strip())


def delete(host, volume):
    """libvirt 9.0 itself deletes no partition of a device whose name ends with a digit."""
    device, number = volume.rsplit("p", 1)
    host.run("parted", "--script", f"/dev/{device}", "rm", number)
    host.virsh("pool-refresh", "blocks")


@pytest.fixture(scope="module")
def pools(lab, built):
    """Each host has a pool of block devices, full of old data, and in it a volume of somebody else."""
    from product import Host
    hosts = [Host(lab, name) for name in ("host1", "host2")]
    for host in hosts:
        device = lab.json("volumes", host.name, "--size", "1G")["device"]
        host.run("dd", "if=/dev/urandom", f"of={device}", "bs=1M", "seek=1", "count=300", "conv=notrunc,fsync", "status=none")
        host.virsh("vol-create-as", "blocks", device.rsplit("/", 1)[1] + "p1", str(FOREIGN_BYTES))
        host.virsh("pool-refresh", "blocks")
        assert len(volumes(host)) == 1
    return hosts


@pytest.fixture
def guest(lab, pair, pools):
    foreign = {host.name: volumes(host) for host in pair}
    with lab.guest("host1", NAME, **GUEST) as made:
        yield made
    drop_all(*pair)
    for host in pair:
        for volume in set(volumes(host)) - set(foreign[host.name]):
            delete(host, volume)
        host.run("rm", "-f", f"{IMAGES}/{NAME}-vda.img", f"{IMAGES}/{NAME}.qcow2")
        assert volumes(host) == foreign[host.name]
    assert_clean(*pair)


def off(host):
    host.virsh("destroy", NAME)
    until(lambda: host.domstate(NAME) == "shut off", "it is off")


def on(lab, host):
    host.virsh("start", NAME)
    until(lambda: lab.json("verify", NAME, "--reboot-allowed", check=False)["ok"], "its records are as they were")


def disk_of(host):
    """(type, path) of its disk, the same in both definitions."""
    found = set()
    for words in ((), ("--inactive",)):
        text = host.virsh("dumpxml", *words, NAME).stdout
        disk = re.search(r"<disk type='(\w+)' device='disk'>.*?</disk>", text, re.DOTALL)
        path = re.search(r"<source (?:file|dev)='([^']*)'", disk.group(0))
        found.add((disk.group(1), path.group(1)))
    assert len(found) == 1, found
    return found.pop()


def verified(lab, host):
    result = lab.verify(NAME, "--reboot-allowed")
    assert result["ok"] and result["states"] == {host.name: "running"}, result


def moved(source, destination, *words):
    said = source.drover("move", NAME, destination.name, "--yes", *words)
    move = source.moves()[0]
    assert move["state"] == "done", brief(move) + said.stdout
    return move


def moved_within(host, place):
    said = host.drover("move", NAME, "--to-storage", place, "--yes")
    move = host.moves()[0]
    assert move["state"] == "done", brief(move) + said.stdout
    return move


def test_live_into_a_volume_and_back_into_a_file(lab, pair, guest):
    host1, host2 = pair
    before = volumes(host2)
    move = moved(host1, host2, "--item", "vda=blocks", "--verify", "read-back")
    (volume,) = set(volumes(host2)) - set(before)
    assert disk_of(host2) == ("block", f"/dev/{volume}")
    assert f"size='{96 << 20}'" in host2.virsh("dumpxml", NAME).stdout
    # Old data of the volume would differ from the source's zeroes.
    proof = move["report"]["proof"]
    assert proof["level"] == "read-back" and proof["compared_bytes"] > 0 and not proof["text"], proof
    verified(lab, host2)
    assert [disk["original_path"] for disk in host1.kept()] == [guest["disk"]]

    plan = host2.plan(NAME, "host1")
    assert codes(plan, "blocker") == [] and "VOLUME_STAYS" in codes(plan, "note"), plan["findings"]
    move = moved(host2, host1, "--verify", "read-back")
    assert disk_of(host1) == ("file", f"{IMAGES}/{NAME}-vda.img")
    assert move["report"]["proof"]["level"] == "read-back" and not move["report"]["proof"]["text"], move["report"]["proof"]
    verified(lab, host1)
    assert "<slice" not in host1.virsh("dumpxml", NAME).stdout
    # The volume stays what and where it is.
    assert volumes(host2) == sorted([*before, volume]) and host2.kept() == []
    # From a file to a volume of the host that has one already.
    moved(host1, host2, "--item", "vda=blocks")
    assert disk_of(host2)[0] == "block" and disk_of(host2)[1] != f"/dev/{volume}"
    verified(lab, host2)


@LONG
def test_offline_into_a_volume_and_back_into_a_file(lab, pair, guest):
    host1, host2 = pair
    before = volumes(host2)
    off(host1)
    move = moved(host1, host2, "--item", "vda=blocks")
    assert move["plan"]["kind"] == "offline"
    (volume,) = set(volumes(host2)) - set(before)
    assert disk_of(host2) == ("block", f"/dev/{volume}")
    on(lab, host2)
    verified(lab, host2)
    off(host2)
    moved(host2, host1)
    assert disk_of(host1) == ("file", f"{IMAGES}/{NAME}-vda.img")
    on(lab, host1)
    verified(lab, host1)
    assert volume in volumes(host2) and host2.kept() == []


def test_quick_into_a_volume_and_back_into_a_file(lab, pair, guest):
    host1, host2 = pair
    before = volumes(host2)
    moved(host1, host2, "--item", "vda=blocks", "--quick")
    (volume,) = set(volumes(host2)) - set(before)
    assert disk_of(host2) == ("block", f"/dev/{volume}")
    verified(lab, host2)
    moved(host2, host1, "--quick")
    assert disk_of(host1) == ("file", f"{IMAGES}/{NAME}-vda.img")
    verified(lab, host1)


@pytest.mark.parametrize("state", ["running", pytest.param("off", marks=LONG)])
def test_within_a_host_into_a_volume_and_back(lab, pair, guest, state):
    host1, _ = pair
    before = volumes(host1)
    if state == "off":
        off(host1)
    move = moved_within(host1, "blocks")
    (volume,) = set(volumes(host1)) - set(before)
    assert disk_of(host1) == ("block", f"/dev/{volume}")
    assert [disk["original_path"] for disk in host1.kept()] == [guest["disk"]], brief(move)
    if state == "off":
        on(lab, host1)
        off(host1)
    moved_within(host1, IMAGES)
    assert disk_of(host1) == ("file", f"{IMAGES}/{NAME}-vda.img")
    assert volume in volumes(host1)
    if state == "off":
        on(lab, host1)
    verified(lab, host1)


@LONG
def test_from_volume_to_volume(lab, pair, guest):
    """Live; of a definition with <disk type='volume'>."""
    host1, host2 = pair
    moved(host1, host2, "--disks-to", "blocks")
    volume = disk_of(host2)[1].rsplit("/", 1)[1]
    off(host2)
    text = host2.virsh("dumpxml", "--inactive", NAME).stdout
    text = text.replace("<disk type='block'", "<disk type='volume'", 1)
    text = re.sub(r"<source dev='[^']*'(?:/>|>.*?</source>)", f"<source pool='blocks' volume='{volume}'/>", text, count=1, flags=re.DOTALL)
    host2.define(text)
    on(lab, host2)
    before = volumes(host1)
    moved(host2, host1, "--disks-to", "blocks")
    (arrived,) = set(volumes(host1)) - set(before)
    assert disk_of(host1) == ("block", f"/dev/{arrived}")
    verified(lab, host1)


@pytest.mark.parametrize("end", ["cancel", pytest.param("kill", marks=LONG)])
@pytest.mark.parametrize("kind", ["live", pytest.param("offline", marks=LONG)])
def test_an_undone_move_deletes_its_volume_and_no_other(lab, pair, guest, kind, end):
    host1, host2 = pair
    before = volumes(host2)
    if kind == "offline":
        off(host1)
    move = host1.start_move(NAME, "host2", items=[{"item": "vda", "place": "blocks"}], bandwidth_bytes_per_second=1 << 20)
    host1.wait_phase(move, "copy-disks")
    until(lambda: len(volumes(host2)) == len(before) + 1, "its volume is there")
    if end == "kill":
        host2.kill_droverd()  # which may end an offline move by itself: it serves the volume
        host1.drover("cancel", move, check=False)
        host2.start_droverd()
    else:
        host1.drover("cancel", move)
    assert host1.wait_move(move)["state"] in ("cancelled", "failed" if end == "kill" else "cancelled")
    until(lambda: volumes(host2) == before, "its volume is gone")
    assert host2.domstate(NAME) == "" and disk_of(host1) == ("file", guest["disk"])
    if kind == "offline":
        on(lab, host1)
    verified(lab, host1)


def test_what_a_plan_refuses(lab, pair, guest):
    host1, host2 = pair
    (foreign,) = volumes(host1)
    # A device of no pool, and of a pool that is not active.
    host1.virsh("attach-disk", NAME, f"/dev/{foreign}", "vdb", "--targetbus", "virtio", "--driver", "qemu", "--subdriver", "raw",
                "--live")
    try:
        assert "DISK_BLOCK_DEVICE" not in codes(host1.plan(NAME, "host2"), "blocker")
        host1.virsh("pool-destroy", "blocks")
        plan = host1.plan(NAME, "host2")
        found = [finding for finding in plan["findings"] if finding["code"] == "DISK_BLOCK_DEVICE"]
        assert [finding["object"] for finding in found] == ["vdb"] and "pool" in found[0]["what"], plan["findings"]
    finally:
        host1.virsh("pool-start", "blocks", check=False)
        host1.virsh("detach-disk", NAME, "vdb", "--live")
    host2.virsh("pool-destroy", "blocks")
    try:
        said = host1.drover("plan", NAME, "host2", "--disks-to", "blocks", check=False)
        assert said.returncode != 0 and "pool-start" in said.stdout + said.stderr, said
    finally:
        host2.virsh("pool-start", "blocks")
    # As much as there is, and no more.
    (other,) = volumes(host2)
    host2.virsh("vol-create-as", "blocks", other[:-1] + "2", "960M")
    plan = host1.plan(NAME, "host2", disks_to="blocks")
    assert "SPACE_SHORT" in codes(plan, "blocker"), plan["findings"]
