# SPDX-License-Identifier: Apache-2.0
"""The lab's networks: the move network between hosts, the guests' LAN, and breaking or shaping the former."""
import contextlib
import ctypes
import os
import re
import socket

from base import PREFIX, LabError, UsageError, run

MOVE_NET, LAN_NET, CLIENT = PREFIX + "move", PREFIX + "lan", PREFIX + "client"
CLIENT_ADDRESS = "10.78.0.250"
NETNS_DIR = "/run/netns"
CLONE_NEWNET = 0x40000000


def move_address(host):
    return f"10.77.0.{int(host.removeprefix('host'))}"


def netns_of(host):
    return PREFIX + host


def netns_inode(name):
    """The namespace's inode, None if there is no such (or only a dead) namespace."""
    path = f"{NETNS_DIR}/{name}"
    try:
        found = os.stat(path)
        # A name whose mount is gone is a plain empty file on the same device as its folder.
        return None if found.st_dev == os.stat(NETNS_DIR).st_dev else found.st_ino
    except FileNotFoundError:
        return None


def lab_namespaces():
    try:
        return sorted(name for name in os.listdir(NETNS_DIR) if name.startswith(PREFIX))
    except FileNotFoundError:
        return []


def remove_namespace(name):
    run("ip", "netns", "delete", name, check=False)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{NETNS_DIR}/{name}")


def ip(name, *words, check=True):
    return run("ip", "-n", name, *words, check=check)


def has_link(name, device):
    return ip(name, "link", "show", "dev", device, check=False).returncode == 0


def ensure_namespace(name):
    if netns_inode(name) is None:
        remove_namespace(name)
        run("ip", "netns", "add", name)
        ip(name, "link", "set", "lo", "up")


def ensure_bridge(name, device):
    if not has_link(name, device):
        ip(name, "link", "add", device, "type", "bridge", "forward_delay", "0")
    ip(name, "link", "set", device, "up")


def ensure_cable(name, device, network, port, bridge):
    """A veth pair from `device` in one namespace to a bridge port in a network's namespace."""
    if not has_link(name, device):
        ip(network, "link", "delete", port, check=False)
        ip(name, "link", "add", device, "type", "veth", "peer", "name", port, "netns", network)
        ip(network, "link", "set", port, "master", bridge, "up")
    ip(name, "link", "set", device, "up")


def ensure_networks():
    """The two bridges and the client; hosts are plugged in by `ensure_host`."""
    for name, bridge in ((MOVE_NET, "move"), (LAN_NET, "lan")):
        if netns_inode(name) is None:
            ensure_namespace(name)
            ensure_bridge(name, bridge)
    ensure_namespace(CLIENT)
    if not has_link(CLIENT, "eth0"):
        ensure_cable(CLIENT, "eth0", LAN_NET, "client", "lan")
        ip(CLIENT, "address", "replace", CLIENT_ADDRESS + "/24", "dev", "eth0")


def ensure_host(host):
    name = netns_of(host)
    ensure_namespace(name)
    if not has_link(name, "move0"):
        ensure_cable(name, "move0", MOVE_NET, host, "move")
        ip(name, "address", "replace", move_address(host) + "/24", "dev", "move0")
    ensure_bridge(name, "br0")
    if not has_link(name, "lan0"):
        ensure_cable(name, "lan0", LAN_NET, host, "lan")
        ip(name, "link", "set", "lan0", "master", "br0")


def shape(hosts, rate):
    """Limits what each host can send; `unlimited` takes the limit away."""
    if rate != "unlimited" and not re.fullmatch(r"[0-9]+(\.[0-9]+)?[kmg]bit", rate):
        raise UsageError(f"'{rate}' is no rate: say for example 100mbit, 1gbit or unlimited.")
    for host in hosts:
        tc = ("tc", "-n", netns_of(host), "qdisc")
        if rate == "unlimited":
            run(*tc, "delete", "dev", "move0", "root", check=False)
        else:
            run(*tc, "replace", "dev", "move0", "root", "tbf", "rate", rate, "burst", "256kb", "latency", "50ms")


def cut(host=None):
    """Breaks the move network in its middle: packets vanish and nobody is told, the worst kind of break."""
    if host:
        ip(MOVE_NET, "link", "set", host, "nomaster")
    else:
        ip(MOVE_NET, "link", "set", "move", "down")


def restore(hosts):
    ip(MOVE_NET, "link", "set", "move", "up")
    for host in hosts:
        ip(MOVE_NET, "link", "set", host, "master", "move")


def link_state(hosts):
    bridge = ip(MOVE_NET, "-o", "link", "show", "dev", "move").stdout
    state = {"up": ",UP" in bridge, "hosts": {}}
    for host in hosts:
        port = ip(MOVE_NET, "-o", "link", "show", "dev", host).stdout
        rate = re.search(r"\brate (\S+)", run("tc", "-n", netns_of(host), "qdisc", "show", "dev", "move0").stdout)
        state["hosts"][host] = {"up": "master move" in port, "rate": rate.group(1).lower() if rate else "unlimited"}
    return state


@contextlib.contextmanager
def inside(name):
    """Enters a network namespace for a moment; sockets made meanwhile stay in it for good."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(descriptor):
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            raise LabError(f"Entering the network {name} failed ({os.strerror(ctypes.get_errno())}): run `lab up` again.")

    try:
        there = os.open(f"{NETNS_DIR}/{name}", os.O_RDONLY)
    except FileNotFoundError:
        raise LabError("The lab is not up: run `lab up` first.") from None
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        enter(there)
        try:
            yield
        finally:
            enter(here)
    finally:
        os.close(there)
        os.close(here)


def connect(address, port, timeout):
    """A TCP connection from the client's place on the guests' LAN."""
    with inside(CLIENT):
        link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        link.settimeout(timeout)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.connect((address, port))
    except OSError:
        link.close()
        raise
    return link
