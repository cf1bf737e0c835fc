# SPDX-License-Identifier: Apache-2.0
"""The proof: what the source has is what the destination was given, and what it holds, or nothing is released."""
import contextlib
import json
import os
import socket
import struct
import threading

import pytest

from marks import LONG
from product import ENDED, RELAY, assert_clean, brief, drop_all, until

NBD_OPTION, NBD_REQUEST = b"IHAVEOPT", 0x25609513
NBD_WRITE, NBD_FLUSH = 1, 3


class Harm:
    """Stands between a source's QEMU and its mover and harms one write, the first whose bytes are not all the same: what the
    mover does next is what a mover with a fault would do. `left out`: the server is asked for a flush in its place, so that
    QEMU gets an answer. `flipped`: one bit of it."""

    def __init__(self, path, how):
        self.path, self.real, self.how = str(path), f"{path}.real", how
        self.harmed, self.threads = None, []
        found = os.stat(self.path)
        os.rename(self.path, self.real)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o666)
        os.chown(self.path, found.st_uid, found.st_gid)
        self.listener.listen(8)
        self.run(self.accept)

    def run(self, function, *words):
        thread = threading.Thread(target=function, args=words, daemon=True)
        thread.start()
        self.threads.append(thread)

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.real)
                self.run(self.pass_on, server, client)
                self.run(self.requests, client, server)

    @staticmethod
    def pass_on(source, sink):
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                sink.sendall(piece)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def requests(self, client, server):
        def read(count):
            got = b""
            while len(got) < count:
                piece = client.recv(count - len(got))
                if not piece:
                    raise EOFError
                got += piece
            return got

        try:
            server.sendall(read(4))
            while True:
                head = read(16)
                if head.startswith(NBD_OPTION):
                    server.sendall(head + read(struct.unpack(">I", head[12:])[0]))
                    continue
                head += read(12)
                magic, flags, command, cookie, offset, length = struct.unpack(">IHHQQI", head)
                assert magic == NBD_REQUEST, head
                data = read(length) if command == NBD_WRITE else b""
                if data and not self.harmed and data.count(data[:1]) != len(data):
                    self.harmed = (offset, length)
                    if self.how == "flipped":
                        data = data[:-1] + bytes([data[-1] ^ 1])
                    else:
                        head, data = struct.pack(">IHHQQI", magic, 0, NBD_FLUSH, cookie, 0, 0), b""
                server.sendall(head + data)
        except (OSError, EOFError):
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)

    def close(self):
        self.listener.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.real)


def test_what_was_sent_is_proven(lab, pair):
    host1, host2 = pair
    with lab.guest("host1", "proven", memory=128, disk="128M", fill=16, dirty=4, disk_rate=1):
        done = host1.drover("move", "proven", "host2", "--yes")
        report = host1.moves()[0]["report"]
        assert report["proof"]["level"] == "as-sent" and report["proof"]["unproven_bytes"] == 0, report
        assert report["proof"]["compared_bytes"] == 128 << 20, report
        assert "all equal" in done.stdout, done.stdout
        host2.drover("move", "proven", "host1", "--yes", "--verify", "none")
        assert host2.moves()[0]["report"]["proof"]["level"] == "none"
        assert lab.verify("proven")["ok"]
        assert_clean(*pair)
        drop_all(*pair)


def watch_of(host, name):
    """Bitmaps and servers of ours in a guest's QEMU."""
    def ask(command):
        return json.loads(host.virsh("qemu-monitor-command", name, json.dumps({"execute": command})).stdout)["return"]

    found = [bitmap["name"] for node in ask("query-named-block-nodes") for bitmap in node.get("dirty-bitmaps", [])]
    return [word for word in found + [one["id"] for one in ask("query-block-exports")] if word.startswith("drover")]


