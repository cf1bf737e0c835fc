# SPDX-License-Identifier: Apache-2.0
"""Discs in drives, which only the source has."""
import time

import pytest

from marks import LONG
from product import IMAGES, assert_clean, boots, brief, codes, drop_all, lab_hosts, runs, until

GUEST = {"memory": 128, "disk": "96M", "fill": 8, "dirty": 4, "disk_rate": 0.25}


@pytest.fixture(autouse=True)
def nothing_left(pair):
    yield
    drop_all(*pair)
    assert_clean(*pair)


@pytest.fixture
def guest(lab, pair):
    with lab.guest("host1", "netdisk", **GUEST) as made:
        pair[0].virsh("destroy", "netdisk")
        yield made


DRIVE = """<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='{}'/><target dev='sda' bus='sata'/>
  <readonly/></disk>"""


def in_the_drive(host, name="netdisk"):
    return [host.virsh("domblklist", name, *inactive).stdout.split("sda")[1].split("\n")[0].strip() for inactive in ((), ("--inactive",))]


@pytest.fixture
def disc(lab, pair, guest):
    """host1's guest has a disc in its drive, which host2 lacks."""
    host1, _ = pair
    path = f"{IMAGES}/disc.iso"
    host1.run("sh", "-ec", f"head -c 3M /dev/urandom > {path}")
    xml = host1.virsh("dumpxml", "netdisk", "--inactive", "--security-info").stdout
    host1.define(xml.replace("</devices>", DRIVE.format(path) + "</devices>"))
    boots(lab, host1, "netdisk")
    yield path
    for host in pair:
        host.path(path).unlink(missing_ok=True)


@LONG
def test_a_disc_is_ejected_required_or_put_back(lab, pair, disc):
    host1, host2 = pair
    assert "MEDIA_INSERTED" in codes(host1.plan("netdisk", "host2"), "blocker")
    # Another one of that name is no help, the same one is.
    host2.run("sh", "-ec", f"head -c 3M /dev/urandom > {disc}")
    assert "MEDIA_INSERTED" in codes(host1.plan("netdisk", "host2"), "warning")
    assert "MEDIA_INSERTED" in codes(host1.plan("netdisk", "host2", media="require"), "blocker")
    host2.path(disc).write_bytes(host1.path(disc).read_bytes())
    assert "MEDIA_INSERTED" in codes(host1.plan("netdisk", "host2", media="require"), "note")
    host2.path(disc).unlink()

    # Cancelled, it is in the drive again.
    lab.run("link", "40mbit")
    move_id = host1.start_move("netdisk", "host2", media="eject")
    host1.wait_phase(move_id, "copy-disks")
    until(lambda: in_the_drive(host1) == ["-", "-"], "it is ejected", patience=30)
    host1.drover("cancel", move_id)
    assert host1.wait_move(move_id)["state"] == "cancelled"
    lab.run("link", "unlimited")
    assert in_the_drive(host1) == [disc, disc]

    host1.drover("move", "netdisk", "host2", "--media", "eject", "--yes")
    runs(lab, host2, "netdisk")
    assert in_the_drive(host2) == ["-", "-"] and host1.path(disc).exists()


@LONG
@pytest.mark.parametrize("kind", ["live", "quick"])
def test_a_disc_is_put_back_by_a_droverd_that_was_killed(lab, pair, disc, kind):
    host1, _ = pair
    lab.run("link", "40mbit")
    move_id = host1.start_move("netdisk", "host2", media="eject", kind=kind)
    until(lambda: in_the_drive(host1) == ["-", "-"], "it is ejected", patience=60)
    host1.kill_droverd()
    time.sleep(1)
    host1.kill("mover")
    host1.start_droverd()
    move = host1.wait_move(move_id)
    lab.run("link", "unlimited")
    assert (move["state"], move["runner"]) == ("failed", "source"), brief(move)
    assert in_the_drive(host1) == [disc, disc]
    runs(lab, host1, "netdisk")


@LONG
def test_an_offline_move_leaves_the_disc_behind(pair, disc):
    host1, host2 = pair
    host1.virsh("destroy", "netdisk")
    assert "MEDIA_INSERTED" in codes(host1.plan("netdisk", "host2"), "blocker")
    host1.drover("move", "netdisk", "host2", "--media", "eject", "--yes")
    move = host1.moves()[0]
    assert (move["state"], move["plan"]["kind"]) == ("done", "offline"), brief(move)
    assert host2.domstate("netdisk") == "shut off" and host1.domstate("netdisk") == ""
    said = host2.virsh("domblklist", "netdisk", "--inactive").stdout
    assert str(disc) not in said, said


@LONG
def test_a_quick_move_leaves_the_disc_behind(lab, pair, disc):
    host1, host2 = pair
    host1.drover("move", "netdisk", "host2", "--quick", "--media", "eject", "--yes")
    runs(lab, host2, "netdisk")
    assert in_the_drive(host2) == ["-", "-"]


