# SPDX-License-Identifier: Apache-2.0
"""Moves that go well, as their users see them: every thread of a VM arrives, nothing of it stays behind."""
import re
import signal
import stat
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from marks import LONG
from product import ALL, IMAGES, REPO, Host, assert_clean, brief, codes, drop_all, until
from strange import KEPT_MODE, assert_arrived, strange_domain, variables_at_rest

ROUND_TRIPS = 10 if ALL else 2
ROAD_PATIENCE = 118  # of movers without a link, less what had passed of it


def own_report(done):
    return f"{done.stdout}\n{done.stderr}"


def assert_runs(lab, name, host):
    """On this host and nowhere else, with every record of memory and disk right."""
    result = lab.verify(name)
    assert result["ok"], result
    assert result["states"] == {host.name: "running"}, result


def last_move(host):
    return host.moves()[0]


def test_guest_moves_there_and_back_under_load(lab, pair):
    """With a LAN connection open all the time, and a disk whose old copies are counted."""
    with lab.guest("host1", "busy", memory=192, disk="256M", fill=16, dirty=8, disk_rate=1) as guest:
        watching = lab.background("watch", "busy")
        for trip in range(ROUND_TRIPS):
            for source, destination in (pair, pair[::-1]):
                done = source.drover("move", "busy", destination.name, "--yes")
                assert_runs(lab, "busy", destination)
                move = last_move(source)
                assert (move["state"], move["runner"]) == ("done", "destination"), brief(move)
                disk = source.path(guest["disk"])
                kept = disk.with_name(f"{disk.name}.drover-{move['id']}")
                assert not disk.exists(), "the source's disk is still in its place"
                assert stat.S_IMODE(kept.stat().st_mode) == KEPT_MODE, f"trip {trip}: {oct(kept.stat().st_mode)}"
                assert guest["uuid"] not in source.virsh("list", "--all", "--uuid").stdout
                assert "yes" in re.search("Persistent: *(.*)", destination.virsh("dominfo", "busy").stdout)[1]
                assert move["report"]["wire_bytes"] > 32 << 20, own_report(done)
                source.drover("quarantine", "drop", move["id"], "--yes")
                assert not kept.exists()
        result = watching.stop()
        assert result["ok"] and result["replies"] > 100, result
    assert_clean(*pair)


def test_qemu_sends_memory_over_connections_of_its_own(lab, pair):
    """Pages come over streams that the mover opens in QEMU's order, the main one first."""
    host1, host2 = pair
    with lab.guest("host1", "many", memory=192, disk="256M", fill=24, dirty=1):
        for words, said in (
            (("--parallel-connections", "4"), "performance direct"),
            (("--parallel-connections", "4", "--performance", "multilink"), "performance direct"),
            (("--parallel-connections", "0", "--performance", "direct"), "from 1 to 16"),
            (("--parallel-connections", "17", "--performance", "direct"), "from 1 to 16"),
            (("--parallel-connections", "2", "--performance", "direct", "--quick"), "Only a live move"),
        ):
            refused = host1.drover("move", "many", "host2", "--yes", *words, check=False)
            assert refused.returncode == 2 and said in refused.stderr, (words, refused)

        for source, destination in (pair, pair[::-1]):
            opened = source.log().read_text().count("A memory stream is open.")
            source.drover("move", "many", destination.name, "--yes", "--performance", "direct", "--parallel-connections", "4")
            assert_runs(lab, "many", destination)
            kinds = last_move(source)["report"]["kinds"]
            assert kinds["packed_bytes"] == 0 and kinds["untouched_bytes"] > 32 << 20, kinds
            assert source.log().read_text().count("A memory stream is open.") == opened + 5
        drop_all(*pair)
    assert_clean(*pair)


