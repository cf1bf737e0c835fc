# SPDX-License-Identifier: Apache-2.0
"""Starting and steering relays: other ways into a host's libvirt than its own socket, and the harm done on them.

The relays run in the host's network and UTS namespaces but see the machine's files, for they also act on the whole lab.
"""
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import hosts
import network
import processes
import rules
from base import SOURCES, LabError, UsageError

LIBVIRT_TCP_PORT = 16509


def file(host, name, kind):
    return os.path.join(hosts.host_dir(host), f"relay-{name}.{kind}")


def read_status(host, name):
    try:
        with open(file(host, name, "json")) as status:
            return json.load(status)
    except FileNotFoundError:
        return {}


def start(host, name, config):
    """Starts a relay process and waits until it listens."""
    if processes.read_pid(file(host, name, "pid")):
        raise UsageError(f"A relay '{name}' already runs on {host}: stop it first, or give another --name.")
    config |= {"host": host, "status": file(host, name, "json")}
    if os.path.exists(config["status"]):
        os.unlink(config["status"])
    with open(file(host, name, "log"), "ab") as log:
        child = subprocess.Popen(
            ["nsenter", "--target", str(hosts.holder(host)), "--net", "--uts", "--", sys.executable,
             os.path.join(SOURCES, "relay.py"), json.dumps(config)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    processes.write_pid(file(host, name, "pid"), child.pid)
    end = time.monotonic() + 10
    while not read_status(host, name):
        if child.poll() is not None or time.monotonic() > end:
            raise LabError(f"The relay on {host} did not start: read {file(host, name, 'log')}.")
        time.sleep(0.01)


def stop(host, name):
    pid = processes.read_pid(file(host, name, "pid"))
    if pid:
        processes.stop(pid)
    for path in glob.glob(glob.escape(os.path.join(hosts.host_dir(host), f"relay-{name}.")) + "*"):
        if not path.endswith(".log"):
            os.unlink(path)


def libvirt_tcp(host, on):
    """libvirt's RPC on the move network, unprotected, for moves by libvirt alone: `qemu+tcp://HOST/system`. libvirtd itself
    goes on without a network port; memory and disks do not pass here."""
    running = processes.read_pid(file(host, "tcp", "pid"))
    if on and not running:
        start(host, "tcp", {"listen": [network.move_address(host), LIBVIRT_TCP_PORT], "rules": [], "every": False,
                            "upstream": hosts.outside(host, hosts.LIBVIRT_SOCKET)})
    elif not on:
        stop(host, "tcp")


def where_to_listen(host, text):
    """A socket path of the host as seen from outside, or for tcp:PORT an address on the move network."""
    if text.startswith("tcp:") and text[4:].isdigit():
        return [network.move_address(host), int(text[4:])]
    path = hosts.outside(host, text)
    if len(path.encode()) > 107:
        raise UsageError(f"The socket path {text} is too long: choose a shorter one.")
    return path


def start_rpc(options):
    if len(options.at) != len(options.do):
        raise UsageError("Each --at needs one --do: say for example --at finish:reply:before --do hold.")
    listen = where_to_listen(options.host, options.listen)
    parsed = [rules.parse(at, do) for at, do in zip(options.at, options.do)]
    for rule in parsed:
        for _, role, host in rule["actions"]:
            if host:
                hosts.need(host)
    start(options.host, options.name, {"listen": listen, "upstream": hosts.outside(options.host, options.upstream),
                                       "rules": parsed, "every": options.every})
    if isinstance(listen, str):
        shutil.chown(listen, "root", "libvirt")
        os.chmod(listen, 0o770)


def describe(host, name):
    pid = processes.read_pid(file(host, name, "pid"))
    return {"running": pid is not None, "pid": pid, **read_status(host, name)}


def wait(options):
    """Waits until a rule has been obeyed: the one named with --at, else any."""
    place = options.at[0] if options.at else ""
    end = time.monotonic() + options.timeout
    while True:
        status = describe(options.host, options.name)
        if any(entry["rule"].startswith(place) for entry in status.get("done", [])):
            return status
        if not status["running"]:
            raise LabError(f"There is no relay '{options.name}' on {options.host}: start one first.")
        if time.monotonic() > end:
            raise LabError(f"Nothing happened at the relay within {options.timeout} s.")
        time.sleep(0.01)


def command(options):
    """`lab rpc-relay HOST start|release|status|wait|stop`."""
    if options.action == "start":
        start_rpc(options)
    elif options.action == "stop":
        stop(options.host, options.name)
    elif options.action == "wait":
        print(json.dumps(wait(options)))
    elif options.action == "status":
        print(json.dumps(describe(options.host, options.name)))
    elif options.action == "release":
        pid = processes.read_pid(file(options.host, options.name, "pid"))
        if not pid:
            raise LabError(f"There is no relay '{options.name}' on {options.host}: start one first.")
        processes.send(pid, signal.SIGUSR1)
    return 0
