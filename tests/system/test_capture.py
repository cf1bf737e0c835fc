# SPDX-License-Identifier: Apache-2.0
"""What crosses the move network during a move: nothing of the guest in clear, and nothing but Drover's own ports."""
import re
import socket
import struct
import threading

from product import API_PORT, MOVER_PORT, drop_all, network
from runners import RunnerWatch

MARKER = b"DROVER-LAB-MARKER"
ETHERTYPE_IPV4, ETHERTYPE_ARP, ETHERTYPE_IPV6 = 0x0800, 0x0806, 0x86DD
TCP, IPV6_ICMP = 6, 58
ETH_P_ALL, SO_RCVBUFFORCE, SOL_PACKET, PACKET_STATISTICS = 3, 33, 263, 6


class Tap:
    """Sees every packet of the move network during a `with`: counts markers, and names what is not Drover's."""

    def __init__(self, host="host1"):
        self.bytes = self.markers = 0
        self.strange = set()
        self.stopping = threading.Event()
        with network.inside(network.MOVE_NET):
            self.link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self.link.bind((host, 0))
        self.link.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.link.settimeout(0.1)
        self.thread = threading.Thread(target=self.listen, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        self.missed = struct.unpack("II", self.link.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
        self.link.close()

    def listen(self):
        while True:
            try:
                packet = self.link.recv(1 << 17)
            except TimeoutError:
                if self.stopping.is_set():
                    return
                continue
            self.bytes += len(packet)
            self.markers += packet.count(MARKER)
            stranger = self.stranger(packet)
            if stranger:
                self.strange.add(stranger)

    @staticmethod
    def stranger(packet):
        """What a packet is, if it is neither Drover's nor the small talk of a network."""
        kind = struct.unpack_from(">H", packet, 12)[0]
        if kind == ETHERTYPE_ARP or (kind == ETHERTYPE_IPV6 and packet[20] in (0, IPV6_ICMP)):
            return None
        if kind != ETHERTYPE_IPV4:
            return f"ethertype {kind:#06x}"
        if packet[23] != TCP:
            return f"IP protocol {packet[23]}"
        ports = struct.unpack_from(">HH", packet, 14 + (packet[14] & 15) * 4)
        return None if {API_PORT, MOVER_PORT} & set(ports) else f"TCP ports {ports}"


def listeners(host):
    """What listens on TCP on a host: {(program, port)}."""
    found = set()
    for line in host.run("ss", "-Hltnp").stdout.splitlines():
        program = re.search(r'users:\(\("([^"]*)"', line)
        found.add((program[1] if program else "", int(line.split()[3].rpartition(":")[2])))
    return found


def send_marker(client, server):
    """Sends the marker in clear, to a port that is not Drover's."""
    with network.inside(network.netns_of(server.name)):
        listener = socket.create_server((network.move_address(server.name), 9999))
    with network.inside(network.netns_of(client.name)):
        link = socket.create_connection((network.move_address(server.name), 9999), 10)
    accepted, _ = listener.accept()
    link.sendall(MARKER)
    assert accepted.recv(100) == MARKER
    for one in (link, accepted, listener):
        one.close()


def test_control_a_marker_in_clear_is_seen(lab, pair):
    with Tap() as tap:
        send_marker(*pair)
    assert tap.markers == 1 and any("9999" in stranger for stranger in tap.strange)


def test_nothing_of_the_guest_is_readable_and_nothing_else_is_said(lab, pair):
    host1, host2 = pair
    with lab.guest("host1", "secret", memory=192, disk="128M", fill=16, dirty=8, disk_rate=0.5):
        for source, destination in (pair, pair[::-1]):
            with Tap() as tap, RunnerWatch("secret", host1, host2) as watch:
                move_id = source.start_move("secret", destination.name)
                while source.move(move_id)["state"] == "running":
                    for host in pair:
                        ours = {("droverd", API_PORT), ("droverd", MOVER_PORT)}
                        assert listeners(host) <= ours, f"{host.name} listens: {listeners(host) - ours}"
            assert source.move(move_id)["state"] == "done"
            watch.assert_one_runner(source, destination)
            assert lab.verify("secret")["ok"]
            assert tap.missed == 0, f"{tap.missed} packets were not seen"
            assert tap.bytes > 32 << 20, f"only {tap.bytes} bytes passed: that was no move"
            assert tap.markers == 0, f"{tap.markers} markers of the guest passed in clear"
            assert not tap.strange, f"packets that are not Drover's: {tap.strange}"
        drop_all(*pair)
