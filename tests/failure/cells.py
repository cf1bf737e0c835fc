# SPDX-License-Identifier: Apache-2.0
"""One cell: a move of the guest from where it is to the other host, the fault in the phase, and what was found afterwards. Before an
offline move the guest is shut off, and it is booted again where it ends."""
import contextlib
import os
import shutil
import sqlite3
import threading
import time
import traceback

import checks
import harm
import moments
import policy
import report
import rig as rigs
from product import ENDED, until
from runners import RunnerWatch

# What a parked move keeps for the person who settles it.
LEFT_BY_PARKED = ("/run/libvirt/drover", "/run/drover/moves", "/var/lib/drover/records", "/var/lib/drover/writes")
ENDS_WITHIN = 90.0
STARTS_WITHIN = 30.0


class Scene:
    """What a cell's parts know of each other."""

    def __init__(self, rig, cell, moment=None):
        self.rig, self.cell = rig, cell
        self.fault = harm.FAULTS[cell.fault]
        self.moment = moment or moments.MOMENTS_OF[cell.kind][cell.phase]
        self.source = rig.runner()
        assert self.source is not None, "the guest runs on no host, or on two"
        self.destination = rig.other(self.source)
        self.keeps_link = self.fault.keeps_link
        self.move_id, self.watch = "", None
        self.struck = self.disk_was_ill = False
        self.beside, self.ending, self.lost = [], [], []

    def host(self, side):
        return self.source if side == harm.SOURCE else self.destination

    def has_ended(self):
        """As far as the journal says: droverd may be down, held, or out of reach."""
        rows = self.source.sql(f"SELECT job FROM jobs WHERE side = 'source' AND id = '{self.move_id}'")
        return bool(rows) and any(f'"state":"{state}"' in rows[0][0] for state in ENDED)


def newest_move(host):
    rows = host.sql("SELECT id FROM jobs WHERE side = 'source' ORDER BY number DESC LIMIT 1")
    return rows[0][0] if rows else ""


def start_move(scene):
    """Starts the move beside us: droverd may be held before it has answered. The journal knows the move's id."""
    before = newest_move(scene.source)
    said = []

    def ask():
        with contextlib.suppress(OSError, ValueError):
            kind = {} if scene.cell.kind == "live" else {"kind": scene.cell.kind}
            said.append(scene.source.start_move(rigs.GUEST, scene.destination.name, check=False, **kind))

    scene.beside.append(threading.Thread(target=ask, daemon=True))
    scene.beside[-1].start()

    def known():
        newest = newest_move(scene.source)
        assert not said or said[0][0] in (200, 201, 202), f"the move was refused: {said}"
        return newest != before and newest

    scene.move_id = until(known, "the move is in the journal", STARTS_WITHIN, pause=0.01)


def mend(scene):
    """What the fault did ends, and what was killed is started again."""
    scene.fault.mend(scene)
    for host in scene.rig.hosts:
        if not host.pids("libvirtd"):
            host.start_libvirtd()
        if not host.pids("droverd"):
            host.start_droverd()


def let_it_last(scene):
    end = time.monotonic() + (harm.LASTS_MOST if scene.fault.lasts else scene.fault.harm)
    while time.monotonic() < end and not (scene.fault.lasts and scene.has_ended()):
        time.sleep(0.1)


def play(scene):
    """The move, the blow and the mending; the move as it ended."""
    if scene.cell.kind == "offline":
        scene.rig.shut_off(scene.source)
    scene.moment.arrange(scene)
    with RunnerWatch(rigs.GUEST, *scene.rig.hosts) as scene.watch:
        start_move(scene)
        try:
            scene.moment.wait(scene)
            scene.fault.strike(scene)
            scene.struck = True
        except harm.Absent:
            if not scene.moment.may_be_late:
                raise
        finally:
            scene.moment.let_go(scene)
        let_it_last(scene)
        mend(scene)
        move = scene.source.wait_move(scene.move_id, patience=ENDS_WITHIN)
        time.sleep(0.5)
    return move


