# SPDX-License-Identifier: Apache-2.0
"""One file over plain TCP, from within one host into another: what an administrator's copy at its fastest takes, without encryption.

    plain_copy.py receive ADDRESS PORT FILE      # prints "ready", takes one file, and ends
    plain_copy.py send ADDRESS PORT FILE
"""
import os
import socket
import sys

PIECE_BYTES = 1 << 20
LIMIT_SECONDS = 600


def receive(address, port, path):
    with socket.create_server((address, port)) as server:
        server.settimeout(LIMIT_SECONDS)
        print("ready", flush=True)
        connection, _ = server.accept()
    with connection, open(path, "wb") as file:
        connection.settimeout(LIMIT_SECONDS)
        while piece := connection.recv(PIECE_BYTES):
            file.write(piece)
        connection.sendall(b".")  # the last byte is in its page cache, as after scp


def send(address, port, path):
    with socket.create_connection((address, port), LIMIT_SECONDS) as connection, open(path, "rb") as file:
        connection.sendfile(file, 0, os.fstat(file.fileno()).st_size)
        connection.shutdown(socket.SHUT_WR)
        if connection.recv(1) != b".":
            sys.exit("The other side did not take all of it.")


if __name__ == "__main__":
    {"receive": receive, "send": send}[sys.argv[1]](sys.argv[2], int(sys.argv[3]), sys.argv[4])
