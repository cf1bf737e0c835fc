# SPDX-License-Identifier: Apache-2.0
"""Guests that were made from one image: the machine's own programs in a file system, copied for each guest and then its own. What
they hold beside that, in memory and on disk, differs from guest to guest: the probe's records do."""
import glob
import hashlib
import os
import shutil
import tempfile

import image
from base import CACHE_DIR, SOURCES, LabError, run

SYSTEM = "image"  # what starts it within is /lab/image-start
TOPS = ("/usr/bin", "/usr/lib")
SMALLEST, LARGEST = 16 << 10, 8 << 20  # bytes of a file that counts
FOLDERS = ("bin", "data", "dev", "lab", "proc", "run", "sys")
MIB = image.MIB
SMALLEST_SYSTEM_MIB = 520  # mke2fs gives smaller file systems blocks of 1 KiB, as no server's disk has them


def start_script():
    return os.path.join(SOURCES, "guest", "image-start")


def programs(mib):
    """Files of this machine, always the same ones, that together have so many MiB."""
    found, total = [], 0
    for top in TOPS:
        for folder, folders, names in os.walk(top):
            folders.sort()
            for path in (os.path.join(folder, name) for name in sorted(names)):
                if os.path.islink(path) or not os.path.isfile(path) or not SMALLEST <= os.path.getsize(path) <= LARGEST:
                    continue
                found.append(path)
                total += os.path.getsize(path)
                if total >= mib * MIB:
                    return found
    raise LabError(f"This machine has only {total // MIB} MiB of programs: make the guests with a smaller --image.")


def disk_size(mib):
    """Of such a guest, in bytes: a fifth is room for the file system and what the guest writes."""
    system = max(mib + mib // 5 + 16, SMALLEST_SYSTEM_MIB)
    return image.RECORDS_START + image.RECORDS_SIZE_BESIDE_SYSTEM + system * MIB


def fill(root, files):
    """The root that the guest mounts: a shell, what to run, and the files."""
    for folder in FOLDERS:
        os.makedirs(f"{root}/{folder}")
    shutil.copy("/bin/busybox", root + "/bin/busybox")
    os.symlink("busybox", root + "/bin/sh")
    shutil.copy(start_script(), root + "/lab/")
    for number, path in enumerate(files):
        shutil.copyfile(path, f"{root}/data/{number:05}")


def whole_disk(mib):
    """The disk that they all start from, as a raw file; made once for a size and what is in it."""
    files = programs(mib)
    digest = hashlib.sha256(os.path.basename(image.base_image()).encode() + image.read(start_script()))
    digest.update(image.read(os.path.realpath(__file__)))
    for path in files:
        digest.update(f"{path} {os.path.getsize(path)} {os.stat(path).st_mtime_ns}\n".encode())
    made = os.path.join(CACHE_DIR, f"shared-{mib}-{digest.hexdigest()[:16]}.raw")
    if os.path.exists(made):
        return made
    with tempfile.TemporaryDirectory(dir=CACHE_DIR) as work:
        os.makedirs(work + "/root")
        fill(work + "/root", files)
        image.make_raw(work + "/disk", disk_size(mib), "", work + "/root")
        os.rename(work + "/disk", made)
    for former in glob.glob(f"{CACHE_DIR}/shared-{mib}-*.raw"):
        if former != made:
            os.unlink(former)
    return made


def make_disk(path, mib, options):
    """A guest's disk as qcow2: a copy of that one with the guest's own settings. It appears under its name when it is whole."""
    config = ("DEFAULT l\nPROMPT 0\nTIMEOUT 0\nLABEL l\n LINUX linux.efi\n INITRD initrd\n "
              f"APPEND {image.KERNEL_OPTIONS} {options}\n")
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as work:
        run("cp", "--sparse=always", whole_disk(mib), work + "/raw")
        run("mcopy", "-o", "-i", f"{work}/raw@@{image.BOOT_START}", "-", "::syslinux.cfg", input=config)
        run("qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", work + "/raw", work + "/qcow2")
        os.rename(work + "/qcow2", path)
