# SPDX-License-Identifier: Apache-2.0
"""A GlusterFS volume that both hosts mount: a VM goes there with its disk, and from then on only the VM moves. The volume's server
is on the move network and on no host."""
import contextlib
import os
import pathlib
import shutil

import pytest

import storage_servers
from product import assert_clean, brief, codes, drop_all, lab_hosts, runs, until

SERVER = "10.77.0.202"
PLACE = "/srv/volume"
GUEST = {"memory": 128, "disk": "96M", "fill": 8, "dirty": 4, "disk_rate": 0.25}


def mount(host, name):
    host.run("mkdir", "-p", PLACE)
    host.run("glusterfs", f"--volfile-server={SERVER}", f"--volfile-id={name}", "-l", "/var/log/libvirt/volume.log", PLACE)
    until(lambda: host.run("stat", "-f", "-c", "%T", PLACE, check=False).stdout.strip() == "fuseblk", "it is mounted", 30)


@pytest.fixture
def volume(pair):
    """One volume on both hosts, and another one that is nowhere yet."""
    if not shutil.which("glusterd") or not os.path.exists("/dev/fuse"):
        pytest.skip("needs the package glusterfs-server, and FUSE")
    with storage_servers.gluster(pathlib.Path(lab_hosts.LAB_DIR) / "gluster", SERVER, "vms", "others"):
        try:
            for host in pair:
                mount(host, "vms")
                host.drover("settings", f"allowed-folders+={PLACE}")
            pair[0].run("chmod", "711", PLACE)
            yield
        finally:
            for host in pair:
                with contextlib.suppress(AssertionError):
                    host.drover("settings", f"allowed-folders-={PLACE}")
                host.run("umount", PLACE, check=False)
                host.run("rmdir", PLACE, check=False)


def moves(source, destination, *words):
    plan = source.plan("glued", destination.name)
    assert plan["placements"][0]["shared"] and not codes(plan, "blocker"), plan
    source.drover("move", "glued", destination.name, "--yes", *words)
    move = source.moves()[0]
    assert (move["state"], move["runner"]) == ("done", "destination"), brief(move)
    assert move["report"]["disks_sent_bytes"] == 0, move["report"]
    return move["plan"]["kind"]


def test_a_vm_lives_on_a_volume(lab, pair, volume):
    host1, host2 = pair
    with lab.guest("host1", "glued", **GUEST) as guest:
        image = f"{PLACE}/{pathlib.Path(guest['disk']).name}"
        host1.drover("move", "glued", "--to-storage", PLACE, "--yes")
        runs(lab, host1, "glued")
        for source, destination in (pair, pair[::-1]):
            assert moves(source, destination) == "live"
            runs(lab, destination, "glued")
        assert moves(host1, host2, "--quick") == "quick"
        runs(lab, host2, "glued")
        host2.virsh("destroy", "glued")
        assert moves(host2, host1) == "offline"
        host1.virsh("start", "glued")
        until(lambda: lab.verify("glued", "--reboot-allowed")["ok"], "the guest answers again", pause=1)
        assert image in host1.virsh("domblklist", "glued").stdout

        # The same path and the same bytes, and another file.
        host2.run("umount", PLACE)
        mount(host2, "others")
        host1.virsh("destroy", "glued")
        content = host1.run("base64", image).stdout
        host2.run("sh", "-c", f"base64 -d > {image}", input=content)
        plan = host1.plan("glued", "host2")
        assert not plan["placements"][0]["shared"] and codes(plan, "blocker") == ["DISK_EXISTS"], plan
        host2.run("rm", image)
        drop_all(*pair)
        host1.virsh("undefine", "glued")
        host1.run("rm", "-f", image)
    assert_clean(*pair)
