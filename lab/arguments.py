# SPDX-License-Identifier: Apache-2.0
"""What may be said to the lab."""
import argparse
import signal

import cli
import faults
import network
import processes


def number(least, most=None):
    def check(text):
        value = float(text)
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"{text} is not between {least} and {most or 'any'}")
        return int(value) if value == int(value) else value
    return check


class Verbs:
    def __init__(self, parser):
        self.sub = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def add(self, name, run, text):
        verb = self.sub.add_parser(name, help=text, description=text)
        verb.add_argument("--json", action="store_true", help="report as JSON")
        verb.set_defaults(run=run)
        return verb


def parser():
    top = argparse.ArgumentParser(prog="lab", description="Several libvirt hosts on one machine, to test Drover on.")
    verbs = Verbs(top)
    add_hosts(verbs)
    add_guests(verbs)
    add_faults(verbs)
    return top


def add_hosts(verbs):
    up = verbs.add("up", cli.up, "make the lab, or whatever of it is missing")
    up.add_argument("--hosts", type=number(1, 200), default=2, metavar="N")
    up.add_argument("--move-networks", type=number(1, network.MOVE_NETWORKS_MAX), default=1, metavar="N",
                    help="how many networks join the hosts; 2 adds move1, 10.77.1.0/24")
    up.add_argument("--release", action="append", default=[], metavar="HOST=RELEASE", help="for example host2=trixie")
    up.add_argument("--root-qemu", action="store_true", help="run QEMU as root, without ownership labels")
    up.add_argument("--disks", metavar="SIZE", help="each host keeps its folders on a disk of its own, ext4 of that size")
    up.add_argument("--faults", action="store_true", help="make `lab fault` work: preload a library into the daemons")
    up.add_argument("--no-drover", action="store_true", help="start no droverd")
    up.add_argument("--no-pair", action="store_true", help="start droverd but do not introduce the hosts to each other")
    up.add_argument("--libvirt-tcp", action="store_true", help="libvirt also listens on the move network, unprotected")
    down = verbs.add("down", cli.down, "remove the lab, whatever state it is in")
    down.add_argument("--purge", action="store_true", help="remove the caches as well")
    verbs.add("status", cli.status, "say what runs where")
    exec_ = verbs.add("exec", cli.exec_, "run a command within a host")
    exec_.add_argument("host")
    exec_.add_argument("command", nargs=argparse.REMAINDER)
    volumes = verbs.add("volumes", cli.volumes_, "give a host a pool of block devices, `blocks`: partitions of a loop device")
    volumes.add_argument("host")
    volumes.add_argument("--size", default="1G", metavar="SIZE", help="of the device, on a sparse file")
    client = verbs.add("client", cli.client, "run a command on the guests' LAN")
    client.add_argument("command", nargs=argparse.REMAINDER)
    droverd = verbs.add("droverd", cli.droverd_, "start or stop a host's droverd")
    droverd.add_argument("host")
    droverd.add_argument("action", choices=["start", "stop", "kill", "restart", "status"])
    libvirtd = verbs.add("libvirtd", cli.libvirtd, "start or stop a host's libvirtd")
    libvirtd.add_argument("host")
    libvirtd.add_argument("action", choices=["start", "stop", "kill", "restart"])
    tcp = verbs.add("libvirt-tcp", cli.libvirt_tcp, "let a host's libvirt be reached by qemu+tcp on the move network")
    tcp.add_argument("host")
    tcp.add_argument("state", choices=["on", "off"])


