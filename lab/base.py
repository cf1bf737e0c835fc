# SPDX-License-Identifier: Apache-2.0
"""What every part of the lab needs: its folders, its errors, its lock, its memory, and running a command."""
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile

DEFAULT_LAB_DIR = "/var/lib/drover-lab"
LAB_DIR = os.path.abspath(os.environ.get("DROVER_LAB_DIR", DEFAULT_LAB_DIR))
CACHE_DIR = os.environ.get("DROVER_LAB_CACHE", "/var/cache/drover-lab")
REPO = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
SOURCES = os.path.join(REPO, "lab")
LOCK_FILE = "/run/lock/drover-lab.lock"
MARKER = ".drover-lab"
# What the names of the lab's network namespaces begin with; labs in other folders have names of their own.
PREFIX = "drover-lab-" if LAB_DIR == DEFAULT_LAB_DIR else \
    f"drover-lab.{hashlib.sha256(LAB_DIR.encode()).hexdigest()[:6]}-"


class LabError(Exception):
    """Something failed; the text is one sentence that says what to do."""
    code = 1


class UsageError(LabError):
    """The lab was asked for something that makes no sense."""
    code = 2


def need_root():
    if os.geteuid() != 0:
        raise UsageError("The lab needs root to make namespaces: run it again with sudo.")


def run(*command, check=True, **options):
    """Runs a command to its end and returns it with its text; a failure becomes a LabError with the command's last words."""
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    options.setdefault("stdin", None if "input" in options else subprocess.DEVNULL)
    if "input" in options:
        del options["stdin"]
    try:
        done = subprocess.run([str(word) for word in command], text=True, **options)
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not installed: install the packages listed in lab/packages.txt.") from None
    if check and done.returncode != 0:
        said = ((done.stderr or "") + (done.stdout or "")).strip().splitlines()
        raise LabError(f"'{' '.join(map(str, command))}' failed: {said[-1] if said else 'no message'}")
    return done


@contextlib.contextmanager
def lock():
    """Only one lab verb at a time changes namespaces, caches or the lab's memory."""
    os.makedirs(os.path.dirname(LOCK_FILE), exist_ok=True)
    with open(LOCK_FILE, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_file(path, text, mode=0o644):
    """Writes a file so that a reader sees the former content or the new one, never a half."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".new-")
    with os.fdopen(handle, "w") as file:
        file.write(text)
    os.chmod(temporary, mode)
    os.replace(temporary, path)


def load(name, default):
    """Reads one of the lab's own JSON files (`lab`, `guests`)."""
    try:
        with open(os.path.join(LAB_DIR, name + ".json")) as file:
            return json.load(file)
    except FileNotFoundError:
        return default


def save(name, value):
    write_file(os.path.join(LAB_DIR, name + ".json"), json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def make_lab_dir():
    """The folder is removed whole by `down`, so it must be the lab's own: new, empty, or marked."""
    if os.path.isdir(LAB_DIR) and os.listdir(LAB_DIR) and not os.path.exists(os.path.join(LAB_DIR, MARKER)):
        raise UsageError(f"{LAB_DIR} holds something that is not a lab: set DROVER_LAB_DIR to an empty folder.")
    os.makedirs(LAB_DIR, exist_ok=True)
    write_file(os.path.join(LAB_DIR, MARKER), "This folder is removed by `lab down`.\n")


def mounts_below(folder):
    """Mount points below a folder in our own mount namespace, innermost first."""
    with open("/proc/self/mounts") as file:
        points = [line.split()[1].encode().decode("unicode_escape") for line in file]
    return sorted((point for point in points if point.startswith(folder + "/")), reverse=True)


def remove_lab_dir():
    if not os.path.isdir(LAB_DIR):
        return
    if os.listdir(LAB_DIR) and not os.path.exists(os.path.join(LAB_DIR, MARKER)):
        raise UsageError(f"{LAB_DIR} holds something that is not a lab: it is left alone.")
    for point in mounts_below(LAB_DIR):
        run("umount", "-l", point, check=False)
    if mounts_below(LAB_DIR):
        raise LabError(f"Something below {LAB_DIR} is still mounted: unmount it and run `lab down` again.")
    # The marker goes last: whatever interrupts us, the next `down` still knows the folder as a lab's.
    for entry in sorted(os.listdir(LAB_DIR), key=lambda name: name == MARKER):
        path = os.path.join(LAB_DIR, entry)
        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    os.rmdir(LAB_DIR)
