# SPDX-License-Identifier: Apache-2.0
"""How VMs fit hosts: networks mapped and remembered, a CPU for several hosts, where VMs could go, fixes and their undo."""
import contextlib
import json
import re

import pytest

from product import IMAGES, assert_clean, brief, codes, drop_all, until

GUEST = {"memory": 128, "disk": "128M", "fill": 16, "dirty": 0.25, "disk_rate": 0.1}


@pytest.fixture
def guest(lab, pair):
    with lab.guest("host1", "fitting", **GUEST) as made:
        yield made
    for host, other in (pair, pair[::-1]):
        host.api("PUT", f"/v1/hosts/{other.name}/interfaces", {"interfaces": []})


@contextlib.contextmanager
def bridge(host, name, *, with_lan=False):
    """A second bridge; with_lan: the cable to the guests' LAN is in it meanwhile, and not in br0."""
    host.run("ip", "link", "add", name, "type", "bridge", "forward_delay", "0")
    host.run("ip", "link", "set", name, "up")
    if with_lan:
        host.run("ip", "link", "set", "lan0", "master", name)
    try:
        yield name
    finally:
        if with_lan:
            host.run("ip", "link", "set", "lan0", "master", "br0")
        host.run("ip", "link", "delete", name)


def bridges_of(host, name, *words):
    return re.findall(r"<source bridge='([^']+)'", host.virsh("dumpxml", name, *words).stdout)


def mac_of(host, name):
    return re.search(r"<mac address='([^']+)'", host.virsh("dumpxml", name).stdout).group(1)


def finding(plan, code):
    found = [one for one in plan["findings"] if one["code"] == code]
    assert found, f"no {code} in {codes(plan)} {plan.get('refused', '')}"
    return found[0]


def moved(source, destination, name, **request):
    move = source.wait_move(source.start_move(name, destination.name, **request))
    assert move["state"] == "done", brief(move)
    return move


def test_network_is_mapped_remembered_and_mapped_back(lab, pair, guest):
    """Into another bridge, so that the LAN's client finds the guest; the way back by what is remembered."""
    host1, host2 = pair
    with bridge(host2, "prod", with_lan=True):
        plan = host1.plan("fitting", "host2", interfaces=[{"from": "br0", "to": "prod"}])
        assert finding(plan, "NETWORK_MAPPED")["level"] == "note"
        moved(host1, host2, "fitting", interfaces=[{"from": "br0", "to": "prod"}])
        assert lab.verify("fitting")["ok"]
        for words in ((), ("--inactive",)):
            assert bridges_of(host2, "fitting", *words) == ["prod"]
        assert "br0" in host1.drover("host", "networks", "host2").stdout
        assert host2.get("/v1/hosts/host1/interfaces")["interfaces"] == [{"from": "prod", "to": "br0"}]
        assert "remembered" in finding(host2.plan("fitting", "host1"), "NETWORK_MAPPED")["why"]
        moved(host2, host1, "fitting")
        assert bridges_of(host1, "fitting") == ["br0"]
        assert lab.verify("fitting")["ok"]
        # What was said once holds for the next move, unless it is said otherwise or forgotten.
        mac = mac_of(host1, "fitting")
        assert finding(host1.plan("fitting", "host2"), "NETWORK_MAPPED")["object"] == mac
        assert "NETWORK_MAPPED" not in codes(host1.plan("fitting", "host2", interfaces=[{"from": mac, "to": "br0"}]))
        host1.drover("host", "networks", "host2", "--forget", "br0")
        assert "NETWORK_MAPPED" not in codes(host1.plan("fitting", "host2"))
    drop_all(host1, host2)
    assert_clean(host1, host2)


