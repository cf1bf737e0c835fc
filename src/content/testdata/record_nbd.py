#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Records both sides of an NBD connection between two QEMUs' programs, as it happened.

    record_nbd.py OUT [PREFIX...]

Copies a made image of 512 KiB to a server: qemu-img and qemu-nbd, each called as PREFIX NAME. OUT is a list of parts: one
byte, 0 for the client and 1 for the server, be32 length, the bytes. `zstd -19 OUT` makes what the tests read. In the image each
block of 4 KiB holds its number (from 1), written all over it, but every fourth holds zeros.
"""
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

BLOCKS = 128
BLOCK_BYTES = 4096


def image():
    return b"".join(bytes(BLOCK_BYTES) if number % 4 == 0 else struct.pack(">Q", number) * (BLOCK_BYTES // 8)
                    for number in range(1, BLOCKS + 1))


def pump(source, to, direction, parts, lock):
    while piece := source.recv(65536):
        with lock:
            parts.append(struct.pack(">BI", direction, len(piece)) + piece)
            to.sendall(piece)
    to.shutdown(socket.SHUT_WR)


def main():
    out, prefix = sys.argv[1], sys.argv[2:]
    with tempfile.TemporaryDirectory() as folder:
        source, target = pathlib.Path(folder, "source"), pathlib.Path(folder, "target")
        source.write_bytes(image())
        target.write_bytes(bytes(BLOCKS * BLOCK_BYTES))
        server = subprocess.Popen([*prefix, "qemu-nbd", "-f", "raw", "-x", "drive-vda", "-k", f"{folder}/server", target])
        time.sleep(1)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{folder}/relay")
        listener.listen(1)
        client = subprocess.Popen([*prefix, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", source,
                                   f"nbd+unix:///drive-vda?socket={folder}/relay"])
        near, _ = listener.accept()
        far = socket.socket(socket.AF_UNIX)
        far.connect(f"{folder}/server")
        parts, lock = [], threading.Lock()
        threads = [threading.Thread(target=pump, args=(near, far, 0, parts, lock)),
                   threading.Thread(target=pump, args=(far, near, 1, parts, lock))]
        for thread in threads:
            thread.start()
        if client.wait() != 0:
            raise SystemExit("qemu-img failed")
        for thread in threads:
            thread.join()
        server.wait()
        assert target.read_bytes() == image()
    pathlib.Path(out).write_bytes(b"".join(parts))


if __name__ == "__main__":
    main()
