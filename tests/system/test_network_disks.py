# SPDX-License-Identifier: Apache-2.0
"""Disks that QEMU opens over the network, from a server that is neither host: NBD exports, iSCSI LUNs, files on GlusterFS volumes, RBD
images."""
import base64
import contextlib
import pathlib
import shutil
import subprocess

import pytest

import storage_servers
from marks import LONG
from product import IMAGES, assert_clean, boots, brief, codes, drop_all, lab_hosts, runs

STORAGE, OTHER = "10.77.0.200", "10.77.0.201"
GUEST = {"memory": 128, "disk": "96M", "fill": 8, "dirty": 4, "disk_rate": 0.25}
SERVERS = ("nbd", "iscsi", "gluster", "rbd")


@pytest.fixture(autouse=True)
def nothing_left(pair):
    yield
    drop_all(*pair)
    assert_clean(*pair)


def needs(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"needs {program}: scripts/install_dependencies test")


def driver_is_missing(name):
    """Of QEMU's own: they are modules in a package of their own."""
    said = subprocess.run(["qemu-img", "info", "--image-opts", f"driver={name}"], capture_output=True, text=True).stderr
    return "Unknown driver" in said


@contextlib.contextmanager
def on_server(kind, pair, guest):
    """The guest's disk is at a server from now on, as libvirt has it: (name of the disk, its <source>, format)."""
    file = pair[0].path(guest["disk"])
    if kind == "nbd":
        with storage_servers.nbd(file, "--shared=4", address=STORAGE):
            yield f"nbd://{STORAGE}:10809/disk", source("nbd", "disk"), "raw"
        return
    if driver_is_missing(kind.split("-")[0]):
        pytest.skip("needs the package qemu-block-extra")
    if kind in ("iscsi", "iscsi-chap"):
        needs("tgtd", "tgtadm")
        lun = file.with_name("lun.img")
        password = "twelve letters" if kind == "iscsi-chap" else None
        subprocess.run(["qemu-img", "convert", "-O", "raw", file, lun], check=True)
        try:
            with storage_servers.iscsi(lun, address=STORAGE, vm_uuid=guest["uuid"], password=password) as target, \
                    secret(pair, "iscsi", base64.b64encode(b"twelve letters").decode()):
                inside = AUTH.format("iscsi") if password else ""
                yield f"iscsi://{STORAGE}:3260/{target}/1", source("iscsi", f"{target}/1", 3260, inside=inside), "raw"
        finally:
            lun.unlink()
        return
    if kind == "rbd":
        needs("ceph-mon", "ceph-osd", "ceph")
        with storage_servers.ceph(pathlib.Path(lab_hosts.LAB_DIR) / "ceph", STORAGE) as cluster:
            key = cluster.put("vms", file, "web", "libvirt")
            with secret(pair, "ceph", key):
                yield f"rbd://{STORAGE}:6789/vms/web", source("rbd", "vms/web", 6789, inside=AUTH.format("ceph")), "raw"
        return
    needs("glusterd")
    with storage_servers.gluster(pathlib.Path(lab_hosts.LAB_DIR) / "gluster", STORAGE, "vms") as server:
        server.put("vms", file, "disk.qcow2")
        yield f"gluster://{STORAGE}:24007/vms/disk.qcow2", source("gluster", "vms/disk.qcow2", 24007), "qcow2"


def source(protocol, name, port=10809, server=STORAGE, inside=""):
    return f"<source protocol='{protocol}' name='{name}'><host name='{server}' port='{port}'/>{inside}</source>"


SECRET = "5ec2e7aa-1111-4222-8333-444455556666"
SECRET_OF = {"ceph": "name", "iscsi": "target"}
AUTH = f"<auth username='libvirt'><secret type='{{}}' uuid='{SECRET}'/></auth>"


@contextlib.contextmanager
def secret(pair, kind, value, private="no"):
    """Both hosts' libvirt keeps it."""
    for host in pair:
        host.virsh("secret-define", "/dev/stdin", input=f"""<secret ephemeral='no' private='{private}'><uuid>{SECRET}</uuid>
            <usage type='{kind}'><{SECRET_OF[kind]}>vms</{SECRET_OF[kind]}></usage></secret>""")
        host.virsh("secret-set-value", SECRET, value)
    try:
        yield
    finally:
        for host in pair:
            host.virsh("secret-undefine", SECRET, check=False)


def on_network(host, guest, source, form="raw"):
    """That is its disk from now on; it boots from there."""
    name = guest["name"]
    host.virsh("destroy", name, check=False)
    xml = host.virsh("dumpxml", name, "--inactive", "--security-info").stdout
    head, disk = xml.split("<disk type='file' device='disk'>", 1)
    _, rest = disk.split("</disk>", 1)
    host.define(f"""{head}<disk type='network' device='disk'><driver name='qemu' type='{form}' cache='none'/>{source}
      <target dev='vda' bus='virtio'/></disk>{rest}""")


