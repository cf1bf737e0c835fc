# SPDX-License-Identifier: Apache-2.0
"""Twenty moves of the lab's probe guests, each with its forecast from the journal's row beside what came of it.

The forecast is the one that was written down with the plan, before the first byte; it is read from the database of the host
that the guest left. A move's time is that of its phases after the plan; its pause is the one that libvirt measured.
"""
import argparse
import contextlib
import datetime
import json
import signal
import sqlite3
import sys
import time

import base
import benchmark
import guests as lab_guests
import hosts
import stage
from base import LabError
from case_busy import ask

GOOD_DURATION = 0.25  # of what it took
GOOD_PAUSE = 2.0      # times
GOAL = 16
PATIENCE = 600
LINK_REMEMBERED = 11  # seconds: a way that was measured for a plan before is not measured anew so soon
OTHER = "/var/lib/libvirt/images/other"
IMAGES = "/var/lib/libvirt/images"
ENDED = ("done", "failed", "cancelled", "parked")

GUESTS = {
    # What they change, in MiB a second; the last one changes its few records several times while they cross 100 Mbit/s once.
    "calm": {"memory": 256, "disk": "512M", "fill": 200, "dirty": 0.25, "disk-rate": 0.1, "compressible": 50},
    "busy": {"memory": 256, "disk": "256M", "fill": 96, "dirty": 4, "disk-rate": 0.25, "compressible": 50},
    "busier": {"memory": 384, "disk": "256M", "fill": 64, "dirty": 16, "disk-rate": 0.1, "compressible": 50},
    "hasty": {"memory": 128, "disk": "64M", "fill": 4, "dirty": 64, "disk-rate": 0, "compressible": 0, "records": 24},
    "filer": {"memory": 128, "disk": "3G", "fill": 1200, "dirty": 0.25, "disk-rate": 0.1, "compressible": 50},
    "large": {"memory": 768, "disk": "1G", "fill": 400, "dirty": 2, "disk-rate": 0.1, "compressible": 50}}

# guest, link, request; "fresh": what is kept of it at the destination is dropped first. Guests go to and fro.
MOVES = [
    ("calm", "unlimited", {}),
    ("calm", "unlimited", {}),                       # back: with residue
    ("calm", "1gbit", {"fresh": True}),
    ("calm", "1gbit", {}),                           # with residue
    ("calm", "100mbit", {"fresh": True, "keep_memory": True}),
    ("calm", "100mbit", {}),                         # with residue, of memory too
    ("busy", "unlimited", {}),
    ("busy", "1gbit", {"fresh": True}),
    ("busy", "1gbit", {"fresh": True, "performance": "direct"}),
    ("busy", "100mbit", {"fresh": True}),
    ("busier", "1gbit", {}),
    ("busier", "unlimited", {"fresh": True, "verification": "read-back"}),
    ("hasty", "100mbit", {"convergence": "pause:30"}),
    ("hasty", "100mbit", {"convergence": "give-up:10", "retries": 0}),
    ("filer", "unlimited", {"kind": "storage", "disks_to": OTHER}),
    ("filer", "unlimited", {"kind": "storage", "disks_to": IMAGES}),
    ("filer", "unlimited", {"kind": "storage", "disks_to": OTHER, "off": True}),
    ("large", "1gbit", {}),
    ("large", "unlimited", {"fresh": True}),
    ("busier", "100mbit", {"fresh": True, "bandwidth_bytes_per_second": 8 << 20})]


