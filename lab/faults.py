# SPDX-License-Identifier: Apache-2.0
"""Faults within a host's daemons, by a library that is preloaded into them: lab/faults.cpp says which there are."""
import contextlib
import hashlib
import os
import shutil

import processes
from base import CACHE_DIR, SOURCES, LabError, UsageError, run, write_file

NAMES = ("hold", "read-error", "write-error", "clock", "no-sync", "time-journal")
HELD = "held"


def library():
    """The library, compiled once for each state of its source."""
    source = os.path.join(SOURCES, "faults.cpp")
    with open(source, "rb") as file:
        name = hashlib.sha256(file.read()).hexdigest()[:16]
    built = os.path.join(CACHE_DIR, f"faults-{name}.so")
    if not os.path.exists(built):
        os.makedirs(CACHE_DIR, exist_ok=True)
        run("g++", "-std=c++20", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", f"{built}.{os.getpid()}", source)
        os.replace(f"{built}.{os.getpid()}", built)
    return built


def ensure(folder):
    """Puts the library where a host's daemons find it, with the files that steer it beside it."""
    os.makedirs(folder, exist_ok=True)
    there = os.path.join(folder, "faults.so")
    if not os.path.exists(there):
        shutil.copy(library(), there + ".new")
        os.chmod(there + ".new", 0o755)
        os.replace(there + ".new", there)
    return there


def preloaded(folder):
    """The library for LD_PRELOAD, None on a host without faults."""
    there = os.path.join(folder, "faults.so")
    return there if os.path.exists(there) else None


def put(folder, name, value=""):
    if name not in NAMES:
        raise UsageError(f"'{name}' is no fault: there are {', '.join(NAMES)}.")
    if not preloaded(folder):
        raise LabError("This host's daemons have no faults in them: make the lab with `lab up --faults`.")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, HELD))
    write_file(os.path.join(folder, name), value + "\n")


def clear(folder):
    """No fault any more. A daemon that is held stays so: `let_go`."""
    for name in (*NAMES, HELD):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, name))


def is_held(folder, pids):
    """Whether one of these processes stands still at a row of its journal."""
    return os.path.exists(os.path.join(folder, HELD)) and any(processes.is_stopped(pid) for pid in pids)
