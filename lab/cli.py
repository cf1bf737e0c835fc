# SPDX-License-Identifier: Apache-2.0
"""The lab's command line: each verb in a few lines, the work is done in the modules named by their nouns."""
import glob
import json
import os
import shutil
import signal
import sys

import base
import capture
import disks
import droverd
import faults
import guests
import hosts
import network
import processes
import redis
import relays
import release
import volumes
import watch
from base import LabError, UsageError


def say(result, as_json, text):
    """A result as JSON for programs or as a sentence for people."""
    print(json.dumps(result, ensure_ascii=False) if as_json else text, flush=True)


def need_up():
    if not hosts.known():
        raise UsageError("The lab is not up: run `lab up` first.")


def wanted_releases(words):
    found = {}
    for word in words:
        host, equals, name = word.partition("=")
        if not equals or not host.startswith("host") or not host[4:].isdigit():
            raise UsageError(f"'{word}' is no release of a host: say for example host2=trixie.")
        release.check(name)
        found[host] = name
    return found


def up(options):
    names = [f"host{number}" for number in range(1, options.hosts + 1)]
    releases = wanted_releases(options.release)
    for host in set(releases) - set(names):
        raise UsageError(f"{host} is not among the {options.hosts} hosts: say --hosts {host[4:]} as well.")
    with base.lock():
        there = hosts.known()
        settings = {}
        for host in names:
            settings[host] = there.get(host) or {
                "release": releases.get(host, release.OWN), "root_qemu": options.root_qemu, "faults": options.faults,
                "disk_bytes": guests.size(options.disks) if options.disks else 0}
            if settings[host]["release"] != releases.get(host, settings[host]["release"]):
                raise UsageError(f"{host} is already up with another release: run `lab down` first.")
        base.make_lab_dir()
        os.makedirs(base.CACHE_DIR, exist_ok=True)
        hosts.ensure_mount_points()
        network.ensure_networks(options.move_networks)
        for host in names:
            release.ensure_root(settings[host]["release"])
            os.makedirs(hosts.host_dir(host), exist_ok=True)
            hosts.remember(host, settings[host])
        hosts.write_names(list(hosts.known()))
        for host in there:
            network.ensure_host(host)
        for host in names:
            hosts.boot(host, settings[host])
            if options.libvirt_tcp:
                relays.libvirt_tcp(host, True)
        if not options.no_drover and all([droverd.start_droverd(host) for host in names]) and not options.no_pair:
            droverd.pair(names)
    return status(options)


def down(options):
    """Works from any half state: it looks for namespaces and processes, not for what the lab believes to have made."""
    with base.lock():
        for name in network.lab_namespaces():
            processes.kill_members(lambda: hosts.members(name.removeprefix(base.PREFIX)))
        for name in network.lab_namespaces():
            network.remove_namespace(name)
        for folder in glob.glob(glob.escape(base.LAB_DIR) + "/hosts/*"):
            volumes.release(folder)
            disks.release(folder)
        base.remove_lab_dir()
        if options.purge:
            hosts.remove_mount_points()
            shutil.rmtree(base.CACHE_DIR, ignore_errors=True)
    return 0


def status(options):
    there = hosts.known()
    result = {"up": bool(there), "hosts": {}, "guests": {}}
    for host, settings in there.items():
        on = hosts.holder(host) is not None
        result["hosts"][host] = {
            **settings, "on": on, "address": network.move_address(host), "droverd": droverd.describe(host)["running"],
            "libvirtd": processes.read_pid(hosts.pid_file(host, "libvirtd")) is not None, "folder": hosts.host_dir(host)}
    for name, guest in base.load("guests", {}).items():
        result["guests"][name] = {"address": guest["address"], "uuid": guest["uuid"], "states": guests.states(guest)}
    if there and network.netns_inode(network.MOVE_NET):
        result["link"] = network.link_state(there)
    lines = [f"{host}: {'on' if now['on'] else 'off'}, {now['address']}, release {now['release']}, libvirtd "
             f"{'runs' if now['libvirtd'] else 'does not run'}, droverd {'runs' if now['droverd'] else 'does not run'}"
             for host, now in result["hosts"].items()]
    lines += [f"guest {name}: {now['address']}, " + (", ".join(f"{state} on {host}" for host, state in now["states"].items())
                                                    or "nowhere") for name, now in result["guests"].items()]
    say(result, options.json, "\n".join(lines) or "The lab is down.")
    return 0


def run_in_place(command, env):
    """Becomes the command, so that its signals and exit code are the caller's."""
    sys.stdout.flush()
    try:
        os.execvpe(command[0], command, env)
    except FileNotFoundError:
        raise LabError(f"There is no program {command[0]}.") from None


def exec_(options):
    hosts.need(options.host)
    command = options.command or [os.environ.get("SHELL", "/bin/sh")]
    run_in_place(hosts.inside(options.host, command), hosts.environment(droverd.binaries()))


