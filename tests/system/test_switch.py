# SPDX-License-Identifier: Apache-2.0
"""The switch, where libvirt alone may run a guest twice: the answer to FINISH is lost, daemons die, the network breaks.

Whatever happens, the guest never executes on two hosts; once the road is back, the move ends by itself.
"""
import dataclasses
import os
import signal
import time

import pytest

from product import ALL, ENDS_WITHIN, RELAY, assert_clean, brief, drop_all, until
from runners import RunnerWatch

SOURCE, DESTINATION = "host1", "host2"
# How long a fault is left to do harm before anything is repaired.
HARM = 4.0


@dataclasses.dataclass(frozen=True)
class Cell:
    """One fault at FINISH: where on the destination's libvirt connection, what is done there, where the VM may end."""
    name: str
    at: str
    do: str
    ends: tuple = (SOURCE, DESTINATION)
    quick: str = ""  # "", "link", "cut": run in CI with the link whole, or cut


def killing(*programs):
    return ",".join(f"kill:{program}" for program in programs)


ALL_OF = {host: killing(*(f"{role}@{host}" for role in ("droverd", "gate", "mover"))) for host in (SOURCE, DESTINATION)}
REQUEST, FORWARDED, REPLY = "finish:request:before", "finish:request:after", "finish:reply:before"

CELLS = [
    # The request never comes to libvirt, so it never runs there.
    Cell("request_lost", REQUEST, "close", (SOURCE,), "link"),
    # libvirt runs the guest, and nobody hears it.
    Cell("reply_lost", REPLY, "close", (DESTINATION,), "cut"),
    # The same, but the gate hears it; only the road is gone.
    Cell("road_lost", REPLY, "", (DESTINATION,)),
    Cell("error_reply", REQUEST, f"kill:qemu@{DESTINATION}", (SOURCE,), "link"),
    Cell("destination_libvirtd_killed", REPLY, f"kill:libvirtd@{DESTINATION}", (DESTINATION,), "link"),
    # It has the request and does nothing with it, until somebody wakes it.
    Cell("destination_libvirtd_hangs", REQUEST, f"stop:libvirtd@{DESTINATION}", (DESTINATION,)),
    Cell("source_libvirtd_killed", FORWARDED, f"kill:libvirtd@{SOURCE}", (DESTINATION,), "link"),
    Cell("source_gate_killed", FORWARDED, f"kill:gate@{SOURCE}"),
    Cell("destination_gate_killed", FORWARDED, f"kill:gate@{DESTINATION}"),
    Cell("destination_gate_killed_at_reply", REPLY, f"kill:gate@{DESTINATION}", (DESTINATION,)),
    Cell("source_mover_killed", FORWARDED, f"kill:mover@{SOURCE}", (DESTINATION,)),
    Cell("destination_mover_killed", FORWARDED, f"kill:mover@{DESTINATION}", (DESTINATION,)),
    Cell("source_droverd_killed", FORWARDED, f"kill:droverd@{SOURCE}", (DESTINATION,)),
    Cell("destination_droverd_killed", FORWARDED, f"kill:droverd@{DESTINATION}", (DESTINATION,)),
    Cell("all_three_killed_at_the_source", FORWARDED, ALL_OF[SOURCE], quick="cut"),
    Cell("all_three_killed_at_the_destination", FORWARDED, ALL_OF[DESTINATION]),
    Cell("all_three_killed_on_both", REPLY, f"{ALL_OF[SOURCE]},{ALL_OF[DESTINATION]}"),
]
CASES = [pytest.param(cell, cut, id=f"{cell.name}-{'cut' if cut else 'link'}") for cell in CELLS for cut in (False, True)
         if (cut or cell.do) and (ALL or cell.quick == ("cut" if cut else "link"))]


def guest_of(lab, name):
    return lab.guest("host1", name, memory=128, disk="64M", fill=4, dirty=16, disk_rate=0.25)


def test_control_libvirt_alone_runs_a_guest_twice(lab, host1, host2):
    """The control: the same fault, the same watch, no Drover. If this did not find two runners, nothing below would mean
    anything."""
    with guest_of(lab, "control") as guest:
        lab.run("rpc-relay", "host2", "start", "--listen", "tcp:16510", "--at", REPLY, "--do", "close")
        try:
            host2.run("qemu-img", "create", "-q", "-f", "qcow2", guest["disk"], "64M")
            with RunnerWatch("control", host1, host2) as watch:
                done = host1.virsh("migrate", "--live", "--p2p", "--copy-storage-all", "--persistent", "--undefinesource",
                                   "control", "qemu+tcp://host2:16510/system", check=False)
                assert done.returncode != 0
                until(lambda: watch.twice(host1, host2), "libvirt alone runs the guest on both hosts")
        finally:
            lab.run("rpc-relay", "host2", "stop")
        assert host1.domstate("control") == host2.domstate("control") == "running"
        with pytest.raises(AssertionError, match="TWO RUNNERS"):
            watch.assert_one_runner(host1, host2)