@contextlib.contextmanager
def allowed(pair, *rules):
    for host in pair:
        host.drover("settings", f"network-disks={','.join(rules)}")
    try:
        yield
    finally:
        for host in pair:
            host.drover("settings", "network-disks=off")


@pytest.fixture
def guest(lab, pair):
    with lab.guest("host1", "netdisk", **GUEST) as made:
        pair[0].virsh("destroy", "netdisk")
        yield made


@pytest.mark.parametrize("kind", ["nbd", "iscsi", "rbd", *(pytest.param(kind, marks=LONG) for kind in ("gluster", "iscsi-chap"))])
def test_a_network_disk_stays_and_only_the_vm_moves_there_and_back(lab, pair, guest, kind):
    host1, host2 = pair
    with on_server(kind, pair, guest) as (name, found, form):
        on_network(host1, guest, found, form)
        boots(lab, host1, "netdisk")
        refused = host1.plan("netdisk", "host2")
        assert codes(refused, "blocker") == ["DISK_NETWORK"], refused["findings"]
        assert f"network-disks+={name}" in str(refused["findings"])
        with allowed(pair, f"{kind.split('-')[0]}://{STORAGE}"):
            for source, destination in (pair, pair[::-1]):
                plan = source.plan("netdisk", destination.name)
                [placed] = plan["placements"]
                assert not codes(plan, "blocker"), plan["findings"]
                assert placed["shared"] and placed["destination_path"] == name, placed
                assert plan["expected_bytes"] == 128 << 20 and plan["quarantine_bytes"] == 0, plan
                watching = lab.background("watch", "netdisk")
                said = source.drover("move", "netdisk", destination.name, "--yes").stdout
                runs(lab, destination, "netdisk")
                assert watching.stop()["ok"]
                assert "vda stays where it is" in said, said
                assert guest["uuid"] not in source.virsh("list", "--all", "--uuid").stdout
        host1.virsh("destroy", "netdisk")


@LONG
@pytest.mark.parametrize("kind", ["quick", "offline"])
@pytest.mark.parametrize("server", SERVERS)
def test_a_network_disk_stays_while_the_vm_is_saved_or_off(lab, pair, guest, server, kind):
    host1, host2 = pair
    with on_server(server, pair, guest) as (name, found, form), allowed(pair, name):
        on_network(host1, guest, found, form)
        if kind == "quick":
            boots(lab, host1, "netdisk")
        for source, destination in (pair, pair[::-1]):
            source.drover("move", "netdisk", destination.name, f"--{kind}", "--yes")
            move = source.moves()[0]
            assert (move["plan"]["kind"], move["state"]) == (kind, "done"), brief(move)
            if kind == "quick":
                runs(lab, destination, "netdisk")
        if kind == "offline":
            boots(lab, host1, "netdisk")
        host1.virsh("destroy", "netdisk")


def test_a_network_disk_that_is_another_there_stops_the_move(lab, pair, guest):
    """One name, and behind it a server of each host's own: a copy of the disk, equal to the last byte."""
    host1, host2 = pair
    clone = host1.path(f"{IMAGES}/clone.qcow2")
    names = {host: host.run("cat", "/etc/hosts").stdout for host in pair}
    clone.write_bytes(host1.path(guest["disk"]).read_bytes())
    try:
        for host, address in zip(pair, (STORAGE, OTHER)):
            host.run("tee", "/etc/hosts", input=names[host] + f"{address} storage1\n")
        with storage_servers.nbd(host1.path(guest["disk"]), "--shared=4", address=STORAGE), \
                storage_servers.nbd(clone, "--shared=4", address=OTHER), allowed(pair, "nbd://storage1"):
            on_network(host1, guest, source("nbd", "disk", server="storage1"))
            plan = host1.plan("netdisk", "host2")
            assert codes(plan, "blocker") == ["DISK_NETWORK"], plan["findings"]
            assert OTHER in str(plan["findings"]) and not plan["placements"][0]["shared"], plan
    finally:
        for host in pair:
            host.run("tee", "/etc/hosts", input=names[host])
        clone.unlink()


def test_a_server_for_one_connection_is_told_of_before_the_move(lab, pair, guest):
    """Its guest has that connection: neither a plan nor the destination's QEMU gets one."""
    host1, _ = pair
    with storage_servers.nbd(host1.path(guest["disk"]), address=STORAGE), allowed(pair, f"nbd://{STORAGE}"):
        on_network(host1, guest, source("nbd", "disk"))
        plan = host1.plan("netdisk", "host2")
        assert codes(plan, "blocker") == ["DISK_NETWORK"] and "--shared=4" in str(plan["findings"]), plan["findings"]


