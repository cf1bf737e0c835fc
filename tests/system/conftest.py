# SPDX-License-Identifier: Apache-2.0
"""The lab as a fixture: two hosts for the whole run. Set DROVER_LAB_KEEP to use, and to leave, a lab that is up."""
import contextlib
import json
import os
import pathlib
import signal
import subprocess

import pytest

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
        """A probe guest for the time of a `with`: memory, disk, dirty, compressible, fill, disk_rate, folder."""
        words = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", value)]
        try:
            yield self.json("guest", host, name, *words)
        finally:
            self.run("guest", "--remove", name)

    def background(self, *words):
        return Background(*map(str, words))

    def start(self, *words):
        """A lab verb that runs beside the test."""
        return subprocess.Popen([LAB, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="session")
def lab():
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    it = Lab()
    keep = bool(os.environ.get("DROVER_LAB_KEEP"))
    if not keep:
        it.run("down")
    it.run("up")
    yield it
    if not keep:
        it.run("down")


# Drover on the lab's hosts.


@pytest.fixture(scope="session")
def host1(lab):
    return product.Host(lab, "host1")


@pytest.fixture(scope="session")
def host2(lab):
    return product.Host(lab, "host2")


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


@pytest.fixture(scope="session")
def built():
    if not any((folder / "droverd").exists() for folder in product.programs()):
        pytest.skip("Drover is not built: build it, or set DROVER_BIN to the folder of its programs")


@pytest.fixture
def pair(built, lab, host1, host2):
    """host1 and host2, whole, with Drover on both; whole again afterwards."""
    make_whole(lab, host1, host2)
    product.drop_all(host1, host2)
    yield host1, host2
    make_whole(lab, host1, host2)


@pytest.fixture(scope="module")
def relayed(built, lab, host2):
    """host2's gates speak to libvirtd through the relay."""
    host2.configure(libvirt_socket=product.RELAY)
    yield
    host2.configure(libvirt_socket=None)


LOG_LINES = 150


def log_sizes():
    return {path: path.stat().st_size for path in pathlib.Path(product.lab_hosts.LAB_DIR).glob("hosts/*/*.log")}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    item.logs_before = log_sizes()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows what droverd, gates and movers (they share droverd's log), libvirtd and relays said meanwhile."""
    report = (yield).get_result()
    if not report.failed:
        return
    for path, size in sorted(log_sizes().items()):
        with open(path, errors="replace") as log:
            log.seek(item.logs_before.get(path, 0) if size >= item.logs_before.get(path, 0) else 0)
            lines = log.read().splitlines()[-LOG_LINES:]
        if lines:
            report.sections.append((f"{path.parent.name} {path.name}", "\n".join(lines)))
