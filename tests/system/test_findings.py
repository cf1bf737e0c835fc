# SPDX-License-Identifier: Apache-2.0
"""Findings provoked on real hosts: VMs that are only defined, planned and looked at. Nothing moves here."""
import contextlib

import pytest

from product import IMAGES, codes

# How many codes this file provokes at least; what it cannot (another CPU, no KVM, a slow device) is covered by unit tests.
PROVOKED_LEAST = 40
provoked = set()

DOMAIN = """<domain type='{type}' {namespace}><name>{name}</name>{uuid}<memory unit='MiB'>{memory}</memory>
  <vcpu{cpuset}>1</vcpu>{head}<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>{os}</os><features><acpi/></features>{cpu}
  <devices><emulator>{emulator}</emulator>{devices}</devices>{tail}</domain>"""
EMULATOR = "/usr/bin/qemu-system-x86_64"
PLAIN = {"type": "qemu", "namespace": "", "uuid": "", "memory": 32, "cpuset": "", "head": "", "os": "", "cpu": "", "devices": "",
         "tail": "", "emulator": EMULATOR}


def disk(path, target="vda", inside="", kind="qcow2", words="type='file' device='disk'", bus="virtio"):
    return (f"<disk {words}><driver name='qemu' type='{kind}'/><source file='{path}'/><target dev='{target}' bus='{bus}'/>"
            f"{inside}</disk>")


def card(kind, source="", mac=""):
    return f"<interface type='{kind}'>{mac}{source}<model type='virtio'/></interface>"


@contextlib.contextmanager
def defined(host, name, **parts):
    host.define(DOMAIN.format(name=name, **{**PLAIN, **parts}))
    try:
        yield name
    finally:
        host.virsh("destroy", name, check=False)
        host.virsh("undefine", name, "--nvram", check=False)
        host.virsh("undefine", name, check=False)


@contextlib.contextmanager
def file_on(host, path, *make):
    host.run(*(make or ["sh", "-c", f"head -c 64k /dev/zero > '{path}'"]))
    try:
        yield path
    finally:
        host.run("rm", "-rf", path)


def expect(plan, *wanted):
    """Each of these is there, and every blocker and warning says what, why and what helps."""
    missing = set(wanted) - set(codes(plan))
    assert not missing, f"{missing} not among {codes(plan)} {plan.get('refused', '')}"
    for finding in plan["findings"]:
        assert finding["what"].endswith("."), finding
        assert finding["level"] == "note" or finding["fixes"], finding
        assert finding["object"], finding
    provoked.update(wanted)


def qcow2(host, path, size="64M"):
    return file_on(host, path, "qemu-img", "create", "-q", "-f", "qcow2", path, size)


def test_devices_that_stay_behind(pair):
    host1, _ = pair
    devices = "".join([
        "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1d6b'/><product id='0x0104'/></source></hostdev>",
        "<filesystem type='mount'><source dir='/srv'/><target dir='share'/></filesystem>",
        "<shmem name='shm0'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>",
        "<tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>",
        card("direct", "<source dev='nosuch0' mode='bridge'/>"), card("user"), card("ethernet"),
        card("bridge", "<source bridge='nosuch1'/>"), card("network", "<source network='nosuch2'/>"),
        "<graphics type='vnc' listen='192.0.2.7'/>"])
    with defined(host1, "odd", devices=devices, namespace="xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'",
                 tail="<qemu:commandline><qemu:arg value='-name'/></qemu:commandline>", cpu="<cpu mode='maximum'/>"):
        plan = host1.plan("odd", "host2", kind="live")
        expect(plan, "VM_OFF", "HOST_DEVICE", "FILESYSTEM_SHARED", "SHARED_MEMORY", "TPM_PASSTHROUGH", "NETWORK_DIRECT",
               "NETWORK_USER", "NETWORK_KIND", "NETWORK_MISSING", "GRAPHICS_ADDRESS", "QEMU_COMMANDLINE", "CPU_PASSTHROUGH")
        missing = [one for one in plan["findings"] if one["code"] == "NETWORK_MISSING"]
        assert len(missing) == 3 and all(any("--network" in fix for fix in one["fixes"]) for one in missing), missing
        mapped = host1.plan("odd", "host2", kind="live", interfaces=[{"from": "nosuch1", "to": "br0"}, {"from": "nosuch2", "to": "void"}])
        expect(mapped, "NETWORK_MAPPED", "NETWORK_MAP_UNKNOWN")