def test_connections_of_qemus_own_survive_a_break_and_let_a_cancel_through(lab, pair):
    """They survive a break of the road as any stream does. But QEMU waits for one of them before it hears a cancel, and they wait for
    the mover: in a rehearsal, where no memory goes out, and while the road is cut."""
    host1, host2 = pair
    wish = {"performance": "direct", "parallel_connections": 4}
    with lab.guest("host1", "many", memory=192, disk="64M", fill=8, records=64, dirty=1):
        move_id = host1.start_move("many", "host2", rehearse=True, **wish)
        assert host1.wait_move(move_id)["state"] == "rehearsed", brief(host1.move(move_id))
        assert_runs(lab, "many", host1)

        lab.run("link", "100mbit")
        try:
            move_id = host1.start_move("many", "host2", **wish)
            host1.wait_move(move_id, lambda move: move["phase"] == "copy-memory")
            lab.run("link", "cut")
            time.sleep(2)
            lab.run("link", "restore")
            assert host1.wait_move(move_id)["state"] == "done", brief(host1.move(move_id))
            assert_runs(lab, "many", host2)
            drop_all(*pair)

            host1, host2 = host2, host1
            move_id = host1.start_move("many", host2.name, **wish)
            host1.wait_move(move_id, lambda move: move["phase"] == "copy-memory")
            lab.run("link", "cut")
            time.sleep(2)
            asked = time.monotonic()
            host1.api("POST", f"/v1/moves/{move_id}/cancel")
            assert host1.wait_move(move_id)["state"] == "cancelled", brief(host1.move(move_id))
            assert time.monotonic() - asked < ROAD_PATIENCE, "it ended only because the movers gave up"
        finally:
            lab.run("link", "restore")
            lab.run("link", "unlimited")
        until(lambda: lab.verify("many")["states"] == {host1.name: "running"}, "the destination to hear of the cancel")
        assert_runs(lab, "many", host1)
    assert_clean(*pair)


def test_road_is_used_as_asked(lab, pair):
    """As QEMU gives it, or only what the other side lacks; and never faster than allowed."""
    host1, host2 = pair
    with lab.guest("host1", "road", memory=192, disk="256M", fill=24, dirty=1):
        host1.drover("move", "road", "host2", "--yes", "--performance", "direct")
        report = last_move(host1)["report"]
        assert report["kinds"]["packed_bytes"] == 0 and report["kinds"]["untouched_bytes"] > 32 << 20, report
        plain = report["wire_bytes"]

        done = host2.drover("move", "road", "host1", "--yes", "--performance", "multilink", "--bandwidth", "32M")
        report = last_move(host2)["report"]
        assert report["kinds"]["zero_bytes"] > 8 << 20, report
        assert report["wire_bytes"] < plain and "not sent" in done.stdout, done.stdout

        bandwidth = 8 << 20
        host1.drover("settings", "bandwidth=8M")
        try:
            host1.drover("move", "road", "host2", "--yes")
        finally:
            host1.drover("settings", "bandwidth=off")
        report = last_move(host1)["report"]
        assert report["duration_ms"] > 900 * report["wire_bytes"] / bandwidth, report
        assert report["kinds"]["wire_bytes"] < report["kinds"]["packed_bytes"], report

        host2.drover("settings", "bandwidth=1M")
        with ThreadPoolExecutor() as pool:
            moving = pool.submit(host2.drover, "move", "road", "host1", "--yes")
            until(lambda: last_move(host2)["phase"] == "copy-disks", "the copy does not begin", patience=60)
            host2.drover("settings", "bandwidth=off")
            moving.result(timeout=30)
        report = last_move(host2)["report"]
        assert report["duration_ms"] < 500 * report["wire_bytes"] / (1 << 20), "the limit was not lifted while moving"
        drop_all(*pair)
    assert_clean(*pair)


def test_autostart_is_carried(lab, pair):
    host1, host2 = pair
    with lab.guest("host1", "auto", memory=128, disk="64M", fill=4):
        host1.virsh("autostart", "auto")
        host1.drover("move", "auto", "host2", "--yes")
        assert re.search("Autostart: *enable", host2.virsh("dominfo", "auto").stdout)
        assert not list(host1.path("/etc/libvirt/qemu/autostart").glob("*"))
        host2.virsh("autostart", "--disable", "auto")
        host2.drover("move", "auto", "host1", "--yes")
        assert re.search("Autostart: *disable", host1.virsh("dominfo", "auto").stdout)
        drop_all(*pair)


