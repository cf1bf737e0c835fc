# SPDX-License-Identifier: Apache-2.0
"""A GlusterFS volume that both hosts mount: a VM goes there with its disk, and from then on only the VM moves. The volume's server
is on the move network and on no host."""
import contextlib
import os
import pathlib
import shutil
import subprocess

import pytest

from product import assert_clean, brief, codes, drop_all, lab_hosts, network, processes, until

SERVER = "10.77.0.202"
PLACE = "/srv/volume"
# GlusterFS's own group "virt", as far as a volume of one brick has it.
FOR_VMS = {"performance.quick-read": "off", "performance.read-ahead": "off", "performance.io-cache": "off",
           "performance.strict-o-direct": "on", "cluster.eager-lock": "enable", "features.shard": "on"}
GUEST = {"memory": 128, "disk": "96M", "fill": 8, "dirty": 4, "disk_rate": 0.25}


class Gluster:
    """A server with its volumes."""

    def __init__(self, folder):
        self.folder = folder
        self.cli = folder / "cli.sock"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "run").mkdir(parents=True)
        (folder / "glusterd").mkdir()
        (folder / "server.vol").write_text(f"""volume management
    type mgmt/glusterd
    option working-directory {folder}/glusterd
    option run-directory {folder}/run
    option glusterd-sockfile {self.cli}
    option transport-type socket
    option transport.socket.bind-address {SERVER}
    option max-port 60999
end-volume
""")
        words = ["glusterd", "-N", "-f", folder / "server.vol", "-p", folder / "server.pid", "-l", folder / "server.log"]
        self.server = subprocess.Popen(["ip", "netns", "exec", network.MOVE_NET, *map(str, words)], stderr=subprocess.DEVNULL)

    def ask(self, *words, check=True):
        done = subprocess.run(["ip", "netns", "exec", network.MOVE_NET, "gluster", f"--glusterd-sock={self.cli}", "--mode=script",
                               f"--log-file={self.folder}/cli.log", *map(str, words)], capture_output=True, text=True, timeout=120)
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.returncode == 0

    def add(self, name):
        brick = self.folder / name
        brick.mkdir()
        self.ask("volume", "create", name, f"{SERVER}:{brick}", "force")
        for option, value in FOR_VMS.items():
            self.ask("volume", "set", name, option, value)
        self.ask("volume", "start", name)

    def stop(self, *names):
        for name in names:
            self.ask("volume", "stop", name, "force", check=False)
        self.server.terminate()
        self.server.wait(20)
        for written in (self.folder / "run").rglob("*.pid"):  # a brick that did not hear
            with contextlib.suppress(OSError, ValueError):
                if processes.program(pid := int(written.read_text())) == "glusterfsd":
                    processes.send(pid, 9)


def mount(host, name):
    host.run("mkdir", "-p", PLACE)
    host.run("glusterfs", f"--volfile-server={SERVER}", f"--volfile-id={name}", "-l", "/var/log/libvirt/volume.log", PLACE)
    until(lambda: host.run("stat", "-f", "-c", "%T", PLACE, check=False).stdout.strip() == "fuseblk", "it is mounted", 30)


@pytest.fixture
def volume(pair):
    """One volume on both hosts, and another one that is nowhere yet."""
    if not shutil.which("glusterd") or not os.path.exists("/dev/fuse"):
        pytest.skip("needs the package glusterfs-server, and FUSE")
    bridge = network.bridge_of(0)
    network.ip(network.MOVE_NET, "address", "replace", f"{SERVER}/24", "dev", bridge)
    it = Gluster(pathlib.Path(lab_hosts.LAB_DIR) / "gluster")
    try:
        until(lambda: it.cli.exists() and it.ask("volume", "list", check=False), "the server answers", 60)
        for name in ("vms", "others"):
            it.add(name)
        for host in pair:
            mount(host, "vms")
            host.drover("settings", f"allowed-folders+={PLACE}")
        pair[0].run("chmod", "711", PLACE)
        yield it
    finally:
        for host in pair:
            with contextlib.suppress(AssertionError):
                host.drover("settings", f"allowed-folders-={PLACE}")
            host.run("umount", PLACE, check=False)
            host.run("rmdir", PLACE, check=False)
        it.stop("vms", "others")
        network.ip(network.MOVE_NET, "address", "delete", f"{SERVER}/24", "dev", bridge, check=False)
        shutil.rmtree(it.folder, ignore_errors=True)


def moves(source, destination, *words):
    plan = source.plan("glued", destination.name)
    assert plan["placements"][0]["shared"] and not codes(plan, "blocker"), plan
    source.drover("move", "glued", destination.name, "--yes", *words)
    move = source.moves()[0]
    assert (move["state"], move["runner"]) == ("done", "destination"), brief(move)
    assert move["report"]["disks_sent_bytes"] == 0, move["report"]
    return move["plan"]["kind"]


def runs(lab, host):
    result = lab.verify("glued", "--reboot-allowed")
    assert result["ok"] and result["states"] == {host.name: "running"}, result


def test_a_vm_lives_on_a_volume(lab, pair, volume):
    host1, host2 = pair
    with lab.guest("host1", "glued", **GUEST) as guest:
        image = f"{PLACE}/{pathlib.Path(guest['disk']).name}"
        host1.drover("move", "glued", "--to-storage", PLACE, "--yes")
        runs(lab, host1)
        for source, destination in (pair, pair[::-1]):
            assert moves(source, destination) == "live"
            runs(lab, destination)
        assert moves(host1, host2, "--quick") == "quick"
        runs(lab, host2)
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
