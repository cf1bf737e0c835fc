# SPDX-License-Identifier: Apache-2.0
"""Exports and imports: running and off, copies that boot, folders that were tampered with, and a droverd that dies midway."""
import json
import os
import secrets
import shutil
import subprocess
import time

import pytest

from marks import LONG
from product import IMAGES, assert_clean, codes, drop_all, until

FIRMWARE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
TPM_STATE = "/var/lib/libvirt/swtpm"
GUEST = {"memory": 128, "disk": "128M", "fill": 32, "dirty": 0.25, "disk_rate": 0.2}
EXPORTS = f"{IMAGES}/exports"
FOLDER = f"{EXPORTS}/mover"
RESTORED = f"{IMAGES}/restored"
SAVES = "/var/lib/libvirt/qemu/save"


@pytest.fixture
def host(pair):
    """host1 with a folder for exports and one for what is imported; afterwards without what was imported."""
    host1, _ = pair
    host1.run("mkdir", "-p", "-m", "711", EXPORTS, RESTORED)
    before = set(vms(host1))
    yield host1
    for name in set(vms(host1)) - before:
        forget(host1, name)
    drop_all(host1)
    host1.run("sh", "-c", f"rm -f {IMAGES}/*.clean")
    assert_clean(host1)
    host1.run("rm", "-rf", EXPORTS, RESTORED)


@pytest.fixture
def guest(lab, host):
    with lab.guest("host1", "mover", **GUEST) as made:
        yield made


def vms(host):
    return host.virsh("list", "--all", "--name").stdout.split()


def forget(host, name):
    host.virsh("destroy", name, check=False)
    host.path(f"{SAVES}/{name}.save").unlink(missing_ok=True)
    host.virsh("undefine", name, "--nvram", "--snapshots-metadata", check=False)


def exported(host, name="mover", folder=FOLDER, **more):
    return host.api("POST", "/v1/archives", {"kind": "export", "vm": name, "folder": folder, **more})


def imported(host, mode, folder=FOLDER, **more):
    more.setdefault("disks_to", "" if mode == "register" else RESTORED)
    return host.api("POST", "/v1/archives", {"kind": "import", "folder": folder, "mode": mode, **more})


def plan(host, mode, folder=FOLDER, **more):
    return host.api("POST", "/v1/archives/plan", {"kind": "import", "folder": folder, "mode": mode, **more})


def wait(host, begun, state="done"):
    status, job = begun
    assert status == 200, job
    ended = until(lambda: (now := host.get(f"/v1/archives/{job['id']}"))["state"] != "running" and now, "it ends")
    assert ended["state"] == state, ended
    return ended


def allocated(host, path):
    return host.path(path).stat().st_blocks * 512


def proves(lab, host, name, fresh=True):
    """Boots a VM whose disk is the guest's, or a copy of it, and has its records read; it is off again afterwards. A copy has
    the guest's address on the LAN, and another MAC address."""
    lab.run("client", "ip", "neigh", "flush", "all")
    host.virsh("start", name)
    found = until(lambda: (said := lab.json("verify", "mover", "--reboot-allowed", check=False)).get("boot") and said,
                  lambda: f"{name} answers: {lab.json('verify', 'mover', '--reboot-allowed', check=False)}")
    for part in ("memory", "disk", "adopted"):
        assert found[part]["bad"] == 0, (name, found)
    assert not fresh or found["adopted"]["records"] > 0, (name, found)
    host.virsh("destroy", name)


def left(host):
    """What an export or import that ended badly may have left."""
    found = [f"{folder}/{name}" for folder in (EXPORTS, RESTORED, IMAGES) for name in host.files(folder) if ".drover-" in name]
    return found + host.files(RESTORED)


