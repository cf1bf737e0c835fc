# SPDX-License-Identifier: Apache-2.0
"""Probe guests: defining and booting one, asking it for its proof wherever it runs, removing it."""
import hashlib
import json
import os
import re
import secrets
import time
import uuid
from html import escape

import hosts
import image
import network
import redis_root
import shared_image
from base import LabError, UsageError, load, lock, save

PORT = 7777
BOOT_SECONDS = 90
SUFFIXES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}

DOMAIN = """<domain type='{accelerator}'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>{vcpus}</vcpu>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>{firmware}</os>
  <features><acpi/><apic/></features>
  <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
  <clock offset='utc'/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{disk}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='bridge'>
      <mac address='{mac}'/>
      <source bridge='br0'/>
      <model type='virtio'/>
    </interface>
    <serial type='pty'/>
    <console type='pty'/>
    {tpm}
  </devices>
</domain>
"""
FIRMWARE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
UEFI = ("<loader readonly='yes' type='pflash'>" + FIRMWARE + "</loader>"
        "<nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>/var/lib/libvirt/qemu/nvram/{name}_VARS.fd</nvram>")
TPM = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"


def size(text):
    """Bytes from 512M, 2G and the like."""
    found = re.fullmatch(r"([0-9]+)([KMG]?)(i?B)?", text)
    if not found:
        raise UsageError(f"'{text}' is no size: say for example 512M or 2G.")
    return int(found[1]) * SUFFIXES[found[2]]


def need(name):
    guests = load("guests", {})
    if name not in guests:
        raise UsageError(f"There is no probe guest '{name}': make it with `lab guest HOST NAME`.")
    return guests[name]


def update(name, **changes):
    guests = load("guests", {})
    guests.setdefault(name, {}).update(changes)
    save("guests", guests)
    return guests[name]


def states(guest):
    """Host -> domain state, for each host that knows the guest."""
    found = {}
    for host in hosts.known():
        if hosts.holder(host):
            answer = hosts.virsh(host, "domstate", guest["uuid"], check=False)
            if answer.returncode == 0:
                found[host] = answer.stdout.strip()
    return found


def ask(guest, command, timeout=120.0, connect_timeout=5.0):
    """One question to a probe, from the client's place on the LAN."""
    with network.connect(guest["address"], PORT, connect_timeout) as link:
        link.settimeout(timeout)
        link.sendall(command.encode() + b"\n")
        with link.makefile("r") as answers:
            line = answers.readline()
    if not line.endswith("\n"):
        raise OSError("the connection ended")
    return line.strip()


def answering(guest, patience):
    """Waits until the probe, which was just started, answers; gives its boot id."""
    network.forget(guest["address"])
    end = time.monotonic() + patience
    while True:
        try:
            return ask(guest, "ping 0", timeout=2.0, connect_timeout=0.5).split()[2]
        except OSError as error:
            if time.monotonic() > end:
                raise LabError(f"The guest at {guest['address']} does not answer ({error}): see its state with "
                               "`lab exec HOST virsh list --all`.") from None
            time.sleep(0.05)


def free_address(guests):
    taken = {guest["address"] for guest in guests.values()}
    for last in range(10, 250):
        if f"10.78.0.{last}" not in taken:
            return f"10.78.0.{last}"
    raise LabError("The guests' LAN is full: remove a guest with `lab guest --remove NAME`.")


def register(host, name, options):
    """Gives a new guest its identity, kept in the lab's memory before anything of it exists."""
    if not name or "/" in name or any(ord(char) < 32 for char in name):
        raise UsageError("A guest's name cannot be empty or hold a slash or a control character: choose another.")
    digest = hashlib.sha256(name.encode()).digest()
    shared = getattr(options, "image", None)
    return update(name, uuid=str(uuid.uuid4()), address=free_address(load("guests", {})), seed=secrets.randbits(60),
                  mac="52:54:00:" + ":".join(f"{byte:02x}" for byte in digest[:3]), boot=None, host=host,
                  disk=f"{options.folder}/{name}.qcow2", memory=options.memory, vcpus=options.vcpus,
                  uefi=getattr(options, "uefi", False), tpm=getattr(options, "tpm", False),
                  size=shared_image.disk_size(shared) if shared else size(options.disk), image=shared,
                  settings={"dirty": options.dirty, "compressible": options.compressible, "fill": options.fill,
                            "disk_rate": options.disk_rate, "records": options.records,
                            **({"system": shared_image.SYSTEM} if shared else {"system": options.system} if options.system else {})})


