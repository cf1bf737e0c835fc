# SPDX-License-Identifier: Apache-2.0
"""Who executes a guest, seen from outside: the processor time of its QEMUs' vCPU threads, whatever libvirt believes."""
import contextlib
import os
import threading
import time

PAUSE = 0.03
# In one such pause a vCPU thread that stands still uses nothing, one that awaits a guest half of this at most. A probe guest
# that dirties memory uses more.
EXECUTING_NS = 1_200_000
PF_EXITING = 0x4  # include/linux/sched.h; a thread's flags are the 9th field of its stat (proc(5))


def is_ending(thread):
    """The thread ends, with its QEMU: giving back the guest's memory takes processor time that is no guest's."""
    with open(f"{thread}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[6]) & PF_EXITING != 0


class Vcpus:
    """The vCPU threads of one host's QEMU for a guest; a new QEMU counts anew."""

    def __init__(self, host, guest_name):
        self.pid_file = host.path("/run/libvirt/qemu") / f"{guest_name}.pid"
        self.pid, self.last, self.since = None, 0, 0.0
        self.seen = None

    def used(self):
        """Processor time of all vCPU threads in ns, None if there is no QEMU."""
        threads = f"/proc/{self.pid}/task"
        total, found = 0, False
        with contextlib.suppress(OSError):
            for thread in os.listdir(threads):
                with open(f"{threads}/{thread}/comm") as name:
                    if not name.read().startswith("CPU ") or is_ending(f"{threads}/{thread}"):
                        continue
                with open(f"{threads}/{thread}/schedstat") as times:
                    total, found = total + int(times.read().split()[0]), True
        return total if found else None

    def sample(self):
        """(from, to) of a time in which the guest executed here, or None: what was seen one sample ago, if its QEMU is
        still there. A vCPU thread that ends with its QEMU uses time too, and no guest has executed for one sample alone."""
        try:
            pid = int(self.pid_file.read_text())
        except (OSError, ValueError):
            pid = None
        fresh, self.pid = pid != self.pid, pid
        used, now = self.used() if pid else None, time.monotonic()
        before, since = self.last, self.since
        self.last, self.since = used or 0, now
        gone = fresh or used is None
        confirmed, self.seen = (None if gone else self.seen), None
        if not gone and used - before >= EXECUTING_NS:
            self.seen = since, now
        return confirmed


class RunnerWatch:
    """Watches all through a `with` on which hosts a guest executes."""

    def __init__(self, guest_name, *hosts):
        self.vcpus = {host.name: Vcpus(host, guest_name) for host in hosts}
        self.spans = {host.name: [] for host in hosts}
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()

    def watch(self):
        while not self.stopping.wait(PAUSE):
            for name, vcpus in self.vcpus.items():
                span = vcpus.sample()
                if span:
                    self.spans[name].append(span)

    def executed(self, host):
        return bool(self.spans[host.name])

    def twice(self, source, destination):
        """The moments at which the source executed the guest although the destination had begun to: two runners."""
        if not self.spans[destination.name]:
            return []
        began = self.spans[destination.name][0][1]
        return [span for span in self.spans[source.name] if span[0] >= began]

    def assert_after(self, lost, then):
        """`then` executes the guest, which `lost` did until it was lost, and at no moment both."""
        last = max((end for _, end in self.spans[lost.name]), default=None)
        assert last is not None, f"{lost.name} never executed the guest"
        after = [span for span in self.spans[then.name] if span[1] > last]
        assert after, f"{then.name} has not executed the guest since {lost.name} was lost"
        both = [span for span in self.spans[then.name] for other in self.spans[lost.name]
                if span[0] < other[1] and other[0] < span[1]]
        assert not both, f"TWO RUNNERS: {then.name} executed the guest in {both[0]}, {lost.name} as well"

    def assert_one_runner(self, source, destination):
        twice = self.twice(source, destination)
        assert not twice, (f"TWO RUNNERS: {destination.name} executed the guest from {self.spans[destination.name][0]} on, and "
                           f"{source.name} still in {len(twice)} samples, last {twice[-1]}")