def test_network_map_to_nothing_is_refused(pair, guest):
    host1, host2 = pair
    plan = host1.plan("fitting", "host2", interfaces=[{"from": "br0", "to": "nowhere"}])
    unknown = finding(plan, "NETWORK_MAP_UNKNOWN")
    assert unknown["level"] == "blocker" and any(fix.startswith("--network br0=br0") for fix in unknown["fixes"])
    status, answer = host1.start_move("fitting", "host2", check=False, interfaces=[{"from": "br0", "to": "nowhere"}])
    assert status == 422 and answer["error"]["code"] == "BLOCKED"
    for wrong in ([{"from": "dmz", "to": "br0"}], [{"from": "br0", "to": ""}], [{"from": "br0", "to": "a"}, {"from": "br0", "to": "b"}],
                  [{"from": "", "to": "br0"}]):
        status, answer = host1.api("POST", "/v1/plans", {"vm": "fitting", "destination": "host2", "interfaces": wrong})
        assert status == 400, (wrong, answer)
        assert "network" in answer["error"]["message"] or "interface" in answer["error"]["message"], answer
    done = host1.drover("plan", "fitting", "host2", "--network", "br0=", check=False)
    assert done.returncode != 0 and "to nothing" in done.stderr
    assert host1.get("/v1/hosts/host2/interfaces")["interfaces"] == []
    assert_clean(host1, host2)


def test_the_guests_network_is_looked_at(pair, guest):
    """Its subnet, the size of packets, and who has its MAC there."""
    host1, host2 = pair
    own = {"GUEST_SUBNET_ABSENT", "MTU_SMALLER", "MAC_TAKEN", "NETWORK_MISSING"}
    assert not own & set(codes(host1.plan("fitting", "host2")))
    address = guest["address"]
    with contextlib.ExitStack() as undo:
        def change(host, on, off):
            host.run(*on)
            undo.callback(host.run, *off)
        change(host1, ["ip", "address", "add", "10.78.0.201/24", "dev", "br0"], ["ip", "address", "delete", "10.78.0.201/24", "dev", "br0"])
        change(host2, ["ip", "address", "add", "10.99.0.1/24", "dev", "br0"], ["ip", "address", "delete", "10.99.0.1/24", "dev", "br0"])
        change(host2, ["ip", "link", "set", "br0", "mtu", "1400"], ["ip", "link", "set", "br0", "mtu", "1500"])
        twin = f"""<domain type='qemu'><name>twin</name><memory unit='MiB'>16</memory><os><type arch='x86_64'>hvm</type></os><devices>
          <interface type='bridge'><mac address='{mac_of(host1, "fitting")}'/><source bridge='br0'/></interface></devices></domain>"""
        host2.define(twin)
        undo.callback(host2.virsh, "undefine", "twin")
        # A packet to it, so that host1 knows it as a neighbour.
        host1.run("python3", "-c", f"import socket; socket.socket(2, 2).sendto(b'x', ('{address}', 9))")
        until(lambda: "lladdr" in host1.run("ip", "neigh", "show", address).stdout, "host1 knows the guest", patience=30)
        plan = host1.plan("fitting", "host2")
        assert address in finding(plan, "GUEST_SUBNET_ABSENT")["what"]
        assert "1400" in finding(plan, "MTU_SMALLER")["what"]
        assert finding(plan, "MAC_TAKEN")["what"].startswith("twin on host2")
        assert not codes(plan, "blocker"), plan["findings"]


