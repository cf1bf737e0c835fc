# SPDX-License-Identifier: Apache-2.0
"""Disks on storage that both hosts see: they stay, whatever becomes of the move; and a path that both have is no proof."""
import time

import pytest

from product import ALL, ENDS_WITHIN, IMAGES, RELAY, assert_clean, brief, codes, drop_all, lab_hosts, until
from runners import RunnerWatch

SHARED = lab_hosts.SHARED
SOURCE, DESTINATION = "host1", "host2"
HARM = 4.0


@pytest.fixture
def sharing(pair):
    """Both hosts allow the folder that they share."""
    for host in pair:
        host.drover("settings", f"allowed-folders+={SHARED}")
    yield pair
    for host in pair:
        host.drover("settings", f"allowed-folders-={SHARED}")


def guest_of(lab, name, **options):
    return lab.guest("host1", name, **{"memory": 128, "disk": "64M", "fill": 4, "dirty": 16, "disk_rate": 0.25,
                                       "folder": SHARED, **options})


def identity(host, path):
    found = host.path(path).stat()
    return found.st_dev, found.st_ino


def placement_of(plan, target):
    return next(placement for placement in plan["placements"] if placement["target"] == target)


def assert_runs(lab, name, host):
    result = lab.verify(name)
    assert result["ok"], result
    assert result["states"] == {host.name: "running"}, result


def test_only_the_vm_moves_there_and_back(lab, sharing):
    with guest_of(lab, "stays", memory=192, disk="256M", fill=16, disk_rate=1) as guest:
        before = identity(sharing[0], guest["disk"])
        watching = lab.background("watch", "stays")
        for source, destination in (sharing, sharing[::-1]):
            plan = source.plan("stays", destination.name)
            assert placement_of(plan, "vda")["shared"], plan
            assert not codes(plan, "blocker") and plan["quarantine_bytes"] == 0, plan
            assert plan["expected_bytes"] == 192 << 20, plan["expected_bytes"]
            said = source.drover("move", "stays", destination.name, "--yes").stdout
            assert_runs(lab, "stays", destination)
            move = source.moves()[0]
            assert (move["state"], move["runner"]) == ("done", "destination"), brief(move)
            assert move["report"]["disks_sent_bytes"] == 0, move["report"]
            assert move["report"]["proof"]["compared_bytes"] == move["report"]["proof"]["unproven_bytes"] == 0
            assert "(shared, stays)" in said and "vda stays where it is" in said, said
            assert "no disk was sent, so none is compared" in said, said
            assert identity(source, guest["disk"]) == before and source.files(SHARED) == ["stays.qcow2"]
            assert source.path(guest["disk"]).owner() == "libvirt-qemu", "the running guest's image was taken from its QEMU"
            assert not source.kept() and not destination.kept()
            assert guest["uuid"] not in source.virsh("list", "--all", "--uuid").stdout
        result = watching.stop()
        assert result["ok"] and result["replies"] > 20, result
    assert_clean(*sharing)


def test_one_disk_stays_and_one_travels(lab, sharing):
    host1, host2 = sharing
    extra = f"{IMAGES}/extra.raw"
    with guest_of(lab, "mixed") as guest:
        host1.virsh("destroy", "mixed")
        host1.run("sh", "-ec", f"head -c 8M /dev/urandom > {extra}; truncate -s 32M {extra}")
        content = host1.path(extra).read_bytes()
        host1.virsh("attach-disk", "mixed", extra, "vdb", "--config", "--subdriver", "raw")
        host1.virsh("start", "mixed")
        until(lambda: lab.verify("mixed", "--reboot-allowed")["ok"], "the guest answers again", patience=60, pause=1)
        try:
            for source, destination in (sharing, sharing[::-1]):
                plan = source.plan("mixed", destination.name)
                assert placement_of(plan, "vda")["shared"] and not placement_of(plan, "vdb")["shared"], plan
                source.drover("move", "mixed", destination.name, "--yes")
                assert lab.verify("mixed", "--reboot-allowed")["ok"]
                move = source.moves()[0]
                assert move["report"]["proof"]["compared_bytes"] == 32 << 20, move["report"]
                assert move["report"]["proof"]["unproven_bytes"] == 0, move["report"]
                assert [disk["original_path"] for disk in source.kept()] == [extra]
                assert destination.path(extra).read_bytes() == content
                assert source.files(SHARED) == ["mixed.qcow2"]
                drop_all(source)
        finally:
            for host in sharing:
                host.path(extra).unlink(missing_ok=True)
        assert identity(host1, guest["disk"])
    assert_clean(*sharing)


def test_a_path_that_both_hosts_have_is_not_shared(lab, pair):
    """The same path and the same content, but a file of each host's own."""
    host1, host2 = pair
    folder = "/srv/alike"
    for host in pair:
        host.path(folder).mkdir()
        host.drover("settings", f"allowed-folders+={folder}")
    try:
        with guest_of(lab, "alike", folder=folder) as guest:
            host2.path(guest["disk"]).write_bytes(host1.path(guest["disk"]).read_bytes())
            before = identity(host2, guest["disk"])
            plan = host1.plan("alike", "host2")
            assert codes(plan, "blocker") == ["DISK_EXISTS"] and not placement_of(plan, "vda")["shared"], plan
            assert "is not seen on host2" in str(plan["findings"]), plan
            refused = host1.drover("move", "alike", "host2", "--yes", check=False)
            assert refused.returncode == 2 and identity(host2, guest["disk"]) == before

            host1.drover("move", "alike", "host2", "--yes", "--disks-to", IMAGES)
            assert_runs(lab, "alike", host2)
            assert host1.moves()[0]["report"]["disks_sent_bytes"] > 0 and identity(host2, guest["disk"]) == before
            drop_all(*pair)
    finally:
        for host in pair:
            host.drover("settings", f"allowed-folders-={folder}")
            host.run("rm", "-r", folder)
            host.path(f"{IMAGES}/alike.qcow2").unlink(missing_ok=True)
    assert_clean(*pair)


