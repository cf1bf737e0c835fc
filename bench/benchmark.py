# SPDX-License-Identifier: Apache-2.0
"""The benchmark's command line: which cases on which links, how often; the report and the JSON file."""
import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys

import base
import case_busy
import case_export
import case_group
import case_idle
import case_memory
import case_mover
import case_moves
import case_multilink
import case_quick
import case_return
import case_storage
import image
import picture
import report
import stage
from base import LabError, UsageError

LINKS = ("unlimited", "1gbit", "100mbit")
# Case -> what runs it, the links that it is measured on (none: it has no link), whether it needs the lab.
CASES = {case_moves.NAME: (case_moves.SharedNothing, LINKS, True), case_memory.NAME: (case_memory.Memory, LINKS, True),
         case_return.NAME: (case_return.Return, case_return.LINKS, True),
         case_return.WITH_MEMORY: (case_return.ReturnWithMemory, case_return.LINKS, True),
         case_group.NAME: (case_group.Group, case_group.LINKS, True),
         case_multilink.NAME: (case_multilink.Multilink, (), True), case_mover.NAME: (case_mover.Mover, (), False),
         case_idle.NAME: (case_idle.Idle, (), True), case_busy.NAME: (case_busy.Busy, case_busy.LINKS, True),
         case_quick.NAME: (case_quick.QuickMoves, case_quick.LINKS, True),
         case_quick.MEMORY_NAME: (case_quick.QuickMemory, case_quick.LINKS, True),
         case_storage.NAME: (case_storage.Storage, (), True), case_export.NAME: (case_export.Exports, (), True),
         case_export.OFF_NAME: (case_export.ExportsOff, (), True)}
PRESET = "release"
REDIS_WRITES = 300


class Scene:
    """What all cases of one run share."""

    def __init__(self):
        self.failures = []  # what could not be measured
        self.repeated = []  # what went wrong once and was done again


def parser():
    top = argparse.ArgumentParser(prog="bench/run", description=(
        "Measures Drover beside libvirt's own migration, in one run and in turn, in a lab of two hosts: one that is up is used "
        "and left as it was, else one is made and removed. Exit code 0: everything was measured, whatever the figures say."))
    top.add_argument("--case", action="append", choices=CASES, help="only this case; may be given several times")
    top.add_argument("--link", action="append", choices=LINKS, help="only this link; may be given several times (default: all; "
                     "of the cases return, return-memory, group, quick and quick-memory only 1gbit)")
    top.add_argument("--runs", type=int, default=5, metavar="N", help="moves of each side on each link; medians count "
                     "(default: %(default)s)")
    top.add_argument("--side", action="append", choices=["libvirt", "drover"], help="only this side")
    top.add_argument("--literal-runs", type=int, default=1, metavar="N", help="moves by Drover without references, which show what "
                     "those save; 0: none (default: %(default)s)")
    top.add_argument("--plain", action="store_true", help="of libvirt's ways to send memory only the plain one, without xbzrle, mt "
                     "compression and parallel connections")
    top.add_argument("--json", metavar="FILE", help="write the results as a list, one object a case and link")
    top.add_argument("--go-on", action="store_true", help="with --json: what FILE has already, of as many runs, is not measured again")
    top.add_argument("--guest", choices=stage.GUESTS, default="redis", help="redis: a Debian of 1 GiB with a full Redis under "
                     "write load; probe: the lab's own guest, whose size and load can be chosen (default: %(default)s)")
    top.add_argument("--writes", type=int, default=REDIS_WRITES, metavar="N", help="values that the Redis guest writes each second "
                     f"(default: %(default)s; at 100mbit at most {stage.SLOW_LINK_WRITES})")
    top.add_argument("--picture", metavar="FILE", help="draw the figures as SVG")
    top.add_argument("--memory", type=int, default=768, metavar="MIB", help="the probe guest's memory (default: %(default)s)")
    top.add_argument("--disk", default="1G", metavar="SIZE", help="the size of its disk (default: %(default)s)")
    top.add_argument("--fill", type=int, default=400, metavar="MIB", help="how much of its disk holds data (default: %(default)s)")
    top.add_argument("--dirty", type=float, default=8, metavar="MIB_PER_S", help="memory that it changes each second (default: "
                     f"%(default)s; at 100mbit at most {stage.SLOW_LINK_DIRTY_MIB})")
    top.add_argument("--disk-rate", type=float, default=0.5, metavar="MIB_PER_S", help="disk that it changes each second "
                     f"(default: %(default)s; at 100mbit at most {stage.SLOW_LINK_DISK_RATE_MIB})")
    top.add_argument("--compressible", type=int, default=50, metavar="PERCENT", help="share of its data that compresses (default: "
                     "%(default)s)")
    top.add_argument("--away-seconds", type=int, default=120, metavar="S", help="case return: how long the guest works before it "
                     "moves back (default: %(default)s)")
    top.add_argument("--mover-bytes", type=int, default=4096, metavar="MIB", help="case mover: how much to carry (default: %(default)s)")
    top.add_argument("--keep", action="store_true", help="leave the lab and the guest as they are at the end")
    top.add_argument("--no-build", action="store_true", help="take the programs as they are built")
    return top


