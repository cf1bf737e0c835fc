# SPDX-License-Identifier: Apache-2.0
"""drover doctor: nothing is found on a healthy pair, and each planted fault by its code; what it mends is mended."""
import contextlib
import json
import os
import pathlib
import signal
import sqlite3

import pytest

from product import IMAGES, MOVER_PORT, until

MOVE = "aaaaaaaa"
VM = """<domain type='qemu'><name>{name}</name><uuid>6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab</uuid><memory unit='MiB'>32</memory>
<vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"""


def findings(host):
    return [finding for finding in host.get("/v1/doctor")["findings"] if finding["code"] != "HOOK_ABSENT"]


def codes(host):
    return [finding["code"] for finding in findings(host)]


def found(host, code):
    """The finding of that code, which says what it is about, why, and what to do."""
    finding = until(lambda: next((one for one in findings(host) if one["code"] == code), None),
                    lambda: f"{code} among {findings(host)}", patience=30)
    assert finding["what"] and finding["why"] and finding["fixes"], finding
    return finding


@pytest.fixture
def healthy(pair):
    host1, host2 = pair
    for host in pair:
        until(lambda host=host: codes(host) == [], lambda host=host: findings(host), patience=30)
    return pair


def test_finds_nothing_on_a_healthy_pair(healthy):
    for host in healthy:
        said = host.drover("doctor")
        assert "HOOK_ABSENT" in said.stdout or "Nothing is wrong" in said.stdout, said.stdout


def test_names_what_is_wrong_with_this_host(healthy):
    host1, _ = healthy
    key = host1.path("/var/lib/drover/identity.key")
    os.chmod(key, 0o644)
    assert found(host1, "IDENTITY_OPEN")["level"] == "blocker"
    assert host1.drover("doctor", check=False).returncode == 1
    host1.drover("doctor", "--fix", "IDENTITY_OPEN", check=False)
    assert key.stat().st_mode & 0o777 == 0o600

    host1.drover("settings", "allowed-folders+=/srv/nowhere")
    assert found(host1, "FOLDER_MISSING")["object"] == "/srv/nowhere"
    host1.drover("settings", "allowed-folders-=/srv/nowhere")

    host1.drover("settings", "space-reserve=900000G")
    assert found(host1, "SPACE_LOW")["object"] == IMAGES
    host1.drover("settings", "space-reserve=256M")

    hook = host1.path("/etc/libvirt/hooks/qemu.d/drover")
    if pathlib.Path("/usr/share/drover/hooks/qemu").exists():
        hook.parent.mkdir(parents=True, exist_ok=True)
        hook.write_text("#!/bin/sh\nexit 0\n")
        found(host1, "HOOK_DIFFERS")
        hook.unlink()
    assert codes(host1) == []


def test_names_what_was_left_and_mends_what_is_safe(healthy):
    host1, _ = healthy
    host1.path(f"/run/drover/moves/{MOVE}").mkdir()
    for stale in (f"/run/drover/moves/{MOVE}/gate.sock", f"/run/libvirt/drover/{MOVE}.rpc.tunnelmigrate.dest.web01",
                  f"/var/lib/drover/writes/{MOVE}"):
        host1.path(stale).parent.mkdir(parents=True, exist_ok=True)
        host1.path(stale).touch()
    assert codes(host1) == ["STALE_FILES"] * 3, findings(host1)
    host1.drover("doctor", "--fix", "STALE_FILES")
    assert codes(host1) == []

    record = host1.path(f"/var/lib/drover/records/6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab.{MOVE}.source")
    record.write_text("rubbish")
    found(host1, "RECORDS_DAMAGED")
    record.unlink()

    stray = host1.path(f"{IMAGES}/web01.qcow2.drover-{MOVE}")
    stray.write_text("a disk")
    assert found(host1, "IMAGE_STRAY")["object"].endswith(stray.name)
    refused = host1.drover("doctor", "--fix", "IMAGE_STRAY", check=False)
    assert refused.returncode == 2 and stray.exists(), refused.stderr
    stray.unlink()

    host1.kill_droverd()
    with contextlib.closing(sqlite3.connect(host1.path("/var/lib/drover/drover.db"))) as book, book:
        disk = {"move_id": MOVE, "vm_uuid": "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab", "vm_name": "web01",
                "original_path": f"{IMAGES}/web01.raw", "kept_path": f"{IMAGES}/web01.raw.drover-{MOVE}",
                "device": host1.path(IMAGES).stat().st_dev, "inode": 1, "allocated_bytes": 0, "since": "2026-01-01T00:00:00Z"}
        book.execute("INSERT INTO quarantine VALUES (?, ?, ?)", [MOVE, disk["kept_path"], json.dumps(disk)])
    host1.start_droverd()
    found(host1, "QUARANTINE_LOST")
    host1.drover("doctor", "--fix", "QUARANTINE_LOST")
    assert codes(host1) == []


