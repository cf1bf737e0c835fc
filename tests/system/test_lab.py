# SPDX-License-Identifier: Apache-2.0
"""The lab itself: if its guests' proof or its faults were wrong, no test that stands on them would mean anything."""
import json
import os
import pwd
import re
import subprocess
import time

import pytest

RECORDS_START = 32 << 20
RECORD = 4096
MARKER = b"DROVER-LAB-MARKER-MEMORY"
CONNECT = "import socket; socket.create_connection(('host2', 16509), 2)"


@pytest.fixture
def quiet(lab):
    """A guest whose records nothing but the test changes. Its name is as hard as a name may be."""
    name = "Größe 1 'ž' \"x\" & <y>"
    with lab.guest("host1", name, memory=128, fill=4, dirty=0, disk_rate=0) as guest:
        yield guest


def qemu_of(lab, host, guest):
    """The process that runs a guest."""
    for pid in json.loads(lab.run("pids", host, "qemu").stdout):
        with open(f"/proc/{pid}/cmdline") as words:
            if guest["uuid"] in words.read():
                return pid
    raise AssertionError("nothing runs it")


def migrate(lab, source, destination, name, disk, port=16509, check=True):
    """A move by libvirt alone, over unprotected TCP."""
    lab.exec(destination, "qemu-img", "create", "-q", "-f", "qcow2", disk, "512M")
    done = lab.virsh(source, "migrate", "--live", "--p2p", "--copy-storage-all", "--persistent", "--undefinesource", name,
                     f"qemu+tcp://{destination}:{port}/system", check=check)
    if done.returncode == 0:
        lab.exec(source, "rm", disk)
    return done


def start_move(lab, name, disk):
    """A move from host1 to host2 through the relay on host2, beside the test."""
    lab.exec("host2", "qemu-img", "create", "-q", "-f", "qcow2", disk, "512M")
    return lab.start("exec", "host1", "virsh", "migrate", "--live", "--p2p", "--copy-storage-all", "--persistent",
                     "--undefinesource", name, "qemu+tcp://host2:16510/system")


def test_up_again_is_quick(lab):
    began = time.monotonic()
    lab.run("up")
    assert time.monotonic() - began < 5


def test_hosts_are_apart(lab):
    assert lab.exec("host1", "hostname").strip() == "host1"
    assert lab.exec("host2", "hostname").strip() == "host2"
    uuids = [re.search("<uuid>(.*)</uuid>", lab.virsh(host, "capabilities").stdout)[1] for host in ("host1", "host2")]
    assert uuids[0] != uuids[1]
    assert "there" not in lab.exec("host2", "sh", "-c", "echo there > /srv/x; true") + lab.exec("host1", "ls", "/srv")


def test_exec_passes_the_exit_code(lab):
    assert lab.run("exec", "host1", "sh", "-c", "exit 7", check=False).returncode == 7


def test_errors_say_what_to_do(lab):
    done = lab.run("exec", "host9", "true", check=False)
    assert done.returncode == 2 and "hosts: host1, host2" in done.stderr
    assert lab.run("no-such-verb", check=False).returncode == 2


def test_refuses_without_root(lab):
    done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "/usr/bin/python3", "-c",
                           "import sys; sys.path.insert(0, sys.argv[1]); import cli; sys.exit(cli.main(['status']))",
                           lab.program.parent], capture_output=True, text=True)
    assert done.returncode == 2 and "needs root" in done.stderr


def test_a_guest_proves_itself(lab, quiet):
    result = lab.verify(quiet["name"])
    assert result["ok"], result
    assert result["states"] == {"host1": "running"}
    assert result["memory"]["records"] > 10000 and result["disk"]["records"] == 1024
    assert pwd.getpwuid(os.stat(f"/proc/{qemu_of(lab, 'host1', quiet)}").st_uid).pw_name == "libvirt-qemu"


def test_guest_twice_is_the_same_guest(lab, quiet):
    again = lab.json("guest", "host1", quiet["name"])
    assert (again["uuid"], again["boot"]) == (quiet["uuid"], quiet["boot"])