def run_cell(rig, cell, moment=None):
    """Makes the cell happen; the guest is left running on one host, and the lab whole, or an outcome that did not pass."""
    outcome = report.Outcome(cell.phase, cell.fault)
    began = time.monotonic()
    scene = None
    try:
        rig.mend()
        scene = Scene(rig, cell, moment)
        move = play(scene)
        outcome.move = move["id"]
        outcome.end, host, outcome.wrong = checks.after(scene, move)
        outcome.runs_on = host.name if host and rig.qemus(host) else ""
        outcome.foreseeable = checks.foreseeable(scene, move)
        tidy(scene, move, host)
    except Exception as error:  # whatever went wrong is this cell's, and the next one begins anew
        outcome.foreseeable = bool(scene) and failed_unstruck(scene)
        outcome.wrong.append(f"{type(error).__name__}: {error}" if isinstance(error, (AssertionError, moments.Missed, harm.Absent))
                             else traceback.format_exc())
    outcome.passed = not outcome.wrong
    outcome.seconds = round(time.monotonic() - began, 1)
    return outcome


def failed_unstruck(scene):
    with contextlib.suppress(Exception):
        return not scene.struck and scene.source.move(scene.move_id)["state"] == "failed"
    return False


def tidy(scene, move, host):
    """The next cell finds one running guest with a whole disk."""
    rig = scene.rig
    if move["state"] == "parked":
        settle_by_hand(scene, host)
    rig.drop_quarantine()
    if host and scene.disk_was_ill:
        host.virsh("destroy", rigs.GUEST)
        rig.start(host)


def settle_by_hand(scene, host):
    """A parked move, as the suite settles it: the VM stays where its newer disk is, and the other copy goes. `drover resolve`
    has tests of its own."""
    other = scene.rig.other(host)
    for each in scene.rig.hosts:
        each.kill_droverd()
        # libvirt waits for what a gate holds back, and until then for nothing else.
        for role in ("gate", "mover"):
            each.kill(role)

    def forgotten():
        other.virsh("destroy", rigs.GUEST, check=False)
        other.virsh("undefine", rigs.GUEST, check=False)
        return not other.domstate(rigs.GUEST)

    until(forgotten, f"{other.name} gives its copy up", 60)
    other.path(scene.rig.disk).unlink(missing_ok=True)
    for each in scene.rig.hosts:
        for folder in LEFT_BY_PARKED:
            for entry in each.path(folder).glob("*"):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        with contextlib.closing(sqlite3.connect(each.path("/var/lib/drover/drover.db"))) as book, book:
            book.execute("UPDATE jobs SET is_open = 0")
            book.execute("DELETE FROM jobs WHERE id = ?", (scene.move_id,))  # parked, it would be in doubt for ever
        each.start_droverd()


def run_all(rig, chosen, logs=None):
    """Every (cell, moment or None); after one that did not pass the next begins in a new lab, and its logs may be kept."""
    outcomes, whole = [], False
    for number, (cell, moment) in enumerate(chosen, 1):
        if not whole:
            rig.build()
        outcomes.append(run_cell(rig, cell, moment))
        whole = outcomes[-1].passed
        if logs and not whole:
            rig.keep_logs(os.path.join(logs, f"{number}-{cell.fault}"))
        print(report.line(outcomes[-1], number, len(chosen)), flush=True)
    return outcomes


def possible(cells):
    return [cell for cell in cells if cell.ends]


def all_cells(kind="live"):
    """The page's cells of this kind of move, once page, code and suite agree."""
    cells, phases, faults = policy.read(kind), policy.phases_of_the_code(), list(harm.FAULTS)
    check = policy.disagreements if kind == "live" else policy.strangers
    wrong = check(cells, phases, faults, moments.MOMENTS_OF[kind])
    if wrong:
        raise policy.PageError("\n".join(wrong))
    return cells
