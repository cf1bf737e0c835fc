# SPDX-License-Identifier: Apache-2.0
"""Disks that are built on others, and checkpoints: they stay what they are, or become one image if that is asked for."""
import contextlib
import json
import os
import shutil

import pytest

from marks import LONG
from product import IMAGES, assert_clean, brief, codes, drop_all, lab_hosts, until

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


@LONG
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


def test_layers_that_are_missing_go_ahead_of_a_live_move(lab, pair):
    """They arrive as they are, stay, and are there for the next one. A cancel meanwhile leaves nothing."""
    host1, host2 = pair
    with lab.guest("host1", "chain-ahead", **GUEST):
        middle, base = overlay(host1, "chain-ahead", "one", "--no-metadata")
        top, _ = overlay(host1, "chain-ahead", "two", "--no-metadata")
        plan = host1.plan("chain-ahead", "host2")
        assert not blockers(plan), blockers(plan)
        assert {file["source_path"]: file["present"] for file in plan["files"]} == {middle: False, base: False}
        assert "is brought along" in str([finding["what"] for finding in plan["findings"] if finding["code"] == "DISK_BACKING_CHAIN"])

        move_id = host1.start_move("chain-ahead", "host2", bandwidth_bytes_per_second=1 << 20)
        until(lambda: host2.path(middle).exists() or host2.path(base).exists(), "a layer to come")
        host1.drover("cancel", move_id)
        assert host1.wait_move(move_id)["state"] == "cancelled"
        assert lab.verify("chain-ahead")["states"] == {"host1": "running"}
        for path in (top, middle, base):
            assert not host2.path(path).exists(), path
        assert_clean(*pair)

        host1.drover("move", "chain-ahead", "host2", "--yes")
        move = assert_moved(lab, host1, host2, "chain-ahead")
        assert chain_of(host2, top) == [top, middle, base]
        for path in (middle, base):
            assert host2.path(path).read_bytes() == host1.path(path).read_bytes(), path
            assert host2.path(path).stat().st_blocks <= 1.05 * host1.path(path).stat().st_blocks + 64, path
        assert move["report"]["wire_bytes"] > host1.path(base).stat().st_blocks * 512 // 4, move["report"]
        drop_all(host1)
        host2.drover("move", "chain-ahead", "host1", "--yes")
        back = assert_moved(lab, host2, host1, "chain-ahead")
        assert chain_of(host1, top) == [top, middle, base]
        assert not any(not file["present"] for file in back["plan"]["files"]), back["plan"]["files"]


def test_a_base_that_differs_is_never_built_on(lab, pair):
    """Where a plan sees it, and where only the whole file shows it."""
    host1, host2 = pair
    with lab.guest("host1", "chain-other", **GUEST):
        top, base = overlay(host1, "chain-other", "one", "--no-metadata")
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
            host1.wait_move(move, lambda seen: seen["progress"]["disks"]["done_bytes"] > 0)
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


@LONG
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


def off(host, name):
    host.virsh("destroy", name)
    until(lambda: host.domstate(name) == "shut off", "it is off")


def on(lab, host, name):
    host.virsh("start", name)
    until(lambda: lab.verify(name, "--reboot-allowed")["ok"], "its disk is whole", patience=60, pause=1)


def went(source, kind):
    move = source.moves()[0]
    assert (move["plan"]["kind"], move["state"], move["runner"]) == (kind, "done", "destination"), brief(move)
    proof = move["report"]["proof"]
    assert proof["unproven_bytes"] == 0 and not proof["difference"] and proof["compared_bytes"] == 96 << 20, proof
    return move


@LONG
def test_an_offline_move_brings_the_chain_and_its_checkpoint(lab, pair):
    """What the disk stands on comes along once; on the way home it is there."""
    host1, host2 = pair
    with lab.guest("host1", "chain-off", **GUEST):
        top, base = overlay(host1, "chain-off", "clean")
        off(host1, "chain-off")
        plan = host1.plan("chain-off", "host2")
        assert not blockers(plan), blockers(plan)
        assert {"DISK_BACKING_CHAIN", "CHECKPOINTS_TRAVEL"} <= set(codes(plan, "note")), plan["findings"]
        used = {path: host1.path(path).stat().st_blocks * 512 for path in (top, base)}
        host1.drover("move", "chain-off", "host2", "--yes")
        move = went(host1, "offline")
        assert move["report"]["disks_sent_bytes"] >= sum(used.values()) * 0.9, move["report"]
        assert chain_of(host2, top) == [top, base] and checkpoints(host2, "chain-off") == ["clean"]
        assert host2.path(base).read_bytes() == host1.path(base).read_bytes()
        for path, bytes_here in used.items():
            assert host2.path(path).stat().st_blocks * 512 <= 1.05 * bytes_here + (1 << 20), path
        assert "chain-off" not in host1.virsh("list", "--all", "--name").stdout
        assert [kept["original_path"] for kept in host1.kept()] == [top], "the base stays where it lies"
        on(lab, host2, "chain-off")

        off(host2, "chain-off")
        drop_all(host1)
        plan = host2.plan("chain-off", "host1")
        assert [file["present"] for file in plan["files"]] == [True] and not blockers(plan), plan
        host2.drover("move", "chain-off", "host1", "--yes")
        assert went(host2, "offline")["report"]["disks_sent_bytes"] < used[base], "the base was sent again"
        assert chain_of(host1, top) == [top, base] and checkpoints(host1, "chain-off") == ["clean"]
        on(lab, host1, "chain-off")