def test_verify_fails_on_a_rebooted_guest(lab, quiet):
    lab.virsh("host1", "reset", quiet["uuid"])
    end = time.monotonic() + 60
    while "booted again" not in (result := lab.verify(quiet["name"]))["error"]:
        assert time.monotonic() < end, result
        time.sleep(0.2)
    assert not result["ok"] and lab.run("verify", quiet["name"], check=False).returncode == 1
    assert lab.verify(quiet["name"], "--reboot-allowed")["ok"]


def test_verify_fails_on_one_changed_page(lab, quiet):
    """One bit in QEMU's memory, changed from outside."""
    pid = qemu_of(lab, "host1", quiet)
    with open(f"/proc/{pid}/maps") as maps:
        areas = [tuple(int(end, 16) for end in line.split()[0].split("-")) for line in maps if " rw-p " in line]
    start, end = max(areas, key=lambda area: area[1] - area[0])
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(start)
        content = memory.read(end - start)
        at = content.find(MARKER)
        while at % RECORD:
            at = content.find(MARKER, at + 1)
        memory.seek(start + at + 1000)
        memory.write(bytes([content[at + 1000] ^ 1]))
    result = lab.verify(quiet["name"])
    assert not result["ok"] and result["memory"]["bad"] == 1 and result["disk"]["bad"] == 0, result


def test_verify_fails_on_one_changed_block(lab, quiet):
    """One bit in the image file."""
    disk = lab.folder("host1") / "var-lib-libvirt" / os.path.relpath(quiet["disk"], "/var/lib/libvirt")
    extents = json.loads(subprocess.run(["qemu-img", "map", "-U", "--output=json", disk], capture_output=True,
                                        check=True).stdout)
    wanted = RECORDS_START + 77 * RECORD + 1000
    extent = next(one for one in extents if one["start"] <= wanted < one["start"] + one["length"])
    with open(disk, "r+b") as image:
        image.seek(extent["offset"] + wanted - extent["start"])
        byte = image.read(1)[0]
        image.seek(-1, os.SEEK_CUR)
        image.write(bytes([byte ^ 1]))
    result = lab.verify(quiet["name"])
    assert not result["ok"] and result["disk"]["bad"] == 1 and result["memory"]["bad"] == 0, result
    assert "record 77" in result["error"]


def test_a_probe_can_damage_itself(lab, quiet):
    lab.run("ask", quiet["name"], "corrupt-page")
    lab.run("ask", quiet["name"], "corrupt-block")
    result = lab.verify(quiet["name"])
    assert result["memory"]["bad"] == 1 and result["disk"]["bad"] == 1


def test_watch_measures_the_silence(lab, quiet):
    watching = lab.background("watch", quiet["name"])
    lab.virsh("host1", "suspend", quiet["uuid"])
    time.sleep(1)
    lab.virsh("host1", "resume", quiet["uuid"])
    time.sleep(0.5)
    result = watching.stop()
    assert result["ok"] and result["reconnects"] == 0
    assert 1000 <= result["longest_silence_ms"] < 3000


def test_watch_notices_a_lost_connection(lab, quiet):
    watching = lab.background("watch", quiet["name"], "--patience", 1)
    lab.virsh("host1", "reset", quiet["uuid"])
    lab.json("guest", "host1", quiet["name"])
    time.sleep(3)
    result = watching.stop()
    assert not result["ok"] and result["reconnects"] > 0


def test_shutdown_by_the_power_button(lab, quiet):
    lab.virsh("host1", "shutdown", quiet["uuid"])
    end = time.monotonic() + 30
    while lab.virsh("host1", "domstate", quiet["uuid"]).stdout.strip() != "shut off":
        assert time.monotonic() < end
        time.sleep(0.2)


