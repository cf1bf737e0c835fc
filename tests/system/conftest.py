# SPDX-License-Identifier: Apache-2.0
"""The lab as a fixture: two hosts for the whole run. Set DROVER_LAB_KEEP to use, and to leave, a lab that is up."""
import os
import pathlib

import pytest

import product
from lab_verbs import Lab, make_whole


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