def test_pools_are_refreshed(lab, pair):
    host1, host2 = pair
    for host in pair:
        host.virsh("pool-create-as", "images", "dir", "--target", IMAGES)
    try:
        with lab.guest("host1", "pooled", memory=128, disk="64M", fill=4):
            host1.virsh("pool-refresh", "images")
            host1.drover("move", "pooled", "host2", "--yes")
            assert "pooled.qcow2 " in host2.virsh("vol-list", "images").stdout
            assert "pooled.qcow2 " not in host1.virsh("vol-list", "images").stdout
            drop_all(host1)
    finally:
        for host in pair:
            host.virsh("pool-destroy", "images", check=False)


@pytest.mark.parametrize("name", [pytest.param("with spaces", marks=LONG), "Größe 1 'ž' \"x\" & <y>", pytest.param("per%20cent", marks=LONG)])
def test_any_name_moves(lab, pair, name):
    host1, host2 = pair
    with lab.guest("host1", name, memory=128, disk="64M", fill=4, dirty=0):
        assert name in host1.drover("list", "--names").stdout.splitlines()
        host1.drover("move", "--yes", "--", name, "host2")
        assert_runs(lab, name, host2)
        drop_all(host1)
    assert_clean(*pair)


def test_several_at_once_by_standard_input(lab, pair):
    host1, host2 = pair
    names = ["first", "second one"]
    with lab.guest("host1", names[0], memory=128, disk="64M", fill=4, dirty=0), \
            lab.guest("host1", names[1], memory=128, disk="64M", fill=4, dirty=0):
        host1.drover("move", "-", "host2", "--yes", input="\n".join(names) + "\n")
        for name in names:
            assert_runs(lab, name, host2)
        drop_all(host1)




def test_a_domain_that_the_lab_did_not_make_moves(lab, pair):
    host1, host2 = pair
    with strange_domain(*pair):
        variables = variables_at_rest(host1)
        host1.drover("move", "strange", "host2", "--yes")
        assert_arrived(host1, host2, variables)
        host2.drover("move", "strange", "host1", "--yes")
        assert host1.domstate("strange") == "running" and host2.domstate("strange") == ""
    assert_clean(*pair)


def test_delete_now_leaves_no_copy(lab, pair):
    host1, host2 = pair
    with lab.guest("host1", "gone", memory=128, disk="64M", fill=4):
        host1.drover("move", "gone", "host2", "--yes", "--delete-now")
        assert_runs(lab, "gone", host2)
        assert not [name for name in host1.files() if name.startswith("gone.")]
        assert host1.kept() == []


def test_keep_source_keeps_without_limit(lab, pair):
    host1, host2 = pair
    with lab.guest("host1", "kept", memory=128, disk="64M", fill=4):
        host1.drover("move", "kept", "host2", "--yes", "--keep-source")
        assert_runs(lab, "kept", host2)
        [disk] = host1.kept()
        assert "until" not in disk and host1.path(disk["kept_path"]).exists()
        assert disk["move_id"] in host1.drover("quarantine", "list").stdout
        host1.drover("quarantine", "drop", disk["move_id"], "--yes")
        assert not host1.path(disk["kept_path"]).exists()
        assert host1.drover("quarantine", "drop", disk["move_id"], "--yes", check=False).returncode == 3


def test_restore_refuses_while_the_vm_runs_elsewhere(lab, pair):
    host1, host2 = pair
    with lab.guest("host1", "back", memory=128, disk="64M", fill=4) as guest:
        host1.drover("move", "back", "host2", "--yes")
        [disk] = host1.kept()
        assert disk["until"] > disk["since"]
        refused = host1.drover("quarantine", "restore", disk["move_id"], check=False)
        assert refused.returncode != 0 and "host2" in refused.stderr, own_report(refused)
        assert host1.path(disk["kept_path"]).exists() and not host1.path(guest["disk"]).exists()
        host2.virsh("destroy", "back")
        host1.drover("quarantine", "restore", disk["move_id"])
        assert host1.path(guest["disk"]).exists() and not host1.path(disk["kept_path"]).exists()
        assert stat.S_IMODE(host1.path(guest["disk"]).stat().st_mode) != KEPT_MODE
        host2.virsh("start", "back")


