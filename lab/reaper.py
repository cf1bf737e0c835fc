# SPDX-License-Identifier: Apache-2.0
"""Starts a daemon and collects it and every orphan it leaves, as a host's init would.

libvirtd waits for its QEMUs to vanish from the process table; where the machine's first process is slow to collect dead
processes (in containers it often is), each such wait would take seconds. Run as: reaper.py PID_FILE COMMAND...
"""
import ctypes
import os
import sys

import processes

PR_SET_CHILD_SUBREAPER = 36


def main(pid_file, command):
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        # Only start once the pid file is written, so that it is always there before the daemon does anything.
        os.close(go)
        os.read(ready, 1)
        os.close(ready)
        try:
            os.execvp(command[0], command)
        finally:
            os._exit(127)
    processes.write_pid(pid_file + ".new", child)
    os.rename(pid_file + ".new", pid_file)
    os.write(go, b".")
    os.close(go)
    os.close(ready)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