def test_sees_a_gate_that_ended_before_its_time(lab, healthy):
    """And nothing of a move that goes on is called stale, nor of one that has just ended."""
    host1, host2 = healthy
    with lab.guest("host1", "seen", memory=128, disk="128M", fill=64, dirty=0.25):
        lab.run("link", "20mbit")
        move = host1.start_move("seen", "host2")
        host1.wait_move(move, lambda seen: seen["progress"]["disks"]["done_bytes"] > 4 << 20)
        for host in healthy:
            assert codes(host) == [], findings(host)
        for pid in host2.pids("mover"):
            os.kill(pid, signal.SIGSTOP)
        os.kill(host2.pids("gate")[0], signal.SIGKILL)
        assert "seen" in found(host2, "CARRIER_GONE")["object"]
        for pid in host2.pids("mover"):
            os.kill(pid, signal.SIGCONT)
        assert host1.wait_move(move)["state"] == "failed"
        lab.run("link", "unlimited")
        assert lab.verify("seen")["ok"]
        for host in healthy:
            until(lambda host=host: codes(host) == [], lambda host=host: findings(host), patience=60)


def test_names_what_is_wrong_with_a_peer(healthy):
    host1, host2 = healthy
    host2.configure(mover_port=7999)
    assert str(MOVER_PORT) in found(host1, "MOVER_PORT_CLOSED")["what"]
    host2.configure(mover_port=None)

    host2.drover("host", "rights", "host1", "receive,command")
    assert found(host1, "PEER_REFUSES")["object"] == "host2"
    host2.drover("host", "rights", "host1", "send,receive,command")

    host2.kill_droverd()
    found(host1, "HOST_UNREACHABLE")
    with contextlib.closing(sqlite3.connect(host2.path("/var/lib/drover/drover.db"))) as book, book:
        row = book.execute("SELECT * FROM peers WHERE name = 'host1'").fetchone()
        book.execute("DELETE FROM peers WHERE name = 'host1'")
    host2.start_droverd()
    assert found(host1, "PAIRING_BROKEN")["level"] == "blocker"
    host2.kill_droverd()
    with contextlib.closing(sqlite3.connect(host2.path("/var/lib/drover/drover.db"))) as book, book:
        book.execute(f"INSERT INTO peers VALUES ({', '.join('?' * len(row))})", row)
    host2.start_droverd()
    until(lambda: codes(host1) == [], lambda: findings(host1), patience=30)


def test_names_a_vm_that_runs_twice(healthy):
    for host in healthy:
        host.define(VM.format(name="twice"))
        host.virsh("start", "twice")
    try:
        assert "host1" in found(healthy[0], "TWO_RUNNERS")["what"]
    finally:
        for host in healthy:
            host.virsh("destroy", "twice", check=False)
            host.virsh("undefine", "twice", check=False)
    until(lambda: codes(healthy[0]) == [], lambda: findings(healthy[0]), patience=30)


def test_names_a_libvirt_that_does_not_answer(healthy):
    host1, _ = healthy
    host1.kill("libvirtd")
    found(host1, "HYPERVISOR_DOWN")
    host1.start_libvirtd()
    until(lambda: codes(host1) == [], lambda: findings(host1), patience=60)
