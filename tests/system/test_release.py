# SPDX-License-Identifier: Apache-2.0
"""Hosts of different releases: Debian 12 to Debian 13's libvirt and QEMU, and back."""
import os
import shutil

import pytest

from marks import LONG
from product import Host, assert_clean, brief, drop_all, lab_hosts, until
from runners import RunnerWatch
from strange import assert_arrived, strange_domain, variables_at_rest

SHARED = lab_hosts.SHARED
pytestmark = [
    LONG,
    pytest.mark.skipif(not shutil.which("mmdebstrap"), reason="needs the package mmdebstrap"),
    pytest.mark.skipif(bool(os.environ.get("DROVER_LAB_KEEP")), reason="the lab is to be kept, and needs another release"),
]


@pytest.fixture(scope="module")
def mixed(lab):
    lab.run("down")
    lab.run("up", "--release", "host2=trixie", timeout=1800)
    yield Host(lab, "host1"), Host(lab, "host2")
    lab.run("down")


def test_moves_to_the_next_release_and_back(lab, mixed):
    host1, host2 = mixed
    versions = [host.get("/v1/host")["libvirt_version"] for host in mixed]
    assert versions[0] != versions[1], versions
    with lab.guest("host1", "traveller", memory=192, disk="128M", fill=16, dirty=8, disk_rate=0.5):
        watching = lab.background("watch", "traveller")
        for source, destination in (mixed, mixed[::-1]):
            with RunnerWatch("traveller", *mixed) as watch:
                done = source.drover("move", "traveller", destination.name, "--yes", "--accept", "HYPERVISOR_OLDER")
            watch.assert_one_runner(source, destination)
            result = lab.verify("traveller")
            assert result["ok"] and result["states"] == {destination.name: "running"}, (result, done.stdout)
        assert watching.stop()["ok"]
        drop_all(*mixed)
    assert_clean(*mixed)


def test_only_the_vm_moves_to_the_next_release_and_back(lab, mixed):
    for host in mixed:
        host.drover("settings", f"allowed-folders+={SHARED}")
    with lab.guest("host1", "stays", memory=192, disk="128M", fill=16, dirty=8, disk_rate=0.5, folder=SHARED):
        for source, destination in (mixed, mixed[::-1]):
            with RunnerWatch("stays", *mixed) as watch:
                done = source.drover("move", "stays", destination.name, "--yes", "--accept", "HYPERVISOR_OLDER")
            assert "vda stays where it is" in done.stdout, done.stdout
            watch.assert_one_runner(source, destination)
            result = lab.verify("stays")
            assert result["ok"] and result["states"] == {destination.name: "running"}, (result, done.stdout)
            assert source.files(SHARED) == ["stays.qcow2"]
    assert_clean(*mixed)


def test_a_strange_domain_moves_to_the_next_release_and_back(lab, mixed):
    host1, host2 = mixed
    # Debian 13's libvirt opens a raw image without discard, so QEMU allocates the zeros that the mirror writes.
    sparse = ("strange.qcow2",)
    with strange_domain(*mixed):
        variables = variables_at_rest(host1)
        host1.drover("move", "strange", "host2", "--yes")
        assert_arrived(host1, host2, variables, sparse)
        drop_all(host1)
        host2.drover("move", "strange", "host1", "--yes", "--accept", "HYPERVISOR_OLDER")
        assert_arrived(host2, host1, variables, sparse)
    assert_clean(*mixed)


def test_saved_states_are_restored_by_the_next_release_and_by_the_one_before(lab, mixed):
    """A quick move: what the older QEMU saved the newer one restores, and back."""
    with lab.guest("host1", "saved", memory=192, disk="128M", fill=16, dirty=2, disk_rate=0.25):
        for source, destination in (mixed, mixed[::-1]):
            source.drover("move", "saved", destination.name, "--quick", "--yes", "--accept", "HYPERVISOR_OLDER")
            move = source.moves()[0]
            assert (move["plan"]["kind"], move["state"]) == ("quick", "done"), brief(move)
            result = lab.verify("saved")
            assert result["ok"] and result["states"] == {destination.name: "running"}, result
        drop_all(*mixed)
    assert_clean(*mixed)


def test_a_vm_that_is_off_boots_on_the_next_release_and_back(lab, mixed):
    host1, _ = mixed
    with lab.guest("host1", "off", memory=192, disk="128M", fill=16, dirty=2, disk_rate=0.25):
        for source, destination in (mixed, mixed[::-1]):
            source.virsh("destroy", "off")
            source.drover("move", "off", destination.name, "--yes", "--accept", "HYPERVISOR_OLDER")
            destination.virsh("start", "off")
            until(lambda: lab.json("verify", "off", "--reboot-allowed", check=False)["ok"], "it boots and its disk is right", pause=1)
        drop_all(*mixed)
    assert_clean(*mixed)


def test_a_checkpoint_with_memory_is_gone_back_to_on_the_next_release(lab, mixed):
    """Made on Debian 12, within an image that both hosts see; reverted to on Debian 13."""
    host1, host2 = mixed
    for host in mixed:
        host.drover("settings", f"allowed-folders+={SHARED}")
    with lab.guest("host1", "warm", memory=192, disk="128M", fill=16, dirty=2, disk_rate=0.25, folder=SHARED):
        host1.virsh("snapshot-create-as", "warm", "before")
        host1.drover("move", "warm", "host2", "--yes")
        host2.virsh("snapshot-revert", "warm", "before")
        result = lab.verify("warm")
        assert result["ok"] and result["states"] == {"host2": "running"}, result
    assert_clean(*mixed)
