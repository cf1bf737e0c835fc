# SPDX-License-Identifier: Apache-2.0
"""Moves over chosen networks: which packets go where, who is let in, and what a cut of one or of all of them does."""
import contextlib
import json
import re
import socket
import time

import pytest

from marks import LONG
from product import MOVER_PORT, UnixConnection, assert_clean, brief, codes, drop_all, network, until

FIRST, SECOND = "10.77.0.0/24", "10.77.1.0/24"
OUTAGE = 20
PAUSE_BUDGET_MS = 4000


@pytest.fixture
def two(lab, pair):
    """host1 and host2, with two networks between them."""
    lab.run("up", "--move-networks", "2")
    yield pair
    lab.run("link", "restore")
    lab.run("link", "unlimited")
    for host in pair:
        host.drover("settings", "networks=any")


@pytest.fixture
def slow_guest(lab, two):
    """One that takes a while, over both networks together as well. Its disk changes slowly: each write costs a whole block of
    the copy."""
    lab.run("link", "40mbit")
    with lab.guest("host1", "wide", memory=256, disk="256M", fill=64, dirty=1, disk_rate=0.02, compressible=0) as guest:
        yield guest


def counted(host, number):
    """Bytes that crossed a host's interface to a move network so far, both directions."""
    shown = network.ip(network.netns_of(host.name), "-s", "-j", "link", "show", "dev", f"move{number}").stdout
    counters = json.loads(shown)[0]["stats64"]
    return counters["rx"]["bytes"] + counters["tx"]["bytes"]


@contextlib.contextmanager
def events(host):
    """The lines of a host's event stream."""
    link = UnixConnection(host.socket, timeout=120)
    try:
        link.request("GET", "/v1/events")
        yield link.getresponse()
    finally:
        link.close()


def wait_for_standstill(said, name):
    while True:
        line = said.readline().decode()
        assert line, "the events ended"
        if line.startswith("data:") and '"change":"suspended"' in line and f'"name":"{name}"' in line:
            return


def ended_well(lab, source, destination, move_id, name="wide"):
    """The finished move, whose guest proved itself at the destination."""
    move = source.wait_move(move_id)
    assert (move["state"], move["runner"]) == ("done", "destination"), brief(move)
    result = lab.verify(name)
    assert result["ok"] and result["states"] == {destination.name: "running"}, result
    drop_all(source)
    return move


def carried(move):
    return {traffic["network"]: traffic["wire_bytes"] for traffic in move["report"]["networks"]}


def test_only_the_second_network_is_used(lab, two):
    host1, host2 = two
    with lab.guest("host1", "wide", memory=192, disk="128M", fill=24, dirty=1):
        plan = host1.plan("wide", "host2", networks=[SECOND])
        assert plan["networks"] == [{"network": SECOND, "source_address": "10.77.1.1", "destination_address": "10.77.1.2"}]
        before = [counted(host1, number) for number in (0, 1)]
        done = host1.drover("move", "wide", "host2", "--yes", "--networks", SECOND)
        first, second = (counted(host1, number) - was for number, was in zip((0, 1), before))
        move = ended_well(lab, host1, host2, host1.moves()[0]["id"])
        wire = move["report"]["wire_bytes"]
        # The daemons' own talk, and nothing of the guest.
        assert first < 4 << 20 and wire > 16 << 20 and second > wire, (first, second, wire, done.stdout)
        assert carried(move).keys() == {SECOND}
    assert_clean(*two)


@LONG
def test_both_networks_are_used(lab, two, slow_guest):
    host1, host2 = two
    host1.drover("settings", f"networks={FIRST},{SECOND}")
    move = ended_well(lab, host1, host2, host1.start_move("wide", "host2"))
    shares = carried(move)
    assert set(shares) == {FIRST, SECOND}
    wire = move["report"]["wire_bytes"]
    assert sum(shares.values()) <= wire and min(shares.values()) > wire * 0.25, (shares, wire)


@LONG
def test_links_of_different_speed_share_by_what_they_can(lab, two, slow_guest):
    host1, host2 = two
    lab.run("link", "move1", "10mbit")
    shares = carried(ended_well(lab, host1, host2, host1.start_move("wide", "host2", networks=[FIRST, SECOND])))
    assert shares[FIRST] > 1.5 * shares[SECOND] > 0, shares


@pytest.mark.parametrize("phase", ["copy-disks", pytest.param("copy-memory", marks=LONG)])
def test_one_network_of_two_is_cut(lab, two, slow_guest, phase):
    """The move goes on over the other without an error, and uses the first again when it is back."""
    host1, host2 = two
    move_id = host1.start_move("wide", "host2", networks=[FIRST, SECOND])
    host1.wait_phase(move_id, phase)
    lab.run("link", "move1", "cut")
    time.sleep(8)
    lost = counted(host1, 1)
    lab.run("link", "move1", "restore")
    move = host1.move(move_id)
    assert move["state"] == "running", brief(move)
    until(lambda: counted(host1, 1) - lost > 1 << 20 or host1.move(move_id)["state"] != "running", "the second is used again")
    assert host1.move(move_id)["state"] == "running" or counted(host1, 1) - lost > 1 << 20, "the second was not used again"
    shares = carried(ended_well(lab, host1, host2, move_id))
    assert min(shares.values()) > 0, shares
    assert_clean(*two)