@LONG
def test_a_disc_is_copied_along_and_stays_at_both(lab, pair, disc):
    host1, host2 = pair
    content = host1.path(disc).read_bytes()
    plan = host1.plan("netdisk", "host2", media="copy")
    assert not codes(plan, "blocker") and "MEDIA_COPIED" in codes(plan, "note"), plan["findings"]
    [file] = plan["files"]
    assert (file["item"], file["destination_path"], file["present"], file["shared"]) == ("sda", disc, False, False), file
    assert plan["expected_bytes"] - host1.plan("netdisk", "host2", media="eject")["expected_bytes"] >= len(content)
    assert f"sda   {disc}" in host1.drover("plan", "netdisk", "host2", "--media", "copy").stdout

    watching = lab.background("watch", "netdisk")
    host1.drover("move", "netdisk", "host2", "--media", "copy", "--yes")
    runs(lab, host2, "netdisk")
    assert watching.stop()["ok"]
    assert in_the_drive(host2) == [disc, disc]
    assert host1.path(disc).read_bytes() == host2.path(disc).read_bytes() == content

    # On the way back it is there.
    plan = host2.plan("netdisk", "host1", media="copy")
    assert plan["files"][0]["present"] and "MEDIA_COPIED" not in codes(plan), plan
    host2.drover("move", "netdisk", "host1", "--media", "copy", "--yes")
    runs(lab, host1, "netdisk")
    assert in_the_drive(host1) == [disc, disc] and host2.path(disc).read_bytes() == content


@LONG
def test_a_disc_is_copied_over_no_other_and_not_left_behind(lab, pair, disc):
    host1, host2 = pair
    host2.run("sh", "-ec", f"head -c 3M /dev/urandom > {disc}")
    another = host2.path(disc).read_bytes()
    plan = host1.plan("netdisk", "host2", media="copy")
    assert codes(plan, "blocker") == ["DISK_EXISTS"] and "--item sda=" in str(plan["findings"]), plan["findings"]
    assert host1.start_move("netdisk", "host2", check=False, media="copy")[0] == 422
    assert host2.path(disc).read_bytes() == another and in_the_drive(host1) == [disc, disc]
    host2.path(disc).unlink()

    # While it comes, and once it has come.
    for rate, phase in (("4mbit", "prepare"), ("40mbit", "copy-disks")):
        lab.run("link", rate)
        move_id = host1.start_move("netdisk", "host2", media="copy")
        host1.wait_phase(move_id, phase)
        until(host2.path(disc).exists, "it comes", patience=30)
        host1.drover("cancel", move_id)
        move = host1.wait_move(move_id)
        lab.run("link", "unlimited")
        assert (move["state"], move["phase"]) == ("cancelled", phase), brief(move)
        assert not host2.path(disc).exists() and in_the_drive(host1) == [disc, disc]

    move_id = host1.start_move("netdisk", "host2", media="copy", rehearse=True)
    assert host1.wait_move(move_id)["state"] == "rehearsed", brief(host1.move(move_id))
    assert not host2.path(disc).exists() and host1.path(disc).exists()
    runs(lab, host1, "netdisk")


@LONG
@pytest.mark.parametrize("kind", ["live", "quick", "offline"])
def test_a_disc_is_copied_to_where_files_may_lie(lab, pair, disc, kind):
    """At host1 it is in a folder that host2 does not allow, and a checkpoint has it too."""
    host1, host2 = pair
    elsewhere, content = "/srv/isos/disc.iso", host1.path(disc).read_bytes()
    host1.run("mkdir", "-m", "755", "/srv/isos")
    try:
        host1.run("cp", disc, elsewhere)
        host1.virsh("destroy", "netdisk")
        host1.define(host1.virsh("dumpxml", "netdisk", "--inactive", "--security-info").stdout.replace(disc, elsewhere))
        if kind == "offline":
            host1.virsh("snapshot-create-as", "netdisk", "clean")
        else:
            boots(lab, host1, "netdisk")
        host1.drover("move", "netdisk", "host2", "--media", "copy", "--yes", *([] if kind == "live" else [f"--{kind}"]))
        move = host1.moves()[0]
        assert (move["state"], move["plan"]["kind"]) == ("done", kind), brief(move)
        assert in_the_drive(host2) == [disc, disc]
        assert host2.path(disc).read_bytes() == host1.path(elsewhere).read_bytes() == content
        if kind == "offline":
            said = host2.virsh("snapshot-dumpxml", "netdisk", "clean").stdout
            assert disc in said and elsewhere not in said, said
            boots(lab, host2, "netdisk")
        else:
            runs(lab, host2, "netdisk")
    finally:
        host1.run("rm", "-r", "/srv/isos")


@LONG
def test_a_disc_that_both_hosts_see_is_not_copied(lab, pair, disc):
    host1, host2 = pair
    shared = f"{lab_hosts.SHARED}/disc.iso"
    try:
        for host in pair:
            host.drover("settings", f"allowed-folders+={lab_hosts.SHARED}")
        host1.run("cp", disc, shared)
        seen = host1.path(shared).stat()
        host1.virsh("change-media", "netdisk", "sda", shared, "--update", "--live", "--config")
        plan = host1.plan("netdisk", "host2", media="copy")
        assert plan["files"][0]["shared"] and "MEDIA_COPIED" not in codes(plan) and not codes(plan, "blocker"), plan
        host1.drover("move", "netdisk", "host2", "--media", "copy", "--yes")
        runs(lab, host2, "netdisk")
        assert in_the_drive(host2) == [shared, shared]
        now = host2.path(shared).stat()
        assert (now.st_ino, now.st_mtime) == (seen.st_ino, seen.st_mtime)
    finally:
        host1.run("rm", "-f", shared)
        for host in pair:
            host.drover("settings", f"allowed-folders-={lab_hosts.SHARED}")
