# SPDX-License-Identifier: Apache-2.0
"""Servers of storage that are neither host, on the move network: NBD exports, an iSCSI target, a GlusterFS server with its volumes, a
Ceph cluster."""
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import uuid

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
def iscsi(file, *, address, vm_uuid, target="iqn.2026-11.lab:vms", user="libvirt", password=None):
    """An iSCSI target whose LUN 1 is that file, for the QEMU of that VM; with a password for its user, by CHAP."""
    control = str(os.getpid() % 30000 + 1)  # the name of its control socket, a number

    def ask(*words):
        subprocess.run([*INSIDE, "tgtadm", "-C", control, "--lld", "iscsi", *map(str, words)], check=True, capture_output=True, timeout=30)

    with serving(["tgtd", "-f", "-C", control, "--iscsi", f"portal={address}:3260"], address, 3260):
        ask("--op", "new", "--mode", "target", "--tid", 1, "-T", target)
        ask("--op", "new", "--mode", "logicalunit", "--tid", 1, "--lun", 1, "-b", file)
        ask("--op", "bind", "--mode", "target", "--tid", 1, "-Q", f"iqn.2008-11.org.linux-kvm:{vm_uuid}")
        if password:
            ask("--op", "new", "--mode", "account", "--user", user, "--password", password)
            ask("--op", "bind", "--mode", "account", "--tid", 1, "--user", user)
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


class Ceph:
    """A cluster of one monitor and one store, which keeps everything in memory."""

    def __init__(self, folder, address):
        self.folder, self.address = folder, address
        self.conf, self.keys = folder / "ceph.conf", folder / "keyring"
        self.programs = []
        shutil.rmtree(folder, ignore_errors=True)
        for part in ("mon", "osd", "run"):
            (folder / part).mkdir(parents=True)
        fsid = str(uuid.uuid4())
        self.conf.write_text(f"""[global]
fsid = {fsid}
mon host = {address}:6789
public addr = {address}
ms bind msgr2 = false
keyring = {self.keys}
mon data = {folder}/mon
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 1073741824
run dir = {folder}/run
admin socket = {folder}/run/$name.asok
log file = {folder}/$name.log
osd crush chooseleaf type = 0
osd pool default size = 1
mon allow pool size one = true
osd pool default pg autoscale mode = off
osd pool default pg num = 8
mon osd min in ratio = 0
""")
        self.run("ceph-authtool", "--create-keyring", self.keys, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self.run("ceph-authtool", self.keys, "--gen-key", "-n", "client.admin", *itertools.chain.from_iterable(
            ("--cap", part, "allow *") for part in ("mon", "osd", "mgr")))
        self.run("monmaptool", "--create", "--fsid", fsid, "--add", "a", f"{address}:6789", folder / "monmap")
        self.run("ceph-mon", "-c", self.conf, "--mkfs", "-i", "a", "--monmap", folder / "monmap", "--keyring", self.keys)

    def run(self, *words, **options):
        done = subprocess.run([*INSIDE, *map(str, words)], capture_output=True, text=True, timeout=120, **options)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def ask(self, *words, **options):
        return self.run("ceph", "-c", self.conf, "--connect-timeout", 60, *words, **options)

    def start(self):
        self.begin("ceph-mon", "-i", "a")
        store, key = str(uuid.uuid4()), self.run("ceph-authtool", "--gen-print-key").strip()
        number = self.ask("osd", "new", store, "-i", "-", input=json.dumps({"cephx_secret": key})).strip()
        self.run("ceph-authtool", "--create-keyring", self.folder / "osd/keyring", "-n", f"osd.{number}", "--add-key", key)
        self.run("ceph-osd", "-c", self.conf, "-i", number, "--keyring", self.folder / "osd/keyring", "--mkfs", "--osd-uuid", store)
        self.begin("ceph-osd", "-i", number, "--keyring", self.folder / "osd/keyring")

    def begin(self, *words):
        self.programs.append(subprocess.Popen([*INSIDE, *map(str, words), "-c", self.conf, "-f"],
                                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def put(self, pool, file, name, user):
        """A raw copy of that qcow2 image in a pool of its own, and the key of a user who may have it."""
        self.ask("osd", "pool", "create", pool, 8)
        self.ask("osd", "pool", "application", "enable", pool, "rbd")
        self.run("qemu-img", "convert", "-O", "raw", file, f"rbd:{pool}/{name}:conf={self.conf}:id=admin")
        self.ask("auth", "get-or-create", f"client.{user}", "mon", "profile rbd", "osd", f"profile rbd pool={pool}")
        return self.ask("auth", "get-key", f"client.{user}").strip()

    def stop(self):
        for program in reversed(self.programs):
            program.terminate()
        for program in self.programs:
            try:
                program.wait(20)
            finally:
                program.kill()
                program.wait()


@contextlib.contextmanager
def ceph(folder, address):
    """A Ceph cluster whose monitor has that address."""
    with address_of_its_own(address):
        cluster = Ceph(folder, address)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
            shutil.rmtree(folder, ignore_errors=True)