def test_cpu_for_several_hosts_is_written_and_taken_back(lab, pair, guest):
    host1, host2 = pair
    def asked():
        found = re.search(r"<cpu.*?</cpu>", host1.virsh("dumpxml", "fitting", "--inactive").stdout, re.S)
        return re.sub(r"\s+", " ", found.group(0)) if found else ""
    before = asked()
    looked = json.loads(host1.drover("cpu-compat", "fitting", "--for", "host2", "--json").stdout)
    assert looked["hosts"] == ["host1", "host2"] and looked["model"] and not looked["fix"], looked
    assert asked() == before, "nothing was written"
    said = host1.drover("cpu-compat", "fitting", "--for", "host2", "--write").stdout
    assert looked["model"] in said and "drover fixes undo" in said
    assert looked["model"] in asked()
    again = json.loads(host1.drover("cpu-compat", "fitting", "--for", "host2", "--write", "--json").stdout)
    assert again["as_it_is"] and not again["fix"]
    # It boots with it, and may go: the plan compares the CPU that the guest has then.
    host1.virsh("destroy", "fitting")
    host1.virsh("start", "fitting")
    until(lambda: lab.json("verify", "fitting", "--reboot-allowed", check=False)["ok"], "it runs with its new CPU")
    assert looked["model"] in host1.virsh("dumpxml", "fitting").stdout
    plan = host1.plan("fitting", "host2")
    assert not {"CPU_MISMATCH", "CPU_UNKNOWN", "CPU_PASSTHROUGH"} & set(codes(plan)), codes(plan)
    moved(host1, host2, "fitting")
    assert lab.json("verify", "fitting", "--reboot-allowed")["ok"]
    moved(host2, host1, "fitting")
    drop_all(host1, host2)
    host1.drover("cpu-compat", "fitting", "--undo")
    assert asked() == before
    assert "undone" in host1.drover("fixes", "list").stdout
    assert host1.drover("cpu-compat", "fitting", "--undo", check=False).returncode != 0
    assert "host9" in host1.drover("cpu-compat", "fitting", "--for", "host9", check=False).stderr
    assert_clean(host1, host2)


def test_mobility_names_places_and_the_change_that_helps(pair, guest):
    host1, host2 = pair
    found = {vm["vm_name"]: vm for vm in host1.get("/v1/mobility")["vms"]}["fitting"]
    assert found["hosts_now"] == ["host2"] and found["state"] == "running" and "change" not in found, found
    host2.drover("settings", "incoming=off")
    try:
        closed = host1.get("/v1/mobility?vm=fitting")["vms"][0]
        assert closed["hosts_now"] == [] and closed["change"]["finding"]["code"] == "MIGRATION_DISABLED", closed
        assert closed["change"]["hosts"] == ["host2"]
        said = host1.drover("mobility", "fitting").stdout
        assert "MIGRATION_DISABLED" in said and "drover settings host2 incoming=on" in said
    finally:
        host2.drover("settings", "incoming=on")
    assert "host2" in host1.drover("mobility").stdout


# Fixes: each is applied, the finding is gone from the next plan, and the undo brings everything back.


def fix_and_undo(host, code, plan, look):
    """`plan()` has the finding before and not after; `look()` is the same again after the undo."""
    before = look()
    first = plan()
    assert finding(first, code)["appliable"], finding(first, code)
    status, answer = host.api("POST", f"/v1/plans/{first['id']}/fix", {"code": code})
    assert status == 200, answer
    assert all(fix["code"] == code and fix["done"] and fix["undo"] for fix in answer["fixes"])
    assert code not in codes(plan()), "it is gone"
    assert look() != before
    for fix in reversed(answer["fixes"]):
        host.drover("fixes", "undo", fix["id"])
    assert look() == before
    finding(plan(), code)
    status, answer = host.api("POST", f"/v1/fixes/{answer['fixes'][0]['id']}/undo")
    assert status == 409, "once"


def test_fix_turns_moves_on(pair, guest):
    host1, _ = pair
    host1.drover("settings", "outgoing=off")
    try:
        fix_and_undo(host1, "MIGRATION_DISABLED", lambda: host1.plan("fitting", "host2"),
                     lambda: host1.get("/v1/settings")["outgoing"])
    finally:
        host1.drover("settings", "outgoing=on")


def test_fixes_and_cpus_wait_for_the_end_of_a_move(lab, pair, guest):
    """A definition that is written while its VM leaves would be a second VM."""
    host1, host2 = pair
    host1.drover("cpu-compat", "fitting", "--for", "host2", "--write")
    fix = host1.get("/v1/fixes")["fixes"][0]["id"]
    before = host1.virsh("dumpxml", "fitting", "--inactive").stdout
    move_id = host1.start_move("fitting", "host2", bandwidth_bytes_per_second=1 << 20)
    host1.wait_phase(move_id, "copy-disks")
    for command in (["fixes", "undo", fix], ["cpu-compat", "fitting", "--undo"]):
        done = host1.drover(*command, check=False)
        assert done.returncode != 0 and "is moving already" in done.stderr, (command, done.stdout, done.stderr)
    assert host1.virsh("dumpxml", "fitting", "--inactive").stdout == before
    found = host1.get("/v1/mobility?vm=fitting")["vms"][0]
    assert found["move_id"] == move_id and found["state"] == "running" and not found["places"], found
    host1.drover("cancel", move_id)
    assert host1.wait_move(move_id)["state"] == "cancelled"
    host1.drover("fixes", "undo", fix)
    assert_clean(host1, host2)


