# SPDX-License-Identifier: Apache-2.0
"""Case `idle`: what droverd takes while it does nothing, on a host with 100 defined VMs."""
import time
import uuid

import goals
import hosts
import meters
import processes
import stage

NAME = "idle"
VMS = 100
SETTLE_SECONDS = 10
MEASURE_SECONDS = 60
RESIDENT_BYTES_MAX = 40_000_000
CPU_PERCENT_MAX = 1.0
HOST = "host1"

DOMAIN = """<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>256</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <features><acpi/><apic/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/{name}.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='bridge'>
      <source bridge='br0'/>
      <model type='virtio'/>
    </interface>
  </devices>
</domain>
"""


def names():
    return [f"bench-idle-{number:03}" for number in range(VMS)]


def define_all():
    """The VMs, each with a disk of its own, as an administrator's would have."""
    images = "".join(f"qemu-img create -q -f qcow2 /var/lib/libvirt/images/{name}.qcow2 1G\n" for name in names())
    hosts.run_inside(HOST, "sh", "-e", input=images)
    for name in names():
        xml = DOMAIN.format(name=name, uuid=uuid.uuid4())
        hosts.run_inside(HOST, "virsh", "-q", "define", "/dev/stdin", input=xml)


def remove_all():
    words = "; ".join(f"undefine {name}" for name in names())
    hosts.virsh(HOST, words, check=False)
    images = "".join(f"rm -f /var/lib/libvirt/images/{name}.qcow2\n" for name in names())
    hosts.run_inside(HOST, "sh", input=images, check=False)


class Idle:
    def __init__(self, options, _scene, say):
        self.options, self.say = options, say

    def run(self, _link):
        try:
            define_all()
            stage.lab("droverd", HOST, "restart")
            pid = processes.read_pid(hosts.pid_file(HOST, "droverd"))
            time.sleep(SETTLE_SECONDS)
            before, began = meters.cpu_seconds(pid), time.monotonic()
            time.sleep(MEASURE_SECONDS)
            cpu = 100 * (meters.cpu_seconds(pid) - before) / (time.monotonic() - began)
            result = goals.alone(NAME, None, 1, vms=VMS, seconds=MEASURE_SECONDS, cpu_percent=round(cpu, 2),
                                 resident_bytes=meters.memory_bytes(pid, "VmRSS"),
                                 peak_resident_bytes=meters.memory_bytes(pid, "VmHWM"))
        finally:
            remove_all()
        return result


def verdicts(result):
    """(what, measured, goal, reached)"""
    return [("droverd idle, resident", f"{result['resident_bytes'] / 1e6:.1f} MB", f"< {RESIDENT_BYTES_MAX / 1e6:.0f} MB",
             result["resident_bytes"] < RESIDENT_BYTES_MAX),
            ("droverd idle, processor", f"{result['cpu_percent']:.2f} %", f"< {CPU_PERCENT_MAX:.0f} %",
             result["cpu_percent"] < CPU_PERCENT_MAX)]