def parser():
    top = argparse.ArgumentParser(prog="bench/forecast", description=(
        "Runs 20 varied moves in a lab of two hosts (one that is up is used and left as it was) and prints how far the forecast "
        "of each was from what came. Exit code 0: all were measured, whatever the figures say."))
    top.add_argument("--json", metavar="FILE", help="write the moves as a list")
    top.add_argument("--rows", metavar="FILE", help="write the journal's rows, one a line, for forecast_replay")
    top.add_argument("--only", type=int, action="append", metavar="N", help="only this move, from 1; may be repeated")
    top.add_argument("--keep", action="store_true", help="leave the lab and the guests as they are at the end")
    top.add_argument("--no-build", action="store_true", help="take the programs as they are built")
    return top


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def row_of(host, move_id):
    """The journal's row of a move, as its host wrote it."""
    path = hosts.outside(host, "/var/lib/drover/drover.db")
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as book:
        [(text,)] = book.execute("SELECT job FROM jobs WHERE side = 'source' AND id = ?", (move_id,)).fetchall()
    return json.loads(text)["move"]


class Guests:
    """The guests of this run, each made when it is first needed, and the link that they move over."""

    def __init__(self):
        self.made = set()
        self.planned_on = None  # the link that a plan has measured last

    def name(self, kind):
        return f"bench-forecast-{kind}"

    def ensure(self, kind):
        if kind not in self.made:
            stage.lab("guest", "--remove", self.name(kind), check=False)
            stage.lab("guest", stage.HOSTS[0], self.name(kind), *(word for key, value in GUESTS[kind].items() for word in (f"--{key}", value)))
            self.made.add(kind)
            time.sleep(5)  # it has booted, and does what it will do
        return self.where(kind)

    def where(self, kind):
        states = lab_guests.states(base.load("guests", {})[self.name(kind)])
        [host] = [host for host in states]
        return host

    def set_link(self, link):
        stage.lab("link", link)
        if self.planned_on not in (None, link):
            time.sleep(LINK_REMEMBERED)
        self.planned_on = link

    def verify(self, kind, *words):
        said = json.loads(stage.lab("verify", self.name(kind), "--json", *words, check=False) or "{}")
        if not said.get("ok"):
            raise LabError(f"The guest {kind} lost something: {said.get('error', 'it does not answer')}.")

    def remove(self):
        for kind in self.made:
            stage.lab("guest", "--remove", self.name(kind), check=False)


def drop_kept(host):
    for move in {disk["move_id"] for disk in ask(host, "GET", "/v1/quarantine")["disks"]}:
        stage.lab("exec", host, "drover", "quarantine", "drop", move, "--yes")


def start(host, name, destination, request):
    """Plan and move, as `drover move` does it."""
    wanted = {key: value for key, value in request.items() if key not in ("fresh", "off")}
    plan = ask(host, "POST", "/v1/plans", {"vm": name, "destination": "" if wanted.get("kind") == "storage" else destination, **wanted})
    codes = [finding["code"] for finding in plan["findings"] if finding["level"] == "warning"]
    return ask(host, "POST", "/v1/moves", {"plan": plan["id"], "accept_notes": True, "accepted_codes": codes})["id"]


def wait(host, move_id):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        move = ask(host, "GET", f"/v1/moves/{move_id}")
        if move["state"] in ENDED:
            return move
        time.sleep(0.2)
    ask(host, "POST", f"/v1/moves/{move_id}/cancel", {})
    raise LabError(f"The move {move_id} did not end within {PATIENCE} s.")


def within(forecast, actual, factor):
    if not forecast and not actual:
        return True
    return bool(forecast and actual) and 1 / factor <= forecast / actual <= factor


