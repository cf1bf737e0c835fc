# SPDX-License-Identifier: Apache-2.0
"""Case `busy`: a guest that changes its memory faster than a 100 Mbit/s link carries it, under each policy of convergence.

libvirt's counterpart is its own answer, `--auto-converge`; the ratios compare it with Drover's `slow-guest`, which asks QEMU for
the same. `give-up` and `wait` end without an arrival: the first by itself, the second because it is cancelled.
"""
import http.client
import json
import socket
import time

import droverd
import goals
import hosts
import stage
from base import LabError
from sides import Drover, Libvirt, MoveFailed

NAME = "busy"
LINKS = ("100mbit",)  # no guest under emulation outruns a faster one
# 24 MiB that nothing can make less of, changed several times while they cross the link once.
GUEST = {"memory": 128, "disk": "64M", "fill": 4, "compressible": 0, "records": 24, "dirty": 64, "disk-rate": 0}
PAUSE, GIVE_UP = "pause:5", "give-up:10"
LIMIT_SECONDS = 300
WAITED_SECONDS = 60  # so long `wait` may show that it does not end


def ask(host, method, path, body=None):
    """One request to a host's droverd, on its local socket; its answer."""
    link = http.client.HTTPConnection("localhost", timeout=30)
    link.sock = socket.socket(socket.AF_UNIX)
    try:
        link.sock.connect(str(hosts.outside(host, droverd.SOCKET)))
        link.request(method, path, body=json.dumps(body) if body else None, headers={"Content-Type": "application/json"} if body else {})
        answer = link.getresponse()
        text = answer.read().decode()
    finally:
        link.close()
    if answer.status != 200:
        raise LabError(f"{method} {path}: {answer.status} {text}")
    return json.loads(text)


class BusyGuest(stage.Guest):
    """The probe guest, small and busy whatever the command line says of the other cases' guests."""

    def ensure(self, load):
        self.settings = None
        stage.lab("guest", "--remove", self.name)
        for host in stage.HOSTS:
            self.remove_image(host)
        stage.lab("guest", stage.HOSTS[0], self.name, *(word for key, value in load.items() for word in (f"--{key}", value)))
        return stage.HOSTS[0]

    def describe(self, load):
        return {"guest": "probe", **load}


class Busy:
    def __init__(self, options, scene, say):
        self.options, self.scene, self.say = options, scene, say
        self.guest = BusyGuest(options)
        self.arriving = {"libvirt": Libvirt(["--auto-converge"]), "drover": Drover(["--convergence", "slow-guest"]),
                         "drover_pause": Drover(["--convergence", PAUSE])}
        self.staying = {"drover_give_up": (GIVE_UP, LIMIT_SECONDS), "drover_wait": ("wait", WAITED_SECONDS)}

    def run(self, link):
        samples = {name: [] for name in self.arriving if name.split("_")[0] in self.options.side}
        stays = {name: [] for name in self.staying if "drover" in self.options.side}
        for number in range(self.options.runs):
            for name in samples:
                self.attempt(name, link, number, samples[name], self.arrive)
            for name in stays:
                self.attempt(name, link, number, stays[name], self.stay)
        result = goals.compare(NAME, link, samples)
        result.update({name: {"samples": found} for name, found in stays.items()})
        result["guest"] = self.guest.describe(GUEST)
        return result

    def attempt(self, name, link, number, samples, act):
        label = f"{NAME:9} run {number + 1}/{self.options.runs} {name:14}"
        try:
            stage.lab("link", "unlimited")
            source = self.guest.ensure(GUEST)
            stage.lab("link", link)
            stage.settle()
            sample = act(name, source)
            self.guest.verify()
        except (MoveFailed, LabError, OSError) as error:
            self.scene.failures.append(f"{' '.join(label.split())}: {error}")
            self.say(f"FAILED  {self.scene.failures[-1]}")
            return
        samples.append(sample)
        pause = sample.get("pause_ms")
        self.say(f"{label} {sample['wall_s']:7.2f} s  warned {sample.get('warned_s') or '-'} s  "
                 f"pause {'-' if pause is None else f'{pause:.0f}'} ms")

    def arrive(self, name, source):
        destination = next(host for host in stage.HOSTS if host != source)
        return self.arriving[name].move(self.guest, source, destination, LIMIT_SECONDS)

    def stay(self, name, source):
        """A move that is not to arrive: how long until it warned, and until it ended with the guest where it was."""
        policy, limit = self.staying[name]
        destination = next(host for host in stage.HOSTS if host != source)
        began = time.monotonic()
        move = ask(source, "POST", "/v1/moves", {"vm": self.guest.name, "destination": destination, "accept_notes": True,
                                                     "convergence": policy})
        warned, cancelled = None, False
        while move["state"] == "running":
            time.sleep(0.2)
            spent = time.monotonic() - began
            move = ask(source, "GET", f"/v1/moves/{move['id']}")
            if warned is None and move["progress"].get("warning"):
                warned = round(spent, 1)
            if spent > limit and not cancelled:
                ask(source, "POST", f"/v1/moves/{move['id']}/cancel")
                cancelled = True
        if self.guest.states() != {source: "running"}:
            raise MoveFailed(f"the guest is {self.guest.states()}, the move {move['state']}")
        return {"wall_s": time.monotonic() - began, "warned_s": warned, "state": move["state"],
                "passes": len(move["progress"].get("passes", []))}


def verdicts(result):
    """(what, measured, goal, reached) of the policies that libvirt has no counterpart of."""
    rows = []
    paused = result.get("drover_pause", {})
    if paused.get("pause_ms") is not None:
        rows.append((f"busy, {PAUSE}", f"{paused['wall_s']:.1f} s, pause {paused['pause_ms']:.0f} ms", "", None))
    for name, policy in (("drover_give_up", GIVE_UP), ("drover_wait", "wait")):
        for sample in result.get(name, {}).get("samples", []):
            rows.append((f"busy, {policy}", f"warned after {sample['warned_s']} s, {sample['state']} after {sample['wall_s']:.1f} s",
                         "", None))
    return rows