def define(host, name, guest):
    """Makes the guest's disk and defines it."""
    disk = hosts.outside(host, guest["disk"])
    if not os.path.exists(disk):
        os.makedirs(os.path.dirname(disk), exist_ok=True)
        words = {"address": guest["address"], "seed": guest["seed"], **guest["settings"]}
        options = " ".join(f"lab_{key}={value}" for key, value in words.items())
        if guest.get("image"):
            shared_image.make_disk(disk, guest["image"], options)
        else:
            image.make_disk(disk, guest["size"], options, redis_root.root() if "system" in guest["settings"] else None)
    xml = DOMAIN.format(accelerator=image.accelerator(), name=escape(name), uuid=guest["uuid"], memory=guest["memory"],
                        vcpus=guest["vcpus"], firmware=UEFI.format(name=escape(name)) if guest.get("uefi") else "",
                        tpm=TPM if guest.get("tpm") else "", disk=escape(guest["disk"]), mac=guest["mac"])
    hosts.run_inside(host, "virsh", "-q", "define", "/dev/stdin", input=xml)


def create(host, name, options):
    """`lab guest HOST NAME`: afterwards the guest runs on some host and answers."""
    hosts.need(host)
    with lock():
        guest = load("guests", {}).get(name) or register(host, name, options)
        where = states(guest)
        if not where:
            define(host, name, guest)
            where = {host: "shut off"}
        started = not any(state != "shut off" for state in where.values())
        if started:
            hosts.virsh(host if host in where else next(iter(where)), "start", guest["uuid"])
    boot = answering(guest, BOOT_SECONDS)
    with lock():
        if started or guest["boot"] is None:
            guest = update(name, boot=boot)
    return {"name": name, "uuid": guest["uuid"], "address": guest["address"], "disk": guest["disk"], "boot": boot,
            "states": states(guest)}


def remove(name):
    """Takes a guest away from every host, with its disk."""
    with lock():
        guests = load("guests", {})
        guest = guests.get(name)
        if guest is None:
            return
        for host in states(guest):
            hosts.virsh(host, "destroy", guest["uuid"], check=False)
            hosts.virsh(host, "undefine", guest["uuid"], "--nvram", "--managed-save", "--snapshots-metadata",
                        "--checkpoints-metadata", check=False)
        for host in hosts.known():
            path = hosts.outside(host, guest["disk"])
            if os.path.exists(path):
                os.unlink(path)
        del guests[name]
        save("guests", guests)


def verify(name, reboot_allowed=False):
    """Asks the guest to prove its records, and the hosts that it runs exactly once."""
    guest = need(name)
    where = states(guest)
    running = [host for host, state in where.items() if state == "running"]
    result = {"name": name, "ok": False, "states": where, "error": ""}
    try:
        result |= json.loads(ask(guest, "verify"))
    except (OSError, ValueError) as error:
        return {**result, "ok": False, "error": f"the guest does not answer on the LAN ({error})"}
    faults = [f"{part}: {result[part]['bad']} of {result[part]['records']} records are bad, first: {result[part]['first']}"
              for part in ("memory", "disk", "adopted") if result[part]["bad"]]
    if len(running) != 1:
        faults.insert(0, f"it runs on {len(running)} hosts ({', '.join(running) or 'none'})")
    if result["boot"] != guest["boot"] and not reboot_allowed:
        faults.insert(0, "it was booted again since it was made")
    return {**result, "ok": not faults, "error": "; ".join(faults)}


def tell(name, command):
    """Gives a probe one of its other commands: stats, seal, unseal, corrupt-page, corrupt-block."""
    try:
        return ask(need(name), command)
    except OSError as error:
        raise LabError(f"The guest '{name}' does not answer ({error}).") from None
