# SPDX-License-Identifier: Apache-2.0
"""What chooses moves and lets them begin: labels, and the limit `auto`."""
import datetime

import pytest

from marks import LONG
from product import assert_clean, brief, drop_all, until

STEP = 6.0  # AutoLimit::kStep
SLACK = 0.5
NAMES = ["one", "two", "three"]
GUEST = {"memory": 128, "disk": "128M", "fill": 32, "dirty": 0.25, "disk_rate": 0.1}


@pytest.fixture
def guests(lab, pair):
    lab.run("link", "100mbit")
    with lab.guest("host1", NAMES[0], **GUEST), lab.guest("host1", NAMES[1], **GUEST), \
            lab.guest("host1", NAMES[2], **GUEST):
        yield pair
        for host in pair:
            host.drover("settings", "live-moves=2")
    drop_all(*pair)


def moment(text):
    """Seconds since 1970."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def began(move):
    """When it got its place."""
    return next(phase["started_at"] for phase in move["phases"] if phase["phase"] == "reserve")


def label(host, name, *labels):
    words = "".join(f"<label>{word}</label>" for word in labels)
    host.virsh("metadata", name, "urn:drover:labels:1", "--key", "drover", "--set", f"<labels>{words}</labels>", "--live", "--config")


def test_labels_choose_vms_and_travel_with_them(lab, guests):
    host1, host2 = guests
    label(host1, "one", "web", "prod")
    label(host1, "three", "web")
    until(lambda: host1.drover("list", "--label", "web", "--names").stdout.split() == ["one", "three"], "the labels are seen")
    assert host1.drover("list", "--label", "web", "--label", "prod", "--names").stdout.split() == ["one"]
    for words, code, said in ((["--label", "db", "host2"], 3, "the label db"), (["--label", "web", "two", "host2"], 2, "only the destination"),
                              (["--all", "--label", "web", "host2"], 2, "only the destination")):
        refused = host1.drover("move", *words, "--yes", check=False)
        assert refused.returncode == code and said in refused.stderr, (words, refused.stderr)
    host1.drover("move", "--label", "web", "host2", "--yes")
    for name, where in (("one", "host2"), ("two", "host1"), ("three", "host2")):
        result = lab.verify(name)
        assert result["ok"] and result["states"] == {where: "running"}, result
    assert host2.drover("--at", "host2", "list", "--label", "web", "--names").stdout.split() == ["one", "three"]
    again = host1.drover("move", "--label", "web", "host2", "--yes", check=False)
    assert again.returncode == 3, "they are there already"
    assert_clean(*guests)


@LONG
def test_auto_begins_with_one_and_lets_all_arrive(lab, guests):
    host1, host2 = guests
    for host in guests:
        assert "live-moves" in host.drover("settings", "live-moves=auto").stdout
    assert host1.get("/v1/settings")["live_moves"] == "auto"
    ids = [host1.start_move(name, "host2") for name in NAMES]
    until(lambda: "auto" in (host1.move(ids[2]).get("queue") or {}).get("waits_for", ""), "the third waits for room")
    spans = []
    for move_id, name in zip(ids, NAMES, strict=True):
        ended = host1.wait_move(move_id)
        assert ended["state"] == "done", brief(ended)
        assert lab.verify(name)["states"] == {"host2": "running"}
        spans.append((moment(began(ended)), moment(ended["ended_at"])))
    # One alone, and a second beside it only after it was looked at for 6 s.
    spans.sort()
    first, second, third = spans
    assert second[0] >= min(first[1], first[0] + STEP) - SLACK, spans
    assert third[0] >= min(first[1], second[1], second[0] + STEP) - SLACK, spans
    assert_clean(*guests)