def build():
    """The release build, made current; DROVER_BIN names programs that were built elsewhere."""
    for step in (["cmake", "--preset", PRESET], ["cmake", "--build", "--preset", PRESET]):
        done = subprocess.run(step, cwd=base.REPO, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        if done.returncode != 0:
            print(done.stdout[-4000:], file=sys.stderr)
            raise LabError(f"`{' '.join(step)}` failed.")


def ensure_programs(options):
    if "DROVER_BIN" not in os.environ:
        if not options.no_build:
            build()
        os.environ["DROVER_BIN"] = os.path.join(base.REPO, "build", PRESET, "bin")
    for name in ("droverd", "drover", "drover-gate", "drover-mover"):
        if not os.access(os.path.join(os.environ["DROVER_BIN"], name), os.X_OK):
            raise LabError(f"There is no program {name} in {os.environ['DROVER_BIN']}: build the preset {PRESET} first, or "
                           "measure libvirt alone with --side libvirt.")


def version(*command):
    said = base.run(*command, check=False).stdout.strip().splitlines()
    return said[0] if said else "?"


def machine():
    """One line about what the figures were measured on."""
    with open("/proc/cpuinfo") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    accelerator = {"kvm": "KVM", "qemu": "TCG"}[image.accelerator()]
    return (f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Linux {platform.release()}; "
            f"libvirt {version('libvirtd', '--version').split()[-1]}, {version('qemu-system-x86_64', '--version')}; "
            f"guests run by {accelerator}.")


def wanted(options):
    """(case, link) of all that is asked for; link None: the case has none."""
    return [(name, link) for name in options.case for link in ((options.link or CASES[name][1]) if CASES[name][1] else [None])]


# Of the command line: what says where to measure how much, and what to do with it. `literal_runs` adds a side to those compared.
WITHOUT_EFFECT = ("case", "link", "runs", "literal_runs", "json", "picture", "go_on", "keep", "no_build")


def comparable(options):
    """What of the command line, as a dictionary, makes figures comparable."""
    return {name: value for name, value in options.items() if name not in WITHOUT_EFFECT}


def earlier(options):
    """What runs with --json have left there, if this one goes on with it."""
    if not options.go_on or not os.path.exists(options.json):
        return []
    try:
        with open(options.json) as file:
            return json.load(file)
    except ValueError as error:
        raise UsageError(f"{options.json} holds no results: {error}") from error


def known(options, results):
    """Of these, those that need not be measured again: (case, link) -> result, in the order of `wanted`."""
    return {(name, link): result for name, link in wanted(options) for result in results
            if result["case"] == name and link in (None, result["link"]) and result["runs"] >= options.runs
            and comparable(result.get("options", {})) == comparable(vars(options))}


def run_cases(options, scene, missing, say):
    """Yields what is measured, as it comes: (case, link), result."""
    cases = {}
    for name, link in missing:
        try:
            if name not in cases:
                cases[name] = CASES[name][0](options, scene, say)
            yield (name, link), cases[name].run(link)
        except LabError as error:
            scene.failures.append(f"{name} {link or ''}: {error}")
            say(f"FAILED  {scene.failures[-1]}")


def write(path, results):
    with open(f"{path}.new", "w") as file:
        json.dump(results, file, indent=2)
        file.write("\n")
    os.replace(f"{path}.new", path)


def collect(options, scene, results, say):
    """Fills `results`, which are written as they come, too: a run of hours may be ended at any time."""
    drover = "drover" in options.side
    if drover:
        ensure_programs(options)
    before = earlier(options)
    found = known(options, before)
    missing = [key for key in wanted(options) if key not in found]
    with contextlib.ExitStack() as stack:
        if any(CASES[name][2] for name, _ in missing):
            stack.enter_context(stage.Stage(drover, options.keep))
        results[:] = found.values()
        for key, result in run_cases(options, scene, missing, say):
            found[key] = {**result, "options": comparable(vars(options))}
            results[:] = [found[key] for key in wanted(options) if key in found]
            if options.json:
                replaced = {(result["case"], result["link"]) for result in results}
                write(options.json, results + [result for result in before if (result["case"], result["link"]) not in replaced])


def fill_in(options):
    options.side = list(dict.fromkeys(options.side or ["libvirt", "drover"]))
    options.link = list(dict.fromkeys(options.link or []))
    options.case = list(dict.fromkeys(options.case or CASES))
    if "drover" not in options.side:
        options.case = [name for name in options.case if name in (case_moves.NAME, case_memory.NAME, case_busy.NAME)] or [case_moves.NAME]


def interrupted(*_):
    raise KeyboardInterrupt


def main(words):
    top = parser()
    options = top.parse_args(words)
    if options.go_on and not options.json:
        top.error("--go-on needs --json FILE")
    fill_in(options)
    # Whoever ends us, the lab is put in order first.
    signal.signal(signal.SIGTERM, interrupted)
    scene, results = Scene(), []
    try:
        base.need_root()
        collect(options, scene, results, lambda text: print(text, flush=True))
    except LabError as error:
        print(f"bench/run: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print("bench/run: interrupted", file=sys.stderr)
        return 130
    finally:
        if results:
            print("\n" + report.text(machine(), results, scene), flush=True)
            if options.picture:
                with open(options.picture, "w") as file:
                    file.write(picture.draw(results))
    return 1 if scene.failures or not results else 0
