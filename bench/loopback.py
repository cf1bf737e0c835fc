# SPDX-License-Identifier: Apache-2.0
"""Two movers joined over loopback, with us in the place of droverd, gate and QEMU on both sides (docs/processes.md)."""
import json
import os
import secrets
import shutil
import socket
import tempfile
import threading
import time

import meters
from base import LabError

CONTROL_DESCRIPTOR = 3
PACKET_BYTES = 256 << 10
PIECE_BYTES = 1 << 20
PATIENCE_SECONDS = 30.0
IDENTITY = f"drover-move benchmrk {'1' * 64} {'2' * 64}"


def packets():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(PATIENCE_SECONDS)
    return ours, theirs


def listener(path, kind):
    made = socket.socket(socket.AF_UNIX, kind)
    made.bind(path)
    made.listen(8)
    return made


class Mover:
    """One mover process, started as droverd starts it, with its control channel and the gate's ends."""

    def __init__(self, program, role, key, folder, settings):
        self.role = role
        self.control, theirs = packets()
        self.pid = os.posix_spawn(program, [program], {"PATH": os.defpath},
                                  file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), CONTROL_DESCRIPTOR),
                                                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)])
        theirs.close()
        self.gate, gate = packets()
        self.rpc, rpc = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        psk = os.memfd_create("psk")
        os.write(psk, key)
        given = {"control": listener(f"{folder}/{role}.control", socket.SOCK_SEQPACKET), "psk": psk, "rpc": rpc, "gate": gate}
        if role == "source":
            given |= {kind: listener(f"{folder}/{kind}", socket.SOCK_STREAM) for kind in ("memory", "disks")}
        start = {"move": "benchmrk", "role": role, "identity": IDENTITY, "fds": list(given), **settings}
        self.tell(start, [value if isinstance(value, int) else value.fileno() for value in given.values()])
        self.hear("event", "ready")
        os.close(psk)
        for value in given.values():
            if not isinstance(value, int):
                value.close()

    def tell(self, message, descriptors=()):
        socket.send_fds(self.control, [json.dumps(message).encode()], list(descriptors))

    def hear(self, key, value):
        """Waits for one packet, past all others."""
        while True:
            try:
                text = self.control.recv(PACKET_BYTES)
            except TimeoutError:
                raise LabError(f"The {self.role}'s mover did not say '{value}'.") from None
            if not text:
                raise LabError(f"The {self.role}'s mover ended.")
            message = json.loads(text)
            if message.get("event") == "failed" or message.get("ok") is False:
                raise LabError(f"The {self.role}'s mover failed: {message.get('error')}")
            if message.get(key) == value:
                return message

    def take_link(self, link):
        self.tell({"do": "add_link", "link": 1}, [link.fileno()])
        link.close()

    def serve_open(self):
        """As the destination's gate: answers the request to connect to QEMU with one end of a pair, and gives the other."""
        while True:
            message = json.loads(self.gate.recv(PACKET_BYTES))
            if message.get("do") == "open":
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
                reply = {"reply": "open", "stream": message["stream"], "ok": True}
                socket.send_fds(self.gate, [json.dumps(reply).encode()], [theirs.fileno()])
                theirs.close()
                return ours

    def end(self):
        """Asks it to stop, then insists; collects it in any case."""
        try:
            self.tell({"do": "stop"})
        except OSError:
            pass
        deadline = time.monotonic() + 5
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                os.kill(self.pid, 9)
                os.waitpid(self.pid, 0)
                break
            time.sleep(0.01)
        for channel in (self.control, self.gate, self.rpc):
            channel.close()


def tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    for end in (near, far):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far


def feed(sink, file, total):
    """Writes what the file holds again and again, as QEMU its pages, until `total` bytes are gone."""
    size = os.fstat(file).st_size
    at = 0
    while at < total:
        at += os.sendfile(sink.fileno(), file, at % size, min(PIECE_BYTES, total - at, size - at % size))
    sink.shutdown(socket.SHUT_WR)


def drain(stream):
    """Reads to the end; the number of bytes."""
    piece = bytearray(PIECE_BYTES)
    total = 0
    while got := stream.recv_into(piece):
        total += got
    return total


def cost(movers):
    return [meters.cpu_seconds(mover.pid) for mover in movers]


def carry(program, file, total, least=None, **settings):
    """Carries `total` bytes of a file through two movers as one memory stream, of which at least so many (else all) have to come out: what
    is sent again as it was need not. `settings`: of their start message. Raw figures."""
    folder = tempfile.mkdtemp(prefix="drover-bench-")
    movers, told = [], {}
    try:
        key = secrets.token_bytes(32)
        for role in ("source", "destination"):
            movers.append(Mover(program, role, key, folder, settings))
        for mover, link in zip(movers, tcp_pair()):
            mover.take_link(link)
        for mover in movers:
            mover.hear("event", "link_up")
        source = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        source.connect(f"{folder}/memory")
        before, began = cost(movers), time.monotonic()
        feeder = threading.Thread(target=feed, args=(source, file, total), daemon=True)
        feeder.start()
        arrived = drain(movers[1].serve_open())
        seconds = time.monotonic() - began
        feeder.join(PATIENCE_SECONDS)
        for mover in movers:  # that are still there
            mover.tell({"do": "status"})
            told[mover.role] = mover.hear("reply", "status")
        if not (total if least is None else least) <= arrived <= total:
            raise LabError(f"The movers carried {arrived} of {total} bytes.")
        return {"seconds": seconds, "bytes": total, "wire_bytes": told["source"]["bytes_sent"], "cpu_s": [b - a for a, b in zip(before, cost(movers))],
                "peak_bytes": [meters.memory_bytes(mover.pid, "VmHWM") for mover in movers]}
    finally:
        for mover in movers:
            mover.end()
        shutil.rmtree(folder, ignore_errors=True)