def test_link_is_cut_and_restored(lab):
    lab.run("libvirt-tcp", "host2", "on")
    try:
        lab.exec("host1", "python3", "-c", CONNECT)
        lab.run("link", "cut")
        assert lab.run("exec", "host1", "python3", "-c", CONNECT, check=False).returncode != 0
        assert not lab.json("link")["up"]
    finally:
        lab.run("link", "restore")
    lab.exec("host1", "python3", "-c", CONNECT)
    lab.run("libvirt-tcp", "host2", "off")
    assert lab.run("exec", "host1", "python3", "-c", CONNECT, check=False).returncode != 0


def test_link_is_shaped(lab):
    sink = lab.start("exec", "host2", "python3", "-c", "import socket; s = socket.create_server(('', 9999)); c = s.accept()[0]\n"
                     "while c.recv(1 << 20): pass")
    send = ("import socket, time\nwhile True:\n try: c = socket.create_connection(('host2', 9999)); break\n"
            " except OSError: time.sleep(0.05)\nt = time.monotonic(); c.sendall(bytes(20 << 20)); c.shutdown(1); c.recv(1)\n"
            "print(time.monotonic() - t)")
    try:
        lab.run("link", "100mbit")
        seconds = float(lab.exec("host1", "python3", "-c", send))
    finally:
        lab.run("link", "unlimited")
        sink.kill()
    assert 1.5 < seconds < 4


def test_second_move_network_is_cut_and_shaped_alone(lab):
    lab.run("up", "--move-networks", "2")
    connect = CONNECT.replace("'host2'", "ADDRESS")
    assert "ADDRESS" in connect

    def reaches(address):
        listener = lab.start("exec", "host2", "python3", "-c",
                             f"import socket; s = socket.create_server(('{address}', 16509)); print('x', flush=True); s.accept()")
        try:
            listener.stdout.readline()
            return lab.run("exec", "host1", "python3", "-c", connect.replace("ADDRESS", repr(address)),
                           check=False).returncode == 0
        finally:
            listener.kill()

    assert reaches("10.77.0.2") and reaches("10.77.1.2")
    try:
        lab.run("link", "move1", "cut")
        state = lab.json("link")
        assert state["up"] and not state["networks"]["move1"]["up"]
        assert reaches("10.77.0.2") and not reaches("10.77.1.2")
        lab.run("link", "move1", "10mbit")
        state = lab.json("link")["networks"]
        assert state["move1"]["hosts"]["host1"]["rate"] == "10mbit"
        assert state["move0"]["hosts"]["host1"]["rate"] == "unlimited"
        lab.run("link", "unlimited")
        assert lab.json("link")["networks"]["move1"]["hosts"]["host1"]["rate"] == "unlimited"
    finally:
        lab.run("link", "move1", "restore")
    assert reaches("10.77.1.2")
    assert lab.run("link", "move7", "cut", check=False).returncode == 2


def test_libvirt_alone_moves_a_guest_there_and_back(lab):
    for host in ("host1", "host2"):
        lab.run("libvirt-tcp", host, "on")
    with lab.guest("host1", "mover", memory=128, fill=8) as guest:
        watching = lab.background("watch", "mover")
        listening = lab.background("capture")
        migrate(lab, "host1", "host2", "mover", guest["disk"])
        assert listening.stop()["found"] > 100, "nothing encrypts this move: the marker must be seen"
        result = lab.verify("mover")
        assert result["ok"] and result["states"] == {"host2": "running"}
        migrate(lab, "host2", "host1", "mover", guest["disk"])
        assert lab.verify("mover")["ok"]
        assert watching.stop()["ok"]


def test_relay_holds_and_releases(lab):
    with lab.guest("host1", "held", memory=128, fill=4) as guest:
        lab.run("rpc-relay", "host2", "start", "--listen", "tcp:16510", "--at", "finish:reply:before", "--do", "hold")
        try:
            move = start_move(lab, "held", guest["disk"])
            lab.run("rpc-relay", "host2", "wait", "--at", "finish", "--timeout", 60)
            assert lab.json("rpc-relay", "host2", "status")["holding"]
            assert lab.virsh("host1", "domstate", "held").stdout.strip() == "paused"
            lab.run("rpc-relay", "host2", "release")
            assert move.wait(60) == 0
            assert lab.verify("held")["ok"]
        finally:
            lab.run("rpc-relay", "host2", "stop")


