# SPDX-License-Identifier: Apache-2.0
"""Moves without libvirt's migration: offline, of VMs that are off, and quick, of VMs that are saved, carried and restored."""
import os
import time

import pytest

import strange
from marks import LONG
from product import IMAGES, assert_clean, brief, codes, drop_all, lab_hosts, until
from runners import RunnerWatch

GUEST = {"memory": 128, "disk": "128M", "fill": 48, "dirty": 0.25, "disk_rate": 0.2}
SLOW = 8 << 20  # bytes a second, for tests that do something in the middle
MIB = 1 << 20


@pytest.fixture(autouse=True)
def nothing_left(pair):
    yield
    drop_all(*pair)
    assert_clean(*pair)


@pytest.fixture
def guest(lab, pair):
    with lab.guest("host1", "cold", **GUEST) as made:
        yield made


def off(host, name="cold"):
    host.virsh("destroy", name)
    until(lambda: host.domstate(name) == "shut off", "it is off")


def on(lab, host, name="cold"):
    """Booted again: its records on disk are read and adopted."""
    host.virsh("start", name)
    return until(lambda: (found := lab.json("verify", name, "--reboot-allowed", check=False))["ok"] and found,
                 lambda: lab.json("verify", name, "--reboot-allowed", check=False))


def runs(lab, host, name="cold"):
    """Here and nowhere else, with every record of memory and disk right, and without a boot in between."""
    result = lab.verify(name)
    assert result["ok"] and result["states"] == {host.name: "running"}, result


def went(move, kind, state="done"):
    assert (move["plan"]["kind"], move["state"]) == (kind, state), brief(move)
    return move


def allocated(host, path):
    return host.path(path).stat().st_blocks * 512


def test_off_there_and_home(lab, pair, guest):
    """The kind is picked from the VM's state; definition, disks and autostart travel; the way home is spared what is kept."""
    host1, host2 = pair
    host1.virsh("autostart", "cold")
    off(host1)
    before = allocated(host1, guest["disk"])
    plan = host1.plan("cold", "host2")
    assert plan["kind"] == "offline" and not codes(plan, "blocker"), plan
    assert "VM_RUNNING" not in codes(plan) and "CPU_INCOMPATIBLE" not in codes(plan), plan
    said = host1.drover("move", "cold", "host2", "--yes").stdout
    assert "(offline)" in said and "cold is, off, on host2" in said, said
    there = went(host1.moves()[0], "offline")
    assert there["runner"] == "destination" and there["report"]["disks_sent_bytes"] >= 32 * MIB, there["report"]
    assert there["report"]["proof"]["compared_bytes"] == 128 * MIB and not there["report"]["proof"]["text"], there["report"]
    assert (host1.domstate("cold"), host2.domstate("cold")) == ("", "shut off")
    assert "enable" in host2.virsh("dominfo", "cold").stdout.split("Autostart:")[1].split("\n")[0]
    assert allocated(host2, guest["disk"]) <= 1.05 * before + MIB
    assert [disk["original_path"] for disk in host1.kept()] == [guest["disk"]]
    on(lab, host2)
    off(host2)
    host2.drover("move", "cold", "host1", "--yes", "--offline", "--bandwidth", "16M")  # slower than any machine names what it holds
    back = went(host2.moves()[0], "offline")
    assert back["report"]["kinds"]["residue_bytes"] > 4 * MIB, back["report"]
    on(lab, host1)
    assert host2.domstate("cold") == ""


def test_off_with_uefi_variables_and_a_raw_disk(pair):
    host1, host2 = pair
    with strange.strange_domain(*pair):
        off(host1, "strange")
        content = {name: host1.path(f"{strange.FOLDER}/{name}").read_bytes() for name in strange.DISKS if name.endswith("raw")}
        variables = host1.path(strange.NVRAM).read_bytes()
        host1.drover("move", "strange", "host2", "--yes")
        went(host1.moves()[0], "offline")
        assert (host1.domstate("strange"), host2.domstate("strange")) == ("", "shut off")
        assert host2.path(strange.NVRAM).read_bytes() == variables
        for name, before in content.items():
            assert host2.path(f"{strange.FOLDER}/{name}").read_bytes() == before
        host2.virsh("start", "strange")
        assert host2.domstate("strange") == "running"


def test_quick_with_uefi_variables_and_raw_disks(pair):
    """It stands still, so that what it has written is known."""
    host1, host2 = pair
    with strange.strange_domain(*pair):
        host1.virsh("suspend", "strange")
        content = {name: host1.path(f"{strange.FOLDER}/{name}").read_bytes() for name in strange.DISKS if name.endswith("raw")}
        variables = host1.path(strange.NVRAM).read_bytes()
        host1.drover("move", "strange", "host2", "--yes", "--quick")
        went(host1.moves()[0], "quick")
        assert (host1.domstate("strange"), host2.domstate("strange")) == ("", "paused")
        assert host2.path(strange.NVRAM).read_bytes() == variables
        for name, before in content.items():
            assert host2.path(f"{strange.FOLDER}/{name}").read_bytes() == before
        host2.virsh("resume", "strange")
        assert host2.domstate("strange") == "running"