def test_a_running_vm_and_three_copies_of_it(lab, host, guest):
    """By the command line: plan, export while it runs, three copies, each of which boots and has every record."""
    shown = host.drover("export", "mover", FOLDER, "--plan").stdout
    assert "EXPORT_RUNNING" in shown and "vda.qcow2" in shown, shown
    assert host.files(EXPORTS) == []
    said = host.drover("export", "mover", FOLDER, "--yes").stdout
    assert f"mover is exported to {FOLDER}." in said, said
    assert host.files(FOLDER) == ["definition.xml", "drover-export.json", "vda.qcow2"] and left(host) == []
    assert allocated(host, f"{FOLDER}/vda.qcow2") <= 1.05 * allocated(host, guest["disk"])
    result = lab.verify("mover")
    assert result["ok"], result  # it was not booted, and lost nothing
    assert "None" in host.virsh("domjobinfo", "mover").stdout
    for name in ("web01", "web02", ""):
        words = ["--name", name] if name else []
        said = host.drover("import", FOLDER, "--copy", "--to", RESTORED, "--yes", *words).stdout
        assert "every file is what was exported" in said, said
    assert {"web01", "web02", "mover-copy"} <= set(vms(host))
    uuids = {host.virsh("domuuid", name).stdout.strip() for name in ("mover", "web01", "web02", "mover-copy")}
    macs = {host.virsh("domiflist", name).stdout.split()[-1] for name in ("mover", "web01", "web02", "mover-copy")}
    assert len(uuids) == len(macs) == 4
    host.virsh("destroy", "mover")
    for name in ("web01", "web02", "mover-copy"):
        proves(lab, host, name)
    listed = host.drover("archives").stdout
    assert listed.count("import copy") == 3 and "export" in listed, listed


@LONG
def test_a_vm_that_is_off_registered_and_restored(lab, host, guest):
    """It cannot be started meanwhile; registered it runs from the folder, restored from copies."""
    host.virsh("destroy", "mover")
    begun = exported(host, bandwidth_bytes_per_second=16 << 20)
    until(lambda: any(".drover-" in name for name in host.files(EXPORTS)), "it has begun")
    time.sleep(0.3)
    refused = host.virsh("start", "mover", check=False)
    assert refused.returncode != 0 and "lock" in refused.stderr, refused.stderr
    assert host.plan("mover", "", kind="storage", disks_to=RESTORED)["refused"]["error"]["code"] == "CONFLICT"
    wait(host, begun)
    assert "VM_LEFTOVER" in codes(plan(host, "restore")[1], "blocker")
    host.virsh("undefine", "mover")
    ended = wait(host, imported(host, "register"))
    assert ended["verified"] and ended["items"][0]["path"] == f"{FOLDER}/vda.qcow2"
    proves(lab, host, "mover")
    # Its image has changed since it was exported.
    forget(host, "mover")
    broken = wait(host, imported(host, "restore"), "failed")
    assert broken["error"]["code"] == "CORRUPT" and left(host) == [], broken
    host.run("rm", f"{FOLDER}/drover-export.json")
    ended = wait(host, imported(host, "restore", accepted_codes=["NOT_VERIFIED"]))
    assert not ended["verified"]
    proves(lab, host, "mover")


def test_folders_that_were_tampered_with(host, guest):
    """A clear error each, and nothing touched: hash, size, manifest, links, paths, another VM's image, names in use."""
    host.virsh("destroy", "mover")
    wait(host, exported(host))
    folder = host.path(FOLDER)
    manifest, image = folder / "drover-export.json", folder / "vda.qcow2"
    whole, text = manifest.read_text(), (folder / "definition.xml").read_text()

    def refused(answer, word):
        status, body = answer
        assert status != 200 and word in json.dumps(body), (status, body)
        assert left(host) == [] and vms(host) == ["mover"]

    taken = plan(host, "copy", name="mover")[1]
    assert codes(taken, "blocker") == ["NAME_TAKEN"], taken
    refused(imported(host, "restore"), "VM_LEFTOVER")
    refused(imported(host, "copy", folder="/etc"), "PERMISSION")
    refused(imported(host, "copy", folder=f"{EXPORTS}/../exports/mover"), "PERMISSION")
    refused(exported(host), "EXPORT_EXISTS")
    refused(exported(host, folder="/etc/mover"), "FOLDER_NOT_ALLOWED")
    manifest.write_text(whole.replace("host1", "host2"))
    refused(imported(host, "copy"), "checksum")
    manifest.write_text(whole)
    (folder / "definition.xml").write_text(text + " ")
    refused(imported(host, "copy"), "not the definition")
    (folder / "definition.xml").write_text(text)
    with open(image, "r+b") as file:
        file.seek(5 << 20)
        byte = file.read(1)
        file.seek(5 << 20)
        file.write(bytes([byte[0] ^ 1]))
    ended = wait(host, imported(host, "copy"), "failed")
    assert ended["error"]["code"] == "CORRUPT" and "vda.qcow2" in ended["error"]["message"], ended
    assert left(host) == [] and vms(host) == ["mover"]
    os.truncate(image, 1 << 20)
    refused(imported(host, "copy"), "EXPORT_DAMAGED")
    image.unlink()
    image.symlink_to("/etc/shadow")
    refused(imported(host, "copy"), "symbolic link")
    image.unlink()
    os.link(host.path(guest["disk"]), image)
    refused(imported(host, "copy"), "hard link")
    image.unlink()
    # Without the manifest: an image that is based on a file of the host, and one whose tables are damaged.
    manifest.unlink()
    own = folder / os.path.basename(guest["disk"])
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "/etc/shadow", "-F", "raw", own, "128M"], check=True)
    refused(imported(host, "copy", accepted_codes=["NOT_VERIFIED"]), "IMAGE_NOT_WHOLE")
    own.write_bytes(os.urandom(1 << 20))
    refused(imported(host, "copy", accepted_codes=["NOT_VERIFIED"]), "DISK_UNREADABLE")


