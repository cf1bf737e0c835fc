# SPDX-License-Identifier: Apache-2.0
"""Case `shared-nothing`: a running guest and its disk go from host to host, by libvirt alone and by Drover, in turn.

Every move of the probe guest is a measured one: what one side carried to host2, the other carries back. The Redis guest is
restored from the same state before each, on host1. The order turns round each run (libvirt, Drover, Drover, libvirt, ...), so
that each side moves as often after itself as after the other. Before each move what earlier ones wrote is put to disk, and the
guest works on for a moment; after it the guest proves that nothing was lost.
"""
import time

import goals
import stage
from base import LabError
from sides import COPY_STORAGE, LIBVIRT_WAYS, LITERAL, NO_REFERENCES, PLAIN, Drover, Libvirt, MoveFailed, has_switch

NAME = "shared-nothing"
REST_SECONDS = 2.0
ATTEMPTS = 2
LINK_BYTES_PER_SECOND = {"100mbit": 12.5e6, "1gbit": 125e6}
SLOWEST_BYTES_PER_SECOND = 20e6  # of any link that is faster than the machine
SLOW_LINK = "100mbit"


class Moves:
    """What all cases in which a guest changes its host have in common."""
    name = None
    against = PLAIN
    ways = {PLAIN: ()}  # how libvirt moves it: side -> flags
    storage = COPY_STORAGE  # what libvirt's side says of the disk

    def __init__(self, options, scene, say):
        self.options, self.say = options, say
        self.guest = stage.GUESTS[options.guest](options)
        self.sides = {}
        if "libvirt" in options.side:
            self.sides = {name: Libvirt(flags, self.storage) for name, flags in self.ways.items() if name == PLAIN or not options.plain}
        if "drover" in options.side:
            self.sides["drover"] = Drover()
            if options.literal_runs and has_switch(NO_REFERENCES):
                self.sides[LITERAL] = Drover([NO_REFERENCES])
        self.scene = scene
        self.warmed_up = False

    def run(self, link):
        """All runs on one link; a case as the JSON file has it."""
        self.shape(link)
        samples = {name: [] for name in self.sides}
        if not self.warmed_up:
            self.warm_up()
        for side in self.sides.values():
            if isinstance(side, Drover):
                side.forget_ways()
        for number in range(self.options.runs):
            names = [name for name in self.sides if number < self.runs_of(name)]
            for name in names if number % 2 == 0 else reversed(names):
                sample = self.attempt(name, link, number)
                if sample:
                    samples[name].append(sample)
        result = goals.compare(self.name, link, samples, self.against)
        result["guest"] = self.guest.describe(self.load(link))
        return result

    def runs_of(self, side):
        """Without references Drover moves less often: bytes are what it is for, and those hardly differ."""
        return min(self.options.literal_runs, self.options.runs) if side == LITERAL else self.options.runs

    def shape(self, link):
        stage.lab("link", link)

    def load(self, link):
        return self.guest.load(link == SLOW_LINK)

    def warm_up(self):
        """One move of each side that does not count: programs and libraries are read in, daemons have done it once."""
        stage.lab("link", "unlimited")
        for name in self.sides:
            if name != LITERAL:
                self.attempt(name, "unlimited", None)
        self.warmed_up = True

    def limit(self, link):
        """After so long a move has gone wrong."""
        return 120 + 5 * self.guest.bytes_to_move / LINK_BYTES_PER_SECOND.get(link, SLOWEST_BYTES_PER_SECOND)

    def attempt(self, name, link, number):
        """One move, after which the guest must prove its memory and disk. One that fails is told and repeated once, with a new
        guest: on an overloaded machine QEMU's emulation loses a page now and then, whoever carries it."""
        label = f"{link:9} {'warm-up' if number is None else f'run {number + 1}/{self.options.runs}':8} {name:14}"
        for _ in range(ATTEMPTS):
            try:
                source = self.guest.ensure(self.load(link))
                # The lab boots guests whatever the link; a link's shape is set once more in case the lab was repaired.
                self.shape(link)
                destination = next(host for host in stage.HOSTS if host != source)
                sample = self.carry(self.sides[name], source, destination, link)
                if not sample["connection_survived"]:
                    raise MoveFailed("the connection from the LAN broke")
                self.guest.verify()
            except (MoveFailed, LabError, OSError) as error:
                self.tell(self.scene.repeated, f"{' '.join(label.split())}: {error}")
                self.guest.forget()
                continue
            self.say(f"{label} from {sample['source']} {sample['wall_s']:7.2f} s {sample['wire_bytes'] / 1e6:8.1f} MB  "
                     f"pause {text(sample['pause_ms'])} ms  silence {text(sample['silence_ms'])} ms")
            return sample
        self.tell(self.scene.failures, f"{' '.join(label.split())}: not measured")
        return None

    def carry(self, side, source, destination, link):
        """One move that is measured; a sample."""
        stage.settle()
        time.sleep(REST_SECONDS)
        return {"source": source, **side.move(self.guest, source, destination, self.limit(link))}

    def tell(self, where, what):
        where.append(what)
        self.say(f"FAILED  {what}")


class SharedNothing(Moves):
    name = NAME
    ways = LIBVIRT_WAYS


def text(value):
    return "    -" if value is None else f"{value:5.0f}"