def test_disks_go_where_they_are_told(lab, pair):
    host1, host2 = pair
    host2.path("/srv/vms").mkdir(exist_ok=True)
    with lab.guest("host1", "told", memory=128, disk="64M", fill=4):
        host1.drover("settings", "host2", "allowed-folders+=/srv/vms", check=False)
        host2.drover("settings", "allowed-folders+=/srv/vms")
        try:
            host1.drover("move", "told", "host2", "--yes", "--disks-to", "/srv/vms")
            assert_runs(lab, "told", host2)
            assert host2.files("/srv/vms") == ["told.qcow2"]
            # Back: host1 allows no /srv/vms, so its default folder takes it, and the plan says so.
            plan = host2.plan("told", "host1")
            assert [placement["destination_path"] for placement in plan["placements"]] == [f"{IMAGES}/told.qcow2"]
            assert "PLACED_ELSEWHERE" in codes(plan), codes(plan)
            host2.drover("move", "told", "host1", "--yes")
            assert_runs(lab, "told", host1)
            drop_all(*pair)
        finally:
            host2.drover("settings", "allowed-folders-=/srv/vms")


def test_what_other_tools_do_is_told(lab, pair):
    """A VM that is started while another host has it too, and then on both."""
    host1, host2 = pair
    with lab.guest("host1", "twin", memory=128, disk="64M", fill=4) as guest:
        host2.define(host1.virsh("dumpxml", "--inactive", "twin").stdout)
        try:
            host1.virsh("destroy", "twin")
            host1.virsh("start", "twin")
            said = "it was started here, and host2 has it too (off)"
            for host in pair:
                until(lambda: said in host.drover("list").stderr, f"{host.name} tells of it", pause=0.5)
            assert said in host1.log().read_text()
            host2.run("qemu-img", "create", "-q", "-f", "qcow2", guest["disk"], "64M")
            host2.virsh("start", "twin")
            until(lambda: "runs on host1 and host2 at once" in host1.drover("list").stderr, "two runners are told", pause=0.5)
            until(lambda: "runs on host" in host2.log().read_text(), "the log tells of two runners")
        finally:
            host2.virsh("destroy", "twin", check=False)
            host2.virsh("undefine", "twin")
            host2.path(guest["disk"]).unlink(missing_ok=True)


def test_a_third_host_asks(lab, pair):
    """The request is carried to where the VM is, and the move names who asked."""
    host1, host2 = pair
    lab.run("up", "--hosts", 3)
    host3 = Host(lab, "host3")
    until(host3.answers, "droverd on host3 answers")
    with lab.guest("host1", "asked for", memory=128, disk="64M", fill=4):
        refused = host3.drover("move", "asked for", "host2", "--yes", check=False)
        assert refused.returncode == 5 and "command" in refused.stderr, own_report(refused)
        assert host1.moves() == [] or last_move(host1)["plan"]["vm"]["name"] != "asked for"
        host1.drover("host", "rights", "host3", "send,receive,command")
        try:
            host3.drover("move", "asked for", "host2", "--yes")
        finally:
            host1.drover("host", "rights", "host3", "send,receive")
        assert_runs(lab, "asked for", host2)
        assert "host3" in last_move(host1)["plan"]["request"]["requested_by"]
        drop_all(host1)


@pytest.fixture
def slow(lab, pair):
    """A link on which a small guest takes a while."""
    lab.run("link", "100mbit")
    with lab.guest("host1", "slow", memory=256, disk="256M", fill=96, dirty=1, disk_rate=0.25) as guest:
        yield guest