def test_what_the_destination_holds_is_proven(lab, pair):
    host1, host2 = pair
    with lab.guest("host1", "reread", memory=128, disk="128M", fill=16, dirty=4, disk_rate=1):
        done = host1.drover("move", "reread", "host2", "--yes", "--verify", "read-back")
        proof = host1.moves()[0]["report"]["proof"]
        assert proof["level"] == "read-back" and proof["unproven_bytes"] == 0 and not proof["text"], proof
        assert proof["compared_bytes"] + proof["excluded_bytes"] == 128 << 20, proof
        assert proof["excluded_bytes"] < 16 << 20, proof
        assert "read back" in done.stdout and "all equal" in done.stdout, done.stdout
        assert host2.domstate("reread") == "running" and watch_of(host2, "reread") == []
        assert lab.verify("reread")["ok"]
        assert_clean(*pair)
        drop_all(*pair)


@pytest.mark.parametrize("how", ["left out", pytest.param("flipped", marks=LONG)])
def test_a_harmed_write_releases_nothing(lab, pair, relayed, how):
    host1, host2 = pair
    with lab.guest("host1", "robbed", memory=128, disk="128M", fill=16, dirty=4, disk_rate=0.25) as guest:
        lab.run("rpc-relay", "host2", "start", "--listen", RELAY, "--at", "prepare:request:before", "--do", "hold")
        harm = None
        try:
            move_id = host1.start_move("robbed", "host2")
            lab.run("rpc-relay", "host2", "wait", "--timeout", "120")
            harm = Harm(host1.path(f"/run/libvirt/drover/{move_id}.nbd.tunnelmigrate.dest.robbed"), how)
            lab.run("rpc-relay", "host2", "release")
            move = host1.wait_move(move_id)
        finally:
            lab.run("rpc-relay", "host2", "stop")
            if harm:
                harm.close()
        assert harm.harmed, "the mirror wrote nothing"
        assert move["state"] == "parked" and move["runner"] == "destination", brief(move)
        assert move["error"]["code"] == "CORRUPT", brief(move)
        said = host1.drover("show", move_id).stdout
        assert f"first at {harm.harmed[0] >> 20} MiB" in said and "Nothing was released" in said, said
        # The guest runs there and only there; the source's disk stands where it stood.
        until(lambda: host2.domstate("robbed") == "running", "the guest runs on host2")
        assert host1.path(guest["disk"]).exists() and not host1.kept()
        assert host1.domstate("robbed") == "shut off"
        settle_by_word(pair, guest, move_id)


@contextlib.contextmanager
def held_at_finish(lab, host1, host2, vm, **request):
    """A move whose disks are copied, before its guest can run at the destination; it goes on afterwards."""
    lab.run("rpc-relay", "host2", "start", "--listen", RELAY, "--at", "finish:request:before", "--do", "hold")
    try:
        move_id = host1.start_move(vm, "host2", **request)
        lab.run("rpc-relay", "host2", "wait", "--timeout", "120")
        yield move_id
        lab.run("rpc-relay", "host2", "release")
        host1.wait_move(move_id, lambda move: move["phase"] in ("verify", "settle") or move["state"] in ENDED)
    finally:
        lab.run("rpc-relay", "host2", "stop")


def flip_a_bit(host, path):
    """In the disk's first block: its boot code, which nobody runs and no guest writes."""
    image = host.path(path)
    places = json.loads(host.run("qemu-img", "map", "-U", "--output=json", "-f", "qcow2", path).stdout)
    assert places[0]["start"] == 0 and places[0]["data"], places[0]
    with open(image, "r+b") as file:
        file.seek(places[0]["offset"] + 100)
        byte = file.read(1)[0]
        file.seek(places[0]["offset"] + 100)
        file.write(bytes([byte ^ 4]))


