# SPDX-License-Identifier: Apache-2.0
"""A domain that the lab did not make: UEFI with NVRAM, two disks of two kinds, owned by root and outside libvirt's images."""
import contextlib
import os
import stat
import subprocess
import time

import pytest

from product import drop_all, lab_image, until

FIRMWARE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
FRESH_VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd"
NVRAM = "/var/lib/libvirt/qemu/nvram/strange_VARS.fd"
FOLDER = "/srv/vm disks"
DISKS = ("strange.qcow2", "strange.raw")
# The disk as the source keeps it after its VM left.
KEPT_MODE = 0o400

DEFINITION = """<domain type='{type}'>
  <name>strange</name>
  <memory unit='MiB'>256</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
    <nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>/var/lib/libvirt/qemu/nvram/strange_VARS.fd</nvram>
  </os>
  <features><acpi/><apic/></features>
  <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/srv/vm disks/strange.qcow2'/>
      <target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/srv/vm disks/strange.raw'/>
      <target dev='sda' bus='sata'/></disk>
    <interface type='bridge'><source bridge='br0'/><model type='virtio'/></interface>
    <serial type='pty'/>
  </devices>
</domain>
"""


def format_of(name):
    return name.rpartition(".")[2]


def make_disks(host):
    content = os.urandom(1 << 20)
    for name in DISKS:
        options = ["-o", "cluster_size=131072"] if format_of(name) == "qcow2" else []
        host.run("qemu-img", "create", "-q", "-f", format_of(name), *options, f"{FOLDER}/{name}", "40M")
        (host.path("/srv") / "content").write_bytes(content + name.encode())
        host.run("qemu-io", "-f", format_of(name), "-c", f"write -q -s /srv/content 4M {len(content)}", f"{FOLDER}/{name}")
        os.chown(host.path(f"{FOLDER}/{name}"), 0, 0)
        os.chmod(host.path(f"{FOLDER}/{name}"), 0o600)
    (host.path("/srv") / "content").unlink()


@contextlib.contextmanager
def strange_domain(*hosts):
    """Runs on the first host for the time of a `with`, and may be on any of them at its end."""
    if not os.path.exists(FIRMWARE):
        pytest.skip("needs the package ovmf")
    for host in hosts:
        host.path(FOLDER).mkdir(mode=0o755, exist_ok=True)
        host.drover("settings", f"allowed-folders+={FOLDER}")
    make_disks(hosts[0])
    try:
        hosts[0].define(DEFINITION.format(type=lab_image.accelerator()))
        hosts[0].virsh("start", "strange")
        yield
    finally:
        for host in hosts:
            remove(host)


def remove(host):
    host.virsh("destroy", "strange", check=False)
    host.virsh("undefine", "--nvram", "strange", check=False)
    drop_all(host)
    host.drover("settings", f"allowed-folders-={FOLDER}")
    for file in host.path(FOLDER).iterdir():
        file.unlink()
    for file in host.path("/var/lib/libvirt/qemu/nvram").glob("strange*"):
        file.unlink()


def variables_at_rest(host):
    """The NVRAM's content. The firmware writes its boot options when it has come up: then there is something that can get lost."""
    with open(FRESH_VARIABLES, "rb") as template:
        fresh = template.read()
    until(lambda: host.path(NVRAM).read_bytes() != fresh, "the firmware writes its variables")
    until_still(host.path(NVRAM))
    return host.path(NVRAM).read_bytes()


def until_still(path, span=4.0):
    """Waits until a file has not changed for a while."""
    state = {"content": None, "since": time.monotonic()}

    def still():
        content = path.read_bytes()
        if content != state["content"]:
            state.update(content=content, since=time.monotonic())
        return time.monotonic() - state["since"] > span

    until(still, f"{path} rests")


def assert_arrived(source, destination, variables, sparse=DISKS):
    """Running there and gone here; what the source keeps equals what arrived, and `sparse` are as sparse; the NVRAM's content
    came along."""
    assert destination.domstate("strange") == "running" and source.domstate("strange") == ""
    until(lambda: destination.path(NVRAM).exists() and destination.path(NVRAM).read_bytes() == variables,
          "the NVRAM's content arrived")
    assert not source.path(NVRAM).exists(), "the source's NVRAM is still in its place"
    move = source.moves()[0]
    for name in DISKS:
        kept, there = source.path(f"{FOLDER}/{name}.drover-{move['id']}"), destination.path(f"{FOLDER}/{name}")
        assert stat.S_IMODE(kept.stat().st_mode) == KEPT_MODE
        kind = format_of(name)
        subprocess.run(["qemu-img", "compare", "-U", "-f", kind, "-F", kind, kept, there], check=True, capture_output=True)
        used = there.stat().st_blocks * 512
        assert name not in sparse or used < 20 << 20, f"{name} is not sparse: {used} bytes"
