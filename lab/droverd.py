# SPDX-License-Identifier: Apache-2.0
"""Drover on the lab's hosts: its configuration, its daemon, and introducing the hosts to each other."""
import glob
import json
import os
import re
import signal
import socket
import time

import hosts
import network
import processes
from base import REPO, LabError, load, run, save, write_file

CONFIG = "/etc/drover/droverd.toml"
SOCKET = "/run/drover/drover.sock"


def binaries():
    """The folder of Drover's programs: DROVER_BIN, or the newest build of this source tree, or None."""
    if os.environ.get("DROVER_BIN"):
        return os.path.realpath(os.environ["DROVER_BIN"])
    built = glob.glob(os.path.join(glob.escape(REPO), "build", "*", "bin", "droverd"))
    return os.path.dirname(max(built, key=os.path.getmtime)) if built else None


def ensure_config(host):
    """Writes the least that droverd needs; a configuration that is there stays, tests change it."""
    path = hosts.outside(host, CONFIG)
    if not os.path.exists(path):
        write_file(path, f'name = "{host}"\nadvertise-address = "{network.move_address(host)}"\n'
                         'libvirt-uri = "qemu:///system"\n')


def running(host):
    return processes.read_pid(hosts.pid_file(host, "droverd"))


def start_droverd(host):
    """Starts a host's droverd unless it runs. Answers whether there is a droverd to run."""
    folder = binaries()
    if folder is None:
        return False
    ensure_config(host)
    if running(host) is None:
        hosts.spawn(host, "droverd", [os.path.join(folder, "droverd"), "--config", CONFIG],
                    env=hosts.daemon_environment(host, folder))
        wait_for_socket(host)
    return True


def wait_for_socket(host):
    """droverd is up once it answers on its socket."""
    log = f"{hosts.host_dir(host)}/droverd.log"
    end = time.monotonic() + 20
    while True:
        with socket.socket(socket.AF_UNIX) as link:
            try:
                return link.connect(hosts.outside(host, SOCKET))
            except OSError:
                pass
        if running(host) is None:
            raise LabError(f"droverd on {host} ended at once: read {log}.")
        if time.monotonic() > end:
            raise LabError(f"droverd on {host} does not listen on {SOCKET}: read {log}.")
        time.sleep(0.02)


def stop_droverd(host, number=signal.SIGTERM):
    """Ends droverd alone; gates and movers go on, as they do on a real host."""
    pid = running(host)
    if pid is not None and number == signal.SIGKILL:
        processes.send(pid, signal.SIGKILL)
        while running(host) is not None:
            time.sleep(0.01)
    elif pid is not None:
        processes.stop(pid, patience=30)


def drover(host, *words, check=True):
    return run(*hosts.inside(host, ["drover", *words]), env=hosts.environment(binaries()), check=check)


def until(patience, attempt):
    """Tries again until it works: a daemon that was just started may not answer yet."""
    end = time.monotonic() + patience
    while True:
        try:
            return attempt()
        except LabError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def introduce(inviting, joining):
    """`drover host invite` on one side prints the line to run on the other."""
    said = until(20, lambda: drover(inviting, "host", "invite")).stdout
    line = re.search(r"drover host add (\S+) (\S+)", said)
    if not line:
        raise LabError(f"`drover host invite` on {inviting} printed no line `drover host add ADDRESS CODE`.")
    drover(joining, "host", "add", *line.groups(), "--name", inviting)


def pair(names):
    """Introduces all hosts to each other, once."""
    done = load("paired", [])
    for index, inviting in enumerate(names):
        for joining in names[index + 1:]:
            if [inviting, joining] not in done:
                introduce(inviting, joining)
                done.append([inviting, joining])
                save("paired", done)


def describe(host):
    return {"running": running(host) is not None, "pid": running(host)}


def report(host):
    print(json.dumps({"host": host, **describe(host)}))
