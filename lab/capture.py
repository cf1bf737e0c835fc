# SPDX-License-Identifier: Apache-2.0
"""Listens on the move network and looks for a text, to see whether what a guest holds crosses it in clear."""
import signal
import socket
import struct
import time

import network

ETH_P_ALL = 3
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE = 33


def capture(hosts, text, seconds, on_ready):
    """Counts what passes at the hosts' ports until the time is up or SIGINT or SIGTERM comes."""
    stopped = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.append(1))
    # One port sees all that its host sends and receives; of a network of two, that is everything.
    with network.inside(network.MOVE_NET):
        link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        link.bind((hosts[0], 0))
    link.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    link.settimeout(0.1)
    on_ready()
    wanted, buffer = text.encode(), bytearray(1 << 17)
    packets = size = found = 0
    end = time.monotonic() + seconds if seconds else float("inf")
    while not stopped and time.monotonic() < end:
        try:
            count = link.recv_into(buffer)
        except TimeoutError:
            continue
        packets, size = packets + 1, size + count
        found += buffer.count(wanted, 0, count)
    missed = struct.unpack("II", link.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
    return {"packets": packets, "bytes": size, "missed": missed, "found": found}