def test_fix_empties_a_drive(pair, lab):
    host1, _ = pair
    drive = f"""<domain type='qemu'><name>drive</name><memory unit='MiB'>32</memory>
      <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
      <disk type='file' device='cdrom'><source file='{IMAGES}/a disc.iso'/><target dev='sda' bus='sata'/><readonly/></disk>
      </devices></domain>"""
    host1.run("sh", "-c", f"head -c 1M /dev/zero > '{IMAGES}/a disc.iso'")
    host1.define(drive)
    host1.virsh("start", "drive")
    try:
        fix_and_undo(host1, "MEDIA_INSERTED", lambda: host1.plan("drive", "host2"),
                     lambda: (host1.virsh("domblklist", "drive").stdout, host1.virsh("domblklist", "drive", "--inactive").stdout))
        # What somebody inserted since stays.
        first = host1.plan("drive", "host2")
        said = host1.drover("plan", "drive", "host2", "--fix", "MEDIA_INSERTED").stdout
        fix = re.search(r"drover fixes undo (\S+)", said).group(1)
        host1.run("cp", f"{IMAGES}/a disc.iso", f"{IMAGES}/b.iso")
        host1.virsh("change-media", "drive", "sda", f"{IMAGES}/b.iso", "--insert")
        done = host1.drover("fixes", "undo", fix, check=False)
        assert done.returncode != 0 and "changed since" in done.stderr
        assert first["findings"]
    finally:
        host1.virsh("destroy", "drive", check=False)
        host1.virsh("undefine", "drive", check=False)
        host1.run("rm", "-f", f"{IMAGES}/a disc.iso", f"{IMAGES}/b.iso")


def test_fix_corrects_the_next_boot(pair, guest):
    host1, _ = pair
    xml = host1.virsh("dumpxml", "fitting", "--inactive", "--security-info").stdout
    host1.define(xml.replace(f"{IMAGES}/fitting.qcow2", f"{IMAGES}/former.qcow2"))
    try:
        fix_and_undo(host1, "PERSISTENT_DIFFERS", lambda: host1.plan("fitting", "host2"),
                     lambda: host1.virsh("domblklist", "fitting", "--inactive").stdout)
    finally:
        host1.define(xml)


def test_fix_defines_a_transient_vm(pair, guest):
    host1, _ = pair
    host1.virsh("undefine", "fitting")
    try:
        fix_and_undo(host1, "VM_TRANSIENT", lambda: host1.plan("fitting", "host2"),
                     lambda: "yes" in host1.virsh("dominfo", "fitting").stdout.split("Persistent:")[1].split("\n")[0])
    finally:
        host1.define(host1.virsh("dumpxml", "fitting", "--migratable", "--security-info").stdout)


def test_fix_keeps_more_memory(pair, guest):
    host1, _ = pair
    host1.drover("settings", "residue-max=64M")
    try:
        fix_and_undo(host1, "MEMORY_NOT_KEPT", lambda: host1.plan("fitting", "host2", keep_memory=True),
                     lambda: host1.get("/v1/settings")["residue_max_bytes"])
    finally:
        host1.drover("settings", "residue-max=4G")


def test_fix_allows_a_folder_of_a_storage_move(pair, guest):
    host1, _ = pair
    host1.run("mkdir", "-p", "-m", "711", "/srv/fast")
    try:
        fix_and_undo(host1, "FOLDER_NOT_ALLOWED", lambda: host1.plan("fitting", "", kind="storage", disks_to="/srv/fast"),
                     lambda: host1.get("/v1/settings")["allowed_folders"])
    finally:
        host1.run("rmdir", "/srv/fast")