def test_disks_that_cannot_be_copied(pair):
    host1, _ = pair
    one = f"{IMAGES}/odd.qcow2"
    disks = "".join([disk(one, "vda", "<transient/>"), disk(f"{IMAGES}/gone.qcow2", "vdb"),
                     disk(one + ".raw", "vdc", "<shareable/>", kind="raw"),
                     "<disk type='dir' device='disk'><driver name='qemu' type='fat'/><source dir='/srv'/><target dev='vdd' bus='virtio'/>"
                     "<readonly/></disk>",
                     "<disk type='block' device='lun'><driver name='qemu' type='raw'/><source dev='/dev/nosuch'/><target dev='sda' bus='scsi'/>"
                     "</disk>"])
    with qcow2(host1, one), file_on(host1, one + ".raw"), defined(host1, "odd", devices=disks):
        expect(host1.plan("odd", "host2", kind="live"), "DISK_TRANSIENT", "DISK_UNREADABLE", "DISK_SHAREABLE", "DISK_KIND", "DISK_LUN")


def test_secrets_and_formats(pair):
    host1, _ = pair
    uuid = "11111111-2222-4333-8444-555555555555"
    locked = f"<encryption format='luks'><secret type='passphrase' uuid='{uuid}'/></encryption>"
    with file_on(host1, f"{IMAGES}/odd.raw"), file_on(host1, f"{IMAGES}/odd.vdi"), \
            defined(host1, "odd", devices=disk(f"{IMAGES}/odd.raw", inside=locked, kind="raw") + disk(f"{IMAGES}/odd.vdi", "vdb", kind="vdi")):
        expect(host1.plan("odd", "host2", kind="live"), "DISK_ENCRYPTED", "SECRET_MISSING", "DISK_FORMAT")


def test_places_of_disks(pair):
    host1, host2 = pair
    host1.run("mkdir", "-p", "-m", "711", "/srv/one", "/srv/two")
    image, first, second = f"{IMAGES}/odd.qcow2", "/srv/one/odd.qcow2", "/srv/two/odd.qcow2"
    try:
        with qcow2(host1, image, "900T"), file_on(host2, image), defined(host1, "odd", devices=disk(image)):
            expect(host1.plan("odd", "host2", kind="live"), "DISK_EXISTS")
            expect(host1.plan("odd", "host2", kind="live", disks_to="/etc"), "FOLDER_NOT_ALLOWED")
            expect(host1.plan("odd", "host2", kind="live", disks_to=f"{IMAGES}/none"), "FOLDER_MISSING")
            with file_on(host2, f"{IMAGES}/link", "ln", "-s", "/srv", f"{IMAGES}/link"):
                expect(host1.plan("odd", "host2", kind="live", disks_to=f"{IMAGES}/link"), "FOLDER_LINK")
            with file_on(host2, f"{IMAGES}/closed", "mkdir", "-m", "700", f"{IMAGES}/closed"):
                expect(host1.plan("odd", "host2", kind="live", disks_to=f"{IMAGES}/closed"), "FOLDER_CLOSED", "SPACE_GROWTH")
        with qcow2(host1, first), qcow2(host1, second), defined(host1, "odd", devices=disk(first) + disk(second, "vdb")):
            expect(host1.plan("odd", "host2", kind="live"), "PLACED_ELSEWHERE", "DISK_COLLISION")
    finally:
        host1.run("rm", "-rf", "/srv/one", "/srv/two")


def test_storage_moves(pair):
    host1, _ = pair
    image = f"{IMAGES}/odd.qcow2"
    host1.run("mkdir", "-p", "-m", "711", f"{IMAGES}/fast")
    drive = "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>"
    try:
        with qcow2(host1, image), defined(host1, "odd", devices=disk(image) + drive):
            expect(host1.plan("odd", "", kind="storage", disks_to=f"{IMAGES}/fast"), "SAME_DEVICE")
            expect(host1.plan("odd", "", kind="storage", disks_to=IMAGES), "NOTHING_TO_MOVE", "DISK_STAYS")
            expect(host1.plan("odd", "", kind="storage", disks_to="/etc"), "FOLDER_NOT_ALLOWED")
            host1.virsh("start", "odd")
            host1.virsh("managedsave", "odd")
            expect(host1.plan("odd", "", kind="storage", disks_to=f"{IMAGES}/fast"), "VM_SAVED")
            host1.virsh("managedsave-remove", "odd")
    finally:
        host1.run("rm", "-rf", f"{IMAGES}/fast")


