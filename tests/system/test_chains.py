# SPDX-License-Identifier: Apache-2.0
"""Disks that are built on others, and checkpoints: they stay what they are, or become one image if that is asked for."""
import contextlib
import json
import os
import shutil

import pytest

from product import ALL, IMAGES, assert_clean, brief, codes, drop_all, lab_hosts, until

LONG = pytest.mark.skipif(not ALL, reason="slow: DROVER_TEST_ALL=1")
SHARED = lab_hosts.SHARED
GUEST = {"memory": 128, "disk": "96M", "fill": 8, "dirty": 0.5, "disk_rate": 0.25}


@pytest.fixture(autouse=True)
def tidy(pair):
    """What tests put beside the guests' own disks goes again."""
    yield
    drop_all(*pair)
    assert_clean(*pair)
    for host in pair:
        for file in host.path(IMAGES).glob("chain*"):
            file.unlink()


def overlay(host, name, checkpoint="one", *words):
    """The disk gets a new image, built on the former one, while the VM runs. (the new image, what it is built on)"""
    before = disk_of(host, name)
    host.virsh("snapshot-create-as", name, checkpoint, "--disk-only", "--atomic", *words)
    after = disk_of(host, name)
    assert after != before
    return after, before


def disk_of(host, name):
    lines = host.virsh("domblklist", name).stdout.splitlines()
    return next(line.split(None, 1)[1].strip() for line in lines if line.split()[:1] == ["vda"])


def chain_of(host, path):
    said = json.loads(host.run("qemu-img", "info", "-U", "--output=json", "--backing-chain", path).stdout)
    return [layer["filename"] for layer in said]


def checkpoints(host, name):
    return host.virsh("snapshot-list", name, "--name", check=False).stdout.split()


def blockers(plan):
    return [(finding["code"], finding["what"], finding["why"]) for finding in plan["findings"] if finding["level"] == "blocker"]


def give(source, destination, path):
    """The same file at the same path on another host."""
    shutil.copyfile(source.path(path), destination.path(path))


def assert_moved(lab, source, destination, name):
    move = source.moves()[0]
    assert (move["state"], move["runner"]) == ("done", "destination"), brief(move)
    result = lab.verify(name)
    assert result["ok"] and result["states"] == {destination.name: "running"}, result
    proof = move["report"]["proof"]
    assert proof["unproven_bytes"] == 0 and not proof["difference"], proof
    return move


def test_a_chain_becomes_one_image(lab, pair):
    host1, host2 = pair
    with lab.guest("host1", "chain-flat", **GUEST):
        top, base = overlay(host1, "chain-flat", "one", "--no-metadata")
        plan = host1.plan("chain-flat", "host2", flatten=True)
        assert "DISK_BACKING_CHAIN" in codes(plan, "note") and plan["files"] == [], plan
        used = host1.path(base).stat().st_blocks * 512
        assert plan["placements"][0]["allocated_bytes"] > used, plan["placements"]
        before = host1.path(base).stat()

        host1.drover("move", "chain-flat", "host2", "--yes", "--flatten")
        assert_moved(lab, host1, host2, "chain-flat")
        assert chain_of(host2, top) == [top] and not host2.path(base).exists()
        after = host1.path(base).stat()
        assert (after.st_ino, after.st_mtime) == (before.st_ino, before.st_mtime), "the base was touched"
        host2.drover("move", "chain-flat", "host1", "--yes")
        assert_moved(lab, host2, host1, "chain-flat")
        assert chain_of(host1, top) == [top]


def test_a_chain_stays_a_chain_on_a_file_that_is_there(lab, pair):
    """There, and back to the base that stayed; only the disk's own image travels."""
    host1, host2 = pair
    with lab.guest("host1", "chain-kept", **GUEST):
        top, base = overlay(host1, "chain-kept", "one", "--no-metadata")
        give(host1, host2, base)
        content = host2.path(base).read_bytes()
        for source, destination in (pair, pair[::-1]):
            plan = source.plan("chain-kept", destination.name)
            assert not blockers(plan), blockers(plan)
            assert [(file["item"], file["source_path"], file["present"]) for file in plan["files"]] == [("vda", base, True)]
            own = source.path(top).stat().st_blocks * 512
            assert plan["placements"][0]["allocated_bytes"] < own + (1 << 20)
            source.drover("move", "chain-kept", destination.name, "--yes")
            move = assert_moved(lab, source, destination, "chain-kept")
            assert chain_of(destination, top) == [top, base]
            assert move["report"]["disks_sent_bytes"] < 24 << 20, "the base was sent as well"
            assert source.path(base).exists() and host2.path(base).read_bytes() == content
            drop_all(source)


