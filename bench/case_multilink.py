# SPDX-License-Identifier: Apache-2.0
"""Case `multilink`: Drover over two networks of 500 Mbit/s between the hosts, beside Drover over one of them.

Both sides are `--performance multilink`; only the networks differ. Wire and pause are compared too: two networks shall carry no
more bytes than one.
"""
import stage
from case_moves import Moves
from sides import Drover

NAME = "multilink"
RATE = "500mbit"  # of each
TOGETHER = "1gbit"
NETWORKS = ("10.77.0.0/24", "10.77.1.0/24")
ONE_PAIR = "drover_one_pair"


def over(*networks):
    return Drover(["--performance", "multilink", "--networks", ",".join(networks)])


class Multilink(Moves):
    name, against = NAME, ONE_PAIR

    def __init__(self, options, scene, say):
        super().__init__(options, scene, say)
        self.sides = {"drover": over(*NETWORKS), ONE_PAIR: over(NETWORKS[0])}

    def run(self, _link):
        stage.lab("up", "--move-networks", len(NETWORKS), "--libvirt-tcp")
        return {**super().run(RATE), "link": TOGETHER}