def test_a_flipped_bit_is_read_back(lab, pair, relayed):
    host1, host2 = pair
    with lab.guest("host1", "robbed", memory=128, disk="128M", fill=16, dirty=4, disk_rate=0.25) as guest:
        with held_at_finish(lab, host1, host2, "robbed", verification="read-back") as move_id:
            flip_a_bit(host2, guest["disk"])
        move = host1.wait_move(move_id)
        assert move["state"] == "parked" and move["runner"] == "destination", brief(move)
        assert move["error"]["code"] == "CORRUPT", brief(move)
        assert "disk vda differs in 1 of its parts of 4 KiB, first at 0 MiB (byte 0)" in move["error"]["message"], brief(move)
        said = host1.drover("show", move_id).stdout
        assert "Nothing was released" in said and f"drover resolve {move_id} --runs-on host2" in said, said
        assert host2.domstate("robbed") == "running" and host1.domstate("robbed") == "shut off"
        # What is left of it on host1 could go nowhere, and its network is left alone.
        left = host1.get("/v1/mobility?vm=robbed")["vms"][0]
        assert not left["hosts_now"] and f"drover resolve {move_id}" in left["places"][0]["text"], left
        assert f"drover resolve {move_id}" in host1.drover("replug", "host1/robbed", check=False).stderr
        assert host1.path(guest["disk"]).exists() and not host1.kept()
        assert watch_of(host2, "robbed") == []
        assert lab.verify("robbed")["ok"]
        settle_by_word(pair, guest, move_id)


@LONG
def test_a_flipped_bit_is_not_seen_as_sent(lab, pair, relayed):
    """The control: that the destination's disk changed by itself is what only reading it back finds."""
    host1, host2 = pair
    with lab.guest("host1", "flipped", memory=128, disk="128M", fill=16, dirty=4, disk_rate=0.25) as guest:
        with held_at_finish(lab, host1, host2, "flipped") as move_id:
            flip_a_bit(host2, guest["disk"])
        move = host1.wait_move(move_id)
        assert move["state"] == "done" and move["report"]["proof"]["level"] == "as-sent", brief(move)
        drop_all(*pair)


@LONG
def test_reading_back_outlives_the_destinations_droverd(lab, pair, relayed):
    """Killed before FINISH: the gate alone has the writes watched, and lets the guest run. Killed while disks are read."""
    host1, host2 = pair
    with lab.guest("host1", "patient", memory=128, disk="512M", fill=64, dirty=4, disk_rate=1):
        with held_at_finish(lab, host1, host2, "patient", verification="read-back") as move_id:
            host2.kill_droverd()
        until(lambda: host2.domstate("patient") == "running", "the guest runs on host2")
        host2.start_droverd()
        until(lambda: not host2.answers() or watch_of(host2, "patient")[1:] or ended(host1, move_id),
              "disks are read", pause=0.02)
        host2.kill_droverd()
        host2.start_droverd()
        move = host1.wait_move(move_id)
        assert move["state"] == "done", brief(move)
        proof = move["report"]["proof"]
        assert proof["level"] == "read-back" and not proof["text"], proof
        assert watch_of(host2, "patient") == []
        assert lab.verify("patient")["ok"]
        drop_all(*pair)


@LONG
def test_a_guest_whose_gate_dies_while_it_is_held_is_let_run(lab, pair, relayed):
    """libvirt's call 28 is RESUME, which the gate makes once the guest's writes are watched."""
    host1, host2 = pair
    with lab.guest("host1", "held", memory=128, disk="128M", fill=16, dirty=4, disk_rate=0.25):
        lab.run("rpc-relay", "host2", "start", "--listen", RELAY, "--at", "28:request:before", "--do", "kill:gate@host2,drop")
        try:
            move_id = host1.start_move("held", "host2", verification="read-back")
            move = host1.wait_move(move_id)
        finally:
            lab.run("rpc-relay", "host2", "stop")
        assert move["state"] == "done", brief(move)
        proof = move["report"]["proof"]
        assert proof["level"] == "as-sent" and "its gate had ended" in proof["text"], proof
        assert proof["compared_bytes"] == 128 << 20 and "check the file systems" in proof["text"], proof
        assert host2.domstate("held") == "running" and watch_of(host2, "held") == []
        assert lab.verify("held")["ok"]
        drop_all(*pair)


def ended(host, move_id):
    return host.move(move_id)["state"] in ENDED


def settle_by_word(pair, guest, move_id):
    """As the explanation says, for an administrator who has looked and takes the destination's disk: the move is finished."""
    host1, host2 = pair
    host1.drover("resolve", move_id, "--runs-on", "host2")
    move = host1.move(move_id)
    assert (move["state"], move["runner"]) == ("done", "destination"), brief(move)
    assert host1.domstate("robbed") == "" and not host1.path(guest["disk"]).exists()
    assert_clean(*pair)
    drop_all(host1)
