# SPDX-License-Identifier: Apache-2.0
"""Case `group`: eight small guests of one image move one after another, by libvirt, and by Drover with and without group sharing.

They were booted separately and hold different records, in memory and on disk. One sample is all eight moves of one side: their wall
time, bytes and processor seconds together, the median of their pauses and silences. The next side carries them back.
"""
import statistics
import time

import droverd
import guests
import hosts
import stage
from case_moves import REST_SECONDS, Moves
from sides import Drover

NAME = "group"
LINKS = ("1gbit",)
GROUP = "bench"
UNGROUPED = "drover_ungrouped"
IMAGE_MIB = 300
# Beside the image: what each has of its own.
SETTINGS = {"memory": 256, "image": IMAGE_MIB, "fill": 16, "records": 32, "dirty": 0.25, "disk-rate": 0.02}
BOOTED_SECONDS = 20  # they read their programs after they answered
SUMS = ("wall_s", "wire_bytes", "job_s")
MEDIANS = ("pause_ms", "silence_ms")


class ImageGuest(stage.Guest):
    def __init__(self, options, name):
        super().__init__(options)
        self.name = name


class ImageGuests:
    """All of them as one guest: what a case asks of a guest, it asks of each."""

    def __init__(self, options):
        self.all = [ImageGuest(options, name) for name in stage.IMAGE_GUESTS]
        self.made = False

    def ensure(self, _load):
        """They all run on one host; answers where."""
        where = {tuple(guest.states().items()) for guest in self.all}
        if self.made and len(where) == 1:
            [(host, state)] = where.pop()
            if state == "running":
                return host
        self.made = False
        for guest in self.all:
            stage.lab("guest", "--remove", guest.name)
        for guest in self.all:
            words = (word for key, value in SETTINGS.items() for word in (f"--{key}", value))
            stage.lab("guest", stage.HOSTS[0], guest.name, *words)
        time.sleep(BOOTED_SECONDS)
        self.made = True
        return stage.HOSTS[0]

    def forget(self):
        self.made = False

    def verify(self):
        for guest in self.all:
            guest.verify()

    def load(self, _slow):
        return {}

    def describe(self, _load):
        return {"guest": "image", "guests": len(self.all), **{key.replace("-", "_"): value for key, value in SETTINGS.items()}}

    @property
    def bytes_to_move(self):
        return guests.need(self.all[0].name)["size"] + (SETTINGS["memory"] << 20)


def add(ours, theirs):
    """Numbers of two samples together, by name; what one of them lacks is as the other has it."""
    return {name: add(ours[name], theirs[name]) if isinstance(ours.get(name), dict) and name in theirs
            else ours[name] + theirs[name] if name in ours and name in theirs else ours.get(name, theirs.get(name))
            for name in {**ours, **theirs}}


def together(samples):
    """The moves of all guests as one sample."""
    first = samples[0]
    told = {"cpu_s": {}, "phases_s": {}, "kinds": {}}
    for sample in samples:
        for name, found in (("cpu_s", sample["cpu_s"]), ("phases_s", sample.get("phases_s", {})),
                            ("kinds", sample.get("report", {}).get("kinds", {}))):
            told[name] = add(told[name], found)
    return {**first, "moves": samples, "cpu_s": told["cpu_s"], "phases_s": told["phases_s"], "report": {"kinds": told["kinds"]},
            **{name: sum(sample[name] or 0 for sample in samples) for name in SUMS},
            **{name: middle([sample[name] for sample in samples]) for name in MEDIANS},
            "connection_survived": all(sample["connection_survived"] for sample in samples),
            "mover_peak_bytes": max(sample["mover_peak_bytes"] for sample in samples),
            "mover_cpu_s": [sum(column) for column in zip(*(sample["mover_cpu_s"] for sample in samples))]}


def middle(values):
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


class Group(Moves):
    name = NAME

    def __init__(self, options, scene, say):
        super().__init__(options, scene, say)
        self.guest = ImageGuests(options)
        if "drover" in self.sides:
            self.sides |= {"drover": Drover(["--group", GROUP]), UNGROUPED: Drover()}

    def run(self, link):
        try:
            self.allow("+=")
            return super().run(link)
        finally:
            self.allow("-=")

    def allow(self, how):
        """The administrators of both hosts let the group share, or no more."""
        if "drover" not in self.sides:
            return
        path = f"PATH={hosts.environment(droverd.binaries())['PATH']}"
        for host in stage.HOSTS:
            hosts.run_inside(host, "env", path, "drover", "settings", f"groups{how}{GROUP}")

    def carry(self, side, source, destination, link):
        stage.settle()
        time.sleep(REST_SECONDS)
        moves = [side.move(guest, source, destination, self.limit(link)) for guest in self.guest.all]
        return {"source": source, **together(moves)}
