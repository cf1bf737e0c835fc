# SPDX-License-Identifier: Apache-2.0
"""After something went wrong, and after the switch: further attempts, an administrator's word, the health of a VM that came."""
import json
import threading
import time

import pytest

from marks import LONG
from product import ENDS_WITHIN, RELAY, assert_clean, brief, drop_all, network, until
from runners import RunnerWatch

REPLY = "finish:reply:before"


# Another attempt.


@pytest.fixture
def slow(lab, pair):
    """A guest that takes a while on the way, for its disk and for its memory."""
    with lab.guest("host1", "again", memory=160, disk="96M", fill=24, dirty=2, disk_rate=0.05) as guest:
        lab.run("link", "100mbit")
        yield guest
        lab.run("link", "unlimited")


def failed_once(lab, pair, retries, phase="copy-memory"):
    """A move whose first attempt has failed, and that waits for the next."""
    host1, host2 = pair
    move_id = host1.start_move("again", "host2", retries=retries)
    host1.wait_phase(move_id, phase)
    host2.kill("mover")
    move = host1.wait_move(move_id, lambda move: move.get("attempts"))
    assert (move["state"], move["runner"]) == ("running", "source"), brief(move)
    [attempt] = move["attempts"]
    assert attempt["epoch"] == move_id != move["epoch"] and attempt["error"]["message"], attempt
    return move_id


@LONG
def test_the_second_attempt_arrives(lab, pair, slow):
    """Its destination's mover dies; the VM never notices; a droverd that dies while the move waits changes nothing."""
    host1, host2 = pair
    with RunnerWatch("again", *pair) as watch:
        move_id = failed_once(lab, pair, retries=2)
        assert lab.verify("again")["states"] == {"host1": "running"}
        host1.kill_droverd()
        host1.start_droverd()
        move = host1.move(move_id)
        assert len(move["attempts"]) == 1 and move["state"] == "running", brief(move)
        assert "mover" in host1.drover("show", move_id).stdout
        move = host1.wait_move(move_id)
        watch.assert_one_runner(*pair)
    assert move["state"] == "done" and len(move["attempts"]) == 1, brief(move)
    result = lab.verify("again")
    assert result["ok"] and result["states"] == {"host2": "running"}, result
    assert_clean(*pair)
    drop_all(host1)


def test_a_move_that_waits_for_another_attempt_is_held_and_cancelled(lab, pair, slow):
    host1, host2 = pair
    files = host2.files()
    move_id = failed_once(lab, pair, retries=1, phase="copy-disks")
    until(lambda: host1.get("/v1/queue")["moves"], "it stands in the queue")
    assert "does not begin before" in until(lambda: host1.get("/v1/queue")["moves"][0]["queue"]["waits_for"], "it says why")
    host1.drover("queue", "hold", move_id)
    time.sleep(6)
    assert host1.move(move_id)["queue"]["held"]
    host1.drover("cancel", move_id)
    move = host1.wait_move(move_id)
    assert (move["state"], move["runner"]) == ("cancelled", "source"), brief(move)
    assert lab.verify("again")["states"] == {"host1": "running"}
    assert_clean(*pair)
    assert host2.files() == files


def test_what_does_not_pass_is_not_tried_again(lab, pair, slow):
    host1, host2 = pair
    move_id = host1.start_move("again", "host2", retries=5)
    host1.wait_phase(move_id, "copy-disks")
    host1.drover("cancel", move_id)
    move = host1.wait_move(move_id)
    assert move["state"] == "cancelled" and "attempts" not in move, brief(move)
    assert_clean(*pair)


# Health after the switch.


class TapPuller(threading.Thread):
    """Takes each tap out of a host's bridge as soon as it is there, as a tool that knows nothing of the VM would."""

    def __init__(self, host):
        super().__init__(daemon=True)
        self.netns, self.done = network.netns_of(host.name), threading.Event()
        self.pulled = set()

    def run(self):
        while not self.done.is_set():
            shown = json.loads(network.ip(self.netns, "-j", "link", "show", "master", "br0", check=False).stdout or "[]")
            for name in (link["ifname"] for link in shown):
                if name.startswith("vnet"):
                    network.ip(self.netns, "link", "set", name, "nomaster", check=False)
                    self.pulled.add(name)
            self.done.wait(0.1)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.done.set()
        self.join()


