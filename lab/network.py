# SPDX-License-Identifier: Apache-2.0
"""The lab's networks: the move networks between hosts, the guests' LAN, and breaking or shaping the former."""
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
MOVE_NETWORKS_MAX = 4


def move_address(host, number=0):
    """A host's address on the move network `move<number>`; each has a subnet of its own."""
    return f"10.77.{number}.{int(host.removeprefix('host'))}"


def bridge_of(number):
    return f"move{number or ''}"


def port_of(host, number):
    return f"{host}.{number}" if number else host


def move_networks():
    """The numbers of the move networks that are there."""
    return [number for number in range(MOVE_NETWORKS_MAX) if has_link(MOVE_NET, bridge_of(number))]


def number_of(name):
    """The number of a move network by its name, that of its device in each host; a name that is none is wrong use."""
    for number in move_networks():
        if name == f"move{number}":
            return number
    raise UsageError(f"There is no move network {name}: there are {', '.join(f'move{n}' for n in move_networks())} "
                     "(`lab up --move-networks 2` makes a second one).")


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


def ensure_networks(count=1):
    """The bridges and the client; hosts are plugged in by `ensure_host`. A move network that is there stays."""
    for name, bridges in ((MOVE_NET, [bridge_of(number) for number in range(count)]), (LAN_NET, ["lan"])):
        ensure_namespace(name)
        for bridge in bridges:
            # One that is there may be cut: it is left so.
            if not has_link(name, bridge):
                ensure_bridge(name, bridge)
    ensure_namespace(CLIENT)
    if not has_link(CLIENT, "eth0"):
        ensure_cable(CLIENT, "eth0", LAN_NET, "client", "lan")
        ip(CLIENT, "address", "replace", CLIENT_ADDRESS + "/24", "dev", "eth0")


def ensure_host(host):
    name = netns_of(host)
    ensure_namespace(name)
    for number in move_networks():
        device = f"move{number}"
        if not has_link(name, device):
            ensure_cable(name, device, MOVE_NET, port_of(host, number), bridge_of(number))
            ip(name, "address", "replace", move_address(host, number) + "/24", "dev", device)
    ensure_bridge(name, "br0")
    if not has_link(name, "lan0"):
        ensure_cable(name, "lan0", LAN_NET, host, "lan")
        ip(name, "link", "set", "lan0", "master", "br0")


def shape(hosts, rate, networks=None):
    """Limits what each host can send on each of the networks (numbers; all); `unlimited` takes the limit away."""
    if rate != "unlimited" and not re.fullmatch(r"[0-9]+(\.[0-9]+)?[kmg]bit", rate):
        raise UsageError(f"'{rate}' is no rate: say for example 100mbit, 1gbit or unlimited.")
    for host in hosts:
        for number in chosen(networks):
            device = ("dev", f"move{number}", "root")
            tc = ("tc", "-n", netns_of(host), "qdisc")
            if rate == "unlimited":
                run(*tc, "delete", *device, check=False)
            else:
                run(*tc, "replace", *device, "tbf", "rate", rate, "burst", "256kb", "latency", "50ms")


def link_words(words):
    """`[NETWORK] [RATE|cut|restore]` as (numbers or None for all, the state or None to look only)."""
    if len(words) > 2:
        raise UsageError("Say `lab link [NETWORK] [RATE|cut|restore]`.")
    named = words[0] if words and re.fullmatch(r"move[0-9]+", words[0]) else None
    rest = words[1:] if named else words
    if len(rest) > 1:
        raise UsageError(f"'{words[0]}' is no move network: say for example move0.")
    return [number_of(named)] if named else None, rest[0] if rest else None


def chosen(networks):
    return move_networks() if networks is None else networks


def cut(host=None, networks=None):
    """Breaks the networks (numbers; all) in their middle: packets vanish and nobody is told, the worst kind of break."""
    for number in chosen(networks):
        if host:
            ip(MOVE_NET, "link", "set", port_of(host, number), "nomaster")
        else:
            ip(MOVE_NET, "link", "set", bridge_of(number), "down")


def restore(hosts, networks=None):
    for number in chosen(networks):
        ip(MOVE_NET, "link", "set", bridge_of(number), "up")
        for host in hosts:
            ip(MOVE_NET, "link", "set", port_of(host, number), "master", bridge_of(number))


def network_state(hosts, number):
    bridge = ip(MOVE_NET, "-o", "link", "show", "dev", bridge_of(number)).stdout
    state = {"up": ",UP" in bridge, "hosts": {}}
    for host in hosts:
        port = ip(MOVE_NET, "-o", "link", "show", "dev", port_of(host, number)).stdout
        qdisc = run("tc", "-n", netns_of(host), "qdisc", "show", "dev", f"move{number}").stdout
        rate = re.search(r"\brate (\S+)", qdisc)
        state["hosts"][host] = {"up": f"master {bridge_of(number)} " in port,
                                "rate": rate.group(1).lower() if rate else "unlimited"}
    return state


def link_state(hosts):
    """`networks`: each by its name; `up` and `hosts` are the first one's."""
    states = {f"move{number}": network_state(hosts, number) for number in move_networks()}
    return {**states["move0"], "networks": states}


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


def forget(address):
    """The client asks anew who has this address: of a guest that is gone, or is back where it was, it would go on for most of a
    minute to ask the old place."""
    ip(CLIENT, "neighbour", "flush", "to", address, "dev", "eth0", check=False)


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
