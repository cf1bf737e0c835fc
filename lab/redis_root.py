# SPDX-License-Identifier: Apache-2.0
"""The Debian that a Redis guest runs, unpacked: its disk is made of it."""
import hashlib
import os
import shutil

import release
from base import CACHE_DIR, SOURCES, run

SYSTEM = "redis"
RELEASE = "bookworm"
# PostgreSQL and nginx do not run: they make the disk what a server's disk is.
PACKAGES = ("redis-server", "postgresql", "nginx-light")


def files():
    """What the guest runs of ours."""
    return [os.path.join(SOURCES, "guest", name) for name in ("redis-start", "redis-load.pl")]


def root():
    """The unpacked Debian that the guest runs, made once (about two minutes and 500 MB)."""
    where = os.path.join(CACHE_DIR, "roots", "redis-" + hashlib.sha256(" ".join((RELEASE, *PACKAGES)).encode()).hexdigest()[:8])
    if not os.path.isdir(where):
        os.makedirs(os.path.dirname(where), exist_ok=True)
        half = where + ".new"
        shutil.rmtree(half, ignore_errors=True)
        run("mmdebstrap", "--quiet", "--variant=minbase", "--include=" + ",".join(PACKAGES), RELEASE, half, release.mirror())
        os.rename(half, where)
    os.makedirs(where + "/lab", exist_ok=True)
    for path in files():
        shutil.copy(path, where + "/lab/")
    return where
