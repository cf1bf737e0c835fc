# SPDX-License-Identifier: Apache-2.0
"""Three hosts: the best one, candidates, a host that is emptied and filled again, a host that dies meanwhile."""
import contextlib
import json
import subprocess

import pytest

import product
from conftest import make_whole
from marks import LONG
from product import REPO, assert_clean, brief, drop_all, until

GUEST = {"memory": 112, "disk": "64M", "fill": 16, "dirty": 0.25, "disk_rate": 0.02}
STUCK = """<domain type='qemu'><name>stuck</name><uuid>5f1f0000-0000-4000-8000-00000000d0d0</uuid><memory unit='MiB'>64</memory>
<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='0' slot='2' function='0'/></source></hostdev>
</devices></domain>"""


@pytest.fixture(scope="module")
def host3(built, lab):
    lab.run("up", "--hosts", 3)
    return product.Host(lab, "host3")


@pytest.fixture
def three(lab, pair, host3):
    """Three whole hosts; host1 gives up a dead link soon."""
    hosts = (*pair, host3)
    lab.run("power", "host3", "on")
    make_whole(lab, *hosts)
    hosts[0].configure(patience_ms=4000)
    lab.run("link", "100mbit")
    yield hosts
    lab.run("link", "unlimited")
    lab.run("power", "host3", "on")
    hosts[0].configure(patience_ms=None)
    hosts[0].drover("evacuate", "host1", "--cancel", check=False)
    make_whole(lab, *hosts)
    drop_all(*hosts)


@contextlib.contextmanager
def guests(lab, names, host="host1"):
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(lab.guest(host, name, **GUEST))
        yield names


@contextlib.contextmanager
def stuck(host):
    """A VM that cannot leave: it uses a card of the host."""
    host.define(STUCK)
    try:
        yield
    finally:
        host.virsh("undefine", "stuck")


