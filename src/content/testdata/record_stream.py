#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Records what a QEMU writes when it migrates a guest that keeps rewriting its memory.

    record_stream.py OUT [--multifd] -- qemu-system-x86_64 -M pc-i440fx-7.2

The guest is a boot sector: it fills 112 pages, each with content of its own, then writes to all of them without end; every
other write changes nothing. So the stream has several passes with resent pages, changed and unchanged. With --multifd
OUT.0 is the main channel and OUT.1, OUT.2 the others. `zstd -19 OUT` makes what the tests read.
"""
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

FLOPPY_BYTES = 1474560
BOOT_SECONDS = 5
PASSES_SECONDS = 4
MULTIFD_CONNECTIONS = 3  # the main channel and two others

BOOT = bytes.fromhex(
    "31ff fc"           # xor di,di; cld
    "bb0020"            # mov bx,0x2000          the first page's segment
    "8ec3 31ff b90008"  # fill: mov es,bx; xor di,di; mov cx,2048
    "89d8 f3ab"         # mov ax,bx; rep stosw
    "81c30001 81fb0090" # add bx,0x100; cmp bx,0x9000
    "72eb"              # jb fill
    "31ff bb0020"       # again: xor di,di; mov bx,0x2000
    "8ec3 268a05 268805"  # write: mov es,bx; mov al,es:[di]; mov es:[di],al
    "f6c701 7403 26fe05"  # test bh,1; jz over; inc byte es:[di]
    "81c30001 81fb0090" # over: add bx,0x100; cmp bx,0x9000
    "72e6"              # jb write
    "ebdf")             # jmp again


class Qemu:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        self.ask("qmp_capabilities")

    def ask(self, name, **arguments):
        self.process.stdin.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.process.stdin.flush()
        while True:
            said = json.loads(self.process.stdout.readline())
            if "return" in said:
                return said["return"]
            if "error" in said:
                raise SystemExit(said["error"]["desc"])


def receive(connection, path):
    with open(path, "wb") as file:
        while piece := connection.recv(65536):
            file.write(piece)


def accept(listener, out):
    for number in range(MULTIFD_CONNECTIONS):
        connection, _ = listener.accept()
        threading.Thread(target=receive, args=(connection, f"{out}.{number}")).start()


def main():
    split = sys.argv.index("--")
    own, command = sys.argv[1:split], sys.argv[split + 1:]
    out = own[0]
    with tempfile.TemporaryDirectory() as folder:
        floppy = pathlib.Path(folder, "boot.img")
        floppy.write_bytes((BOOT.ljust(510, b"\0") + b"\x55\xaa").ljust(FLOPPY_BYTES, b"\0"))
        qemu = Qemu([*command, "-accel", "tcg", "-m", "8", "-nodefaults", "-display", "none", "-qmp", "stdio",
                     "-drive", f"file={floppy},if=floppy,format=raw,read-only=on"])
        time.sleep(BOOT_SECONDS)
        # So slow, and with so little pause, that it does not end before it is told to.
        qemu.ask("migrate-set-parameters", **{"max-bandwidth": 1500000, "downtime-limit": 1})
        uri = f"exec:cat > {out}"
        if "--multifd" in own:
            qemu.ask("migrate-set-capabilities", capabilities=[{"capability": "multifd", "state": True}])
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(f"{folder}/socket")
            listener.listen(MULTIFD_CONNECTIONS)
            threading.Thread(target=accept, args=(listener, out), daemon=True).start()
            uri = f"unix:{folder}/socket"
        qemu.ask("migrate", uri=uri)
        time.sleep(PASSES_SECONDS)
        qemu.ask("migrate-set-parameters", **{"downtime-limit": 2000})
        while qemu.ask("query-migrate")["status"] not in ("completed", "failed"):
            time.sleep(0.2)
        print(qemu.ask("query-migrate")["status"])
        qemu.ask("quit")


if __name__ == "__main__":
    main()
