# SPDX-License-Identifier: Apache-2.0
"""Case `mover`: two movers alone over loopback, with no hypervisor: throughput, processor seconds a gigabyte, peak memory. Once with what
nothing can be gained from and the movers pass through, once with a guest's memory over a link that makes it worth while to describe and
compress it."""
import contextlib
import os
import statistics

import goals
import guest_stream
import loopback

NAME = "mover"
CONTENT_BYTES = 128 << 20  # more than any cache of the processor
GUEST_BYTES = 1 << 30
LINK_BYTES_PER_SECOND = 125_000_000  # 1 Gbit/s: the raw stream is several times as fast
PASS_THROUGH_LEAST = 600  # MB/s
CONTENT_LEAST = 250
PEAK_BYTES_MAX = 256 << 20


@contextlib.contextmanager
def in_memory(name, fill):
    made = os.memfd_create(name)
    try:
        with open(os.dup(made), "wb") as file:
            told = fill(file)
        yield made, told
    finally:
        os.close(made)


def no_gain(file):
    """Bytes that no program can make less of."""
    for _ in range(CONTENT_BYTES >> 20):
        file.write(os.urandom(1 << 20))


def figures(runs):
    return {"megabytes_per_s": statistics.median(one["bytes"] / one["seconds"] / 1e6 for one in runs),
            "cpu_s_per_gb": statistics.median(sum(one["cpu_s"]) / one["bytes"] * 1e9 for one in runs),
            "wire_share": statistics.median(one["wire_bytes"] / one["bytes"] for one in runs),
            "peak_bytes": max(size for one in runs for size in one["peak_bytes"]), "samples": runs}


class Mover:
    def __init__(self, options, _scene, say):
        self.options, self.say = options, say
        self.program = os.path.join(os.environ["DROVER_BIN"], "drover-mover")

    def run(self, _link):
        with in_memory("content", no_gain) as (file, _):
            through = self.runs("through", file, self.options.mover_bytes << 20, content=False)
        with in_memory("guest", lambda file: guest_stream.write(file, GUEST_BYTES)) as (file, least):
            content = self.runs("content", file, os.fstat(file).st_size, least=least, content=True,
                                bandwidth_bytes_per_second=LINK_BYTES_PER_SECOND)
        return goals.alone(NAME, "unlimited", len(through), **figures(through), content=figures(content))  # loopback

    def runs(self, name, file, total, **settings):
        done = []
        for number in range(self.options.runs):
            one = loopback.carry(self.program, file, total, **settings)
            self.say(f"{'mover':9} run {number + 1}/{self.options.runs} {name:8} {one['bytes'] / one['seconds'] / 1e6:14.0f} MB/s, "
                     f"{sum(one['cpu_s']):.2f} s of processor time")
            done.append(one)
        return done


def verdicts(result):
    """(what, measured, goal, reached)"""
    rows = []
    for what, found, least in (("pass-through", result, PASS_THROUGH_LEAST), ("content path", result.get("content"), CONTENT_LEAST)):
        if not found:  # by a bench/run that knew but one
            continue
        rows += [(f"mover alone, {what}", f"{found['megabytes_per_s']:.0f} MB/s", f">= {least} MB/s", found["megabytes_per_s"] >= least),
                 (f"mover alone, {what}, both sides", f"{found['cpu_s_per_gb']:.2f} CPU s/GB, {found['wire_share']:.0%} on the wire", "", None),
                 (f"mover alone, {what}, most memory", f"{found['peak_bytes'] / 1e6:.1f} MB", "< 256 MiB",
                  found["peak_bytes"] < PEAK_BYTES_MAX)]
    return rows