def test_quick_there_and_back(lab, pair, guest):
    """The guest goes on where it was: its records in memory hold, and nothing but a pause is seen."""
    host1, host2 = pair
    with RunnerWatch("cold", *pair) as watch:
        said = host1.drover("move", "cold", "host2", "--yes", "--quick").stdout
        assert "(quick)" in said and "cold runs on host2" in said, said
        there = went(host1.moves()[0], "quick")
        runs(lab, host2)
        assert 0 < there["report"]["pause_ms"] <= there["report"]["duration_ms"], there["report"]
        assert there["report"]["memory_sent_bytes"] > 16 * MIB and there["report"]["proof"]["compared_bytes"] == 128 * MIB
        assert host1.domstate("cold") == ""
    watch.assert_one_runner(*pair)
    host2.drover("move", "cold", "host1", "--yes", "--quick")
    went(host2.moves()[0], "quick")
    runs(lab, host1)


def test_quick_where_the_disks_are_shared(lab, pair):
    """Only memory travels; the disk stays the very file."""
    host1, host2 = pair
    for host in pair:
        host.drover("settings", f"allowed-folders+={lab_hosts.SHARED}")
    try:
        with lab.guest("host1", "cold", **GUEST, folder=lab_hosts.SHARED) as guest:
            before = host1.path(guest["disk"]).stat().st_ino
            host1.drover("move", "cold", "host2", "--yes", "--quick")
            moved = went(host1.moves()[0], "quick")
            assert moved["report"]["disks_sent_bytes"] == 0 and not host1.kept()
            runs(lab, host2)
            assert host1.path(guest["disk"]).stat().st_ino == before
    finally:
        for host in pair:
            host.drover("settings", f"allowed-folders-={lab_hosts.SHARED}")


def start(host, kind, **request):
    return host.start_move("cold", "host2", kind=kind, bandwidth_bytes_per_second=SLOW, **request)


def in_the_middle(host, move, kind):
    host.wait_phase(move, "copy-disks" if kind == "offline" else "copy-memory")
    time.sleep(1)


@pytest.mark.parametrize("kind", [pytest.param("offline", marks=LONG), "quick"])
def test_a_cancelled_one_leaves_the_vm_as_it_was(lab, pair, guest, kind):
    host1, host2 = pair
    if kind == "offline":
        off(host1)
    move = start(host1, kind)
    in_the_middle(host1, move, kind)
    if kind == "quick":
        # Its memory is on the way, its QEMU has ended, and nobody may write its disk.
        until(lambda: host1.domstate("cold") == "shut off", "it is saved", pause=0.02)
    refused = host1.virsh("start", "cold", check=False)
    assert refused.returncode != 0 and "lock" in refused.stderr, refused.stderr
    host1.drover("cancel", move)
    went(host1.wait_move(move), kind, "cancelled")
    assert host2.domstate("cold") == "" and not host1.kept()
    if kind == "offline":
        on(lab, host1)
    else:
        runs(lab, host1)


@pytest.mark.parametrize("kind", [pytest.param("offline", marks=LONG), "quick"])
@pytest.mark.parametrize("dies", ["host1", pytest.param("host2", marks=LONG)])
def test_droverd_dies_midway(lab, pair, guest, kind, dies):
    """What was copied is given up; the move is undone, and tried again by itself."""
    host1, host2 = pair
    if kind == "offline":
        off(host1)
    move = start(host1, kind, retries=2)
    in_the_middle(host1, move, kind)
    victim = host1 if dies == "host1" else host2
    victim.kill_droverd()
    time.sleep(1)
    victim.start_droverd()
    ended = went(host1.wait_move(move), kind)
    assert ended["attempts"], brief(ended)
    assert host1.domstate("cold") == ""
    if kind == "offline":
        on(lab, host2)
    else:
        runs(lab, host2)


@pytest.mark.parametrize("kind", [pytest.param("offline", marks=LONG), "quick"])
def test_a_destination_that_does_not_take_it(lab, pair, guest, kind):
    """Its libvirt has got another VM of that name meanwhile: accepted, it proves that nothing ran, and the source has it."""
    host1, host2 = pair
    if kind == "offline":
        off(host1)
    move = start(host1, kind)
    in_the_middle(host1, move, kind)
    host2.define("<domain type='qemu'><name>cold</name><memory unit='MiB'>64</memory>"
                 "<os><type arch='x86_64'>hvm</type></os></domain>")
    try:
        ended = went(host1.wait_move(move), kind, "failed")
        assert ended["runner"] == "source" and "cold" in ended["error"]["message"] + str(ended["error"]), brief(ended)
    finally:
        host2.virsh("undefine", "cold")
    assert not [name for name in host2.files() if name.startswith("cold")], host2.files(IMAGES)
    if kind == "offline":
        on(lab, host1)
    else:
        runs(lab, host1)


def test_plans_that_are_refused(pair, guest):
    """A kind that is not for the VM's state says so, with the kind that is."""
    host1, _ = pair
    assert codes(host1.plan("cold", "host2", kind="offline"), "blocker") == ["VM_RUNNING"]
    off(host1)
    plan = host1.plan("cold", "host2", kind="quick")
    assert codes(plan, "blocker") == ["VM_OFF"] and "--offline" in str(plan["findings"]), plan
    assert codes(host1.plan("cold", "host2", kind="live"), "blocker") == ["VM_OFF"]
    both = host1.drover("move", "cold", "host2", "--offline", "--quick", check=False)
    assert both.returncode != 0 and os.path.basename(guest["disk"]) in host1.files()
