# SPDX-License-Identifier: Apache-2.0
"""Forecasts: made from what is measured, written down before the first byte, held against what came; plans that went stale."""
import datetime
import json
import re
import time

import pytest

from marks import LONG
from product import ENDED, IMAGES, assert_clean, brief, codes, drop_all, until

GUEST = {"memory": 128, "disk": "128M", "fill": 48, "dirty": 2, "disk_rate": 0.1}
MIB = 1 << 20


@pytest.fixture
def guest(lab, pair):
    with lab.guest("host1", "seer", **GUEST):
        yield pair
    drop_all(*pair)
    assert_clean(*pair)


def own(plan):
    return plan["forecast"]["strategies"][0]


def at(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def worked(move):
    """Milliseconds, without the queue and the plan."""
    first = next(entry for entry in move["phases"] if entry["phase"] != "plan")
    return (at(move["ended_at"]) - at(first["started_at"])).total_seconds() * 1000


def row(host, move_id):
    """The journal's row of a move."""
    [(text,)] = host.sql(f"SELECT job FROM jobs WHERE side = 'source' AND id = '{move_id}'")
    return json.loads(text)["move"]


def arrive(host, name, destination, **request):
    move = host.wait_move(host.start_move(name, destination, measure=True, **request))
    assert move["state"] == "done", brief(move)
    return move


def test_a_plan_says_what_a_move_will_take_and_the_report_what_it_took(lab, guest):
    host1, host2 = guest
    lab.run("link", "100mbit")
    plan = host1.plan("seer", "host2")
    made = plan["forecast"]
    assert [one["strategy"] for one in made["strategies"]] == ["compress", "direct", "quick"], made
    for one in made["strategies"]:
        assert one["likely_ms"] * 0.59 <= one["least_ms"] <= one["likely_ms"] <= one["most_ms"] <= one["likely_ms"] * 1.41, one
        assert one["wire_bytes"] > 4 * MIB and one["converges_percent"] > 50, one
    # 100 Mbit/s are 12.5 MB/s with all headers.
    assert 8e6 < made["link_bytes_per_second"] < 16e6, made
    # 2 MiB/s in records of 4 KiB; libvirt tells whole MiB/s of samples.
    assert made["dirty_bytes_per_second"] <= 12 * MIB, made
    assert made["write_bytes_per_second"] > 0 and 32 * MIB < made["memory_bytes"] <= 128 * MIB, made
    assert made["disks_bytes"] > 40 * MIB and made["spared_bytes"] == 0, made
    assert made["notes"] == [], made

    said = host1.drover("plan", "seer", "host2").stdout
    assert "It will take" in said and "STRATEGY" in said and "quick" in said, said

    # Begun by the plan: the very forecast that was shown is in the journal before anything was copied.
    status, started = host1.api("POST", "/v1/moves", {"plan": plan["id"], "accept_notes": True})
    assert status in (200, 201, 202), started
    host1.wait_phase(started["id"], "copy-disks")
    assert row(host1, started["id"])["plan"]["forecast"] == made
    move = host1.wait_move(started["id"])
    assert move["state"] == "done" and move["plan"]["forecast"] == made, brief(move)
    assert lab.verify("seer")["ok"]
    # The machine does much else, and so did the moves of other tests that this one has learnt from.
    assert 0.2 < own(plan)["likely_ms"] / worked(move) < 5, (own(plan), worked(move))

    shown = host1.drover("report", started["id"]).stdout
    assert "forecast" in shown and "PAUSE FORECAST" in shown, shown
    assert started["id"] in host1.drover("report").stdout
    assert json.loads(host1.drover("report", "--json").stdout)["moves"][0]["plan"]["forecast"] == made

    # The way back: disks that stayed need not travel, and the next forecast of this way has learnt.
    back = host2.plan("seer", "host1")["forecast"]
    assert back["spared_bytes"] > 30 * MIB, back
    arrive(host2, "seer", "host1")
    lab.run("link", "unlimited")
    again = host1.plan("seer", "host2")["forecast"]
    assert again["learnt_from"] >= 1 and again["spared_bytes"] > 30 * MIB, again
    assert again["link_bytes_per_second"] > 2 * made["link_bytes_per_second"], again


def timed_plan(host, **request):
    began = time.monotonic()
    plan = host.plan("seer", "host2", **request)
    return plan, time.monotonic() - began


def test_a_move_in_a_hurry_takes_the_guest_as_it_was(lab, guest):
    """What was measured before has to do; what that leaves open is in the range."""
    host1, _ = guest
    host1.restart_droverd()
    first = host1.plan("seer", "host2", measure=True)["forecast"]
    assert first["dirty_age_ms"] < 10_000 and first["notes"] == [], first
    time.sleep(12)  # then neither the guest nor the link is taken for what it is now
    _, checks = timed_plan(host1, measure=False)
    plan, took = timed_plan(host1, measure=True, hurry=True)
    made = plan["forecast"]
    assert made["notes"] == [] and 10_000 < made["dirty_age_ms"] < 60_000, made
    assert made["dirty_bytes_per_second"] == first["dirty_bytes_per_second"], made
    assert made["link_bytes_per_second"] == first["link_bytes_per_second"] and 10_000 < made["link_age_ms"] < 60_000, made
    assert made["write_bytes_per_second"] == first["write_bytes_per_second"], made
    for one in made["strategies"]:
        assert one["likely_ms"] * 0.59 <= one["least_ms"] <= one["likely_ms"] <= one["most_ms"] <= one["likely_ms"] * 1.41, one
    print(f"a plan takes {checks:.2f} s, in a hurry {took:.2f} s")


def test_a_move_in_a_hurry_waits_for_nothing_that_is_not_known(lab, guest):
    """A guest that was started a moment ago, and a droverd that remembers nothing."""
    host1, _ = guest
    host1.restart_droverd()
    _, checks = timed_plan(host1, measure=False)
    plan, took = timed_plan(host1, measure=True, hurry=True)
    print(f"a plan takes {checks:.2f} s, in a hurry {took:.2f} s")
    made = plan["forecast"]
    assert "dirty_bytes_per_second" not in made and any("was not waited for" in note for note in made["notes"]), made
    assert 10 < own(plan)["converges_percent"] <= 90, made
    assert own(plan)["most_ms"] >= 1.39 * own(plan)["likely_ms"], made
    said = host1.drover("move", "seer", "host2", "--yes")
    assert said.returncode == 0 and "was not waited for" in said.stdout, said
    done = host1.moves()[0]
    phases = {entry["phase"]: (at(entry["ended_at"]) - at(entry["started_at"])).total_seconds() for entry in done["phases"]}
    print("its phases:", phases)
    assert done["state"] == "done" and lab.verify("seer")["ok"], brief(done)


def test_a_guest_that_outruns_the_link_has_little_chance(lab, pair):
    host1, _ = pair
    lab.run("link", "100mbit")
    host1.restart_droverd()  # it remembers for a while how fast the link was
    with lab.guest("host1", "hasty", memory=128, disk="64M", fill=4, compressible=0, records=24, dirty=64, disk_rate=0):
        # Uncompressed: what its records pack to is not known before.
        made = own(host1.plan("hasty", "host2", convergence="wait", performance="direct"))
        assert made["converges_percent"] <= 20, made
        longer = own(host1.plan("hasty", "host2", convergence="pause:30", performance="direct"))
        assert longer["pause_ms"] > 500 and longer["converges_percent"] >= 80, longer
        said = host1.drover("plan", "hasty", "host2", "--convergence", "wait", "--performance", "direct").stdout
        assert "The chance that its memory can be copied so is" in said, said


def test_without_measuring_only_earlier_moves_count(guest):
    host1, _ = guest
    made = host1.plan("seer", "host2", measure=False)["forecast"]
    assert made["link_bytes_per_second"] == made["write_bytes_per_second"] == 0 and "dirty_bytes_per_second" not in made, made
    assert "as was asked" in made["notes"][0] and made["strategies"][0]["likely_ms"] > 0, made
    assert "as was asked" in host1.drover("plan", "seer", "host2", "--no-measure").stdout


def test_a_plan_with_blockers_has_no_forecast_and_asks_nothing(guest):
    host1, host2 = guest
    host2.drover("settings", "incoming=off")
    try:
        plan = host1.plan("seer", "host2")
        assert codes(plan, "blocker") and "forecast" not in plan, plan
        assert "It will take" not in host1.drover("plan", "seer", "host2", check=False).stdout
    finally:
        host2.drover("settings", "incoming=on")


def test_a_storage_move_is_forecast_from_reading_and_writing(lab, guest):
    host1, _ = guest
    other = f"{IMAGES}/other"
    host1.run("mkdir", "-p", "-m", "711", other)
    try:
        plan = host1.plan("seer", "", kind="storage", disks_to=other)
        made = plan["forecast"]
        assert [one["strategy"] for one in made["strategies"]] == ["storage"], made
        assert own(plan)["wire_bytes"] == own(plan)["pause_ms"] == 0 and own(plan)["likely_ms"] > 0, made
        assert made["write_bytes_per_second"] > 0, made
        move = arrive(host1, "seer", "", kind="storage", disks_to=other, accepted_codes=["SAME_DEVICE"])
        assert 0.2 < own(move["plan"])["likely_ms"] / worked(move) < 5, (own(move["plan"]), worked(move))
        assert "forecast" in host1.drover("show", move["id"]).stdout
    finally:
        arrive(host1, "seer", "", kind="storage", disks_to=IMAGES, accepted_codes=["SAME_DEVICE"])
        drop_all(host1)
        host1.run("rm", "-rf", other)


def test_a_plan_that_went_stale_is_refused_with_what_changed(lab, guest):
    host1, _ = guest
    plan = host1.plan("seer", "host2")
    host1.virsh("suspend", "seer")
    status, refused = host1.api("POST", "/v1/moves", {"plan": plan["id"], "accept_notes": True})
    assert status == 409, refused
    assert "is stale" in refused["error"]["message"], refused
    assert refused["error"]["causes"] == ["It was running and is paused."], refused
    host1.virsh("resume", "seer")

    plan = host1.plan("seer", "host2")
    host1.virsh("setvcpus", "seer", "1", "--config")
    host1.virsh("desc", "seer", "--config", "another")
    status, refused = host1.api("POST", "/v1/moves", {"plan": plan["id"], "accept_notes": True})
    assert status == 409 and refused["error"]["causes"] == ["Its definition was changed."], refused
    assert not [move for move in host1.moves() if move["plan"]["vm"]["name"] == "seer" and move["state"] == "running"]
    assert lab.verify("seer")["states"] == {"host1": "running"}

    # A device of the running VM, of which its definition for the next boot says nothing.
    plan = host1.plan("seer", "host2")
    mac = re.search(r"<mac address='([^']+)'", host1.virsh("dumpxml", "seer").stdout).group(1)
    host1.virsh("domif-setlink", "seer", mac, "down")
    status, refused = host1.api("POST", "/v1/moves", {"plan": plan["id"], "accept_notes": True})
    host1.virsh("domif-setlink", "seer", mac, "up")
    assert status == 409 and any(mac in cause for cause in refused["error"]["causes"]), refused

    # What changes by itself while the guest works is no reason.
    plan = host1.plan("seer", "host2")
    status, started = host1.api("POST", "/v1/moves", {"plan": plan["id"], "accept_notes": True})
    assert status in (200, 201, 202), started
    assert host1.wait_move(started["id"])["state"] == "done"



def test_the_queue_says_when_a_move_will_begin(lab, guest):
    host1, _ = guest
    host1.drover("settings", "live-moves=1")
    try:
        with lab.guest("host1", "second", memory=128, disk="64M", fill=4):
            lab.run("link", "100mbit")
            first = host1.start_move("seer", "host2", bandwidth_bytes_per_second=2 * MIB)
            then = host1.start_move("second", "host2")
            [waiting] = host1.get("/v1/queue")["moves"]
            assert waiting["id"] == then, brief(waiting)
            ahead = (at(waiting["queue"]["expected_at"]) - datetime.datetime.now(datetime.timezone.utc)).total_seconds() * 1000
            # What is left of the first, at 2 MiB/s of some 60 MiB; its own progress says so once it is seen.
            assert 0 < ahead < 300_000, ahead
            assert "EXPECTED" in host1.drover("queue").stdout
            for move in (then, first):
                host1.drover("cancel", move)
                host1.wait_move(move)
    finally:
        host1.drover("settings", "live-moves=2")


# Rehearsals.


def rehearsed(host, name, destination, **request):
    """The move's id once it has ended so; the states that the VM had at the destination meanwhile."""
    move_id = host.start_move(name, destination.name, rehearse=True, **request)
    states = set()

    def ended(move):
        states.add(destination.domstate(name))
        return move["state"] in ENDED

    move = host.wait_move(move_id, ended, pause=0.02)
    assert move["state"] == "rehearsed" and move["runner"] == "source" and "error" not in move, brief(move)
    assert "copy-memory" not in [entry["phase"] for entry in move["phases"]], move["phases"]
    return move, states


def test_a_rehearsal_starts_a_real_qemu_there_and_leaves_nothing(lab, guest):
    host1, host2 = guest
    files = host2.files()
    before = host1.plan("seer", "host2", measure=False)["forecast"]["learnt_from"]
    move, states = rehearsed(host1, "seer", host2)
    assert states & {"paused", "running"}, f"no QEMU was seen on host2: {states}"
    result = lab.verify("seer")
    assert result["ok"] and result["states"] == {"host1": "running"}, result
    assert_clean(host1, host2)
    assert host2.files() == files and host1.kept() == host2.kept() == []
    assert move["id"] in host1.drover("moves").stdout
    said = host1.drover("move", "seer", "host2", "--rehearse", "--yes")
    assert said.returncode == 0 and "was rehearsed; it is on host1 as before" in said.stdout, said
    assert lab.verify("seer")["states"] == {"host1": "running"}
    # What a rehearsal took is no measure of a move.
    assert host1.plan("seer", "host2", measure=False)["forecast"]["learnt_from"] == before
    arrive(host1, "seer", "host2")
    assert lab.verify("seer")["states"] == {"host2": "running"}


def test_a_rehearsal_with_disks_that_both_hosts_see(lab, pair):
    """Then QEMU connects for its memory, and not a byte of it goes out."""
    host1, host2 = pair
    for host in pair:
        host.drover("settings", "allowed-folders+=/srv/shared")
    try:
        with lab.guest("host1", "shared", memory=128, disk="64M", fill=4, folder="/srv/shared"):
            for _ in range(2):
                rehearsed(host1, "shared", host2)
                result = lab.verify("shared")
                assert result["ok"] and result["states"] == {"host1": "running"}, result
                assert_clean(*pair)
    finally:
        for host in pair:
            host.drover("settings", "allowed-folders-=/srv/shared")


def test_a_rehearsal_whose_daemon_dies_never_becomes_a_move(lab, guest):
    host1, host2 = guest
    move_id = host1.start_move("seer", "host2", rehearse=True)
    host1.wait_phase(move_id, "copy-disks")
    host1.kill_droverd()
    host1.start_droverd()
    move = host1.wait_move(move_id)
    assert move["state"] in ("rehearsed", "failed"), brief(move)
    result = lab.verify("seer")
    assert result["ok"] and result["states"] == {"host1": "running"}, result


def test_a_storage_move_is_rehearsed_too(lab, guest):
    host1, _ = guest
    other = f"{IMAGES}/rehearsed"
    host1.run("mkdir", "-p", "-m", "711", other)
    try:
        move = host1.wait_move(host1.start_move("seer", "", kind="storage", disks_to=other, rehearse=True,
                                                accepted_codes=["SAME_DEVICE"]))
        assert move["state"] == "rehearsed", brief(move)
        assert host1.files(other) == [] and lab.verify("seer")["ok"]
    finally:
        host1.run("rm", "-rf", other)


@pytest.mark.parametrize("kind", ["quick", pytest.param("offline", marks=LONG)])
def test_a_move_that_is_not_live_is_rehearsed_too(lab, guest, kind):
    host1, host2 = guest
    files = host2.files()
    if kind == "offline":
        host1.virsh("destroy", "seer")
    move, states = rehearsed(host1, "seer", host2, kind=kind)
    assert move["plan"]["kind"] == kind and states == {""}, states
    assert host2.files() == files and host1.kept() == host2.kept() == []
    if kind == "offline":
        host1.virsh("start", "seer")
        until(lambda: lab.verify("seer", "--reboot-allowed")["ok"], "it boots as before", patience=120, pause=1)
    result = lab.verify("seer", *(["--reboot-allowed"] if kind == "offline" else []))
    assert result["ok"] and result["states"] == {"host1": "running"}, result
    assert_clean(*guest)


@LONG
def test_the_same_move_again_is_forecast_within_a_quarter(lab, guest):
    """After four moves of a way the next one's forecast holds, on a machine that does what it did before."""
    host1, host2 = guest
    lab.run("link", "1gbit")
    last = None
    for _ in range(5):
        last = arrive(host1, "seer", "host2")
        arrive(host2, "seer", "host1")
    assert last["plan"]["forecast"]["learnt_from"] >= 3, last["plan"]["forecast"]
    off = own(last["plan"])["likely_ms"] / worked(last)
    assert 0.75 < off < 1.34, (off, own(last["plan"]), worked(last))
