# SPDX-License-Identifier: Apache-2.0
"""Hosts: each a network, mount and UTS namespace with folders of its own over libvirt's and Drover's, and a libvirtd."""
import contextlib
import os
import shlex
import shutil
import stat
import subprocess
import sys
import time
import uuid

import disks
import faults
import image
import network
import processes
import release
from base import CACHE_DIR, LAB_DIR, SOURCES, LabError, UsageError, load, run, save, write_file

# Folders that each host has for itself, with Debian's modes. libvirtd makes what is below.
FOLDERS = {
    "/etc/libvirt": 0o755, "/var/lib/libvirt": 0o755, "/run/libvirt": 0o755, "/var/log/libvirt": 0o755,
    "/var/cache/libvirt": 0o711, "/etc/drover": 0o755, "/var/lib/drover": 0o755, "/run/drover": 0o755, "/srv": 0o755,
}
# One folder that all hosts see at this path, as they would see storage that they share.
SHARED = "/srv/shared"
BELOW = {SHARED: 0o755, "/var/lib/libvirt/images": 0o711, "/var/lib/libvirt/boot": 0o711}
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LIBVIRTD_PID = "/run/libvirt/libvirtd.pid"
LIBVIRT_SOCKET = "/run/libvirt/libvirt-sock"
CREATED = os.path.join(CACHE_DIR, "mount-points")


def known():
    """The hosts of the lab, as `up` made them: name -> {release, root_qemu}."""
    return load("lab", {"hosts": {}})["hosts"]


def need(host):
    if host not in known():
        there = ", ".join(known()) or "none, run `lab up` first"
        raise UsageError(f"There is no host {host} (hosts: {there}).")
    if not holder(host):
        raise LabError(f"{host} is off: run `lab up` to start it again.")
    return known()[host]


def host_dir(host):
    return os.path.join(LAB_DIR, "hosts", host)


def faults_dir(host):
    return os.path.join(host_dir(host), "faults")


def kept_in(host, folder):
    """Where a host's own folder lies: on its disk, if it has one, but for what a boot forgets."""
    on_disk = disks.exists(host_dir(host)) and not folder.startswith("/run/")
    return disks.paths(host_dir(host))[1] if on_disk else host_dir(host)


def outside(host, path):
    """Where a path of a host's own folders, or of the shared one, is found from outside the host."""
    if path == SHARED or path.startswith(SHARED + "/"):
        return os.path.join(LAB_DIR, "shared") + path[len(SHARED):]
    for folder in FOLDERS:
        if path == folder or path.startswith(folder + "/"):
            return os.path.join(kept_in(host, folder), folder.strip("/").replace("/", "-")) + path[len(folder):]
    raise UsageError(f"{path} is not in one of the host's own folders ({', '.join(FOLDERS)}).")


def pid_file(host, name):
    return os.path.join(host_dir(host), name + ".pid")


def holder(host):
    """The process that keeps a host's namespaces alive, None if the host is off."""
    return processes.read_pid(pid_file(host, "holder"))


def members(host):
    """Every process of a host: by its namespaces, and what its daemons started."""
    by_space = processes.members(network.netns_inode(network.netns_of(host)), holder(host))
    return sorted(processes.reaped(host_dir(host)) | set(by_space))


def inside(host, command, chroot=None):
    """The command line that runs a command within a host, in the caller's folder where the host has it too."""
    enter = ["nsenter", "--target", str(holder(host)), "--mount", "--uts", "--net", "--"]
    if chroot:
        return enter + ["chroot", chroot, *command]
    return enter + ["/bin/sh", "-c", 'cd "$0" 2>/dev/null; exec "$@"', os.getcwd(), *command]


def environment(drover_bin=None):
    """What a command within a host sees: the caller's environment, with Drover's programs first and that host's libvirt."""
    path = ":".join([*([drover_bin] if drover_bin else []), os.environ.get("PATH", ""), SYSTEM_PATH])
    return {**os.environ, "PATH": path, "LIBVIRT_DEFAULT_URI": "qemu:///system"}


def daemon_environment(host, drover_bin=None):
    """What a daemon sees: what an init gives it, nothing of the caller's."""
    path = ":".join([*([drover_bin] if drover_bin else []), SYSTEM_PATH])
    library = faults.preloaded(faults_dir(host))
    return {"PATH": path, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
            **({"LD_PRELOAD": library} if library else {})}


def run_inside(host, *command, check=True, **options):
    return run(*inside(host, [str(word) for word in command]), check=check, env=environment(), **options)


