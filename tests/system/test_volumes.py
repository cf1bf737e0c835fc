# SPDX-License-Identifier: Apache-2.0
"""Disks that are volumes of libvirt's pools: within their host, running and off, and to another one; and single items to places of their own there."""
import contextlib
import re

import pytest

from marks import LONG
from product import IMAGES, assert_clean, brief, drop_all, lab_hosts, until

GUEST = {"memory": 128, "disk": "96M", "fill": 8, "dirty": 0.25, "disk_rate": 0.2}
POOL = f"{IMAGES}/volumes"
NAME = "volumer"


@contextlib.contextmanager
def running_on_a_volume(lab, pair, folder):
    """Runs on host1, and its disk is a volume of the pool `volumes`, which is that folder."""
    host1, _ = pair
    host1.virsh("pool-define-as", "volumes", "dir", "--target", folder)
    host1.virsh("pool-start", "volumes")
    try:
        with lab.guest("host1", NAME, folder=folder, **GUEST) as made:
            off(host1)
            text = host1.virsh("dumpxml", "--inactive", NAME).stdout
            file = made["disk"].rsplit("/", 1)[1]
            text = re.sub(r"<disk type='file'([^>]*)>(.*?)<source file='[^']*/" + re.escape(file) + "'[^/]*/>",
                          rf"<disk type='volume'\1>\2<source pool='volumes' volume='{file}'/>", text, count=1, flags=re.DOTALL)
            assert "type='volume'" in text, text
            host1.virsh("pool-refresh", "volumes")
            host1.define(text)
            on(lab, host1)
            yield made
        drop_all(*pair)
        assert_clean(*pair)
    finally:
        for host in pair:
            for verb in ("pool-destroy", "pool-undefine"):
                host.virsh(verb, "volumes", check=False)


@pytest.fixture
def guest(lab, pair):
    for host in pair:
        host.run("mkdir", "-p", "-m", "711", POOL)
    with running_on_a_volume(lab, pair, POOL) as made:
        yield made
    for host in pair:
        host.run("rm", "-rf", POOL, f"{IMAGES}/{NAME}.qcow2")


def off(host):
    host.virsh("destroy", NAME)
    until(lambda: host.domstate(NAME) == "shut off", "it is off")


def on(lab, host):
    host.virsh("start", NAME)
    until(lambda: lab.json("verify", NAME, "--reboot-allowed", check=False)["ok"], "its records are as they were")


def disk_is(host, path):
    """In both definitions a file, and no volume any more."""
    for words in ((), ("--inactive",)):
        text = host.virsh("dumpxml", *words, NAME).stdout
        assert f"file='{path}'" in text and "type='volume'" not in text, text
    assert host.path(path).exists()


@LONG
@pytest.mark.parametrize("state", ["running", "off"])
def test_a_volume_moves_within_its_host(lab, pair, guest, state):
    host1, _ = pair
    if state == "off":
        off(host1)
    host1.drover("move", NAME, "--to-storage", IMAGES, "--yes", "--accept", "SAME_DEVICE")
    file = guest["disk"].rsplit("/", 1)[1]
    disk_is(host1, f"{IMAGES}/{file}")
    assert [disk["original_path"] for disk in host1.kept()] == [guest["disk"]]
    if state == "off":
        on(lab, host1)
    else:
        assert lab.verify(NAME, "--reboot-allowed")["ok"]
    # To a pool, by its name.
    host1.drover("move", NAME, "--item", "vda=volumes", "--yes", "--accept", "SAME_DEVICE")
    disk_is(host1, guest["disk"])
    assert file in host1.virsh("vol-list", "volumes").stdout
    assert lab.verify(NAME, "--reboot-allowed")["ok"]


@pytest.mark.parametrize("kind", ["live", pytest.param("quick", marks=LONG), pytest.param("offline", marks=LONG)])
def test_a_volume_moves_to_another_host(lab, pair, guest, kind):
    host1, host2 = pair
    if kind == "offline":
        off(host1)
    host1.drover("move", NAME, "host2", "--yes", *(["--quick"] if kind == "quick" else []))
    move = host1.moves()[0]
    assert (move["state"], move["plan"]["kind"]) == ("done", kind), brief(move)
    disk_is(host2, guest["disk"])
    if kind == "offline":
        on(lab, host2)
    else:
        result = lab.verify(NAME, "--reboot-allowed")
        assert result["ok"] and result["states"] == {"host2": "running"}, result


@LONG
def test_a_volume_stays_on_shared_storage(lab, pair):
    host1, host2 = pair
    for host in pair:
        host.drover("settings", f"allowed-folders+={lab_hosts.SHARED}")
    try:
        with running_on_a_volume(lab, pair, lab_hosts.SHARED) as guest:
            before = host1.path(guest["disk"]).stat().st_ino
            host1.drover("move", NAME, "host2", "--yes")
            assert [placement["shared"] for placement in host1.moves()[0]["plan"]["placements"]] == [True]
            disk_is(host2, guest["disk"])
            assert host2.path(guest["disk"]).stat().st_ino == before and host1.kept() == []
            result = lab.verify(NAME, "--reboot-allowed")
            assert result["ok"] and result["states"] == {"host2": "running"}, result
    finally:
        for host in pair:
            host.drover("settings", f"allowed-folders-={lab_hosts.SHARED}")
        host1.run("rm", "-f", f"{lab_hosts.SHARED}/{NAME}.qcow2")


def test_each_disk_goes_to_its_own_place(lab, pair):
    """At another host: one to a pool, one to a folder; and what is refused."""
    host1, host2 = pair
    fast, second = f"{IMAGES}/fast", f"{IMAGES}/second.img"
    host2.run("mkdir", "-p", "-m", "711", fast, POOL)
    host2.virsh("pool-define-as", "volumes", "dir", "--target", POOL)
    host2.virsh("pool-start", "volumes")
    host1.run("truncate", "-s", "32M", second)
    try:
        with lab.guest("host1", "placed", **GUEST) as guest:
            host1.virsh("attach-disk", "placed", second, "vdb", "--targetbus", "virtio", "--driver", "qemu", "--subdriver", "raw",
                        "--live", "--config")

            def refused(*items):
                said = host1.drover("plan", "placed", "host2", *(word for item in items for word in ("--item", item)), check=False)
                assert said.returncode != 0, said.stdout
                return said.stdout + said.stderr

            assert "twice" in refused("vda=volumes", f"vda={fast}")
            assert "vda, vdb" in refused("vdz=volumes")
            assert "no pool nowhere" in refused("vda=nowhere")
            assert "FOLDER_NOT_ALLOWED" in refused("vda=/etc")
            host1.drover("move", "placed", "host2", "--yes", "--item", "vda=volumes", "--item", f"vdb={fast}")
            move = host1.moves()[0]
            assert (move["state"], move["plan"]["kind"]) == ("done", "live"), brief(move)
            file = guest["disk"].rsplit("/", 1)[1]
            for words in ((), ("--inactive",)):
                text = host2.virsh("dumpxml", *words, "placed").stdout
                assert f"file='{POOL}/{file}'" in text and f"file='{fast}/second.img'" in text, text
            result = lab.verify("placed")
            assert result["ok"] and result["states"] == {"host2": "running"}, result
            assert file in host2.virsh("vol-list", "volumes").stdout
        drop_all(*pair)
        assert_clean(*pair)
    finally:
        for verb in ("pool-destroy", "pool-undefine"):
            host2.virsh(verb, "volumes", check=False)
        host1.run("rm", "-f", second)
        host2.run("rm", "-rf", fast, POOL)
