# SPDX-License-Identifier: Apache-2.0
"""Case `mover`: two movers alone over loopback, with no hypervisor: throughput, processor seconds a gigabyte, peak memory."""
import os
import statistics

import goals
import loopback

NAME = "mover"
CONTENT_BYTES = 128 << 20  # more than any cache of the processor
MEGABYTES_PER_SECOND_LEAST = 600
PEAK_BYTES_MAX = 256 << 20


def content():
    """A file of bytes that no program can make less of."""
    made = os.memfd_create("content")
    for _ in range(CONTENT_BYTES >> 20):
        os.write(made, os.urandom(1 << 20))
    return made


class Mover:
    def __init__(self, options, _scene, say):
        self.options, self.say = options, say

    def run(self, _link):
        program = os.path.join(os.environ["DROVER_BIN"], "drover-mover")
        file = content()
        try:
            runs = []
            for number in range(self.options.runs):
                one = loopback.carry(program, file, self.options.mover_bytes << 20)
                self.say(f"{'mover':9} run {number + 1}/{self.options.runs} {one['bytes'] / one['seconds'] / 1e6:14.0f} MB/s, "
                         f"{sum(one['cpu_s']):.2f} s of processor time")
                runs.append(one)
        finally:
            os.close(file)
        return goals.alone(
            NAME, "unlimited", len(runs),  # loopback
            megabytes_per_s=statistics.median(one["bytes"] / one["seconds"] / 1e6 for one in runs),
            cpu_s_per_gb=statistics.median(sum(one["cpu_s"]) / one["bytes"] * 1e9 for one in runs),
            peak_bytes=max(size for one in runs for size in one["peak_bytes"]), samples=runs)


def verdicts(result):
    """(what, measured, goal, reached)"""
    return [("mover alone, pass-through", f"{result['megabytes_per_s']:.0f} MB/s", f">= {MEGABYTES_PER_SECOND_LEAST} MB/s",
             result["megabytes_per_s"] >= MEGABYTES_PER_SECOND_LEAST),
            ("mover alone, both sides", f"{result['cpu_s_per_gb']:.2f} CPU s/GB", "", None),
            ("mover alone, most memory", f"{result['peak_bytes'] / 1e6:.1f} MB", "< 256 MiB",
             result["peak_bytes"] < PEAK_BYTES_MAX)]