def virsh(host, *words, check=True):
    return run_inside(host, "virsh", "-q", *words, check=check)


def spawn(host, name, command, chroot=None, env=None):
    """Starts a daemon within a host, with its log and pid file in the host's folder, and gives its pid."""
    pids = pid_file(host, name)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(pids)
    with open(os.path.join(host_dir(host), name + ".log"), "ab") as log:
        subprocess.Popen([sys.executable, os.path.join(SOURCES, "reaper.py"), pids, *inside(host, command, chroot)],
                         stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                         env=env or daemon_environment(host))
    end = time.monotonic() + 10
    while not os.path.exists(pids):
        if time.monotonic() > end:
            raise LabError(f"Starting {name} on {host} failed: read {host_dir(host)}/{name}.log.")
        time.sleep(0.005)
    return processes.read_pid(pids)


def ensure_mount_points():
    """Folders that the machine lacks are made, noted, and removed by `down --purge`."""
    missing = [folder for folder in FOLDERS if not os.path.isdir(folder)]
    if missing:
        os.makedirs(CACHE_DIR, exist_ok=True)
        with open(CREATED, "a") as file:
            file.writelines(folder + "\n" for folder in missing)
        for folder in missing:
            os.makedirs(folder)


def remove_mount_points():
    with contextlib.suppress(FileNotFoundError), open(CREATED) as file:
        for folder in reversed(file.read().split()):
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def make_folders(host, root_qemu):
    """Everything a host owns on disk. Existing content stays: a host that was switched off keeps its disks."""
    for path, mode in {**FOLDERS, **BELOW}.items():
        where = outside(host, path)
        if not os.path.isdir(where):
            os.makedirs(where)
            os.chmod(where, mode)
    config = outside(host, "/etc/libvirt")
    if not os.path.exists(config + "/libvirtd.conf"):
        write_file(config + "/libvirtd.conf", LIBVIRTD_CONF.format(uuid=uuid.uuid4()))
        write_file(config + "/qemu.conf", QEMU_CONF.format(**(AS_ROOT if root_qemu else AS_DEBIAN)))
        write_file(os.path.join(host_dir(host), "machine-id"), uuid.uuid4().hex + "\n")


LIBVIRTD_CONF = """host_uuid = "{uuid}"
listen_tls = 0
unix_sock_group = "libvirt"
unix_sock_ro_perms = "0777"
unix_sock_rw_perms = "0770"
auth_unix_ro = "none"
auth_unix_rw = "none"
"""
QEMU_CONF = """security_driver = "none"
user = "{user}"
group = "{user}"
dynamic_ownership = {labels}
remember_owner = {labels}
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
"""
AS_DEBIAN = {"user": "libvirt-qemu", "labels": 1}
AS_ROOT = {"user": "root", "labels": 0}


def write_names(names):
    """Each host knows the others by their addresses on the first move network (the file is bound, so it is rewritten in place)."""
    lines = ["127.0.0.1 localhost"] + [f"{network.move_address(name)} {name}" for name in names]
    for name in names:
        if os.path.isdir(host_dir(name)):
            with open(os.path.join(host_dir(name), "hosts"), "w") as file:
                file.write("\n".join(lines) + "\n")


def kvm_device(host):
    """What a host sees as /dev/kvm, None if the machine has none.

    As on Debian if KVM works; if it does not, a file that is no device. The machine's own node will not do: where QEMU's user
    cannot open it, libvirt probes QEMU again at every call, for 12 s in all, as its probe sees KVM and its check does not.
    """
    if not os.path.exists("/dev/kvm"):
        return None
    path = os.path.join(host_dir(host), "kvm")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    if image.accelerator() == "kvm":
        os.mknod(path, 0o660 | stat.S_IFCHR, os.stat("/dev/kvm").st_rdev)
        shutil.chown(path, "root", "kvm")
        os.chmod(path, 0o660)
    else:
        os.close(os.open(path, os.O_CREAT, 0o000))
    return path


def boot_id(host):
    """What tells this boot of a host from others, as its kernel would."""
    path = os.path.join(host_dir(host), "boot-id")
    write_file(path, f"{uuid.uuid4()}\n")
    return path


