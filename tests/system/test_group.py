# SPDX-License-Identifier: Apache-2.0
"""Move groups: what VMs that were made from one image have on their disks travels once, if both administrators say so."""
from contextlib import contextmanager

import pytest

from product import assert_clean, brief, codes, drop_all

IMAGE = 96  # MiB that the guests have in common
MIB = 1 << 20
RATE = "16M"  # slower than any machine names what it holds, however busy it is
SETTINGS = {"memory": 128, "image": IMAGE, "fill": 8, "records": 16, "dirty": 0.25, "disk_rate": 0.25}


@pytest.fixture(autouse=True)
def nothing_kept(pair):
    yield
    for host in pair:
        host.drover("settings", "groups=off")
    drop_all(*pair)


@contextmanager
def two_guests(lab):
    """Made from one image, booted apart, with other records each."""
    with lab.guest("host1", "first", **SETTINGS), lab.guest("host1", "second", **SETTINGS):
        yield


def move_over(source, destination, name, *words):
    """Its report; the guest runs there and all its records are right."""
    source.drover("move", name, destination.name, "--yes", "--delete-now", "--bandwidth", RATE, *words)
    move = source.moves()[0]
    assert (move["state"], move["destination"]) == ("done", destination.name), brief(move)
    result = source.lab.verify(name)
    assert result["ok"] and result["states"] == {destination.name: "running"}, result
    return move["report"]


def test_the_image_of_a_group_travels_once(lab, pair):
    """Also after a restart of the destination, while the first guest runs there and writes. And not on the way back, where no
    VM of the group is left."""
    host1, host2 = pair
    host2.drover("settings", "groups=web")
    with two_guests(lab):
        first = move_over(host1, host2, "first", "--group", "web")
        assert first["kinds"]["group_bytes"] == 0, first
        host2.restart_droverd()
        [note] = [finding for finding in host1.plan("second", "host2", group="web")["findings"] if finding["code"] == "GROUP_USED"]
        assert "1 VM of group web" in note["what"], note
        second = move_over(host1, host2, "second", "--group", "web")
        assert second["kinds"]["group_bytes"] > IMAGE * MIB / 2, second
        assert second["wire_bytes"] < first["wire_bytes"] * 0.75, (first, second)
        assert lab.verify("first")["ok"]

        host1.drover("settings", "groups=web")
        back = move_over(host2, host1, "second", "--group", "web")
        assert back["kinds"]["group_bytes"] == 0, back
    assert_clean(*pair)


def test_nothing_is_shared_unless_both_sides_name_the_group(lab, pair):
    host1, host2 = pair
    host2.drover("settings", "groups=web,db")
    with two_guests(lab):
        first = move_over(host1, host2, "first", "--group", "web")
        for group in ({}, {"group": "db"}, {"group": "other"}):
            wanted = {"db": "GROUP_USED", "other": "GROUP_NOT_SHARED"}.get(group.get("group"))
            found = {code for code in codes(host1.plan("second", "host2", **group)) if code.startswith("GROUP")}
            assert found == ({wanted} if wanted else set()), (group, found)
        refused = host1.drover("move", "second", "host2", "--yes", "--group", "Web!", check=False)
        assert refused.returncode != 0 and "no name of a group" in refused.stderr, refused.stderr
        second = move_over(host1, host2, "second", "--group", "db")
        assert second["kinds"]["group_bytes"] == 0, second
        assert second["wire_bytes"] > first["wire_bytes"] / 2, (first, second)
    assert_clean(*pair)