def test_a_lost_reply_makes_libvirt_run_a_guest_twice(lab):
    """What Drover is to prevent, and that `verify` sees it."""
    with lab.guest("host1", "twice", memory=128, fill=4) as guest:
        lab.run("rpc-relay", "host2", "start", "--listen", "tcp:16510", "--at", "finish:reply:before", "--do", "close")
        try:
            assert migrate(lab, "host1", "host2", "twice", guest["disk"], port=16510, check=False).returncode != 0
        finally:
            lab.run("rpc-relay", "host2", "stop")
        result = lab.verify("twice")
        assert not result["ok"] and "runs on 2 hosts" in result["error"]


def test_relay_kills_and_cuts(lab):
    """The destination's QEMU dies before PREPARE is answered, and the network breaks: the source goes on."""
    with lab.guest("host1", "killed", memory=128, fill=4) as guest:
        lab.run("rpc-relay", "host2", "start", "--listen", "tcp:16510", "--at", "prepare:reply:before",
                "--do", "kill:qemu@host2,cut")
        try:
            move = start_move(lab, "killed", guest["disk"])
            lab.run("rpc-relay", "host2", "wait", "--timeout", 60)
            assert json.loads(lab.run("pids", "host2", "qemu").stdout) == []
            assert not lab.json("link")["up"] and move.poll() is None
            lab.run("link", "restore")
            assert move.wait(120) != 0
        finally:
            lab.run("link", "restore")
            lab.run("rpc-relay", "host2", "stop")
        assert lab.verify("killed")["states"]["host1"] == "running"


def test_a_relay_refuses_nonsense(lab):
    done = lab.run("rpc-relay", "host2", "start", "--at", "finish:before", "--do", "hold", check=False)
    assert done.returncode == 2 and "no place to act" in done.stderr
    done = lab.run("rpc-relay", "host2", "start", "--at", "finish:reply:before", "--do", "explode", check=False)
    assert done.returncode == 2 and "nothing a relay can do" in done.stderr


def test_power_goes_and_comes_back(lab, quiet):
    lab.run("power", "host1", "off")
    assert lab.run("exec", "host1", "true", check=False).returncode == 1
    assert lab.json("status")["hosts"]["host1"]["on"] is False
    lab.run("power", "host1", "on")
    assert lab.virsh("host1", "domstate", quiet["uuid"]).stdout.strip() == "shut off"
    lab.json("guest", "host1", quiet["name"])
    assert lab.verify(quiet["name"])["ok"]


def test_any_domain_is_a_vm(lab):
    xml = "<domain type='qemu'><name>plain</name><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='q35'>hvm" \
          "</type></os></domain>"
    (lab.folder("host1") / "srv" / "plain.xml").write_text(xml)
    lab.virsh("host1", "define", "/srv/plain.xml")
    lab.virsh("host1", "start", "plain")
    lab.virsh("host1", "destroy", "plain")
    lab.virsh("host1", "undefine", "plain")


@pytest.mark.skipif(bool(os.environ.get("DROVER_LAB_KEEP")), reason="the lab is to be kept")
def test_down_works_from_a_half_state(lab):
    """A holder that was killed, processes without it, a folder whose memory of itself is lost."""
    folder = lab.folder("host1")
    lab.json("guest", "host1", "left over", "--memory", "128", "--fill", "4")
    os.kill(int((folder / "holder.pid").read_text().split()[0]), 9)
    (folder.parent.parent / "lab.json").unlink()
    lab.run("down")
    assert not folder.exists() and not any(name.startswith("drover-lab-") for name in os.listdir("/run/netns"))
    assert lab.json("status") == {"up": False, "hosts": {}, "guests": {}}
    lab.run("down")
    lab.run("up")
