# SPDX-License-Identifier: Apache-2.0
"""Journals that cannot be used, and wishes about moves that are over: a clear error, and nothing of a VM is touched."""
import contextlib
import os
import shutil
import sqlite3

import pytest

from product import assert_clean, brief, drop_all, until

GUEST = {"memory": 128, "disk": "128M", "fill": 32, "dirty": 0.25, "disk_rate": 0.1}
STATE = "/var/lib/drover"
BOOK = STATE + "/drover.db"


@pytest.fixture
def guest(lab, pair):
    with lab.guest("host1", "keeper", **GUEST):
        yield pair
    drop_all(*pair)


def refuses_to_start(host):
    """What its log says after the attempt."""
    size = host.log().stat().st_size
    host.lab.run("droverd", host.name, "start", check=False)
    until(lambda: not host.pids("droverd"), "it ends by itself")
    with open(host.log(), errors="replace") as log:
        log.seek(size)
        return log.read()


@contextlib.contextmanager
def spoiled(host, spoil):
    """The journal of a droverd that is down, and whole again afterwards."""
    host.lab.run("droverd", host.name, "stop")
    path = host.path(BOOK)
    with contextlib.closing(sqlite3.connect(path)) as book:
        book.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all of it in one file, which can be compared
    shutil.copy2(path, f"{path}.whole")
    try:
        spoil(path)
        yield path
    finally:
        for rest in ("-wal", "-shm"):
            path.with_name(path.name + rest).unlink(missing_ok=True)
        os.replace(f"{path}.whole", path)
        host.start_droverd()


def newer(path):
    with contextlib.closing(sqlite3.connect(path)) as book, book:
        book.execute("PRAGMA user_version = 999")


def torn(path):
    with open(path, "r+b") as file:
        file.seek(2 * 4096)
        file.write(os.urandom(4096))


@pytest.mark.parametrize("spoil, said", [(newer, "newer Drover"), (torn, "damaged")])
def test_a_journal_that_cannot_be_used(lab, guest, spoil, said):
    host1, _ = guest
    with spoiled(host1, spoil) as path:
        before = path.read_bytes()
        log = refuses_to_start(host1)
        assert said in log and BOOK in log, log
        assert path.read_bytes() == before, "what it does not understand it does not change"
        assert lab.verify("keeper")["states"] == {"host1": "running"}
    move = host1.wait_move(host1.start_move("keeper", "host2"))
    assert move["state"] == "done", brief(move)
    assert lab.verify("keeper")["ok"]
    assert_clean(*guest)


@contextlib.contextmanager
def small_disk(host):
    """droverd's state lies on a file system that can be filled."""
    host.lab.run("droverd", host.name, "stop")
    host.run("sh", "-ec", f"cp -a {STATE} {STATE}.kept; mount -t tmpfs -o size=6M,mode=700 tmpfs {STATE}; cp -a {STATE}.kept/. {STATE}")
    host.start_droverd()
    try:
        yield
    finally:
        host.lab.run("droverd", host.name, "stop")
        host.run("sh", "-ec", f"rm -f {STATE}/filler; cp -a {STATE}/. {STATE}.kept; umount {STATE}; cp -a {STATE}.kept/. {STATE}; "
                 f"rm -rf {STATE}.kept")
        host.start_droverd()


def test_a_full_disk_under_the_journal(lab, guest):
    """The move is refused, or fails, with the VM where it was; with room again it goes."""
    host1, _ = guest
    with small_disk(host1):
        host1.run("sh", "-c", f"dd if=/dev/zero of={STATE}/filler bs=4k; true")
        status, answer = host1.start_move("keeper", "host2", check=False)
        if status in (200, 201, 202):
            answer = host1.wait_move(answer["id"])
            assert answer["state"] == "failed", brief(answer)
            answer = answer["error"]
        text = str(answer)
        assert "drover.db" in text or "journal" in text, text
        result = lab.verify("keeper")
        assert result["ok"] and result["states"] == {"host1": "running"}, result
        host1.run("rm", f"{STATE}/filler")
        move = host1.wait_move(host1.start_move("keeper", "host2"))
        assert move["state"] == "done", brief(move)
        assert lab.verify("keeper")["ok"]
    assert_clean(*guest)


def test_what_is_over_cannot_be_cancelled_again(lab, guest):
    host1, _ = guest
    lab.run("link", "20mbit")
    move = host1.start_move("keeper", "host2")
    host1.wait_phase(move, "copy-disks")
    host1.drover("cancel", move)
    assert host1.wait_move(move)["state"] == "cancelled"
    for words in (["cancel", move], ["queue", "cancel", move], ["queue", "hold", move], ["queue", "priority", move, 5]):
        refused = host1.drover(*words, check=False)
        assert refused.returncode in (1, 2) and ("has ended" in refused.stderr or "does not wait" in refused.stderr), (words, refused.stderr)
    for number in (101, -101, "high"):
        assert host1.drover("queue", "priority", move, number, check=False).returncode == 2
    for value in ("0", "1000000", "-1", "auto2"):
        refused = host1.drover("settings", f"live-moves={value}", check=False)
        assert refused.returncode == 2 and "live-moves" in refused.stderr, refused.stderr
    result = lab.verify("keeper")
    assert result["ok"] and result["states"] == {"host1": "running"}, result
    assert_clean(*guest)
