# SPDX-License-Identifier: Apache-2.0
"""Case `memory`: as `shared-nothing`, but both hosts see the guest's disk, so that only its memory travels.

What they share is the image itself: a second name of the same file on the other host, which is as one file system on both. libvirt
would not believe that of a local disk and is told so with --unsafe; Drover finds it out in its plan.
"""
import os

import hosts
import stage
from case_moves import Moves
from sides import LIBVIRT_WAYS

NAME = "memory"


def shared(guest):
    """The same guest, whose image is there wherever it runs."""
    class Shared(type(guest)):
        def ensure(self, load):
            where = super().ensure(load)
            image = hosts.outside(where, self.image)
            for host in stage.HOSTS:
                other = hosts.outside(host, self.image)
                if not os.path.exists(other):
                    os.makedirs(os.path.dirname(other), exist_ok=True)
                    os.link(image, other)
            return where

        def create_image(self, host):
            """It is there."""

        def remove_image(self, host):
            """It stays; `lab guest --remove` takes all its names away."""

    guest.__class__ = Shared
    return guest


class Memory(Moves):
    name = NAME
    ways = LIBVIRT_WAYS
    storage = ("--unsafe",)

    def __init__(self, options, scene, say):
        super().__init__(options, scene, say)
        self.guest = shared(self.guest)