def test_a_lun_that_is_not_there_is_told_of_before_the_move(lab, pair, guest):
    """Its server answers; what QEMU says of the disk is what the plan says."""
    host1, _ = pair
    with on_server("iscsi", pair, guest) as (_, found, form), allowed(pair, f"iscsi://{STORAGE}"):
        on_network(host1, guest, found.replace("/1'", "/2'"), form)
        plan = host1.plan("netdisk", "host2")
        assert codes(plan, "blocker") == ["DISK_NETWORK"], plan["findings"]
        assert "LUN" in str(plan["findings"]) and "qemu-nbd failed" in str(plan["findings"]), plan["findings"]


def test_a_server_that_says_nothing_does_not_hold_a_plan(pair, guest):
    host1, _ = pair
    with storage_servers.silent(STORAGE, 3260), allowed(pair, f"iscsi://{STORAGE}"):
        on_network(host1, guest, source("iscsi", "iqn.2026-11.lab:vms/1", 3260))
        plan = host1.plan("netdisk", "host2")
        assert codes(plan, "blocker") == ["DISK_NETWORK"], plan["findings"]


def test_a_cache_of_a_client_is_no_proof(pair, guest):
    host1, _ = pair
    on_network(host1, guest, source("gluster", "vms/disk.qcow2", 24007), "qcow2")
    xml = host1.virsh("dumpxml", "netdisk", "--inactive", "--security-info").stdout
    host1.define(xml.replace("cache='none'", "cache='writeback'"))
    with storage_servers.silent(STORAGE, 24007):
        plan = host1.plan("netdisk", "host2")
    assert codes(plan, "blocker") == ["DISK_NETWORK"] and "cache='none'" in str(plan["findings"]), plan["findings"]


@LONG
def test_a_cluster_is_known_by_all_of_its_monitors(lab, pair, guest):
    """One is gone, or takes connections and says nothing: the disk is read through the other. Definitions need not name ports."""
    host1, host2 = pair
    with on_server("rbd", pair, guest) as (_, found, form), allowed(pair, f"rbd://{STORAGE}", f"rbd://{OTHER}"):
        on_network(host1, guest, found.replace("<host", f"<host name='{OTHER}'/><host", 1).replace(" port='6789'", ""), form)
        boots(lab, host1, "netdisk")
        with storage_servers.silent(OTHER, 6789):
            assert not codes(host1.plan("netdisk", "host2"), "blocker")
        for source, destination in (pair, pair[::-1]):
            source.drover("move", "netdisk", destination.name, "--yes")
            runs(lab, destination, "netdisk")
            [placed] = source.moves()[0]["plan"]["placements"]
            assert placed["destination_path"] == f"rbd://{OTHER}:6789,{STORAGE}:6789/vms/web", placed
        host1.virsh("destroy", "netdisk")
        xml = host1.virsh("dumpxml", "netdisk", "--inactive", "--security-info").stdout
        host1.define(xml.replace(OTHER, "localhost"))
        plan = host1.plan("netdisk", "host2")
        assert codes(plan, "blocker") == ["DISK_NETWORK"] and "another server on each host" in str(plan["findings"]), plan["findings"]


@LONG
def test_a_cluster_whose_key_is_not_told_is_told_of_before_the_move(lab, pair, guest):
    """A private secret is QEMU's alone; one that is another at the destination opens nothing."""
    host1, host2 = pair
    with on_server("rbd", pair, guest) as (_, found, form), allowed(pair, f"rbd://{STORAGE}"):
        on_network(host1, guest, found, form)
        boots(lab, host1, "netdisk")
        plan = host1.plan("netdisk", "host2")
        assert not codes(plan, "blocker"), plan["findings"]
        key = host2.virsh("secret-get-value", SECRET).stdout.strip()
        host2.virsh("secret-set-value", SECRET, base64.b64encode(bytes(28)).decode())
        plan = host1.plan("netdisk", "host2")
        assert codes(plan, "blocker") == ["DISK_NETWORK"] and "qemu-nbd failed" in str(plan["findings"]), plan["findings"]
        with secret((host2,), "ceph", key, private="yes"):
            plan = host1.plan("netdisk", "host2")
            assert codes(plan, "blocker") == ["DISK_NETWORK"] and "private='no'" in str(plan["findings"]), plan["findings"]
        plan = host1.plan("netdisk", "host2")
        assert "SECRET_MISSING" in codes(plan, "blocker"), plan["findings"]
        host1.virsh("destroy", "netdisk")
