# SPDX-License-Identifier: Apache-2.0
"""What a probe guest boots: a kernel, an initramfs with the probe in it, and a disk that starts them."""
import functools
import glob
import gzip
import hashlib
import json
import os
import platform
import re
import shutil
import struct
import subprocess
import tempfile
import time

from base import CACHE_DIR, SOURCES, LabError, run

MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "evdev", "button", "efivarfs")
SECTOR = 512
MIB = 1 << 20
BOOT_START, BOOT_SIZE = 1 * MIB, 31 * MIB
RECORDS_START = BOOT_START + BOOT_SIZE
RECORDS_SIZE_BESIDE_SYSTEM = 32 * MIB
GUEST_SOURCES = ("probe.cpp", "sealed.h", "sealed.cpp", "init")
SYSLINUX_MBR = "/usr/lib/syslinux/mbr/mbr.bin"
KVM_TRIAL_SECONDS = 12
FORMER_SECONDS = 86400
# QEMU before 9.0 forgets under TCG to watch a page again once it was copied, for as long as the page's address stays in its
# TLB: a guest that moves then wakes up with stale pages ("physmem: Fix migration dirty bitmap coherency with TCG memory
# access"). With page table isolation the guest drops such addresses at each system call, so hardly a write goes unseen.
KERNEL_OPTIONS = "console=ttyS0 quiet pti=on"


def kernel():
    """The folder of the unpacked cloud kernel: `vmlinuz`, and its modules below `lib`."""
    where = os.path.join(CACHE_DIR, "kernel")
    if os.path.isdir(where):
        return where
    os.makedirs(CACHE_DIR, exist_ok=True)
    depends = run("apt-cache", "depends", "linux-image-cloud-amd64").stdout
    package = re.search(r"Depends: (linux-image-\S+)", depends)
    if not package:
        raise LabError("apt knows no package linux-image-cloud-amd64: run `apt-get update`.")
    with tempfile.TemporaryDirectory(dir=CACHE_DIR) as work:
        os.chmod(work, 0o755)
        run("apt-get", "download", package.group(1), cwd=work)
        unpacked = os.path.join(work, "unpacked")
        run("dpkg", "-x", glob.glob(work + "/*.deb")[0], unpacked)
        version = os.listdir(unpacked + "/lib/modules")[0]
        run("depmod", "-b", unpacked, version)
        os.rename(f"{unpacked}/boot/vmlinuz-{version}", f"{unpacked}/vmlinuz")
        os.rename(unpacked, where)
    return where


def modules(tree):
    """The files of the modules that a guest needs, each after those it depends on."""
    base = glob.glob(tree + "/lib/modules/*")[0]
    depends = {}
    with open(base + "/modules.dep") as file:
        for line in file:
            path, _, rest = line.partition(":")
            depends[path] = rest.split()
    with open(base + "/modules.builtin") as file:
        builtin = {os.path.basename(line.strip()).removesuffix(".ko") for line in file}
    by_name = {os.path.basename(path).removesuffix(".ko").replace("-", "_"): path for path in depends}
    ordered = []

    def add(path):
        for needed in depends[path]:
            add(needed)
        if path not in ordered:
            ordered.append(path)

    for name in MODULES:
        if name in by_name:
            add(by_name[name])
        elif name not in builtin:
            raise LabError(f"The guest kernel has no module {name}: run `lab down --purge`, then try again.")
    return [os.path.join(base, path) for path in ordered]


def cpio(entries):
    """An archive in the format the kernel wants ("newc"): (name, mode, content) each."""
    out = bytearray()
    for number, (name, mode, content) in enumerate([*entries, ("TRAILER!!!", 0, b"")]):
        raw = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(raw), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + raw
        out += b"\0" * (-len(out) % 4) + content
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def build_probe(work):
    run("g++", "-std=c++20", "-O2", "-static", "-pthread", "-Wall", "-Wextra", "-o", work + "/probe",
        SOURCES + "/guest/probe.cpp", SOURCES + "/guest/sealed.cpp")
    run("strip", work + "/probe")
    return read(work + "/probe")


def initramfs(tree, probe):
    """Busybox, the modules, the init script and the probe."""
    if not os.path.exists("/bin/busybox"):
        raise LabError("busybox-static is not installed: install the packages listed in lab/packages.txt.")
    entries = [(name, 0o040755, b"") for name in ("bin", "dev", "proc", "sys", "modules", "etc", "etc/acpi")]
    entries += [("bin/busybox", 0o100755, read("/bin/busybox")), ("bin/sh", 0o120777, b"busybox"),
                ("init", 0o100755, read(SOURCES + "/guest/init")), ("probe", 0o100755, probe)]
    entries += [(f"modules/{number:02}.ko", 0o100644, read(path)) for number, path in enumerate(modules(tree))]
    return gzip.compress(cpio(entries), 6)


