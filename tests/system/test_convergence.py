# SPDX-License-Identifier: Apache-2.0
"""A guest that changes its memory faster than the link carries it, under each policy."""
import time

import pytest

from marks import LONG
from product import ENDED, assert_clean, brief, drop_all

# From the issue: so soon after its memory began to be copied.
WARNED_WITHIN = 15.0


@pytest.fixture
def outrunner(lab, pair):
    """24 MiB that change several times while they cross the link once, which takes about 2 s."""
    lab.run("link", "100mbit")
    with lab.guest("host1", "outrunner", memory=128, disk="64M", fill=4, dirty=64, disk_rate=0, records=24,
                   compressible=0) as guest:
        yield guest


def assert_arrived(lab, move, host):
    assert (move["state"], move["runner"]) == ("done", "destination"), brief(move)
    assert_runs(lab, host)


def assert_runs(lab, host):
    result = lab.verify("outrunner")
    assert result["ok"], result
    assert result["states"] == {host.name: "running"}, result


def test_is_told_soon_and_ends_once_it_may_pause(lab, pair, outrunner):
    host1, host2 = pair
    move_id = host1.start_move("outrunner", "host2", convergence="wait")
    host1.wait_phase(move_id, "copy-memory")
    began = time.monotonic()
    move = host1.wait_move(move_id, lambda move: move["progress"].get("warning") or move["state"] in ENDED)
    assert time.monotonic() - began < WARNED_WITHIN
    assert move["state"] == "running", brief(move)
    warning = move["progress"]["warning"]
    assert warning["code"] == "WILL_NOT_CONVERGE" and "will not converge at this rate" in warning["what"], warning
    assert any(f"drover converge {move_id} pause:" in fix for fix in warning["fixes"]), warning
    assert warning["what"] in host1.drover("show", move_id).stdout

    late = host1.drover("converge", move_id, "slow-guest", check=False)
    assert late.returncode != 0 and "only when its move starts" in late.stderr
    assert host1.move(move_id)["state"] == "running", "it waits, as it was told to"
    host1.drover("converge", move_id, "pause:20")
    move = host1.wait_move(move_id)
    assert_arrived(lab, move, host2)
    report = move["report"]
    assert move["convergence"] == "pause:20" and 300 < report["pause_ms"] < 20_000, report
    passes = report["passes"]
    assert len(passes) >= 3 and passes[0]["number"] == 1, passes
    # The 24 MiB went at least twice.
    assert sum(each["resent_pages"] for each in passes) > 6000, passes
    assert sum(each["pages"] for each in passes) * 4096 > 64 << 20, passes
    drop_all(*pair)
    assert_clean(*pair)


@LONG
def test_pauses_by_itself_within_the_usual_budget(lab, pair, outrunner):
    host1, host2 = pair
    done = host1.drover("move", "outrunner", "host2", "--yes")
    assert done.stdout.count("Warning: outrunner writes") <= 2, done.stdout
    move = host1.moves()[0]
    assert_arrived(lab, move, host2)
    # 5 s, and what a busy machine adds.
    assert move["convergence"] == "pause:5" and move["report"]["pause_ms"] < 8_000, move["report"]
    drop_all(*pair)


def test_is_given_up_without_a_trace(lab, pair, outrunner):
    host1, host2 = pair
    before = host2.files()
    done = host1.drover("move", "outrunner", "host2", "--yes", "--convergence", "give-up:4", check=False)
    assert done.returncode == 1 and "given up after 4 s" in done.stdout, done.stdout + done.stderr
    move = host1.moves()[0]
    assert (move["state"], move["runner"], move["error"]["code"]) == ("failed", "source", "TIMEOUT"), brief(move)
    assert_runs(lab, host1)
    assert_clean(*pair)
    assert host2.files() == before and host2.get("/v1/vms")["vms"] == []


@LONG
def test_is_slowed_until_it_fits(lab, pair, outrunner):
    host1, host2 = pair
    move_id = host1.start_move("outrunner", "host2", convergence="slow-guest")
    move = host1.wait_move(move_id, patience=420)
    assert move["may_slow_guest"], brief(move)
    assert_arrived(lab, move, host2)
    drop_all(*pair)