@pytest.mark.parametrize("state", ["running", pytest.param("off", marks=LONG)])
def test_droverd_dies_midway(lab, host, guest, state):
    """In an export: the picture ends, nothing is left, the guest goes on. In an import: all of it or nothing."""
    if state == "off":
        host.virsh("destroy", "mover")
    _, job = exported(host, bandwidth_bytes_per_second=8 << 20)
    until(lambda: host.get(f"/v1/archives/{job['id']}")["done_bytes"] > 1 << 20, "it copies")
    host.kill_droverd()
    time.sleep(0.3)
    host.start_droverd()
    ended = until(lambda: (now := host.get(f"/v1/archives/{job['id']}"))["state"] != "running" and now, "it is undone")
    assert ended["state"] == "failed" and left(host) == [] and host.files(EXPORTS) == [], (ended, left(host))
    if state == "running":
        assert "None" in host.virsh("domjobinfo", "mover").stdout
        result = lab.verify("mover")
        assert result["ok"], result
    wait(host, exported(host))
    for pause in (0.0, 0.1, 0.3) if state == "off" else ():
        _, job = imported(host, "copy", name="web01")
        time.sleep(pause)
        host.kill_droverd()
        host.start_droverd()
        ended = until(lambda: (now := host.get(f"/v1/archives/{job['id']}"))["state"] != "running" and now, "it ends")
        if ended["state"] == "done":
            assert "web01" in vms(host)
            forget(host, "web01")
            host.run("sh", "-c", f"rm -f {RESTORED}/*")
        assert left(host) == [] and "web01" not in vms(host), ended


def test_a_cancelled_export_leaves_nothing(lab, host, guest):
    _, job = exported(host, bandwidth_bytes_per_second=8 << 20)
    until(lambda: host.get(f"/v1/archives/{job['id']}")["done_bytes"] > 0, "it copies")
    status, refused = host.start_move("mover", "host2", check=False)
    assert status == 409 and "exported" in json.dumps(refused), refused
    host.drover("archives", job["id"], "--cancel")
    ended = until(lambda: (now := host.get(f"/v1/archives/{job['id']}"))["state"] != "running" and now, "it ends")
    assert ended["state"] == "cancelled" and left(host) == [] and host.files(EXPORTS) == [], ended
    assert "None" in host.virsh("domjobinfo", "mover").stdout
    assert lab.verify("mover")["ok"]


STRANGE = """<domain type='qemu'><name>strange</name><memory unit='MiB'>64</memory>
<os><type arch='x86_64' machine='q35'>hvm</type></os><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{images}/strange.img'/><target dev='vda' bus='virtio'/></disk>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{images}/strange-top.qcow2'/><target dev='vdb' bus='virtio'/></disk>
<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='{images}/strange.iso'/><target dev='sda' bus='sata'/><readonly/></disk>
<interface type='bridge'><source bridge='br0'/></interface></devices></domain>"""