def partition_table(records_size, system_size):
    """An MBR with syslinux' boot code, a boot partition (FAT), the partition of the probe's records, and maybe a system's."""
    def entry(active, kind, start, size):
        chs = b"\xfe\xff\xff"
        return bytes([active]) + chs + bytes([kind]) + chs + struct.pack("<II", start // SECTOR, size // SECTOR)

    if not os.path.exists(SYSLINUX_MBR):
        raise LabError("syslinux-common is not installed: install the packages listed in lab/packages.txt.")
    table = entry(0x80, 0x0e, BOOT_START, BOOT_SIZE) + entry(0, 0x83, RECORDS_START, records_size)
    if system_size:
        table += entry(0, 0x83, RECORDS_START + records_size, system_size)
    return read(SYSLINUX_MBR)[:440].ljust(446, b"\0") + table.ljust(64, b"\0") + b"\x55\xaa"


@functools.cache
def base_image():
    """The disk that all probe guests start from, made again whenever something in it changed."""
    tree = kernel()
    digest = hashlib.sha256(os.path.realpath(tree).encode())
    for path in (tree + "/vmlinuz", *(f"{SOURCES}/guest/{name}" for name in GUEST_SOURCES), SOURCES + "/image.py"):
        digest.update(read(path))
    image = os.path.join(CACHE_DIR, f"base-{digest.hexdigest()[:16]}.img")
    if os.path.exists(image):
        return image
    with tempfile.TemporaryDirectory(dir=CACHE_DIR) as work:
        with open(work + "/initrd", "wb") as file:
            file.write(initramfs(tree, build_probe(work)))
        half = work + "/base.img"
        with open(half, "wb") as file:
            file.truncate(RECORDS_START)
        fat = f"{half}@@{BOOT_START}"
        run("mformat", "-i", fat, "-T", BOOT_SIZE // SECTOR, "-H", BOOT_START // SECTOR, "-h", 16, "-s", 63, "::")
        run("mcopy", "-i", fat, tree + "/vmlinuz", "::linux.efi")
        run("mcopy", "-i", fat, work + "/initrd", "::")
        run("syslinux", "--install", "--offset", BOOT_START, half)
        os.rename(half, image)
    for former in glob.glob(CACHE_DIR + "/base-*.img"):
        # Labs of two states of the sources may run side by side, and share this folder.
        if former != image and time.time() - os.path.getmtime(former) > FORMER_SECONDS:
            os.unlink(former)
    return image


def make_raw(path, size, options, system=None):
    """A guest's disk as a raw file: the base, the guest's own settings, room for records, and the system's root if there is one.
    It boots with a BIOS, by syslinux, and with UEFI, by the script that the firmware's shell looks for."""
    if size < RECORDS_START + 2 * MIB:
        raise LabError(f"A probe guest needs a disk of at least {RECORDS_START // MIB + 2} MiB.")
    shutil.copyfile(base_image(), path)
    config = f"DEFAULT l\nPROMPT 0\nTIMEOUT 0\nLABEL l\n LINUX linux.efi\n INITRD initrd\n APPEND {KERNEL_OPTIONS} {options}\n"
    run("mcopy", "-o", "-i", f"{path}@@{BOOT_START}", "-", "::syslinux.cfg", input=config)
    script = f"@echo -off\r\nfs0:\r\nlinux.efi initrd=\\initrd {KERNEL_OPTIONS} {options}\r\n"
    run("mcopy", "-o", "-i", f"{path}@@{BOOT_START}", "-", "::startup.nsh", input=script)
    system_size = size - RECORDS_START - RECORDS_SIZE_BESIDE_SYSTEM if system else 0
    with open(path, "r+b") as file:
        file.write(partition_table(size - RECORDS_START - system_size, system_size))
        file.truncate(size)
    if system:
        run("mke2fs", "-q", "-F", "-t", "ext4", "-d", system, "-E", f"offset={size - system_size}", path, f"{system_size >> 10}k")


def make_disk(path, size, options, system=None):
    """A guest's disk as qcow2. The file appears under its name only when it is whole."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as work:
        make_raw(work + "/raw", size, options, system)
        run("qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", work + "/raw", work + "/qcow2")
        os.rename(work + "/qcow2", path)


@functools.cache
def accelerator():
    """`kvm` if a guest really boots with it on this machine and kernel, else `qemu`; tried once, then remembered."""
    memory = os.path.join(CACHE_DIR, "kvm.json")
    key = platform.release()
    try:
        remembered = json.loads(read(memory))
    except (FileNotFoundError, ValueError):
        remembered = {}
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "qemu"
    if key not in remembered:
        remembered = {key: kvm_boots()}
        with open(memory, "w") as file:
            json.dump(remembered, file)
    return "kvm" if remembered[key] else "qemu"


def kvm_boots():
    """/dev/kvm may be there and yet not run a stock kernel: only a boot tells."""
    with tempfile.TemporaryDirectory(dir=CACHE_DIR) as work:
        make_raw(work + "/disk", RECORDS_START + 8 * MIB, "lab_trial=1")
        log = work + "/console"
        child = subprocess.Popen(["qemu-system-x86_64", "-accel", "kvm", "-machine", "pc-q35-7.2", "-cpu", "qemu64", "-m", "192",
                                  "-display", "none", "-monitor", "none", "-no-reboot", "-serial", "file:" + log,
                                  "-drive", f"file={work}/disk,format=raw,if=virtio"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + KVM_TRIAL_SECONDS
        works = False
        while not works and child.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
            works = os.path.exists(log) and b"drover-lab guest is up" in read(log)
        child.kill()
        child.wait()
    return works