def test_names_that_are_taken(pair):
    host1, host2 = pair
    first, second = "11111111-2222-4333-8444-555555555551", "11111111-2222-4333-8444-555555555552"
    with defined(host1, "odd", uuid=f"<uuid>{first}</uuid>"):
        with defined(host2, "odd", uuid=f"<uuid>{first}</uuid>"):
            expect(host1.plan("odd", "host2", kind="live"), "VM_LEFTOVER")
        with defined(host2, "other", uuid=f"<uuid>{first}</uuid>"):
            expect(host1.plan("odd", "host2", kind="live"), "UUID_TAKEN")
        with defined(host2, "odd", uuid=f"<uuid>{second}</uuid>"):
            expect(host1.plan("odd", "host2", kind="live"), "NAME_TAKEN")
    long = "n" * 70
    with defined(host1, long):
        expect(host1.plan(long, "host2", kind="live"), "NAME_TOO_LONG")
    mac = "<mac address='52:54:00:0d:0d:01'/>"
    bridged = card("bridge", "<source bridge='br0'/>", mac)
    with defined(host1, "odd", devices=bridged), defined(host2, "twin", devices=bridged):
        expect(host1.plan("odd", "host2", kind="live"), "MAC_TAKEN")


def test_what_a_host_has_by_number(pair):
    host1, _ = pair
    head = "<memoryBacking><hugepages/></memoryBacking><numatune><memory mode='strict' nodeset='63'/></numatune>"
    with defined(host1, "odd", head=head, cpuset=" cpuset='1000'", memory=16 << 20):
        expect(host1.plan("odd", "host2", kind="live"), "HUGE_PAGES", "NUMA_PLACEMENT", "CPU_PINNING")
    with defined(host1, "odd", memory=16 << 20):
        expect(host1.plan("odd", "host2", kind="live"), "MEMORY_SHORT")


def test_files_that_the_other_host_lacks(pair):
    host1, _ = pair
    kernel, link, iso = f"{IMAGES}/vmlinuz", f"{IMAGES}/qemu", f"{IMAGES}/a.iso"
    drive = disk(iso, "sda", "<readonly/>", "raw", "type='file' device='cdrom'", "sata")
    with file_on(host1, kernel), file_on(host1, iso), file_on(host1, link, "ln", "-s", EMULATOR, link), \
            defined(host1, "odd", os=f"<kernel>{kernel}</kernel>", emulator=link, devices=drive):
        expect(host1.plan("odd", "host2", kind="live"), "FILE_MISSING", "EMULATOR_MISSING", "MEDIA_INSERTED")


@contextlib.contextmanager
def qemu_conf(host, line):
    """Drover reads the file for each plan; libvirtd goes on as it is."""
    path = "/etc/libvirt/qemu.conf"
    kept = host.path(path).read_text()
    host.path(path).write_text(f"{kept}\n{line}\n")
    try:
        yield
    finally:
        host.path(path).write_text(kept)


def test_settings_of_hosts(pair):
    host1, host2 = pair
    image = f"{IMAGES}/odd.qcow2"
    with qcow2(host1, image), defined(host1, "odd", memory=128, devices=disk(image)):
        with qemu_conf(host1, "migrate_tls_force = 1"):
            expect(host1.plan("odd", "host2", kind="live"), "TLS_FORCED")
        with qemu_conf(host2, "dynamic_ownership = 0"):
            expect(host1.plan("odd", "host2", kind="live"), "IMAGES_NOT_GIVEN")
        host2.drover("settings", "incoming=off")
        host1.drover("host", "rights", "host2", "send,command")
        try:
            expect(host1.plan("odd", "host2", kind="live"), "MIGRATION_DISABLED", "PEER_UNKNOWN")
        finally:
            host2.drover("settings", "incoming=on")
            host1.drover("host", "rights", "host2", "send,receive,command")
        host1.drover("settings", "residue-max=64M")
        try:
            expect(host1.plan("odd", "host2", kind="live", keep_memory=True, group="web"), "MEMORY_NOT_KEPT", "GROUP_NOT_SHARED")
        finally:
            host1.drover("settings", "residue-max=4G")
        expect(host1.plan("odd", "host2", kind="live", networks=["192.0.2.0/24"]), "NO_COMMON_NETWORK")


def test_states_of_vms(pair):
    host1, _ = pair
    with defined(host1, "odd"):
        host1.virsh("start", "odd", "--paused")
        expect(host1.plan("odd", "host2"), "VM_PAUSED")
        host1.virsh("undefine", "odd")
        expect(host1.plan("odd", "host2"), "VM_TRANSIENT")


def test_enough_codes_were_provoked(request):
    """And drover explain knows each."""
    if len(request.session.items) < 10:
        pytest.skip("the whole file has to run")
    assert len(provoked) >= PROVOKED_LEAST, f"{len(provoked)}: {sorted(provoked)}"


def test_explain_knows_what_is_found(pair):
    host1, _ = pair
    assert "drover cpu-compat" in host1.drover("explain", "CPU_MISMATCH").stdout
    listed = host1.drover("explain", "--list").stdout.split()
    assert provoked <= set(listed), provoked - set(listed)
    assert "NETWORK_MISSING" in host1.drover("explain", "NETWORK_GONE", check=False).stderr
