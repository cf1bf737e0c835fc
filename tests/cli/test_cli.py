# SPDX-License-Identifier: Apache-2.0
"""The command line against a daemon that says what each test wants: exit codes, confirmation, watching, carrying."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from fake_daemon import REPORT, TIME, UUID, error, finding, move, plan, vm


def steps(*percents):
    return [move(percent=percent) for percent in percents]


DONE = move("done", 100, "settle", report=REPORT)


# Exit codes and errors.


@pytest.mark.parametrize(("code", "status", "exit_code"), [
    ("NOT_FOUND", 404, 3), ("INVALID_ARGUMENT", 400, 2), ("BLOCKED", 422, 2), ("CONFLICT", 409, 1), ("PERMISSION", 403, 5),
    ("UNAUTHENTICATED", 401, 5), ("UNAVAILABLE", 503, 4), ("TIMEOUT", 504, 4), ("HYPERVISOR", 500, 1), ("IN_DOUBT", 409, 6)])
def test_exit_codes_tell_what_happened(daemon, drover, code, status, exit_code):
    daemon.answers["GET /v1/moves"] = (status, error(code, "It went wrong.", "libvirt says no", "errno 5"))
    done = drover("moves")
    assert done.returncode == exit_code
    assert done.stderr == "drover: It went wrong.\n  because: libvirt says no\n    because: errno 5\n"
    done = drover("moves", "--json")
    assert done.returncode == exit_code and json.loads(done.stderr)["error"]["code"] == code


def test_a_daemon_that_is_not_there(daemon, drover):
    daemon.path += ".gone"
    done = drover("list")
    assert done.returncode == 4 and "Is droverd running?" in done.stderr
    assert drover("version").returncode == 0


@pytest.mark.parametrize("words", [(), ("nonsense",), ("move", "web01"), ("plan", "a", "b", "c"), ("list", "--nonsense"),
                                   ("host",), ("settings", "a=b", "c"), ("completion", "fish")])
def test_wrong_words_do_nothing(daemon, drover, words):
    done = drover(*words)
    assert done.returncode == 2 and done.stderr
    assert not daemon.asked


@pytest.mark.parametrize("words", [("--help",), ("move", "--help"), ("host", "invite", "--help")])
def test_help_has_examples(daemon, drover, words):
    done = drover(*words)
    assert done.returncode == 0 and "Example" in done.stdout and "Usage: drover" in done.stdout


# Confirmation.


def test_without_terminal_and_yes_nothing_is_done(daemon, drover):
    done = drover("move", "web01", "host2")
    assert done.returncode == 2 and "--yes" in done.stderr
    assert not daemon.times_asked("POST /v1/moves")


def test_yes_accepts_notes_and_not_warnings(daemon, drover):
    daemon.events = [DONE]
    daemon.answers["POST /v1/plans"] = plan([finding("note", "PLACED_ELSEWHERE"), finding("warning", "CDROM_LEFT")])
    done = drover("move", "web01", "host2", "--yes")
    assert done.returncode == 2 and "--accept CDROM_LEFT" in done.stderr
    assert not daemon.times_asked("POST /v1/moves")
    assert drover("move", "web01", "host2", "--yes", "--accept", "CDROM_LEFT").returncode == 0
    assert daemon.times_asked("POST /v1/moves") == [({}, {"plan": "plan1", "accept_notes": True, "accepted_codes": ["CDROM_LEFT"]})]


def test_what_follows_two_dashes_is_a_name(daemon, drover):
    daemon.events = [DONE]
    done = drover("move", "--yes", "--", "web01", "host2")
    assert done.returncode == 0, done.stderr


def test_blockers_are_never_overridden(daemon, drover):
    daemon.answers["POST /v1/plans"] = plan([finding("blocker", "DISK_EXISTS")])
    done = drover("move", "web01", "host2", "--yes", "--accept", "DISK_EXISTS")
    assert done.returncode == 2 and "DISK_EXISTS" in done.stderr and "Fix: mend it" in done.stdout
    assert not daemon.times_asked("POST /v1/moves")
    assert drover("plan", "web01", "host2").returncode == 2


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, drover, *words):
        self.master, slave = pty.openpty()
        self.process = drover.start(*words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        self.said = ""

    def until(self, text, patience=30):
        end = time.monotonic() + patience
        while text not in self.said:
            assert time.monotonic() < end, f"no '{text}' in: {self.said!r}"
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.said += os.read(self.master, 4096).decode(errors="replace")
                except OSError:  # the other end is closed
                    assert text in self.said, f"no '{text}' in: {self.said!r}"
        return self.said

    def type(self, text):
        os.write(self.master, text.encode())

    def end(self):
        code = self.process.wait(30)
        os.close(self.master)
        return code


def test_a_terminal_is_asked_and_no_means_no(daemon, drover):
    terminal = Terminal(drover, "move", "web01", "host2")
    assert "web01: host1 to host2" in terminal.until("[y/N]")
    terminal.type("\n")
    terminal.until("Not confirmed")
    assert terminal.end() == 2 and not daemon.times_asked("POST /v1/moves")


def test_a_yes_on_the_terminal_accepts_what_was_shown(daemon, drover):
    daemon.events = [*steps(10, 40), DONE]
    daemon.answers["POST /v1/plans"] = plan([finding("warning", "CDROM_LEFT")])
    terminal = Terminal(drover, "move", "web01", "host2")
    terminal.until("[y/N]")
    terminal.type("y\n")
    said = terminal.until("undo")
    assert terminal.end() == 0
    assert "\r" in said and "\x1b[K" in said, "one line is redrawn"
    assert daemon.times_asked("POST /v1/moves")[0][1]["accepted_codes"] == ["CDROM_LEFT"]


# Watching.


def test_progress_is_told_in_lines_and_never_runs_backwards(daemon, drover):
    daemon.events = [move(percent=10), 1.2, move(percent=40), 1.2, move(percent=30), 1.2, move(percent=60), DONE]
    done = drover("move", "web01", "host2", "--yes")
    assert done.returncode == 0, done.stderr
    percents = [int(found) for found in re.findall(r"(\d+) %;", done.stdout)]
    assert percents == sorted(percents) and 40 in percents and 30 not in percents, done.stdout
    assert "Move k3f9x2qa has begun" in done.stdout
    assert "5.0 MiB on the wire" in done.stdout and "66 ms" in done.stdout and "drover move web01 host1" in done.stdout


def test_it_is_never_silent_for_two_seconds(daemon, drover):
    daemon.events = [move(percent=10), 7, DONE]
    process = drover.start("watch", "k3f9x2qa", stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    daemon.answers["GET /v1/moves/k3f9x2qa"] = move(percent=5)
    times = [time.monotonic() for _ in process.stdout]
    assert process.wait(30) == 0
    # Lines come every 1.75 s; the rest of this bound is for slow machines.
    assert len(times) > 4 and max(after - before for before, after in zip(times, times[1:])) < 4


def test_watching_goes_on_after_droverd_was_away(daemon, drover):
    daemon.answers["GET /v1/moves/k3f9x2qa"] = move(percent=5)
    daemon.events = [move(percent=10), "break", move(percent=50), DONE]
    done = drover("watch", "k3f9x2qa")
    assert done.returncode == 0 and "trying to reach droverd again" in done.stdout and "runs on host2" in done.stdout
    assert len(daemon.times_asked("GET /v1/moves/k3f9x2qa/events")) == 2


def test_what_keeps_a_move_from_its_end_is_told_once(daemon, drover):
    moving = move(percent=60, phase="copy-memory")
    warned = move(percent=70, phase="copy-memory")
    warned["progress"]["warning"] = {**finding("warning", "WILL_NOT_CONVERGE", fixes=["End it: drover cancel k3f9x2qa"])}
    daemon.answers["GET /v1/moves/k3f9x2qa"] = moving
    daemon.events = [moving, warned, warned, warned, move(percent=80, phase="copy-memory"), DONE]
    done = drover("watch", "k3f9x2qa")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Warning: WILL_NOT_CONVERGE is so.") == 1, done.stdout
    assert done.stdout.count("End it: drover cancel k3f9x2qa") == 1
    assert done.stdout.count("web01 no longer outruns the link.") == 1


def test_the_policy_of_a_running_move_is_changed(daemon, drover):
    daemon.answers["GET /v1/moves/k3f9x2qa"] = move()
    daemon.answers["POST /v1/moves/k3f9x2qa/convergence"] = move(convergence="pause:10", may_slow_guest=True)
    done = drover("converge", "k3f9x2qa", "pause:10")
    assert done.returncode == 0 and "now follows the policy pause:10" in done.stdout, done.stderr
    assert "libvirt cannot take that back" in done.stdout
    [(_, body)] = daemon.times_asked("POST /v1/moves/k3f9x2qa/convergence")
    assert body == {"convergence": "pause:10"}
    for wrong in ("pause:0", "pause:301", "pause:1s", "hope", "wait:5", "give-up:-1"):
        done = drover("converge", "k3f9x2qa", wrong)
        assert done.returncode == 2 and "no convergence policy" in done.stderr, wrong


@pytest.mark.parametrize(("state", "exit_code", "text"), [
    ("failed", 1, "did not move; it is on host1 as before"), ("cancelled", 1, "was cancelled"), ("parked", 6, "needs a person")])
def test_the_exit_code_is_the_moves(daemon, drover, state, exit_code, text):
    daemon.events = [move(state, explanation="The road broke.", error=error("TIMEOUT", "Nothing came.")["error"])]
    done = drover("move", "web01", "host2", "--yes")
    assert done.returncode == exit_code and text in done.stdout and "Nothing came." in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_the_move_running(daemon, drover, number):
    daemon.events = [move(percent=10), 60]
    process = drover.start("move", "web01", "host2", "--yes", stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    for line in process.stdout:
        if "10 %" in line:
            break
    process.send_signal(number)
    rest = process.stdout.read()
    assert process.wait(30) == 130
    assert "drover watch k3f9x2qa" in rest and "drover cancel k3f9x2qa" in rest
    assert not daemon.times_asked("POST /v1/moves/k3f9x2qa/cancel")


def test_json_is_one_move_a_line(daemon, drover):
    daemon.events = [*steps(10), DONE]
    done = drover("--json", "move", "web01", "host2", "--yes")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and lines[-1]["state"] == "done" and all(line["id"] == "k3f9x2qa" for line in lines)


# Which VM, and on which host.


def test_a_vm_elsewhere_has_its_request_carried(daemon, drover):
    daemon.events = [DONE]
    daemon.answers["GET /v1/vms"] = {"vms": [vm(host="host3")], "unreachable": []}
    done = drover("move", "web01", "host2", "--yes")
    assert done.returncode == 0, done.stderr
    [(query, body)] = daemon.times_asked("POST /v1/plans")
    assert query == {"host": "host3"} and body["vm"] == UUID
    for what in ("POST /v1/moves", "GET /v1/moves/k3f9x2qa/events"):
        assert [query for query, _ in daemon.times_asked(what)] == [{"host": "host3"}], what


def test_ambiguous_names_say_what_to_say(daemon, drover):
    daemon.answers["GET /v1/vms"] = {"vms": [vm("my vm"), vm("my vm", "host2")], "unreachable": []}
    done = drover("plan", "my vm", "host2")
    assert done.returncode == 2 and "'host1/my vm' or 'host2/my vm'" in done.stderr
    assert drover("plan", "host1/my vm", "host2").returncode == 0


PLACE = {"priority": 5, "held": False, "position": 1, "waits_for": "host1 works on 1 move; its live-moves is 1.", "since": TIME}


def test_several_vms_are_asked_for_together(daemon, drover):
    """What may not begin yet waits; all are followed to their ends."""
    daemon.answers["GET /v1/vms"] = {"vms": [vm(), vm("größe 2", uuid=UUID.replace("6", "7"))], "unreachable": []}
    daemon.events = [DONE, "break", DONE]
    answers = [move(percent=0), move(percent=0, phase="plan", queue=PLACE)]
    daemon.answers["POST /v1/moves"] = lambda _: answers.pop(0)
    done = drover("move", "-", "host2", "--yes", "--priority", "5", input="web01\n\ngröße 2\n")
    assert done.returncode == 0, done.stderr
    assert len(daemon.times_asked("POST /v1/moves")) == 2
    assert all(body["priority"] == 5 for _, body in daemon.times_asked("POST /v1/plans"))
    assert "waiting for its turn, position 1: host1 works on 1 move; its live-moves is 1." in done.stdout
    assert drover("move", "-", "host2", "--yes", input="").returncode == 2
    assert drover("move", "web01", "host2", "--yes", "--priority", "101").returncode == 2


def test_one_that_cannot_start_stops_no_other(daemon, drover):
    daemon.answers["GET /v1/vms"] = {"vms": [vm(), vm("größe 2", uuid=UUID.replace("6", "7"))], "unreachable": []}
    daemon.events = [DONE]
    daemon.answers["POST /v1/plans"] = lambda asked: plan(id=asked[2]["vm"])
    daemon.answers["POST /v1/moves"] = lambda asked: (
        (409, error("CONFLICT", "web01 is moving already.")) if asked[2]["plan"] == UUID else move(percent=0))
    done = drover("move", "web01", "größe 2", "host2", "--yes")
    assert done.returncode != 0 and "was not moved. web01 is moving already." in done.stderr
    assert "runs on host2" in done.stdout


def test_many_are_asked_for_side_by_side_and_told_in_order(daemon, drover):
    """The first is the slowest, in its plan and when it is asked for; each says behind which it stands, among those of its host."""
    names = [f"web{number:02}" for number in range(12)]
    places = {name: (str(UUID.replace("6c1fa1f0", f"6c1fa1{number:02}")), "host2" if name == "web03" else "host1")
              for number, name in enumerate(names)}
    vms = [vm(name, uuid=uuid, host=host) for name, (uuid, host) in places.items()]
    name_of = {uuid: name for name, (uuid, _) in places.items()}
    together = {"now": 0, "most": 0}

    def slowly(asked, name, answer):
        together["now"] += 1
        together["most"] = max(together["most"], together["now"])
        time.sleep(0.6 if name == "web00" else 0.1)
        together["now"] -= 1
        return answer

    def planned(asked):
        name = name_of[asked[2]["vm"]]
        return slowly(asked, name, plan(id="plan-" + name, vm=vm(name)))

    daemon.answers["GET /v1/vms"] = {"vms": vms, "unreachable": []}
    daemon.answers["POST /v1/plans"] = planned
    daemon.answers["POST /v1/moves"] = lambda asked: slowly(asked, asked[2]["plan"].removeprefix("plan-"), {
        **move(percent=0), "id": asked[2]["plan"], "plan": plan(vm=vm(asked[2]["plan"].removeprefix("plan-")))})
    daemon.events = [DONE, "break"] * len(names)
    done = drover("move", *names, "host3", "--yes")
    assert done.returncode == 0, done.stderr
    assert re.findall(r"Move plan-(web\d\d) has begun", done.stdout) == names
    assert {body["plan"]: body.get("after") for _, body in daemon.times_asked("POST /v1/moves")} == {
        "plan-" + name: "plan-" + before if before else None
        for name, before in zip(names, [None, "web00", "web01", None, "web02", *names[4:-1]], strict=True)}
    assert 2 < together["most"] <= 8, together
    assert len(daemon.times_asked("GET /v1/vms")) == 1


def test_the_first_that_has_no_plan_is_the_error(daemon, drover):
    names = [f"web{number:02}" for number in range(9)]
    daemon.answers["GET /v1/vms"] = {"vms": [vm(name, uuid=UUID.replace("6c1fa1f0", f"6c1fa1{number:02}"))
                                             for number, name in enumerate(names)], "unreachable": []}

    def planned(asked):
        number = int(asked[2]["vm"][6:8])
        if number == 2:
            time.sleep(0.3)
        return (409, error("CONFLICT", f"web{number:02} is moving already.")) if number in (2, 3) else plan()

    daemon.answers["POST /v1/plans"] = planned
    done = drover("move", *names, "host2", "--yes")
    assert done.returncode != 0 and "web02 is moving already." in done.stderr and "web03" not in done.stderr, done
    assert not daemon.times_asked("POST /v1/moves")


def test_all_running_vms_of_the_host(daemon, drover):
    daemon.answers["GET /v1/vms"] = {"vms": [vm(), vm("asleep", uuid=UUID.replace("6", "7"), state="off")], "unreachable": []}
    daemon.events = [DONE]
    daemon.answers["POST /v1/moves"] = move(percent=0)
    done = drover("move", "--all", "host2", "--yes")
    assert done.returncode == 0, done.stderr
    assert len(daemon.times_asked("POST /v1/moves")) == 1 and "asleep does not run and stays." in done.stdout
    wrong = drover("move", "--all", "web01", "host2", "--yes")
    assert wrong.returncode == 2 and "only the destination" in wrong.stderr
    assert drover("move", "host2", "--yes").returncode == 2


def test_the_queue_is_shown_and_changed(daemon, drover):
    waits = move(percent=0, phase="plan", queue=PLACE)
    daemon.answers["GET /v1/queue"] = {"moves": [waits]}
    for words in (["queue"], ["queue", "list"]):
        done = drover(*words)
        assert done.returncode == 0 and "k3f9x2qa" in done.stdout and "live-moves is 1" in done.stdout
    assert json.loads(drover("queue", "--json").stdout)["moves"][0]["queue"]["position"] == 1
    daemon.answers["GET /v1/moves/k3f9x2qa"] = waits
    for action in ("hold", "release"):
        daemon.answers[f"POST /v1/queue/k3f9x2qa/{action}"] = waits
        assert drover("queue", action, "k3f9x2qa").returncode == 0
    daemon.answers["POST /v1/queue/k3f9x2qa/priority"] = waits
    done = drover("queue", "priority", "k3f9x2qa", "-7")
    assert done.returncode == 0 and "position 1" in done.stdout, done.stderr
    assert [body for _, body in daemon.times_asked("POST /v1/queue/k3f9x2qa/priority")] == [{"priority": -7}]
    daemon.answers["POST /v1/moves/k3f9x2qa/cancel"] = waits
    assert "will not be moved" in drover("queue", "cancel", "k3f9x2qa").stdout
    daemon.answers["GET /v1/moves/k3f9x2qa"] = move()
    refused = drover("queue", "cancel", "k3f9x2qa")
    assert refused.returncode != 0 and "drover cancel k3f9x2qa" in refused.stderr


def test_the_list_names_hosts_that_did_not_answer(daemon, drover):
    daemon.answers["GET /v1/vms"] = {"vms": [vm("größe 2")],
                                     "unreachable": [{"host": "host3", **error("UNAVAILABLE", "host3:7430 does not answer.")}]}
    done = drover("list")
    assert done.returncode == 0 and "größe 2  host1  running" in done.stdout and "host3:7430 does not answer." in done.stderr
    assert drover("list", "--host", "host3").returncode == 4
    assert drover("list", "--host", "host9").returncode == 3
    assert drover("list", "--names").stdout == "größe 2\n"
    assert json.loads(drover("list", "--json").stdout)["vms"][0]["name"] == "größe 2"


def test_names_cannot_drive_the_terminal(daemon, drover):
    daemon.answers["GET /v1/vms"] = {"vms": [vm("a\x1b[2J\nb")], "unreachable": []}
    assert "\x1b" not in drover("list").stdout and "a\\x1b[2J\\x0ab" in drover("list").stdout


# The rest, word by word.


def test_settings_are_changed_in_order(daemon, drover):
    settings = {"incoming": True, "outgoing": True, "default_folder": "/a", "allowed_folders": ["/a"]}
    daemon.answers["GET /v1/settings"] = daemon.answers["PATCH /v1/settings"] = settings
    done = drover("settings", "host2", "incoming=on", "allowed-folders+=/srv/a b", "allowed-folders-=/x=y")
    assert done.returncode == 0 and "allowed-folders  /a" in done.stdout
    [(query, body)] = daemon.times_asked("PATCH /v1/settings")
    assert query == {"host": "host2"}
    assert [(change["key"], change["op"], change["value"]) for change in body["set"]] == [
        ("incoming", "=", "on"), ("allowed-folders", "+=", "/srv/a b"), ("allowed-folders", "-=", "/x=y")]
    assert drover("settings", "host1").returncode == 0
    assert [query for query, _ in daemon.times_asked("GET /v1/settings")][-1] == {}, "its own name needs no carrying"


def test_invite_turns_moves_on_and_prints_one_line_to_paste(daemon, drover):
    daemon.answers["GET /v1/settings"] = {"incoming": False, "outgoing": False, "default_folder": "/a", "allowed_folders": []}
    daemon.answers["PATCH /v1/settings"] = {"incoming": True, "outgoing": True, "default_folder": "/a", "allowed_folders": []}
    daemon.answers["POST /v1/hosts/invite"] = {"address": "10.0.0.1", "code": "CODE", "expires_at": TIME_, "line": "drover host add 10.0.0.1 CODE"}
    done = drover("host", "invite", "--allow", "command")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("drover host add 10.0.0.1 CODE\n") == 1 and "Moves from and to this host are on" in done.stdout
    assert daemon.times_asked("POST /v1/hosts/invite")[0][1]["rights"] == {
        "send": True, "receive": True, "command": True, "introduce": False}
    assert drover("host", "invite", "--no-moves").returncode == 0
    assert len(daemon.times_asked("PATCH /v1/settings")) == 1


TIME_ = "2026-07-25T10:10:00.000Z"


def test_dropping_kept_disks_is_confirmed(daemon, drover):
    daemon.answers["POST /v1/quarantine/k3f9x2qa/drop"] = {}
    assert drover("quarantine", "drop", "k3f9x2qa").returncode == 2
    assert not daemon.times_asked("POST /v1/quarantine/k3f9x2qa/drop")
    assert drover("quarantine", "drop", "k3f9x2qa", "--yes").returncode == 0
    assert drover("quarantine", "drop", "other", "--yes").returncode == 3


def kept_disk(move):
    return {"move_id": move, "vm_uuid": "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab", "vm_name": "web01", "original_path": "/a/web01",
            "kept_path": f"/a/web01.drover-{move}", "device": 1, "inode": 2, "allocated_bytes": 4096, "since": TIME_}


def test_residue_is_dropped_by_move_or_all_of_it(daemon, drover):
    one, other = "POST /v1/quarantine/k3f9x2qa/drop", "POST /v1/quarantine/aaaa1111/drop"
    daemon.answers[other] = {}
    daemon.answers["GET /v1/quarantine"] = {"disks": [kept_disk("k3f9x2qa"), kept_disk("k3f9x2qa"), kept_disk("aaaa1111")]}
    assert "web01" in drover("residue", "list").stdout
    assert drover("residue", "drop", "--yes").returncode == 2, "neither a move nor --all"
    assert drover("residue", "drop", "aaaa1111", "--all", "--yes").returncode == 2
    assert drover("residue", "drop", "aaaa1111").returncode == 2, "nobody said yes"
    assert not daemon.times_asked(one) and not daemon.times_asked(other)
    assert drover("residue", "drop", "--all", "--yes").returncode == 3, "one of them is not there any more"
    assert len(daemon.times_asked(one)) == len(daemon.times_asked(other)) == 1
    assert drover("residue", "drop", "aaaa1111", "--yes").returncode == 0



def test_a_token_goes_to_standard_output_alone(daemon, drover):
    daemon.answers["POST /v1/tokens"] = {"id": "t1", "token": "secret"}
    assert drover("token", "create", "ci").stdout == "secret\n"
    done = drover("--host", "https://host9:7430", "list")
    assert done.returncode == 5 and "DROVER_TOKEN" in done.stderr


def test_doctor_ends_1_where_something_is_wrong(daemon, drover):
    daemon.answers["GET /v1/doctor"] = {"findings": [finding("note", "HOOK_ABSENT")]}
    assert drover("doctor").returncode == 0
    daemon.answers["GET /v1/doctor"] = {"findings": [finding("blocker", "HYPERVISOR_DOWN")]}
    assert drover("doctor").returncode == 1


def test_paths_in_ids_go_nowhere(daemon, drover):
    for verb in (["show"], ["watch"], ["cancel"], ["converge"]):
        assert drover(*verb, "../../v1/hosts", *(["wait"] if verb == ["converge"] else [])).returncode == 3
    assert all("/hosts/" not in what for what, _, _ in daemon.asked)
