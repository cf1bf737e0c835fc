# SPDX-License-Identifier: Apache-2.0
"""The best host, candidates, evacuate and return on the command line, against a daemon that says what each test wants."""
import json

import pytest

from fake_daemon import REPORT, TIME, UUID, error, finding, move, plan

DONE = move("done", 100, "settle", report=REPORT)


def choice(best="host3", other="host2"):
    return {"hosts": [
        {"host": best, "possible": True, "load_percent": 20, "forecast_ms": 9000, "why": "loaded by 20 % with the VM", "obstacles": []},
        {"host": other, "possible": False, "obstacles": [finding("blocker", "MEMORY_SHORT")]}],
        "plan": plan(request={"vm": UUID, "destination": best})}


def evacuee(name, state="waits", **changes):
    return {"uuid": name, "name": name, "source": "host1", "destination": "host2", "state": state, "starts_in_ms": 0, "ends_in_ms": 9000,
            "forecast_bytes": 1 << 29, **changes}


def evacuation(state="planned", vms=(), **changes):
    return {"id": "" if state == "planned" else "e1", "host": "host1", "kind": "evacuate", "state": state, "vms": list(vms),
            "requested_by": "alice", "started_at": TIME, **changes}


STAYS = evacuee("old", "stays", why="VM_OFF: old is off.", fixes=["Start it."])


def test_the_best_host_is_shown_with_the_reasons_and_taken(daemon, drover):
    daemon.events = [DONE]
    daemon.answers["POST /v1/best"] = choice()
    done = drover("move", "web01", "--best", "--among", "host2,host3", "--yes")
    assert done.returncode == 0, done.stderr
    assert "host3: best: loaded by 20 %" in done.stdout and "MEMORY_SHORT" in done.stdout
    (_, asked), = daemon.times_asked("POST /v1/best")
    assert asked["among"] == ["host2", "host3"] and asked["request"]["vm"] == UUID and asked["after"] == []
    assert "requested_by" not in asked["request"]
    assert not daemon.times_asked("POST /v1/plans")
    assert len(daemon.times_asked("POST /v1/moves")) == 1


def test_if_no_host_is_possible_nothing_is_done(daemon, drover):
    daemon.answers["POST /v1/best"] = {"hosts": choice()["hosts"][1:]}
    done = drover("move", "web01", "--best", "--yes")
    assert done.returncode == 2 and "No host can take web01" in done.stderr and "host2: MEMORY_SHORT" in done.stderr
    assert not daemon.times_asked("POST /v1/moves")


def test_several_vms_count_each_others_places(daemon, drover):
    daemon.answers["POST /v1/moves"] = DONE
    daemon.answers["POST /v1/best"] = choice()
    drover("move", "web01", UUID, "--best", "--yes")
    asked = [body["after"] for _, body in daemon.times_asked("POST /v1/best")]
    assert asked == [[], [{"vm": UUID, "destination": "host3"}]]


@pytest.mark.parametrize("words", [
    ("move", "web01", "host2,"), ("move", "web01", "host2,host2"), ("move", "web01", "host2", "--among", "host3"),
    ("plan", "web01"), ("plan", "web01", "host2", "--best"), ("move",), ("evacuate",), ("return",),
    ("evacuate", "host1", "--status", "--cancel"), ("evacuate", "host1", "--to", ",")])
def test_wrong_words_do_nothing(daemon, drover, words):
    done = drover(*words)
    assert done.returncode == 2 and done.stderr, done
    assert not [what for what, _, _ in daemon.asked if what.startswith("POST") and what != "POST /v1/plans"]


def test_candidates_are_sent_in_order(daemon, drover):
    assert drover("plan", "web01", "host2,host3,host4").returncode == 0
    (_, asked), = daemon.times_asked("POST /v1/plans")
    assert asked["destination"] == "host2" and asked["candidates"] == ["host3", "host4"]