def setup_script(host, root):
    """The shell script that becomes a host's holder. /sys is mounted anew to show this host's network devices; the
    machine's D-Bus is hidden, so that libvirtd does not talk to the machine's services."""
    empty = os.path.join(host_dir(host), "empty")
    os.makedirs(empty, exist_ok=True)
    os.makedirs(outside(host, "/srv") + "/shared", exist_ok=True)
    binds = [(outside(host, folder), folder) for folder in [*FOLDERS, SHARED]]
    binds += [(os.path.join(host_dir(host), name), "/etc/" + name) for name in ("hosts", "machine-id")
              if os.path.exists("/etc/" + name)]
    binds += [(boot_id(host), "/proc/sys/kernel/random/boot_id")]
    binds += [(empty, folder) for folder in ("/run/dbus", "/run/systemd") if os.path.isdir(folder)]
    binds += [(node, "/dev/kvm") for node in [kvm_device(host)] if node]
    lines = ["set -e", "mount --make-rprivate /", "mount -t sysfs sysfs /sys"]
    # Another host's disk, of this lab or of one beside it, must not stay in use here when that host gives it up.
    lines += [f"! mountpoint -q {point} || umount -l {point}" for point in map(shlex.quote, disks.of_others(host_dir(host)))]
    lines += [f"mount --bind {shlex.quote(source)} {shlex.quote(target)}" for source, target in binds]
    if root:
        lines += [f"mount --bind {shlex.quote(root)} {shlex.quote(root)}"]
        lines += [f"mount --rbind {shlex.quote(folder)} {shlex.quote(root + folder)}" for folder in ("/dev", "/proc", "/sys")]
        lines += [f"mount --bind {shlex.quote(source)} {shlex.quote(root + target)}" for source, target in binds
                  if target in FOLDERS or target == SHARED or target.startswith("/etc/")]
    lines += [f"echo {host} > /proc/sys/kernel/hostname", "echo ready", "exec sleep infinity"]
    return "\n".join(lines)


def start_holder(host, root):
    script = setup_script(host, root)
    child = subprocess.Popen(["nsenter", f"--net={network.NETNS_DIR}/{network.netns_of(host)}", "unshare", "--mount", "--uts",
                              "/bin/sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, start_new_session=True)
    said = child.stdout.readline()
    if said != "ready\n":
        said += child.stdout.read()
        raise LabError(f"Making the namespaces of {host} failed: {said.strip() or 'no message'}")
    processes.write_pid(pid_file(host, "holder"), child.pid)


def start_libvirtd(host, root):
    """Starts a host's libvirtd unless it runs, and waits until it answers."""
    if processes.read_pid(pid_file(host, "libvirtd")) is None:
        spawn(host, "libvirtd", ["libvirtd", "--pid-file", LIBVIRTD_PID], chroot=root)
    end = time.monotonic() + 30
    while virsh(host, "list", check=False).returncode != 0:
        log = os.path.join(host_dir(host), "libvirtd.log")
        if processes.read_pid(pid_file(host, "libvirtd")) is None:
            raise LabError(f"The libvirtd of {host} ended at once: read {log}.")
        if time.monotonic() > end:
            raise LabError(f"The libvirtd of {host} does not answer: read {log}.")
        time.sleep(0.05)


def clear_volatile(host):
    """What a reboot forgets."""
    for folder in ("/run/libvirt", "/run/drover"):
        where = outside(host, folder)
        if os.path.isdir(where):
            for entry in os.listdir(where):
                path = os.path.join(where, entry)
                shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)


def boot(host, settings):
    """Starts a host, or whatever of it does not run."""
    root = release.root(settings["release"])
    network.ensure_host(host)
    if settings.get("disk_bytes"):
        disks.ensure(host_dir(host), settings["disk_bytes"])
    if settings.get("faults"):
        faults.ensure(faults_dir(host))
    make_folders(host, settings["root_qemu"])
    if not holder(host):
        processes.kill_members(lambda: members(host))
        clear_volatile(host)
        start_holder(host, root)
    start_libvirtd(host, root)


def power_off(host, renumber=False):
    """The host loses its power: every process of it dies at once, what is on its disks stays. On a host with a disk of its own that
    is what was written out; else what is in the machine's memory stays too. Its disk may come back under another device number."""
    has_disk = disks.exists(host_dir(host))
    if has_disk:
        processes.stop_all(lambda: members(host))
        disks.snapshot(host_dir(host))
    processes.kill_members(lambda: members(host))
    clear_volatile(host)
    if has_disk:
        disks.take_snapshot(host_dir(host), renumber)


def remember(host, settings):
    state = load("lab", {"hosts": {}})
    state["hosts"][host] = settings
    save("lab", state)