@pytest.fixture
def talker(lab, pair):
    """A guest that somebody talks to all the time, on a link that lets it be looked at for some seconds."""
    with lab.guest("host1", "talker", memory=128, disk="64M", fill=8, dirty=2, disk_rate=0.05):
        lab.run("link", "100mbit")
        talk = lab.background("watch", "talker", "--patience", "300")
        yield pair
        talk.process.kill()
        talk.process.wait()
        lab.run("link", "unlimited")
        for host in pair:
            host.drover("settings", "health-watch=60s")


def arrived(host1, move_id):
    move = host1.wait_move(move_id)
    assert move["state"] == "done", brief(move)
    return move


def health(host, move_id):
    return host.move(move_id)["health"]


def test_a_guest_that_lost_its_network_at_the_switch_is_ill_until_it_is_replugged(lab, talker):
    host1, host2 = talker
    host1.drover("settings", "health-watch=30s")
    with TapPuller(host2) as puller:
        move_id = host1.start_move("talker", "host2")
        before = arrived(host1, move_id)["health"]["before"]
    assert puller.pulled and before["received"] and before["sent"] and before["cpu_went_on"], before
    found = until(lambda: health(host1, move_id)["findings"], "it is found ill", patience=30)
    assert [finding["code"] for finding in found] == ["HEALTH_NETWORK_UNPLUGGED"], found
    assert "drover replug talker" in host1.drover("show", move_id).stdout
    host1.kill_droverd()
    host1.start_droverd()
    assert "back in the bridge br0" in host2.drover("replug", "talker").stdout
    until(lambda: not health(host1, move_id)["findings"], lambda: f"it has mended: {health(host1, move_id)}", patience=30)
    until(lambda: lab.verify("talker")["ok"], "the guest answers on the network again", patience=30)
    end = until(lambda: (now := health(host1, move_id))["state"] != "watching" and now, "the watch ends", patience=90)
    assert end["state"] == "well", end
    assert all("until" in disk for disk in host1.kept())
    drop_all(host1)


@LONG
def test_the_watch_ends_well_or_ill_and_the_old_disks_of_the_ill_stay(lab, talker):
    host1, host2 = talker
    host1.drover("settings", "health-watch=8s")
    with TapPuller(host2):
        move_id = host1.start_move("talker", "host2")
        arrived(host1, move_id)
    end = until(lambda: (now := health(host1, move_id))["state"] != "watching" and now, "the watch ends", patience=40)
    assert end["state"] == "ill", end
    assert all("until" not in disk for disk in host1.kept()), host1.kept()
    host2.drover("replug", "talker")
    drop_all(host1)


def test_replug_refuses_what_does_not_run_or_moves(lab, pair, slow):
    host1, host2 = pair
    move_id = host1.start_move("again", "host2")
    host1.wait_phase(move_id, "copy-disks")
    assert "is moving" in host1.drover("replug", "again", check=False).stderr
    host1.drover("cancel", move_id)
    host1.wait_move(move_id)
    assert "was unplugged and plugged again" in host1.drover("replug", "again").stdout
    assert host1.api("POST", "/v1/vms/nobody/replug")[0] == 404


# An administrator's word. These come last: from here on host2's gates speak to libvirtd through the relay.