def test_a_base_that_differs_is_never_built_on(lab, pair):
    """Where a plan sees it, and where only the whole file shows it."""
    host1, host2 = pair
    with lab.guest("host1", "chain-other", **GUEST):
        top, base = overlay(host1, "chain-other", "one", "--no-metadata")
        plan = host1.plan("chain-other", "host2")
        assert codes(plan, "blocker") == ["DISK_BACKING_CHAIN"], plan["findings"]
        give(host1, host2, base)
        with open(host2.path(base), "r+b") as file:
            file.write(b"other")
        plan = host1.plan("chain-other", "host2")
        assert codes(plan, "blocker") == ["DISK_EXISTS"], plan["findings"]

        give(host1, host2, base)
        size = host2.path(base).stat().st_size
        with open(host2.path(base), "r+b") as file:
            file.seek(size * 3 // 128 // 4096 * 4096 + (150 << 10))
            file.write(b"one block that no sample reads")
        assert not codes(host1.plan("chain-other", "host2"), "blocker")
        done = host1.drover("move", "chain-other", "host2", "--yes", check=False)
        assert done.returncode != 0 and "is not the file that vda" in done.stderr + done.stdout, done.stdout + done.stderr
        result = lab.verify("chain-other")
        assert result["ok"] and result["states"] == {"host1": "running"}, result
        assert not host2.path(top).exists() and disk_of(host1, "chain-other") == top


def test_external_checkpoints_travel_and_can_be_gone_back_to(lab, pair):
    host1, host2 = pair
    with lab.guest("host1", "chain-points", **GUEST):
        top, base = overlay(host1, "chain-points", "clean")
        give(host1, host2, base)
        plan = host1.plan("chain-points", "host2")
        assert "CHECKPOINTS_TRAVEL" in codes(plan, "note") and not codes(plan, "blocker"), plan["findings"]
        assert [point["name"] for point in plan["vm"]["checkpoints"]] == ["clean"]
        refused = host1.plan("chain-points", "host2", flatten=True)
        assert set(codes(refused, "blocker")) == {"CHECKPOINT_FILES"}, refused["findings"]

        host1.drover("move", "chain-points", "host2", "--yes")
        assert_moved(lab, host1, host2, "chain-points")
        assert checkpoints(host2, "chain-points") == ["clean"] and checkpoints(host1, "chain-points") == []
        assert "chain-points" not in host1.virsh("list", "--all", "--name").stdout
        # libvirt 9.0 goes back to no external snapshot by itself: its definition names the disk as it was.
        text = host2.virsh("snapshot-dumpxml", "chain-points", "clean", "--security-info").stdout
        definition = text[text.index("<domain "):text.index("</domain>") + len("</domain>")]
        assert base in definition and top not in definition
        host2.virsh("destroy", "chain-points")
        host2.virsh("snapshot-delete", "chain-points", "clean", "--metadata")
        host2.define(definition)
        host2.virsh("start", "chain-points")
        until(lambda: lab.verify("chain-points", "--reboot-allowed")["ok"], "the checkpoint is whole", patience=60, pause=1)
        assert disk_of(host2, "chain-points") == base


def test_checkpoints_are_known_again_if_the_vm_stays(lab, pair):
    """A cancel, and a droverd that dies while libvirt has forgotten them."""
    host1, host2 = pair
    with lab.guest("host1", "chain-stays", **{**GUEST, "fill": 24}):
        _, base = overlay(host1, "chain-stays", "clean")
        give(host1, host2, base)
        overlay(host1, "chain-stays", "later")
        give(host1, host2, base.replace(".qcow2", ".clean"))
        before = host1.virsh("snapshot-dumpxml", "chain-stays", "later").stdout
        assert checkpoints(host1, "chain-stays") == ["clean", "later"]
        for how in ("cancel", "kill"):
            move = host1.start_move("chain-stays", "host2", bandwidth_bytes_per_second=1 << 20)
            host1.wait_phase(move, "copy-disks")
            until(lambda: not checkpoints(host1, "chain-stays"), "libvirt forgets them", patience=30)
            if how == "kill":
                host1.kill_droverd()
                host1.start_droverd()
            host1.drover("cancel", move)
            ended = host1.wait_move(move)
            assert ended["state"] == "cancelled", brief(ended)
            assert checkpoints(host1, "chain-stays") == ["clean", "later"], how
            assert host1.virsh("snapshot-current", "chain-stays", "--name").stdout.strip() == "later"
        assert host1.virsh("snapshot-dumpxml", "chain-stays", "later").stdout == before
        assert lab.verify("chain-stays")["ok"]


@contextlib.contextmanager
def sharing(hosts):
    for host in hosts:
        host.drover("settings", f"allowed-folders+={SHARED}")
    try:
        yield
    finally:
        for host in hosts:
            host.drover("settings", f"allowed-folders-={SHARED}")
        for file in hosts[0].path(SHARED).glob("chain*"):
            file.unlink()


def test_internal_checkpoints_stay_in_images_that_both_hosts_see(lab, pair):
    """With the memory of the guest, to which it goes back on the other host. Where the disk is copied they stop the move."""
    host1, host2 = pair
    with sharing(pair), lab.guest("host1", "chain-internal", folder=SHARED, **GUEST):
        host1.virsh("snapshot-create-as", "chain-internal", "warm")
        plan = host1.plan("chain-internal", "host2")
        assert not blockers(plan), blockers(plan)
        host1.drover("move", "chain-internal", "host2", "--yes")
        result = lab.verify("chain-internal")
        assert result["ok"] and result["states"] == {"host2": "running"}, result
        assert checkpoints(host2, "chain-internal") == ["warm"] and checkpoints(host1, "chain-internal") == []
        host2.virsh("snapshot-revert", "chain-internal", "warm")
        result = lab.verify("chain-internal")
        assert result["ok"], result


def test_an_internal_checkpoint_stops_the_copy_of_its_disk(lab, pair):
    host1, _ = pair
    with lab.guest("host1", "chain-within", **GUEST):
        host1.virsh("snapshot-create-as", "chain-within", "warm")
        plan = host1.plan("chain-within", "host2")
        assert codes(plan, "blocker") == ["CHECKPOINT_INTERNAL"], blockers(plan)
        refused = host1.drover("move", "chain-within", "host2", "--yes", check=False)
        assert refused.returncode == 2 and checkpoints(host1, "chain-within") == ["warm"]


@LONG
def test_a_whole_chain_stays_on_shared_storage(lab, pair):
    host1, host2 = pair
    with sharing(pair), lab.guest("host1", "chain-shared", folder=SHARED, **GUEST):
        top, base = overlay(host1, "chain-shared", "clean")
        for source, destination in (pair, pair[::-1]):
            plan = source.plan("chain-shared", destination.name)
            assert [(file["source_path"], file["shared"]) for file in plan["files"]] == [(base, True)], plan
            source.drover("move", "chain-shared", destination.name, "--yes")
            result = lab.verify("chain-shared")
            assert result["ok"] and result["states"] == {destination.name: "running"}, result
            assert chain_of(destination, top) == [top, base]
            assert checkpoints(destination, "chain-shared") == ["clean"]


@LONG
def test_disks_that_move_within_a_host_become_one_image(lab, pair):
    host1, _ = pair
    other = f"{IMAGES}/other"
    host1.run("mkdir", "-p", "-m", "711", other)
    with lab.guest("host1", "chain-disks", **GUEST):
        top, base = overlay(host1, "chain-disks", "one", "--no-metadata")
        words = ("move", "chain-disks", "--to-storage", other, "--yes", "--accept", "SAME_DEVICE")
        assert host1.drover(*words, check=False).returncode == 2
        host1.drover(*words, "--flatten")
        there = f"{other}/{os.path.basename(top)}"
        assert disk_of(host1, "chain-disks") == there and chain_of(host1, there) == [there]
        assert lab.verify("chain-disks")["ok"] and host1.path(base).exists()
    host1.run("rm", "-rf", other)
