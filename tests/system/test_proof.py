# SPDX-License-Identifier: Apache-2.0
"""The proof "as sent": what the source has is what the destination was given, or nothing is released."""
import contextlib
import os
import socket
import struct
import threading

from product import RELAY, assert_clean, brief, drop_all, until

NBD_OPTION, NBD_REQUEST = b"IHAVEOPT", 0x25609513
NBD_WRITE, NBD_FLUSH = 1, 3


class Thief:
    """Stands between a source's QEMU and its mover and leaves out one write: the first whose bytes are not all the same.
    The server is asked for a flush in its place, so that QEMU gets an answer."""

    def __init__(self, path):
        self.path, self.real = str(path), f"{path}.real"
        self.stolen, self.threads = None, []
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
                if data and not self.stolen and data.count(data[:1]) != len(data):
                    self.stolen = (offset, length)
                    head, data = struct.pack(">IHHQQI", magic, 0, NBD_FLUSH, cookie, 0, 0), b""
                server.sendall(head + data)
        except (OSError, EOFError):
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)

    def close(self):
        self.listener.close()


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


def test_a_write_that_is_left_out_releases_nothing(lab, pair, relayed):
    host1, host2 = pair
    with lab.guest("host1", "robbed", memory=128, disk="128M", fill=16, dirty=4, disk_rate=0.25) as guest:
        lab.run("rpc-relay", "host2", "start", "--listen", RELAY, "--at", "prepare:request:before", "--do", "hold")
        thief = None
        try:
            move_id = host1.start_move("robbed", "host2")
            lab.run("rpc-relay", "host2", "wait", "--timeout", "120")
            thief = Thief(host1.path(f"/run/libvirt/drover/{move_id}.nbd.tunnelmigrate.dest.robbed"))
            lab.run("rpc-relay", "host2", "release")
            move = host1.wait_move(move_id)
        finally:
            lab.run("rpc-relay", "host2", "stop")
            if thief:
                thief.close()
        assert thief.stolen, "the mirror wrote nothing"
        assert move["state"] == "parked" and move["runner"] == "destination", brief(move)
        assert move["error"]["code"] == "CORRUPT", brief(move)
        said = host1.drover("show", move_id).stdout
        assert f"first at {thief.stolen[0] >> 20} MiB" in said and "Nothing was released" in said, said
        # The guest runs there and only there; the source's disk stands where it stood.
        until(lambda: host2.domstate("robbed") == "running", "the guest runs on host2")
        assert host1.path(guest["disk"]).exists() and not host1.kept()
        assert host1.domstate("robbed") == "shut off"
        settle_by_hand(pair, guest)


def settle_by_hand(pair, guest):
    """What the explanation says, for an administrator who takes the destination's disk."""
    host1, host2 = pair
    host1.virsh("undefine", "--keep-nvram", "robbed")
    host1.path(guest["disk"]).unlink()
    for host in pair:
        host.kill_droverd()
        for role in ("gate", "mover"):
            host.kill(role)
        host.start_droverd()