@pytest.mark.parametrize("state", ["off", pytest.param("running", marks=LONG)])
def test_raw_disks_chains_and_media(host, state):
    """A raw disk keeps its holes, a chain becomes one image, a disc that is gone is taken out of the drive."""
    raw, base, top = (f"{IMAGES}/strange{end}" for end in (".img", "-base.qcow2", "-top.qcow2"))
    host.run("truncate", "-s", "256M", raw)
    with open(host.path(raw), "r+b") as file:
        for place in (0, 40 << 20, 200 << 20):
            file.seek(place)
            file.write(os.urandom(3 << 20))
    host.run("touch", f"{IMAGES}/strange.iso")
    host.run("qemu-img", "create", "-q", "-f", "qcow2", base, "64M")
    host.run("qemu-io", "-f", "qcow2", "-c", "write -P 3 1M 5M", base)
    host.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top)
    host.run("qemu-io", "-f", "qcow2", "-c", "write -P 4 4M 9M", top)
    host.define(STRANGE.format(images=IMAGES))
    if state == "running":
        host.virsh("start", "strange")
    try:
        wait(host, exported(host, "strange", f"{EXPORTS}/strange"))
        if state == "running":
            host.virsh("destroy", "strange")
        assert allocated(host, f"{EXPORTS}/strange/vda.img") <= 1.05 * allocated(host, raw)
        assert not json.loads(host.run("qemu-img", "info", "--output=json", f"{EXPORTS}/strange/vdb.qcow2").stdout).get(
            "backing-filename")
        host.run("rm", f"{IMAGES}/strange.iso")
        report = plan(host, "copy", f"{EXPORTS}/strange")[1]
        assert "MEDIA_EJECTED" in codes(report) and not codes(report, "warning") + codes(report, "blocker"), report["findings"]
        wait(host, imported(host, "copy", f"{EXPORTS}/strange", name="copied"))
        assert allocated(host, f"{RESTORED}/copied-vda.img") <= 1.05 * allocated(host, raw)
        host.run("qemu-img", "compare", "-f", "raw", raw, f"{RESTORED}/copied-vda.img")
        host.run("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", top, f"{RESTORED}/copied-vdb.qcow2")
        host.virsh("start", "copied")
    finally:
        for name in ("copied", "strange"):
            forget(host, name)
        host.run("sh", "-c", f"rm -f {IMAGES}/strange*")


def disk_of(host, name):
    lines = host.virsh("domblklist", name).stdout.splitlines()
    return next(line.split(None, 1)[1].strip() for line in lines if line.split()[:1] == ["vda"])


def chain_of(host, path):
    said = json.loads(host.run("qemu-img", "info", "-U", "--output=json", "--backing-chain", path).stdout)
    return [layer["filename"] for layer in said]


@pytest.mark.parametrize("state", ["running", pytest.param("off", marks=LONG)])
@pytest.mark.parametrize("mode", ["restore", pytest.param("copy", marks=LONG), pytest.param("register", marks=LONG)])
def test_external_checkpoints_come_back(lab, host, guest, mode, state):
    """A chain stays one, libvirt knows the checkpoint of the imported VM, and what it was then boots."""
    base = disk_of(host, "mover")
    host.virsh("snapshot-create-as", "mover", "clean", "--disk-only", "--atomic")
    time.sleep(2)  # it writes into the new image
    if state == "off":
        host.virsh("destroy", "mover")
    made = wait(host, exported(host))
    assert "CHECKPOINTS_TRAVEL" in codes(made, "note") and not codes(made, "warning"), made["findings"]
    assert host.files(FOLDER) == ["definition.xml", "drover-export.json", "vda.1.qcow2", "vda.qcow2"]
    assert chain_of(host, f"{FOLDER}/vda.qcow2") == [f"{FOLDER}/vda.qcow2", f"{FOLDER}/vda.1.qcow2"]
    if state == "running":
        assert lab.verify("mover")["ok"] and host.virsh("domstate", "mover").stdout.strip() == "running"
        host.run("qemu-img", "check", "-f", "qcow2", f"{FOLDER}/vda.qcow2")
        # The guest may have grown its own image since.
        assert allocated(host, f"{FOLDER}/vda.qcow2") <= 1.05 * allocated(host, disk_of(host, "mover")) + (1 << 20)
        host.virsh("destroy", "mover")
    host.run("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", base, f"{FOLDER}/vda.1.qcow2")
    if mode != "copy":
        host.virsh("undefine", "mover", "--snapshots-metadata")
    done = wait(host, imported(host, mode, **({"name": "web01"} if mode == "copy" else {})))
    assert done["verified"], done
    name = done["vm_name"]
    assert host.virsh("snapshot-list", name, "--name").stdout.split() == ["clean"]
    assert host.virsh("snapshot-current", name, "--name").stdout.strip() == "clean"
    top = disk_of(host, name)
    below = {"restore": f"{RESTORED}/{os.path.basename(base)}", "copy": f"{RESTORED}/web01-vda.1.qcow2",
             "register": f"{FOLDER}/vda.1.qcow2"}[mode]
    assert chain_of(host, top) == [top, below]
    proves(lab, host, name)
    # libvirt 9.0 goes back to no external snapshot by itself: its definition names the disk as it was.
    text = host.virsh("snapshot-dumpxml", name, "clean", "--security-info").stdout
    definition = text[text.index("<domain "):text.index("</domain>") + len("</domain>")]
    assert below in definition and top not in definition and (mode == "register" or f"{FOLDER}/" not in definition)
    host.virsh("snapshot-delete", name, "clean", "--metadata")
    host.define(definition)
    assert disk_of(host, name) == below
    proves(lab, host, name)