@pytest.fixture
def watched_guest(lab, pair, relayed):
    with guest_of(lab, "switcher") as guest:
        yield guest
        lab.run("link", "restore")


def fault(lab, cell, cut):
    """The relay's words for a fault. `cut` comes first: nothing of what is done afterwards shall pass the network."""
    do = ",".join(word for word in (("cut" if cut else ""), cell.do) if word)
    lab.run("rpc-relay", "host2", "start", "--listen", RELAY, "--at", cell.at, "--do", do)


def restart_what_was_killed(*hosts):
    for host in hosts:
        host.start_libvirtd()
        host.start_droverd()


def runs_once(lab, watch, pair, ends):
    """It runs on one of the hosts where it may, with every record right, and executed nowhere twice."""
    result = lab.verify("switcher")
    watch.assert_one_runner(*pair)
    assert result["ok"], result
    [(host, state)] = [item for item in result["states"].items() if item[1] != "shut off"]
    assert state == "running" and host in ends, result
    return host


@pytest.mark.parametrize("cell, cut", CASES)
def test_never_two_runners(lab, pair, watched_guest, cell, cut):
    host1, host2 = pair
    fault(lab, cell, cut)
    try:
        with RunnerWatch("switcher", *pair) as watch:
            move_id = host1.start_move("switcher", "host2")
            lab.run("rpc-relay", "host2", "wait", "--at", cell.at, "--timeout", "120")
            time.sleep(HARM)
            watch.assert_one_runner(*pair)
            if cell.do.startswith("stop:") and not cut:
                assert_a_hang_is_told(host1, move_id)
            wake_libvirtd(host2)
            restart_what_was_killed(*pair)
            if cut:
                assert_doubt_is_told(host1, move_id)
                time.sleep(HARM)
                watch.assert_one_runner(*pair)
                lab.run("link", "restore")
            move = host1.wait_move(move_id, patience=ENDS_WITHIN)
            time.sleep(1)
            host = runs_once(lab, watch, pair, cell.ends)
        assert move["state"] == ("done" if host == DESTINATION else "failed"), brief(move)
        assert move["runner"] == ("destination" if host == DESTINATION else "source"), brief(move)
    finally:
        wake_libvirtd(host2)
        lab.run("rpc-relay", "host2", "stop")
    assert_clean(*pair)
    if host == DESTINATION:
        drop_all(host1)
    else:
        assert "switcher.qcow2" not in host2.files()


def assert_a_hang_is_told(host, move_id):
    until(lambda: "libvirt on host2 does not answer; if that lasts, restart libvirt's daemon" in host.drover("show", move_id).stdout,
          "the hang is told, and what helps", patience=ENDS_WITHIN, pause=1)


def wake_libvirtd(host):
    for pid in host.pids("libvirtd"):
        os.kill(pid, signal.SIGCONT)


def assert_doubt_is_told(host, move_id):
    """As long as the road is gone, `drover show` says where the guest runs and which copy must not be started. The answer may
    have come a moment before the cut: then there is no doubt, and the record says who has the guest."""
    def told():
        move = host.move(move_id)
        return move["state"] == "running" and move["runner"] in ("unknown", "destination") and move["runner"]

    runner = until(told, lambda: f"the doubt is told: {brief(host.move(move_id))}", patience=ENDS_WITHIN)
    if runner == "unknown":
        said = host.drover("show", move_id).stdout
        assert "on host2" in said and "The copy on host1 must not be started" in said, said


@pytest.mark.parametrize("attempt", range(20 if ALL else 0))
def test_lost_reply_again_and_again(lab, pair, watched_guest, attempt):
    test_never_two_runners(lab, pair, watched_guest, next(cell for cell in CELLS if cell.name == "reply_lost"), attempt % 2 == 1)


def test_a_person_cannot_start_the_fenced_copy(lab, pair, watched_guest):
    """While the answer is out, the source's QEMU cannot be resumed, whoever asks."""
    host1, host2 = pair
    fault(lab, Cell("held", REPLY, "close"), cut=True)
    try:
        with RunnerWatch("switcher", *pair) as watch:
            move_id = host1.start_move("switcher", "host2")
            lab.run("rpc-relay", "host2", "wait", "--at", REPLY, "--timeout", "120")
            assert_doubt_is_told(host1, move_id)
            for words in (["resume", "switcher"], ["qemu-monitor-command", "switcher", '{"execute": "cont"}']):
                host1.run("timeout", "10", "virsh", *words, check=False)
            host1.kill("gate")
            time.sleep(HARM)
            host1.run("timeout", "10", "virsh", "resume", "switcher", check=False)
            time.sleep(1)
            watch.assert_one_runner(*pair)
            lab.run("link", "restore")
            host1.wait_move(move_id, patience=ENDS_WITHIN)
            assert runs_once(lab, watch, pair, (DESTINATION,)) == DESTINATION
    finally:
        lab.run("rpc-relay", "host2", "stop")
    drop_all(host1)