def result_of(number, kind, link, request, row):
    made = row["plan"]["forecast"]["strategies"][0]
    first = next(entry for entry in row["phases"] if entry["phase"] != "plan")
    took = (moment(row["ended_at"]) - moment(first["started_at"])).total_seconds()
    pause = (row.get("report") or {}).get("pause_ms")
    arrived = row["state"] == "done"
    return {"number": number, "guest": kind, "link": link, "request": request, "strategy": made["strategy"], "state": row["state"],
            "forecast_s": made["likely_ms"] / 1000, "least_s": made["least_ms"] / 1000, "most_s": made["most_ms"] / 1000,
            "actual_s": round(took, 3), "forecast_pause_ms": made["pause_ms"], "actual_pause_ms": pause,
            "forecast_wire": made["wire_bytes"], "actual_wire": (row.get("report") or {}).get("wire_bytes"),
            "converges_percent": made["converges_percent"], "basis": {key: value for key, value in row["plan"]["forecast"].items()
                                                                       if key != "strategies"},
            "phases": {entry["phase"]: round((moment(entry["ended_at"]) - moment(entry["started_at"])).total_seconds(), 3)
                       for entry in row["phases"] if entry.get("ended_at")},
            "duration_good": abs(made["likely_ms"] / 1000 - took) <= GOOD_DURATION * took,
            # A guest that stayed, or did not run, has no pause; none is what should have been forecast.
            "pause_good": within(made["pause_ms"], pause if arrived else 0, GOOD_PAUSE)}


def one_move(guests, number, kind, link, request):
    host = guests.ensure(kind)
    other = stage.HOSTS[1 - stage.HOSTS.index(host)]
    if request.get("fresh"):
        drop_kept(other)
    name = guests.name(kind)
    guests.set_link(link)
    if request.get("off"):
        hosts.virsh(host, "destroy", name)
        time.sleep(1)
    move = wait(host, start(host, name, other, request))
    row = row_of(host, move["id"])
    expected = "failed" if str(request.get("convergence", "")).startswith("give-up") else "done"
    if row["state"] != expected:
        raise LabError(f"Move {number} of {kind} ended as {row['state']}: {json.dumps(row.get('error'))}")
    stage.lab("link", "unlimited")
    if request.get("off"):
        hosts.virsh(host, "start", name)
        time.sleep(20)
        guests.verify(kind, "--reboot-allowed")
    else:
        guests.verify(kind)
    return result_of(number, kind, link, request, row), row


def line_of(one):
    pause = "-" if one["actual_pause_ms"] is None else f"{one['actual_pause_ms']} ms"
    wanted = " ".join(f"{key}={value}" for key, value in one["request"].items())
    return (f"{one['number']:2} {one['guest']:7} {one['link']:9} {one['strategy']:8} {one['forecast_s']:7.1f} s {one['actual_s']:7.1f} s "
            f"{'good' if one['duration_good'] else 'OFF ':4} {one['forecast_pause_ms']:6} ms {pause:>9} "
            f"{'good' if one['pause_good'] else 'OFF ':4} {wanted}")


def main(words):
    options = parser().parse_args(words)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(130))
    benchmark.ensure_programs(options)
    results, rows, failures = [], [], []
    print(benchmark.machine())
    with stage.Stage(drover=True, keep=options.keep):
        guests = Guests()
        try:
            for host in stage.HOSTS:
                hosts.run_inside(host, "mkdir", "-p", "-m", "711", OTHER)
            for number, (kind, link, request) in enumerate(MOVES, 1):
                if options.only and number not in options.only:
                    continue
                try:
                    result, row = one_move(guests, number, kind, link, dict(request))
                    results.append(result)
                    rows.append(row)
                    print(line_of(results[-1]), flush=True)
                except LabError as error:
                    failures.append(f"{number}: {error}")
                    print(f"{number:2} {kind}: {error}", flush=True)
        finally:
            if not options.keep:
                for host in stage.HOSTS:
                    with contextlib.suppress(LabError):
                        drop_kept(host)
                guests.remove()
            if options.json:
                with open(options.json, "w") as file:
                    json.dump(results, file, indent=1)
            if options.rows:
                with open(options.rows, "w") as file:
                    file.writelines(json.dumps(row) + "\n" for row in rows)
    durations = sum(one["duration_good"] for one in results)
    pauses = sum(one["pause_good"] for one in results)
    both = sum(one["duration_good"] and one["pause_good"] for one in results)
    print(f"Of {len(results)} moves {durations} took what was forecast within 25 %, {pauses} paused so within a factor of 2, {both} both "
          f"(goal: {GOAL} of 20).")
    return 1 if failures else 0