@pytest.mark.parametrize("state", ["off", pytest.param("running", marks=LONG)])
def test_the_memory_of_a_checkpoint_comes_back(lab, host, guest, state):
    """It is in a file of its own. The imported VM's guest goes back to that instant, with the disks as they are named now."""
    base = disk_of(host, "mover")
    memory = f"{os.path.dirname(base)}/clean.memory"
    host.virsh("snapshot-create-as", "mover", "clean", "--atomic", "--memspec", f"file={memory},snapshot=external")
    time.sleep(2)  # it writes into the new image
    if state == "off":
        host.virsh("destroy", "mover")
    made = wait(host, exported(host))
    assert "CHECKPOINTS_TRAVEL" in codes(made, "note") and not codes(made, "warning"), made["findings"]
    assert host.files(FOLDER) == ["checkpoint.1.save", "definition.xml", "drover-export.json", "vda.1.qcow2", "vda.qcow2"]
    if state == "running":
        assert lab.verify("mover")["ok"]
        host.virsh("destroy", "mover")
    host.run("cmp", memory, f"{FOLDER}/checkpoint.1.save")
    host.virsh("undefine", "mover", "--snapshots-metadata")
    assert codes(plan(host, "copy")[1], "warning") == ["CHECKPOINTS_LEFT"]
    assert codes(plan(host, "register")[1], "warning") == ["CHECKPOINTS_LEFT"]
    done = wait(host, imported(host, "restore"))
    assert done["verified"], done
    assert host.virsh("snapshot-list", "mover", "--name").stdout.split() == ["clean"]
    proves(lab, host, "mover")
    # libvirt 9.0 goes back to no external snapshot by itself, but restores its memory.
    here = f"{RESTORED}/clean.memory"
    assert f"file='{here}'" in host.virsh("snapshot-dumpxml", "mover", "clean").stdout
    host.virsh("restore", here)
    assert disk_of(host, "mover") == f"{RESTORED}/{os.path.basename(base)}"
    result = lab.verify("mover")
    assert result["ok"], result


@pytest.mark.parametrize("mode", ["restore", pytest.param("register", marks=LONG)])
@pytest.mark.parametrize("state", ["running", pytest.param("off", marks=LONG)])
def test_memory_comes_back(lab, host, guest, mode, state):
    """Of a running VM it is written while the guest stands still; of one that is off it is what libvirt keeps. The imported VM goes
    on from it, without a boot."""
    if state == "off":
        host.virsh("managedsave", "mover")
        wait(host, exported(host))
        host.virsh("managedsave-remove", "mover")
    else:
        shown = host.drover("export", "mover", FOLDER, "--memory", "--plan").stdout
        assert "mover stands still while its memory is written" in shown, shown
        host.drover("export", "mover", FOLDER, "--memory", "--yes")
        assert lab.verify("mover")["ok"] and host.domstate("mover") == "running"
        assert not host.virsh("snapshot-list", "mover", "--name").stdout.split() and left(host) == []
        host.virsh("destroy", "mover")
    assert host.files(FOLDER) == ["definition.xml", "drover-export.json", "memory.save", "memory.xml", "vda.qcow2"]
    host.virsh("undefine", "mover")
    assert codes(plan(host, "copy")[1], "warning") == ["MEMORY_LEFT"]
    done = wait(host, imported(host, mode))
    assert done["verified"] and "VM_SAVED" in codes(done, "note"), done
    host.virsh("start", "mover")
    result = lab.verify("mover")
    assert result["ok"], result
    assert not host.files(SAVES)