def begin(host, *words):
    return subprocess.Popen([REPO / "lab" / "lab", "exec", host.name, "drover", *words], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


def ended(command):
    said = command.communicate(timeout=600)[0]
    return command.returncode, said


def job(host):
    return host.get("/v1/evacuations")["evacuations"][0]


def places(lab, names):
    """Guest -> where it runs, and its memory and disk are as they should be."""
    found = {}
    for name in names:
        result = lab.verify(name)
        assert result["ok"], result
        running = [host for host, state in result["states"].items() if state == "running"]
        assert len(running) == 1, result
        found[name] = running[0]
    return found


def moves_to(host, destination, phases=("copy-disks", "copy-memory")):
    return [move for move in host.moves() if move["state"] == "running" and move["destination"] == destination
            and move["phase"] in phases]


def test_wrong_wishes_do_nothing(three):
    host1, _, _ = three
    for words, code, text in [
            (("evacuate", "host1", "--to", "host1", "--yes"), 2, "cannot be one of the destinations"),
            (("evacuate", "host1", "--to", "host2,host9", "--yes"), 2, "host9 is not paired"),
            (("evacuate", "host9", "--yes"), 3, "host9"),
            (("return", "host1", "--yes"), 3, "No VM that left host1"),
            (("evacuate", "host1", "--cancel"), 1, "not being evacuated"),
            (("evacuate", "host1", "--status"), 3, "never evacuated")]:
        done = host1.drover(*words, check=False)
        assert (done.returncode, text in done.stderr) == (code, True), (words, done.returncode, done.stderr, done.stdout)
    assert not host1.moves() or all(move["state"] != "running" for move in host1.moves())
    assert host1.get("/v1/evacuations")["evacuations"] == []


def test_evacuate_names_what_stays_survives_a_kill_and_return_brings_all_back(lab, three):
    host1, host2, _ = three
    with guests(lab, ["one", "two", "three"]) as names, stuck(host1):
        asked = host1.drover("evacuate", "host1", check=False)
        assert asked.returncode == 2 and "--yes" in asked.stderr
        assert "3 of 4 VMs can leave" in asked.stdout and "HOST_DEVICE" in asked.stdout, asked.stdout
        command = begin(host1, "evacuate", "host1", "--yes")
        until(lambda: moves_to(host1, "host2") + moves_to(host1, "host3"), "a VM moves", pause=0.05)
        host1.kill_droverd()
        host1.start_droverd()
        code, said = ended(command)
        assert code == 1 and "3 of 4 VMs have left host1" in said and "HOST_DEVICE" in said, said
        where = places(lab, names)
        assert set(where.values()) == {"host2", "host3"}, f"both are used: {where}"
        assert [move["state"] for move in host1.moves()].count("done") >= 3 and job(host1)["keeps_out"]

        # Nobody chooses an evacuated host, whoever is asked.
        there = next(name for name in names if where[name] == "host2")
        best = host2.api("POST", "/v1/best", {"request": {"vm": there, "destination": ""}})[1]
        verdicts = {choice["host"]: choice for choice in best["hosts"]}
        assert verdicts["host3"]["possible"] and best["plan"]["request"]["destination"] == "host3", best["hosts"]
        assert [obstacle["code"] for obstacle in verdicts["host1"]["obstacles"]] == ["HOST_EVACUATED"], verdicts

        code, said = ended(begin(host1, "return", "host1", "--yes"))
        assert code == 0 and "3 of 3 VMs are back on host1" in said, said
        assert set(places(lab, names).values()) == {"host1"}
        assert not job(host1)["keeps_out"]
        assert_clean(*three)


def dies_midway(lab, three, count):
    """host3 loses its power while the first VMs move to it: all arrive at host2, and come back."""
    host1, host2, host3 = three
    with guests(lab, [f"g{number}" for number in range(count)]) as names, stuck(host1):
        command = begin(host1, "evacuate", "host1", "--yes")
        until(lambda: moves_to(host1, "host3"), "a VM moves to host3", pause=0.02)
        lab.run("power", "host3", "off")
        code, said = ended(command)
        assert code == 1 and f"{count} of {count + 1} VMs have left host1" in said, said
        assert "HOST_DEVICE" in said and "failed" in said, said
        assert set(places(lab, names).values()) == {"host2"}
        shown = host1.drover("evacuate", "host1", "--status").stdout
        assert "host3" in shown and "stuck" in shown, shown
        code, said = ended(begin(host1, "return", "host1", "--yes"))
        assert code == 0, said
        assert set(places(lab, names).values()) == {"host1"}
        lab.run("power", "host3", "on")
        until(lambda: host3.answers(), "host3 is back")
        assert_clean(*three)


@LONG
def test_a_host_that_dies_midway_is_planned_around(lab, three):
    dies_midway(lab, three, 2)


@LONG
def test_eight_guests_and_a_host_that_dies_midway(lab, three):
    dies_midway(lab, three, 8)


@LONG
def test_cancelled_it_stops_where_it_is(lab, three):
    host1 = three[0]
    with guests(lab, ["one", "two", "three"]) as names:
        host1.drover("settings", "live-moves=1")
        try:
            command = begin(host1, "evacuate", "host1", "--yes")
            until(lambda: moves_to(host1, "host2") + moves_to(host1, "host3"), "a VM moves")
            host1.drover("evacuate", "host1", "--cancel")
            code, said = ended(command)
        finally:
            host1.drover("settings", "live-moves=2")
        assert code == 1 and job(host1)["state"] == "cancelled" and not job(host1)["keeps_out"], said
        assert sorted(places(lab, names).values())[:2] == ["host1", "host1"]
        code, said = ended(begin(host1, "return", "host1", "--yes"))
        assert code == 0, said
        assert set(places(lab, names).values()) == {"host1"}


@LONG
def test_the_second_candidate_is_used_when_the_first_dies(lab, three):
    """Midway the source goes on to the next by itself; one that is dead already is passed over in the plan."""
    host1, host2, _ = three
    with guests(lab, ["one"]):
        command = begin(host1, "move", "one", "host3,host2", "--yes")
        until(lambda: moves_to(host1, "host3"), "it moves to host3", pause=0.02)
        lab.run("power", "host3", "off")
        code, said = ended(command)
        assert code == 0 and "goes on to host2" in said and "passed over" in said and "host3" in said, said
        assert places(lab, ["one"]) == {"one": "host2"}
        second, first = host1.moves()[:2]
        assert (first["state"], second["state"]) == ("failed", "done"), (brief(first), brief(second))
        assert second["plan"]["request"]["continues"] == first["id"]

        plan = json.loads(host2.drover("plan", "one", "host3,host1", "--json").stdout)
        assert plan["request"]["destination"] == "host1"
        assert any(finding["code"] == "CANDIDATE_PASSED" and "host3" in finding["what"] for finding in plan["findings"]), plan
        done = host2.drover("move", "one", "host3,host1", "--yes")
        assert "host3" in done.stdout and places(lab, ["one"]) == {"one": "host1"}
