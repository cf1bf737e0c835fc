# SPDX-License-Identifier: Apache-2.0
"""The lab by its verbs, as a caller of `lab/lab` has it."""
import contextlib
import json
import pathlib
import signal
import subprocess

import product

REPO = pathlib.Path(__file__).resolve().parents[2]
LAB = REPO / "lab" / "lab"


class Background:
    """A lab verb that runs until it is told to stop, and then reports (watch, capture)."""

    def __init__(self, *words):
        self.process = subprocess.Popen([LAB, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr.readline().strip() in ("watching", "listening")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        said, errors = self.process.communicate(timeout=30)
        assert said, errors
        return json.loads(said)


class Lab:
    program = LAB

    def run(self, *words, check=True, timeout=300):
        """A lab verb to its end."""
        done = subprocess.run([LAB, *map(str, words)], capture_output=True, text=True, timeout=timeout)
        assert not check or done.returncode == 0, f"lab {words}: {done.stderr}{done.stdout}"
        return done

    def json(self, *words, check=True):
        return json.loads(self.run(*words, "--json", check=check).stdout)

    def exec(self, host, *command, check=True):
        return self.run("exec", host, *command, check=check).stdout

    def virsh(self, host, *words, check=True):
        return self.run("exec", host, "virsh", "-q", *words, check=check)

    def verify(self, name, *words):
        return self.json("verify", name, *words, check=False)

    def folder(self, host):
        return pathlib.Path(self.json("status")["hosts"][host]["folder"])

    @contextlib.contextmanager
    def guest(self, host, name, **options):
        """A probe guest for the time of a `with`: memory, disk, dirty, compressible, fill, disk_rate, folder; uefi=True, tpm=True."""
        words = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", value) if word is not True]
        try:
            yield self.json("guest", host, name, *words)
        finally:
            self.run("guest", "--remove", name)

    def background(self, *words):
        return Background(*map(str, words))

    def start(self, *words):
        """A lab verb that runs beside the test."""
        return subprocess.Popen([LAB, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def make_whole(lab, *hosts):
    """Every daemon runs, the network is whole, no relay is left: whatever a test did to them."""
    for host in hosts:
        product.lab_relays.stop(host.name, "relay")
    names = list(product.lab_hosts.known())
    product.network.restore(names)
    product.network.shape(names, "unlimited")
    for host in hosts:
        if not host.pids("libvirtd"):
            host.start_libvirtd()
        if not host.answers():
            host.start_droverd()