@pytest.mark.parametrize("phase", [pytest.param("copy-disks", marks=LONG), "copy-memory"])
def test_an_outage_of_all_networks_costs_its_time(lab, two, slow_guest, phase):
    host1, host2 = two
    move_id = host1.start_move("wide", "host2")
    host1.wait_phase(move_id, phase)
    lab.run("link", "cut")
    time.sleep(OUTAGE)
    lab.run("link", "restore")
    back = time.monotonic()
    progress = host1.move(move_id)["progress"]
    assert host1.move(move_id)["state"] == "running", brief(host1.move(move_id))
    what = "disks" if phase == "copy-disks" else "memory"
    until(lambda: host1.move(move_id)["progress"][what]["done_bytes"] > progress[what]["done_bytes"]
          or host1.move(move_id)["state"] != "running", "the move goes on")
    print(f"{phase}: bytes flow again {time.monotonic() - back:.1f} s after the end of an outage of {OUTAGE} s")
    ended_well(lab, host1, host2, move_id)
    assert_clean(*two)


def cut_within_the_pause(lab, host1):
    """Starts a move and cuts the networks as soon as the guest stands still; gives the move once it has ended, and whether
    FINISH was on its way already: then the link comes back, and the true answer ends the move. The pause budget is the guest's:
    the move itself ends later, for Drover first tries to tell the destination, which does not answer."""
    with events(host1) as said:
        move_id = host1.start_move("wide", "host2")
        wait_for_standstill(said, "wide")
    network.cut()
    stood = time.monotonic()
    went_on = []

    def has_ended(move):
        if not went_on and host1.domstate("wide") == "running":
            went_on.append(time.monotonic() - stood)
        return move["state"] != "running" or move["phase"] == "switch"

    try:
        move = host1.wait_move(move_id, has_ended, patience=PAUSE_BUDGET_MS / 1000 + 30)
        finish_was_first = move["phase"] in ("switch", "verify", "settle")
        if not finish_was_first:
            print(f"the guest went on {went_on[0]:.1f} s after the cut; the move {move['state']} after "
                  f"{time.monotonic() - stood:.1f} s")
            assert PAUSE_BUDGET_MS / 1000 - 1 < went_on[0] < PAUSE_BUDGET_MS / 1000 + 2
    finally:
        lab.run("link", "restore")
    return host1.wait_move(move_id), finish_was_first


@LONG
def test_an_outage_within_the_pause_ends_on_the_source(lab, two):
    """The guest stands still, FINISH is not forwarded yet: after the pause budget it runs where it was. That time is short: a
    cut that comes too late is tried again."""
    host1, host2 = two
    host1.configure(pause_budget_ms=PAUSE_BUDGET_MS)
    try:
        with lab.guest("host1", "wide", memory=192, disk="128M", fill=8, dirty=24):
            for _ in range(4):
                move, finish_was_first = cut_within_the_pause(lab, host1)
                # The destination undoes its part once it is asked again.
                assert_clean(*two)
                verified = lab.verify("wide")
                runner = {"done": "host2", "failed": "host1"}[move["state"]]
                assert verified["ok"] and verified["states"] == {runner: "running"}, (verified, brief(move))
                drop_all(*two)
                if not finish_was_first:
                    assert runner == "host1", brief(move)
                    return
                if runner == "host2":
                    host2.drover("move", "wide", "host1", "--yes", "--delete-now")
            pytest.skip("four times FINISH was faster than the cut")
    finally:
        host1.configure(pause_budget_ms=None)


def test_links_are_taken_in_at_allowed_addresses_only(lab, two):
    host1, host2 = two

    def speaks(address):
        """Whether the mover port at this address waits for a preamble instead of closing at once."""
        with network.inside(network.netns_of("host1")):
            link = socket.create_connection((address, MOVER_PORT), 5)
        with link:
            link.settimeout(1)
            try:
                return link.recv(1) != b""
            except TimeoutError:
                return True
            except ConnectionResetError:
                return False

    assert speaks("10.77.0.2") and speaks("10.77.1.2")
    host2.drover("settings", f"networks={SECOND}")
    assert not speaks("10.77.0.2") and speaks("10.77.1.2")
    with lab.guest("host1", "wide", memory=128, disk="64M", fill=4):
        assert "NO_COMMON_NETWORK" in codes(host1.plan("wide", "host2", networks=[FIRST]), "blocker")
        refused = host1.drover("move", "wide", "host2", "--yes", "--networks", FIRST, check=False)
        assert refused.returncode != 0 and "NO_COMMON_NETWORK" in refused.stdout + refused.stderr
        # Without a wish of the source the destination's word is enough.
        ended_well(lab, host1, host2, host1.start_move("wide", "host2"))
    log = host2.log().read_text()
    assert re.search(r"A link came to 10\.77\.0\.2, which is in none of this host's networks", log)
    assert_clean(*two)