def test_cancel_leaves_the_vm_at_the_source(lab, pair, slow):
    host1, host2 = pair
    before = host2.files()
    for phase in ("copy-disks", "copy-memory"):
        move_id = host1.start_move("slow", "host2")
        host1.wait_phase(move_id, phase)
        host1.drover("cancel", move_id)
        move = host1.wait_move(move_id)
        assert (move["state"], move["runner"]) == ("cancelled", "source"), brief(move)
        assert_runs(lab, "slow", host1)
        assert_clean(*pair)
        assert host2.files() == before and host2.get("/v1/vms")["vms"] == []
        again = host1.drover("cancel", move_id, check=False)
        assert again.returncode != 0 and "ended already" in again.stderr


@LONG
def test_cancel_while_qemu_stops_the_guest(lab, pair):
    """QEMU 7.2 that is told to cancel in that instant may wait for ever, or end itself; libvirt may wait for ever."""
    with lab.guest("host1", "late", memory=96, disk="64M", fill=8, records=8, dirty=1, disk_rate=0.05):
        source, destination = pair
        for _ in range(25 if ALL else 3):
            lab.run("link", "60mbit")
            try:
                move_id = source.start_move("late", destination.name)
                until(lambda: source.domstate("late") != "running", "it stands still", 120, pause=0.005)
                source.api("POST", f"/v1/moves/{move_id}/cancel")
                move = source.wait_move(move_id)
            finally:
                lab.run("link", "unlimited")
            assert move["state"] in ("cancelled", "done"), brief(move)
            if move["state"] == "done":
                source, destination = destination, source
            assert_runs(lab, "late", source)
        assert_clean(*pair)
        drop_all(*pair)


def test_interrupting_the_cli_leaves_the_move_running(lab, pair, slow):
    host1, host2 = pair
    cli = subprocess.Popen([REPO / "lab" / "lab", "exec", "host1", "drover", "move", "slow", "host2", "--yes"], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    move = until(lambda: next((move for move in host1.moves() if move["state"] == "running"), None), "it begins")
    host1.wait_phase(move["id"], "copy-disks")
    cli.send_signal(signal.SIGINT)
    said = cli.communicate(timeout=60)[0]
    assert cli.returncode == 130, said
    assert f"drover watch {move['id']}" in said
    assert host1.move(move["id"])["state"] == "running"
    watched = host1.drover("watch", move["id"])
    assert watched.returncode == 0
    assert_runs(lab, "slow", host2)
    drop_all(host1)


def test_progress_never_falls_silent_and_never_runs_backwards(lab, pair, slow):
    host1, host2 = pair
    late = Lateness()
    cli = subprocess.Popen([REPO / "lab" / "lab", "exec", "host1", "drover", "move", "slow", "host2", "--yes"], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    lines = []
    with late:
        for line in cli.stdout:
            lines.append((time.monotonic(), line.rstrip()))
    assert cli.wait(60) == 0, "\n".join(line for _, line in lines)
    # "… has begun", or what it waits for, if it was still in the queue when the daemon answered.
    began = next(index for index, (_, line) in enumerate(lines) if line.startswith("Move "))
    gaps = [(after[0] - before[0], after[1]) for before, after in zip(lines[began:], lines[began + 1:])]
    # Two seconds, and what this machine was late for anybody.
    assert max(gaps)[0] <= 2.0 + late.most, max(gaps)
    percents = [int(found[1]) for _, line in lines if (found := re.search(r"(\d+) %; ", line))]
    assert len(percents) > 5 and percents == sorted(percents), percents
    phases = {time_["phase"] for time_ in last_move(host1)["phases"]}
    assert {"copy-disks", "copy-memory", "switch", "verify", "settle"} <= phases
    drop_all(host1)


class Lateness:
    """How late this machine wakes a sleeper, at worst, during a `with`."""

    def __init__(self):
        self.most, self.stopping = 0.0, threading.Event()
        self.thread = threading.Thread(target=self.sleep, daemon=True)

    def sleep(self):
        while not self.stopping.is_set():
            began = time.monotonic()
            time.sleep(0.02)
            self.most = max(self.most, time.monotonic() - began - 0.02)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
