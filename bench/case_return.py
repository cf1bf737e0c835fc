# SPDX-License-Identifier: Apache-2.0
"""Case `return`: the guest moves away, works for about two minutes, and moves back; the way back is what is measured.

In between all of Drover's processes of the first host are restarted: what it knows of the guest's disks is what its journal and
the disks in its quarantine say. libvirt does the same two moves.

Case `return-memory`: the same, but nothing is restarted, and the first move keeps the guest's memory as well.
"""
import time

import stage
from case_moves import Moves
from sides import Drover

NAME = "return"
WITH_MEMORY = "return-memory"
LINKS = ("1gbit",)


class Return(Moves):
    name = NAME

    def __init__(self, options, scene, say):
        super().__init__(options, scene, say)
        self.away_seconds = options.away_seconds

    def warm_up(self):
        self.away_seconds = 0
        super().warm_up()
        self.away_seconds = self.options.away_seconds

    def carry(self, side, source, destination, link):
        side.leave(self.guest, source, destination, self.limit(link))
        self.guest.verify()
        time.sleep(self.away_seconds)
        try:
            self.between(side, source)
            stage.settle()
            return {"source": destination, **side.move(self.guest, destination, source, self.limit(link))}
        finally:
            side.clear(source)

    def between(self, side, source):
        side.restart(source)


class ReturnWithMemory(Return):
    name = WITH_MEMORY

    def __init__(self, options, scene, say):
        super().__init__(options, scene, say)
        for side in self.sides.values():
            if isinstance(side, Drover):
                side.leave_flags = ("--keep-residue", "memory")

    def between(self, side, source):
        """What is in the memory of droverd stays."""