def test_an_internal_checkpoint_travels_offline_and_can_be_gone_back_to(lab, pair):
    """With the memory that the guest had: it goes on there as if it had never been off."""
    host1, host2 = pair
    with lab.guest("host1", "chain-inner", **GUEST):
        host1.virsh("snapshot-create-as", "chain-inner", "warm")
        off(host1, "chain-inner")
        plan = host1.plan("chain-inner", "host2")
        assert not blockers(plan), blockers(plan)
        host1.drover("move", "chain-inner", "host2", "--yes")
        went(host1, "offline")
        assert checkpoints(host2, "chain-inner") == ["warm"]
        host2.virsh("snapshot-revert", "chain-inner", "warm")
        result = lab.verify("chain-inner")
        assert result["ok"] and result["states"] == {"host2": "running"}, result


@LONG
def test_a_quick_move_keeps_the_chain(lab, pair):
    """The base travels while the guest runs, its own image while it stands still."""
    host1, host2 = pair
    with lab.guest("host1", "chain-quick", **GUEST):
        top, base = overlay(host1, "chain-quick", "clean")
        plan = host1.plan("chain-quick", "host2", kind="quick")
        assert not blockers(plan), blockers(plan)
        host1.drover("move", "chain-quick", "host2", "--yes", "--quick")
        move = went(host1, "quick")
        assert 0 < move["report"]["pause_ms"] < move["report"]["duration_ms"], move["report"]
        assert_moved(lab, host1, host2, "chain-quick")
        assert chain_of(host2, top) == [top, base] and checkpoints(host2, "chain-quick") == ["clean"]


@LONG
def test_a_quick_move_takes_an_internal_checkpoint_along(lab, pair):
    host1, host2 = pair
    with lab.guest("host1", "chain-warm", **GUEST):
        host1.virsh("snapshot-create-as", "chain-warm", "warm")
        host1.drover("move", "chain-warm", "host2", "--yes", "--quick")
        went(host1, "quick")
        assert_moved(lab, host1, host2, "chain-warm")
        assert checkpoints(host2, "chain-warm") == ["warm"]
        host2.virsh("snapshot-revert", "chain-warm", "warm")
        result = lab.verify("chain-warm")
        assert result["ok"] and result["states"] == {"host2": "running"}, result


@LONG
def test_a_chain_travels_to_another_folder(lab, pair):
    """Its own image is told where what it stands on lies there."""
    host1, host2 = pair
    other = f"{IMAGES}/other"
    host2.run("mkdir", "-p", "-m", "711", other)
    with lab.guest("host1", "chain-far", **GUEST):
        top, base = overlay(host1, "chain-far", "clean")
        off(host1, "chain-far")
        host1.drover("move", "chain-far", "host2", "--yes", "--disks-to", other)
        went(host1, "offline")
        there = [f"{other}/{os.path.basename(path)}" for path in (top, base)]
        assert chain_of(host2, there[0]) == there
        on(lab, host2, "chain-far")
    host2.run("rm", "-rf", other)


@LONG
def test_a_chain_becomes_one_image_when_it_is_off(lab, pair):
    host1, host2 = pair
    with lab.guest("host1", "chain-one", **GUEST):
        top, base = overlay(host1, "chain-one", "one", "--no-metadata")
        off(host1, "chain-one")
        host1.drover("move", "chain-one", "host2", "--yes", "--flatten")
        went(host1, "offline")
        assert chain_of(host2, top) == [top] and not host2.path(base).exists()
        on(lab, host2, "chain-one")


@LONG
def test_a_quick_move_makes_one_image(lab, pair):
    host1, host2 = pair
    with lab.guest("host1", "chain-melt", **GUEST):
        top, base = overlay(host1, "chain-melt", "one", "--no-metadata")
        host1.drover("move", "chain-melt", "host2", "--yes", "--quick", "--flatten")
        went(host1, "quick")
        assert_moved(lab, host1, host2, "chain-melt")
        assert chain_of(host2, top) == [top] and not host2.path(base).exists()