@pytest.fixture
def doubtful(lab, pair, relayed):
    """A guest whose move loses the answer to its last call, and the network with it: `with_fault(what)` begins it."""
    with lab.guest("host1", "word", memory=128, disk="64M", fill=4, dirty=16, disk_rate=0.25):
        def with_fault(do):
            host1, _ = pair
            lab.run("rpc-relay", "host2", "start", "--listen", RELAY, "--at", REPLY, "--do", do)
            move_id = host1.start_move("word", "host2")
            lab.run("rpc-relay", "host2", "wait", "--at", REPLY, "--timeout", "120")
            until(lambda: host1.move(move_id)["runner"] == "unknown", lambda: f"the doubt: {brief(host1.move(move_id))}",
                  patience=ENDS_WITHIN)
            return move_id
        yield with_fault
        lab.run("rpc-relay", "host2", "stop", check=False)  # it may be off
        lab.run("link", "restore")


def refused(host, *words):
    """What `drover resolve` says when it does not follow."""
    done = host.drover("resolve", *words, check=False)
    assert done.returncode != 0, done.stdout
    return done.stderr


def test_a_false_claim_is_refused_and_a_true_one_finishes(lab, pair, doubtful):
    """The guest ran at the destination, and its QEMU died there: nobody but a person can go on."""
    host1, host2 = pair
    move_id = doubtful("cut,kill:qemu@host2")
    assert "cannot be checked" in refused(host1, move_id, "--runs-on", "host1")
    assert "cannot be checked" in refused(host1, move_id, "--runs-on", "host2")
    assert "is neither" in refused(host1, move_id, "--runs-on", "host3")
    lab.run("link", "restore")
    move = host1.wait_move(move_id, patience=ENDS_WITHIN)
    assert (move["state"], move["runner"]) == ("parked", "destination"), brief(move)
    assert "That is not so" in refused(host1, move_id, "--runs-on", "host1")
    assert "That is not so" in refused(host1, move_id, "--runs-on", "host1", "--peer-is-lost", "--yes")
    assert "Start it there first" in refused(host1, move_id, "--runs-on", "host2")
    assert host1.move(move_id)["state"] == "parked"
    host2.virsh("start", "word")
    done = host1.drover("resolve", move_id, "--runs-on", "host2")
    move = host1.move(move_id)
    assert (move["state"], move["runner"]) == ("done", "destination"), brief(move)
    assert move["resolution"]["runs_on"] == "host2" and "word runs on host2" in done.stdout
    until(lambda: lab.verify("word", "--reboot-allowed")["ok"], "the guest is up on host2, its disk whole")
    assert host1.domstate("word") == ""
    assert_clean(*pair)
    assert "has ended" in refused(host1, move_id, "--runs-on", "host2")
    drop_all(host1)


@LONG
def test_a_lost_destination_gives_the_vm_back(lab, pair, doubtful):
    """host2 loses its power within the switch. Its administrator says that it is gone; the guest goes on where it stood. When
    host2 comes back after all, its copy is put aside."""
    host1, host2 = pair
    try:
        with RunnerWatch("word", *pair) as watch:
            move_id = doubtful("cut")
            lab.run("power", "host2", "off")
            lab.run("link", "restore")
            assert "--peer-is-lost" in refused(host1, move_id, "--runs-on", "host1")
            assert "say --yes" in refused(host1, move_id, "--runs-on", "host1", "--peer-is-lost")
            done = host1.drover("resolve", move_id, "--runs-on", "host1", "--peer-is-lost", "--yes")
            assert "goes on from the switch" in done.stdout, done.stdout
            until(lambda: host1.domstate("word") == "running", "the guest goes on")
            time.sleep(1)
        watch.assert_after(host2, host1)
        move = host1.move(move_id)
        assert (move["state"], move["runner"]) == ("failed", "source"), brief(move)
        assert host1.domstate("word") == "running"
    finally:
        lab.run("power", "host2", "on")
    until(host2.answers, "droverd on host2 answers")
    until(lambda: [disk for disk in host2.kept() if disk["vm_name"] == "word"], "host2 has put its copy aside",
          patience=ENDS_WITHIN)
    assert host2.domstate("word") == ""
    result = lab.verify("word")
    assert result["ok"] and result["states"] == {"host1": "running"}, result
    assert "word.qcow2" not in host2.files()
    assert_clean(*pair)
    drop_all(host2)