def test_a_failed_move_is_followed_to_the_next_candidate(daemon, drover):
    request = {"vm": UUID, "destination": "host2", "candidates": ["host3"]}
    first = move("failed", 10, plan=plan(request=request))
    second = {**DONE, "id": "second00", "destination": "host3", "plan": plan(
        request={"vm": UUID, "destination": "host3", "continues": "k3f9x2qa", "passed": ["host2: It is dead."]})}
    daemon.answers["GET /v1/moves"] = {"moves": [second, first]}
    daemon.events = [first]
    done = drover("move", "web01", "host2,host3", "--yes")
    assert done.returncode == 0, done
    assert "goes on to host3: move second00" in done.stdout and "passed over" in done.stdout and "It is dead." in done.stdout


def test_evacuate_shows_the_timetable_and_needs_consent(daemon, drover):
    daemon.answers["POST /v1/evacuations/plan"] = evacuation(vms=[evacuee("web01"), STAYS])
    done = drover("evacuate", "host1")
    assert done.returncode == 2 and "--yes" in done.stderr
    assert "1 of 2 VMs can leave" in done.stdout and "VM_OFF: old is off." in done.stdout and "Fix: Start it." in done.stdout
    assert not daemon.times_asked("POST /v1/evacuations")
    assert drover("evacuate", "host1", "--plan").returncode == 0
    assert json.loads(drover("evacuate", "host1", "--plan", "--json").stdout)["vms"][0]["name"] == "web01"


def test_evacuate_is_watched_to_its_end(daemon, drover):
    daemon.answers["POST /v1/evacuations/plan"] = evacuation(vms=[evacuee("web01"), STAYS])
    daemon.answers["POST /v1/evacuations"] = evacuation("running", [evacuee("web01"), STAYS])
    looks = [evacuation("running", [evacuee("web01", "moving")], events=["web01 goes to host2."]),
             evacuation("done", [evacuee("web01", "moved"), STAYS], events=["web01 goes to host2.", "web01 has moved."],
                        explanation="1 of 2 VMs have left host1; 1 have not.")]
    daemon.answers["GET /v1/evacuations"] = lambda _: {"evacuations": [looks.pop(0) if len(looks) > 1 else looks[0]]}
    done = drover("evacuate", "host1", "--to", "host2", "--accept", "VM_PAUSED", "--yes")
    assert done.returncode == 1, "one has stayed"
    assert done.stdout.count("web01 goes to host2.") == 1 and "1 of 2 VMs have left host1" in done.stdout
    (query, asked), = daemon.times_asked("POST /v1/evacuations")
    assert query == {"host": "host1"}
    assert asked == {"kind": "evacuate", "to": ["host2"], "accepted_codes": ["VM_PAUSED"]}


def test_nothing_is_begun_if_none_can_move(daemon, drover):
    daemon.answers["POST /v1/evacuations/plan"] = evacuation(vms=[STAYS])
    done = drover("evacuate", "host1", "--yes")
    assert done.returncode == 2 and "None of these VMs can move" in done.stderr
    assert not daemon.times_asked("POST /v1/evacuations")
    assert drover("evacuate", "host1", "--plan").returncode == 2


def test_return_asks_for_a_return(daemon, drover):
    daemon.answers["POST /v1/evacuations/plan"] = evacuation(kind="return", vms=[evacuee("web01")])
    daemon.answers["POST /v1/evacuations"] = evacuation("done", [evacuee("web01", "moved")], kind="return", explanation="It is back.")
    done = drover("return", "host1", "--yes")
    assert done.returncode == 0 and "can come back" in done.stdout and "It is back." in done.stdout
    assert daemon.times_asked("POST /v1/evacuations")[0][1]["kind"] == "return"


def test_status_and_cancel(daemon, drover):
    daemon.answers["GET /v1/evacuations"] = {"evacuations": []}
    assert drover("evacuate", "host1", "--status").returncode == 3
    daemon.answers["GET /v1/evacuations"] = {"evacuations": [evacuation("done", [evacuee("web01", "moved"), STAYS], keeps_out=True)]}
    said = drover("evacuate", "host1", "--status").stdout
    assert "drover return host1" in said and "VM_OFF" in said
    daemon.answers["POST /v1/evacuations/cancel"] = evacuation("running")
    assert "No further VM" in drover("evacuate", "host1", "--cancel").stdout
    daemon.answers["POST /v1/evacuations/cancel"] = (409, error("CONFLICT", "host1 is not being evacuated."))
    assert drover("evacuate", "host1", "--cancel").returncode == 1
