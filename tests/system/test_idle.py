# SPDX-License-Identifier: Apache-2.0
"""What Drover needs of a host: next to nothing while nothing moves, and a bounded mover while something does."""
import os
import time
import uuid

import pytest

from product import drop_all, lab_image, until

VMS = 100
IDLE_RSS = 40 << 20
IDLE_CPU = 0.01
MOVER_RSS = 256 << 20
SPAN = 20.0
TICKS = os.sysconf("SC_CLK_TCK")


def memory_of(pid, key="VmRSS"):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith(key + ":"):
                return int(line.split()[1]) << 10
    return 0


def cpu_of(pid):
    """Processor seconds that a process has used."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@pytest.fixture
def many_vms(pair):
    host1, _ = pair
    folder = host1.path("/srv/many")
    folder.mkdir()
    for number in range(VMS):
        (folder / f"{number}.xml").write_text(
            f"<domain type='{lab_image.accelerator()}'><name>idle {number}</name><uuid>{uuid.uuid4()}</uuid>"
            "<memory unit='MiB'>64</memory><os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices>"
            f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='/srv/many/{number}.qcow2'/>"
            "<target dev='vda' bus='virtio'/></disk></devices></domain>")
    host1.run("sh", "-ec", "for file in /srv/many/*.xml; do virsh -q define $file; done")
    host1.run("sh", "-ec", "qemu-img create -q -f qcow2 /srv/many/0.qcow2 1G; "
              f"for n in $(seq 1 {VMS - 1}); do cp /srv/many/0.qcow2 /srv/many/$n.qcow2; done")
    yield host1
    host1.run("sh", "-c", "virsh -q list --all --uuid | while read -r vm; do virsh -q undefine $vm; done; rm -r /srv/many")


def test_droverd_rests_while_nothing_moves(many_vms):
    host1 = many_vms
    host1.restart_droverd()
    until(lambda: len(host1.get("/v1/vms")["vms"]) == VMS, "droverd lists them all")
    [pid] = host1.pids("droverd")
    time.sleep(5)  # what it does once after its start is not what it does idle
    before, began = cpu_of(pid), time.monotonic()
    time.sleep(SPAN)
    share = (cpu_of(pid) - before) / (time.monotonic() - began)
    assert share < IDLE_CPU, f"idle droverd uses {share:.2%} of a core"
    assert memory_of(pid) < IDLE_RSS, f"idle droverd holds {memory_of(pid) >> 20} MiB"


def test_a_mover_stays_small(lab, pair):
    """Its peak, read while it lives, for a guest of several times its limit."""
    host1, host2 = pair
    with lab.guest("host1", "large", memory=640, disk="512M", fill=64, dirty=32, disk_rate=1):
        move_id = host1.start_move("large", "host2")
        peaks = {}
        while host1.move(move_id)["state"] == "running":
            for host in pair:
                for pid in host.pids("mover"):
                    try:
                        peaks[host.name] = max(peaks.get(host.name, 0), memory_of(pid, "VmHWM"))
                    except OSError:
                        pass
            time.sleep(0.05)
        assert host1.move(move_id)["state"] == "done"
        assert set(peaks) == {"host1", "host2"} and max(peaks.values()) < MOVER_RSS, peaks
        assert lab.verify("large")["ok"]
        drop_all(host1)