def add_guests(verbs):
    guest = verbs.add("guest", cli.guest, "define and boot a probe guest, or remove it")
    guest.add_argument("--remove", action="store_true")
    guest.add_argument("host_or_name", metavar="HOST")
    guest.add_argument("name", nargs="?", metavar="NAME")
    guest.add_argument("--memory", type=number(96), default=256, metavar="MIB")
    guest.add_argument("--vcpus", type=number(1), default=1, metavar="N")
    guest.add_argument("--disk", default="512M", metavar="SIZE")
    guest.add_argument("--folder", default="/var/lib/libvirt/images", help="where its disk lies within the host")
    guest.add_argument("--dirty", type=number(0), default=2, metavar="MIB_PER_S", help="memory changed each second")
    guest.add_argument("--compressible", type=number(0, 100), default=50, metavar="PERCENT")
    guest.add_argument("--fill", type=number(1), default=32, metavar="MIB", help="how much of the disk holds records")
    guest.add_argument("--records", type=number(0), default=0, metavar="MIB", help="how much of its memory holds records "
                       "(default: half)")
    guest.add_argument("--redis", type=number(0), metavar="WRITES_PER_S", help="a Debian of 1 GiB with a full Redis under write "
                       "load instead, from its saved warm state")
    guest.add_argument("--image", type=number(16), metavar="MIB", help="made from an image with so much of this machine's "
                       "programs, the same for all such guests; its size decides, not --disk, and --fill is at most 30")
    guest.add_argument("--uefi", action="store_true", help="boots by UEFI (package ovmf), with variables of its own")
    guest.add_argument("--tpm", action="store_true", help="with an emulated TPM (package swtpm)")
    guest.set_defaults(system=None)
    guest.add_argument("--disk-rate", type=number(0), default=0.25, metavar="MIB_PER_S", help="disk changed each second")
    verify = verbs.add("verify", cli.verify, "ask a probe guest to prove its memory and disk")
    verify.add_argument("name")
    verify.add_argument("--reboot-allowed", action="store_true", help="a guest that was booted again is fine")
    ask = verbs.add("ask", cli.ask, "give a probe a command: stats, seal SECRET, unseal, or for tests corrupt-page and "
                    "corrupt-block")
    ask.add_argument("name")
    ask.add_argument("question", choices=["stats", "seal", "unseal", "corrupt-page", "corrupt-block"])
    ask.add_argument("secret", nargs="?", default="", help="for its TPM to seal")
    watch = verbs.add("watch", cli.watch_, "measure the longest silence of a guest on one TCP connection")
    watch.add_argument("name")
    watch.add_argument("--seconds", type=number(0.1), default=None)
    watch.add_argument("--patience", type=number(0.1), default=60, help="a silence of so many seconds is a lost connection")


def add_faults(verbs):
    link = verbs.add("link", cli.link, "shape (100mbit, 1gbit, unlimited), cut or restore a move network, or all of them")
    link.add_argument("words", nargs="*", metavar="[NETWORK] RATE|cut|restore", help="NETWORK: move0 or move1; without it: all")
    link.add_argument("--host", help="only this host's end")
    capture = verbs.add("capture", cli.capture_, "listen on the move network and count where a text passes in clear")
    capture.add_argument("--find", default="DROVER-LAB-MARKER", metavar="TEXT")
    capture.add_argument("--host", help="listen at this host's port, not at host1's")
    capture.add_argument("--seconds", type=number(0.1), default=None)
    power = verbs.add("power", cli.power, "take a host's power away, or boot it again")
    power.add_argument("host")
    power.add_argument("state", choices=["off", "on"])
    power.add_argument("--no-drover", action="store_true", help="start no droverd")
    power.add_argument("--renumber", action="store_true", help="off: the host's own disk comes back as a device of another number")
    fault = verbs.add("fault", cli.fault, "put a fault into the daemons of a host (made with `up --faults`)")
    fault.add_argument("host")
    fault.add_argument("name", choices=[*faults.NAMES, "off"], help="off: none any more, and droverd goes on")
    fault.add_argument("value", nargs="?", help="a text of droverd's journal, the end of a path, or seconds")
    pids = verbs.add("pids", cli.pids, "the processes of a host that play a role, and signalling them")
    pids.add_argument("host")
    pids.add_argument("role", choices=sorted(processes.ROLES))
    pids.add_argument("--signal", choices=[name.name.removeprefix("SIG") for name in signal.Signals])
    add_relay(verbs)


def add_relay(verbs):
    relay = verbs.add("rpc-relay", cli.rpc_relay, "sit between a drover gate and its libvirtd and do harm at a named call")
    relay.add_argument("host")
    relay.add_argument("action", choices=["start", "release", "status", "wait", "stop"])
    relay.add_argument("--name", default="relay", help="several relays on one host need names")
    relay.add_argument("--listen", default="/run/libvirt/relay-sock", metavar="SOCKET|tcp:PORT")
    relay.add_argument("--upstream", default="/run/libvirt/libvirt-sock", metavar="SOCKET")
    relay.add_argument("--at", action="append", default=[], metavar="CALL:request|reply:before|after",
                       help="for example finish:reply:before; CALL is a name or a procedure number")
    relay.add_argument("--do", action="append", default=[], metavar="ACTION",
                       help="for the --at of the same rank: hold, drop, close, cut, kill:ROLE@HOST or stop:ROLE@HOST, "
                            "several with commas")
    relay.add_argument("--every", action="store_true", help="do it each time, not only the first")
    relay.add_argument("--timeout", type=number(0), default=60, help="how long `wait` waits")