def test_an_undo_leaves_the_shared_disk_alone(lab, sharing):
    """The destination's mover dies while memory is copied: the guest runs on, on the very image that a copy would be removed
    from."""
    host1, host2 = sharing
    with guest_of(lab, "undone", memory=192, dirty=64) as guest:
        before = identity(host1, guest["disk"])
        lab.run("link", "100mbit")
        move_id = host1.start_move("undone", "host2")
        host1.wait_phase(move_id, "copy-memory")
        time.sleep(0.5)
        host2.kill("mover")
        move = host1.wait_move(move_id, patience=ENDS_WITHIN)
        lab.run("link", "restore")
        assert (move["state"], move["runner"]) == ("failed", "source"), brief(move)
        assert_runs(lab, "undone", host1)
        assert identity(host1, guest["disk"]) == before and host1.files(SHARED) == ["undone.qcow2"]
        assert "drover-fence" not in host1.virsh("qemu-monitor-command", "undone", '{"execute": "query-named-block-nodes"}').stdout
        assert_clean(*sharing)
        host1.drover("move", "undone", "host2", "--yes")
        assert_runs(lab, "undone", host2)
    assert_clean(*sharing)


# droverd first: it would settle the move as soon as it sees its gate gone.
ALL_OF_THE_SOURCE = ",".join(f"kill:{role}@{SOURCE}" for role in ("droverd", "gate", "mover"))
# Where a call is harmed, and what is done to it (docs/lab.md), as in test_switch.py.
CELLS = {
    # Only QEMU holds the fence then, from where it must be borrowed to be lifted.
    "source_killed_before_the_request": ("finish:request:before", f"{ALL_OF_THE_SOURCE},close", (SOURCE,)),
    "reply_lost": ("finish:reply:before", "close", (DESTINATION,)),
    "request_lost": ("finish:request:before", "close", (SOURCE,)),
    "source_gate_killed": ("finish:request:after", f"kill:gate@{SOURCE}", (SOURCE, DESTINATION)),
    "source_libvirtd_killed": ("finish:request:after", f"kill:libvirtd@{SOURCE}", (DESTINATION,)),
}


@pytest.mark.parametrize("cell", CELLS if ALL else ["reply_lost", "source_killed_before_the_request"])
def test_never_two_runners(lab, sharing, relayed, cell):
    host1, host2 = sharing
    at, do, ends = CELLS[cell]
    with guest_of(lab, "switcher") as guest:
        before = identity(host1, guest["disk"])
        lab.run("rpc-relay", "host2", "start", "--listen", RELAY, "--at", at, "--do", do)
        try:
            with RunnerWatch("switcher", *sharing) as watch:
                move_id = host1.start_move("switcher", "host2")
                lab.run("rpc-relay", "host2", "wait", "--at", at, "--timeout", "120")
                time.sleep(HARM)
                watch.assert_one_runner(*sharing)
                for host in sharing:
                    host.start_libvirtd()
                    host.start_droverd()
                move = host1.wait_move(move_id, patience=ENDS_WITHIN)
                time.sleep(1)
                result = lab.verify("switcher")
                watch.assert_one_runner(*sharing)
            assert result["ok"], result
            [host] = [name for name, state in result["states"].items() if state == "running"]
            assert host in ends, result
            assert move["runner"] == ("destination" if host == DESTINATION else "source"), brief(move)
        finally:
            lab.run("rpc-relay", "host2", "stop")
        assert identity(host1, guest["disk"]) == before and host1.files(SHARED) == ["switcher.qcow2"]
    assert_clean(*sharing)


def test_the_fence_outlives_the_destinations_guest(lab, sharing, relayed):
    """The answer is out, all of Drover at the source is dead, and the guest has ended at the destination, whose QEMU has let go
    of the image: then only the fence keeps the source's QEMU from going on with a memory that the disk has left behind."""
    host1, host2 = sharing
    with guest_of(lab, "fenced"):
        at = "finish:reply:before"
        lab.run("rpc-relay", "host2", "start", "--listen", RELAY, "--at", at,
                "--do", ALL_OF_THE_SOURCE)
        try:
            with RunnerWatch("fenced", *sharing) as watch:
                move_id = host1.start_move("fenced", "host2")
                lab.run("rpc-relay", "host2", "wait", "--at", at, "--timeout", "120")
                until(lambda: host2.domstate("fenced") == "running", "the guest runs at the destination")
                time.sleep(1)
                host2.virsh("destroy", "fenced")
                time.sleep(1)
                for words in (["resume", "fenced"], ["qemu-monitor-command", "fenced", '{"execute": "cont"}']):
                    said = host1.run("timeout", "20", "virsh", *words, check=False)
                    assert "write" in said.stdout + said.stderr, said
                time.sleep(1)
                watch.assert_one_runner(*sharing)
                host1.start_droverd()
                move = host1.wait_move(move_id, patience=ENDS_WITHIN)
                watch.assert_one_runner(*sharing)
            assert (move["state"], move["runner"]) == ("parked", "destination"), brief(move)
            assert "start it there" in move["explanation"], brief(move)
        finally:
            lab.run("rpc-relay", "host2", "stop")
