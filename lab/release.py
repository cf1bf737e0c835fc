# SPDX-License-Identifier: Apache-2.0
"""Hosts of another Debian release: their libvirt and QEMU come from an unpacked root, used by chroot."""
import os
import shutil

from base import CACHE_DIR, LabError, UsageError, run

PACKAGES = ("libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-clients", "qemu-system-x86", "qemu-utils", "ovmf",
            "iproute2", "procps")
LIST = ".lab-packages"
OWN = "own"
OTHERS = ("trixie",)


def root(name):
    """The unpacked root of a release, None for the machine's own."""
    return None if name == OWN else os.path.join(CACHE_DIR, "roots", name)


def check(name):
    if name not in (OWN, *OTHERS):
        raise UsageError(f"There is no release {name} in the lab: say one of {', '.join(OTHERS)}.")


def mirror():
    """The Debian mirror that this machine's own apt uses."""
    listed = run("apt-get", "indextargets", "--format", "$(REPO_URI)|$(ORIGIN)|$(SUITE)|$(COMPONENT)", "Created-By: Packages")
    for line in listed.stdout.splitlines():
        uri, origin, suite, component = line.split("|")
        if origin == "Debian" and component == "main" and not suite.endswith(("-security", "-updates", "-backports")):
            return uri
    raise LabError("This machine's apt knows no Debian mirror: add one and run `apt-get update`.")


def ensure_root(name):
    """Unpacks a release into the cache once (about 20 s and 330 MB)."""
    where = root(name)
    if where is None or packages_of(where) == list(PACKAGES):
        return
    os.makedirs(os.path.dirname(where), exist_ok=True)
    half = where + ".new"
    shutil.rmtree(half, ignore_errors=True)
    run("mmdebstrap", "--quiet", "--variant=minbase", "--include=" + ",".join(PACKAGES), name, half, mirror())
    for folder in ("etc/libvirt", "var/lib/libvirt", "run/libvirt", "var/log/libvirt", "var/cache/libvirt", "etc/drover",
                   "var/lib/drover", "run/drover", "srv"):
        os.makedirs(os.path.join(half, folder), exist_ok=True)
    copy_users(half)
    with open(os.path.join(half, LIST), "w") as listed:
        listed.write("\n".join(PACKAGES))
    shutil.rmtree(where, ignore_errors=True)
    os.rename(half, where)


def packages_of(where):
    """What a root was made with; one that an older lab made is made anew."""
    try:
        with open(os.path.join(where, LIST)) as listed:
            return listed.read().split()
    except OSError:
        return []


def copy_users(where):
    """libvirt's users and groups get the machine's numbers: both views of a host see the same files."""
    for name, file in (("passwd", "etc/passwd"), ("group", "etc/group")):
        with open("/" + file) as source:
            wanted = [line for line in source if line.split(":")[0] in ("libvirt-qemu", "libvirt", "kvm")]
        taken = {line.split(":")[0] for line in wanted}
        path = os.path.join(where, file)
        with open(path) as target:
            kept = [line for line in target if line.split(":")[0] not in taken]
        with open(path, "w") as target:
            target.writelines(kept + wanted)
    for file in ("etc/hosts", "etc/machine-id"):
        with open(os.path.join(where, file), "a"):
            pass
