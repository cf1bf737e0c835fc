# SPDX-License-Identifier: Apache-2.0
"""Servers of storage that are neither host, on the move network: NBD exports, an iSCSI target, a GlusterFS server with its volumes."""
import contextlib
import os
import shutil
import subprocess

from product import network, processes, until

# GlusterFS's own group "virt", as far as a volume of one brick has it.
FOR_VMS = {"performance.quick-read": "off", "performance.read-ahead": "off", "performance.io-cache": "off",
           "performance.strict-o-direct": "on", "cluster.eager-lock": "enable", "features.shard": "on"}
INSIDE = ["ip", "netns", "exec", network.MOVE_NET]


@contextlib.contextmanager
def address_of_its_own(address):
    """Of a server: both hosts reach it, and neither has it."""
    bridge = network.bridge_of(0)
    network.ip(network.MOVE_NET, "address", "replace", f"{address}/24", "dev", bridge)
    try:
        yield
    finally:
        network.ip(network.MOVE_NET, "address", "delete", f"{address}/24", "dev", bridge, check=False)


@contextlib.contextmanager
def serving(words, address, port):
    """That program, once it listens there, until it is no longer wanted."""
    with address_of_its_own(address):
        server = subprocess.Popen([*INSIDE, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            until(lambda: server.poll() is not None or f"{address}:{port}" in subprocess.run(
                [*INSIDE, "ss", "-tlnH"], capture_output=True, text=True).stdout, "the server listens")
            assert server.poll() is None, server.stderr.read()
            yield
        finally:
            server.terminate()
            try:
                server.wait(20)
            finally:
                server.kill()
                server.wait()


def nbd(file, *options, address, name="disk"):
    """An NBD server of that qcow2 image."""
    return serving(["qemu-nbd", "-f", "qcow2", "-x", name, "-b", address, "-t", *options, file], address, 10809)


@contextlib.contextmanager
def iscsi(file, *, address, vm_uuid, target="iqn.2026-11.lab:vms"):
    """An iSCSI target whose LUN 1 is that file, for the QEMU of that VM."""
    control = str(os.getpid() % 30000 + 1)  # the name of its control socket, a number

    def ask(*words):
        subprocess.run([*INSIDE, "tgtadm", "-C", control, "--lld", "iscsi", *map(str, words)], check=True, capture_output=True, timeout=30)

    with serving(["tgtd", "-f", "-C", control, "--iscsi", f"portal={address}:3260"], address, 3260):
        ask("--op", "new", "--mode", "target", "--tid", 1, "-T", target)
        ask("--op", "new", "--mode", "logicalunit", "--tid", 1, "--lun", 1, "-b", file)
        ask("--op", "bind", "--mode", "target", "--tid", 1, "-Q", f"iqn.2008-11.org.linux-kvm:{vm_uuid}")
        try:
            yield target
        finally:  # a signal alone does not end it
            ask("--op", "delete", "--force", "--mode", "target", "--tid", 1)
            ask("--op", "delete", "--mode", "system")


def silent(address, port):
    """A server that takes connections and says nothing."""
    said = f"import socket, time; s = socket.create_server(('{address}', {port})); time.sleep(600)"
    return serving(["/usr/bin/python3", "-c", said], address, port)


class Gluster:
    """A server with its volumes."""

    def __init__(self, folder, address):
        self.folder, self.address = folder, address
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
    option transport.socket.bind-address {self.address}
    option max-port 60999
end-volume
""")
        words = ["glusterd", "-N", "-f", folder / "server.vol", "-p", folder / "server.pid", "-l", folder / "server.log"]
        self.server = subprocess.Popen([*INSIDE, *map(str, words)], stderr=subprocess.DEVNULL)

    def ask(self, *words, check=True):
        done = subprocess.run([*INSIDE, "gluster", f"--glusterd-sock={self.cli}", "--mode=script",
                               f"--log-file={self.folder}/cli.log", *map(str, words)], capture_output=True, text=True, timeout=120)
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.returncode == 0

    def add(self, name):
        brick = self.folder / name
        brick.mkdir()
        self.ask("volume", "create", name, f"{self.address}:{brick}", "force")
        for option, value in FOR_VMS.items():
            self.ask("volume", "set", name, option, value)
        self.ask("volume", "start", name)

    def put(self, volume, file, name):
        """A copy of that file on the volume, QEMU's user's own: by a client, for a brick has it in shards."""
        place = self.folder / "mounted"
        place.mkdir(exist_ok=True)
        # In one program, for `ip netns exec` gives each mounts of its own.
        script = """glusterfs --volfile-server="$1" --volfile-id="$2" -l "$3/client.log" "$4"
            for i in $(seq 300); do mountpoint -q "$4" && break; sleep 0.1; done
            mountpoint -q "$4"
            trap 'umount "$4"' EXIT
            cp "$5" "$4/$6"
            chown libvirt-qemu "$4/$6" """
        subprocess.run([*INSIDE, "sh", "-ec", script, "sh", self.address, volume, self.folder, place, file, name], check=True, timeout=120)

    def stop(self, *names):
        for name in names:
            self.ask("volume", "stop", name, "force", check=False)
        self.server.terminate()
        self.server.wait(20)
        for written in (self.folder / "run").rglob("*.pid"):  # a brick that did not hear
            with contextlib.suppress(OSError, ValueError):
                if processes.program(pid := int(written.read_text())) == "glusterfsd":
                    processes.send(pid, 9)


@contextlib.contextmanager
def gluster(folder, address, *volumes):
    """A GlusterFS server with these volumes."""
    with address_of_its_own(address):
        server = Gluster(folder, address)
        try:
            until(lambda: server.cli.exists() and server.ask("volume", "list", check=False), "the server answers", 60)
            for name in volumes:
                server.add(name)
            yield server
        finally:
            server.stop(*volumes)
            shutil.rmtree(folder, ignore_errors=True)