@LONG
def test_internal_checkpoints_come_back(lab, host, guest):
    """They are bytes of the image; libvirt goes back to one of the imported VM."""
    host.virsh("snapshot-create-as", "mover", "brief")
    assert "CHECKPOINTS_LEFT" in codes(host.api("POST", "/v1/archives/plan", {"kind": "export", "vm": "mover", "folder": FOLDER})[1])
    host.virsh("snapshot-delete", "mover", "brief")
    host.virsh("destroy", "mover")
    host.virsh("snapshot-create-as", "mover", "inner")
    host.run("qemu-img", "convert", "-O", "qcow2", guest["disk"], f"{IMAGES}/then.qcow2")
    proves(lab, host, "mover")  # it writes
    try:
        wait(host, exported(host))
        host.virsh("undefine", "mover", "--snapshots-metadata")
        wait(host, imported(host, "restore"))
        assert host.virsh("snapshot-list", "mover", "--name").stdout.split() == ["inner"]
        now = disk_of(host, "mover")
        compare = ["qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", f"{IMAGES}/then.qcow2", now]
        assert host.run(*compare, check=False).returncode == 1, "nothing was written since"
        host.virsh("snapshot-revert", "mover", "inner")
        host.run(*compare)
        proves(lab, host, "mover")
    finally:
        host.run("rm", "-f", f"{IMAGES}/then.qcow2")


@pytest.mark.parametrize("state", [pytest.param("off", marks=LONG), pytest.param("running", marks=LONG)])
def test_a_sealed_secret_comes_back(lab, host, state):
    """Variables of the firmware and the state of the TPM: both are needed to open it."""
    if not os.path.exists(FIRMWARE) or not shutil.which("swtpm_setup"):
        pytest.skip("needs the packages ovmf, swtpm and swtpm-tools")
    with lab.guest("host1", "sealer", memory=256, disk="64M", fill=4, dirty=1, disk_rate=0.1, uefi=True, tpm=True) as made:
        secret = secrets.token_hex(16)
        assert lab.run("ask", "sealer", "seal", secret).stdout.strip() == "sealed"
        if state == "off":
            host.virsh("destroy", "sealer")
        done = wait(host, exported(host, "sealer"))
        assert not codes(done, "warning") and "tpm2-00.permall" in host.files(FOLDER), done["findings"]
        host.virsh("destroy", "sealer", check=False)
        host.virsh("undefine", "sealer", "--nvram")
        shutil.rmtree(host.path(f"{TPM_STATE}/{made['uuid']}"), ignore_errors=True)
        ended = wait(host, imported(host, "restore"))
        assert ended["verified"], ended
        host.virsh("start", "sealer")
        until(lambda: lab.verify("sealer", "--reboot-allowed")["ok"], "the guest answers again", patience=120, pause=1)
        assert lab.run("ask", "sealer", "unseal").stdout.strip() == secret
        host.virsh("destroy", "sealer")


@LONG
def test_a_folder_that_another_host_sees(pair, host, guest):
    """Exported on one host, imported on the other, which sees the folder: the plan there speaks of the VM that is still here."""
    host2 = pair[1]
    shared = "/srv/shared/mover"
    for each in pair:
        each.drover("settings", "allowed-folders+=/srv/shared")
    try:
        wait(host, exported(host, folder=shared))
        shown = host2.drover("import", shared, "--restore", "--plan", check=False).stdout
        assert "VM_ELSEWHERE" in shown, shown
        ended = wait(host2, imported(host2, "copy", shared, name="web01", disks_to=""))
        assert ended["verified"]
        host2.virsh("start", "web01")
    finally:
        forget(host2, "web01")
        for each in pair:
            each.drover("settings", "allowed-folders-=/srv/shared")
        host2.run("sh", "-c", f"rm -rf {shared} {IMAGES}/web01-*")