@LONG
def test_checkpoints_are_known_again_if_a_quick_move_is_cancelled(lab, pair):
    """In the middle, and after a droverd that died there: the definition, the chain and the checkpoint are as before."""
    host1, host2 = pair
    with lab.guest("host1", "chain-back", **{**GUEST, "fill": 24}):
        top, base = overlay(host1, "chain-back", "clean")
        for how in ("cancel", "kill"):
            move = host1.start_move("chain-back", "host2", kind="quick", bandwidth_bytes_per_second=4 << 20)
            host1.wait_phase(move, "copy-memory")
            if how == "kill":
                host1.kill_droverd()
                host1.start_droverd()
            host1.drover("cancel", move, check=False)
            ended = host1.wait_move(move)
            # The next droverd takes the move back by itself, and may have done so before it is asked to.
            assert ended["state"] in {"cancel": ("cancelled",), "kill": ("cancelled", "failed")}[how], brief(ended)
            assert checkpoints(host1, "chain-back") == ["clean"] and chain_of(host1, top) == [top, base]
            assert not host2.path(top).exists() and not host2.path(base).exists(), "something was left"
        assert lab.verify("chain-back")["ok"]


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


@pytest.fixture
def other(pair):
    """A second folder for images on host1."""
    folder = f"{IMAGES}/other"
    pair[0].run("mkdir", "-p", "-m", "711", folder)
    yield folder
    drop_all(pair[0])
    pair[0].run("rm", "-rf", folder)


def moved(host, name, folder, *words):
    """Its disks move within the host; the move."""
    host.drover("move", name, "--to-storage", folder, "--yes", "--accept", "SAME_DEVICE", *words)
    move = host.moves()[0]
    assert move["state"] == "done" and not move["explanation"], brief(move)
    return move


@LONG
def test_a_chain_and_its_checkpoint_move_within_their_host(lab, pair, other):
    """Running, all by whole names; back while it is off, with a relative name that stays so."""
    host1, _ = pair
    with lab.guest("host1", "chain-disks", **GUEST):
        here = overlay(host1, "chain-disks", "one")
        there = tuple(f"{other}/{os.path.basename(path)}" for path in here)
        own = sum(host1.path(path).stat().st_blocks * 512 for path in here)
        moved(host1, "chain-disks", other)
        assert disk_of(host1, "chain-disks") == there[0] and chain_of(host1, there[0]) == list(there)
        assert lab.verify("chain-disks")["ok"]
        assert not any(host1.path(path).exists() for path in here)
        assert sorted(disk["original_path"] for disk in host1.kept()) == sorted(here)
        assert sum(host1.path(path).stat().st_blocks * 512 for path in there) <= 1.05 * own + (4 << 20)
        text = host1.virsh("snapshot-dumpxml", "chain-disks", "one").stdout
        assert all(path in text for path in there) and not any(f"'{path}'" in text for path in here), text
        off(host1, "chain-disks")
        drop_all(host1)
        host1.run("qemu-img", "rebase", "-u", "-F", "qcow2", "-b", os.path.basename(there[1]), there[0])
        moved(host1, "chain-disks", IMAGES)
        assert chain_of(host1, here[0]) == list(here)
        drop_all(host1)
        assert host1.files(other) == []
        said = json.loads(host1.run("qemu-img", "info", "--output=json", here[0]).stdout)
        assert said["backing-filename"] == os.path.basename(here[1])
        assert all(path in host1.virsh("snapshot-dumpxml", "chain-disks", "one").stdout for path in here)
        on(lab, host1, "chain-disks")


@LONG
def test_an_internal_checkpoint_moves_within_its_host_while_the_vm_is_off(lab, pair, other):
    host1, _ = pair
    with lab.guest("host1", "chain-inner", **GUEST):
        top = disk_of(host1, "chain-inner")
        off(host1, "chain-inner")
        host1.virsh("snapshot-create-as", "chain-inner", "cold")
        host1.virsh("start", "chain-inner")
        plan = host1.plan("chain-inner", "", kind="storage", disks_to=other)
        assert codes(plan, "blocker") == ["CHECKPOINT_INTERNAL"], blockers(plan)
        off(host1, "chain-inner")
        moved(host1, "chain-inner", other)
        assert disk_of(host1, "chain-inner") == f"{other}/{os.path.basename(top)}"
        assert f"'{top}'" not in host1.virsh("snapshot-dumpxml", "chain-inner", "cold").stdout
        host1.virsh("snapshot-revert", "chain-inner", "cold")
        assert disk_of(host1, "chain-inner") == f"{other}/{os.path.basename(top)}"
        on(lab, host1, "chain-inner")


@LONG
@pytest.mark.parametrize("state", ["running", "off"])
def test_disks_that_move_within_a_host_become_one_image(lab, pair, other, state):
    host1, _ = pair
    with lab.guest("host1", "chain-disks", **GUEST):
        top, base = overlay(host1, "chain-disks", "one", "--no-metadata")
        if state == "off":
            off(host1, "chain-disks")
        moved(host1, "chain-disks", other, "--flatten")
        there = f"{other}/{os.path.basename(top)}"
        assert disk_of(host1, "chain-disks") == there and chain_of(host1, there) == [there]
        if state == "off":
            on(lab, host1, "chain-disks")
        assert lab.verify("chain-disks", *(["--reboot-allowed"] if state == "off" else []))["ok"] and host1.path(base).exists()