def volumes_(options):
    hosts.need(options.host)
    with base.lock():
        loop = volumes.ensure(options.host, guests.size(options.size))
    say({"pool": volumes.POOL, "device": loop}, options.json, f"{options.host} has the pool {volumes.POOL} of partitions of {loop}")
    return 0


def client(options):
    need_up()
    command = options.command or [os.environ.get("SHELL", "/bin/sh")]
    run_in_place(["nsenter", f"--net={network.NETNS_DIR}/{network.CLIENT}", "--", *command],
                 hosts.environment(droverd.binaries()))


def guest(options):
    if options.remove:
        if options.name:
            raise UsageError("Say only the guest's name: `lab guest --remove NAME`.")
        guests.remove(options.host_or_name)
        return 0
    if not options.name:
        raise UsageError("Say host and name: `lab guest HOST NAME`.")
    if options.redis is not None:
        result = redis.create(options.host_or_name, options.name, options.redis)
    else:
        result = guests.create(options.host_or_name, options.name, options)
    say(result, options.json, f"{result['name']} answers at {result['address']}.")
    return 0


def verify(options):
    need_up()
    result = guests.verify(options.name, options.reboot_allowed)
    say(result, options.json, f"{options.name}: " + ("every record is right." if result["ok"] else result["error"] + "."))
    return 0 if result["ok"] else 1


def ask(options):
    need_up()
    print(guests.tell(options.name, f"{options.question} {options.secret}".strip()))
    return 0


def watch_(options):
    need_up()
    result = watch.watch(options.name, options.seconds, options.patience,
                         lambda: print("watching", file=sys.stderr, flush=True))
    print(json.dumps(result), flush=True)
    return 0 if result["ok"] else 1


def link(options):
    need_up()
    names = list(hosts.known())
    if options.host:
        hosts.need(options.host)
    where, state = network.link_words(options.words)
    of_hosts = [options.host] if options.host else names
    with base.lock():
        if state == "cut":
            network.cut(options.host, where)
        elif state == "restore":
            network.restore(of_hosts, where)
        elif state:
            network.shape(of_hosts, state, where)
    now = network.link_state(names)
    if options.json or not state:
        print(json.dumps(now))
    return 0


def capture_(options):
    need_up()
    if options.host:
        hosts.need(options.host)
    result = capture.capture([options.host] if options.host else list(hosts.known()), options.find, options.seconds,
                             lambda: print("listening", file=sys.stderr, flush=True))
    print(json.dumps(result), flush=True)
    return 0


def droverd_(options):
    hosts.need(options.host)
    if options.action in ("stop", "restart"):
        droverd.stop_droverd(options.host)
    if options.action == "kill":
        droverd.stop_droverd(options.host, signal.SIGKILL)
    if options.action in ("start", "restart") and not droverd.start_droverd(options.host):
        raise LabError("There is no droverd to start: build Drover, or set DROVER_BIN to the folder of its programs.")
    if options.action == "status" or options.json:
        droverd.report(options.host)
    return 0


def libvirtd(options):
    hosts.need(options.host)
    pid = processes.read_pid(hosts.pid_file(options.host, "libvirtd"))
    if options.action in ("stop", "restart") and pid:
        processes.stop(pid, patience=30)
    if options.action == "kill" and pid:
        processes.send(pid, signal.SIGKILL)
        while processes.read_pid(hosts.pid_file(options.host, "libvirtd")):
            pass
    if options.action in ("start", "restart"):
        hosts.start_libvirtd(options.host, release.root(hosts.known()[options.host]["release"]))
    return 0


def power(options):
    if options.host not in hosts.known():
        hosts.need(options.host)
    with base.lock():
        if options.state == "off":
            hosts.power_off(options.host, options.renumber)
        else:
            hosts.boot(options.host, hosts.known()[options.host])
            if not options.no_drover:
                droverd.start_droverd(options.host)
    return 0


def fault(options):
    hosts.need(options.host)
    folder = hosts.faults_dir(options.host)
    if options.name == "off":
        faults.clear(folder)
        for pid in processes.with_role(hosts.members(options.host), "droverd"):
            processes.send(pid, signal.SIGCONT)
    else:
        faults.put(folder, options.name, options.value or "")
    return 0


def pids(options):
    hosts.need(options.host)
    found = processes.with_role(hosts.members(options.host), options.role)
    if options.signal:
        for pid in found:
            processes.send(pid, getattr(signal, "SIG" + options.signal))
    print(json.dumps(found))
    return 0


def libvirt_tcp(options):
    hosts.need(options.host)
    relays.libvirt_tcp(options.host, options.state == "on")
    return 0


def rpc_relay(options):
    hosts.need(options.host)
    return relays.command(options)


def main(words):
    try:
        import arguments
        options = arguments.parser().parse_args(words)
        base.need_root()
        return options.run(options)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1
