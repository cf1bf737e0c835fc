# SPDX-License-Identifier: Apache-2.0
"""Drover in the lab as its tests see it: a host's CLI, API, processes, and what a move may leave behind."""
import contextlib
import http.client
import json
import os
import pathlib
import socket
import sqlite3
import ssl
import subprocess
import sys
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "lab"))

import droverd as lab_droverd  # noqa: E402  (the lab's own modules; the path has to be set first)
import hosts as lab_hosts  # noqa: E402
import image as lab_image  # noqa: E402, F401  (for the tests)
import network  # noqa: E402
import processes  # noqa: E402
import relays as lab_relays  # noqa: E402, F401

# Every case, as `./test --all` has it; else a representative part.
ALL = os.environ.get("DROVER_TEST_ALL", "") not in ("", "0")
API_PORT, MOVER_PORT = 7430, 7431
ENDED = ("done", "failed", "cancelled", "parked", "rehearsed")
# Generous: hosts under test share two cores with whatever else the machine does.
PATIENCE = 180.0
# From the issue: after the road is back, a move ends by itself within this time.
ENDS_WITHIN = 60.0
IMAGES = "/var/lib/libvirt/images"
# Where host2's gates find libvirtd while the fixture `relayed` is used.
RELAY = "/run/libvirt/relay-sock"


def until(condition, what, patience=PATIENCE, pause=0.1):
    """Waits until `condition()` gives something true, and gives that."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {patience:.0f} s in vain: {what() if callable(what) else what}"
        time.sleep(pause)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Host:
    """One host of the lab, with Drover on it."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.folder = pathlib.Path(lab_hosts.host_dir(name))

    def path(self, inside):
        """Where a path of this host lies as seen from the tests."""
        return pathlib.Path(lab_hosts.outside(self.name, str(inside)))

    # Commands.
    def run(self, *words, check=True, timeout=300, **options):
        """What `lab exec` does, without starting another interpreter for each of some thousand commands."""
        try:
            lab_hosts.need(self.name)
            done = subprocess.run(lab_hosts.inside(self.name, map(str, words)), capture_output=True, text=True, timeout=timeout,
                                  env=lab_hosts.environment(lab_droverd.binaries()),
                                  **({"stdin": subprocess.DEVNULL} if "input" not in options else {}), **options)
        except lab_hosts.LabError as error:  # the host is off
            done = subprocess.CompletedProcess(words, error.code, "", str(error))
        assert not check or done.returncode == 0, f"{self.name}: {words} gave {done.returncode}: {done.stderr}{done.stdout}"
        return done

    def drover(self, *words, check=True, **options):
        return self.run("drover", *words, check=check, **options)

    def virsh(self, *words, check=True, **options):
        return self.run("virsh", "-q", *words, check=check, **options)

    def define(self, xml):
        self.virsh("define", "/dev/stdin", input=xml)

    def domstate(self, name):
        """libvirt's word on a VM; empty: it knows none."""
        return self.virsh("domstate", name, check=False).stdout.strip()

    # The API on the local socket, as root.
    @property
    def socket(self):
        return self.path("/run/drover/drover.sock")

    def api(self, method, path, body=None, timeout=60):
        """(HTTP status, decoded answer)"""
        link = UnixConnection(self.socket, timeout)
        try:
            text = None if body is None else json.dumps(body)
            link.request(method, path, body=text, headers={"Content-Type": "application/json"} if text else {})
            answer = link.getresponse()
            content = answer.read().decode()
            return answer.status, json.loads(content) if content else None
        finally:
            link.close()

    def get(self, path):
        status, answer = self.api("GET", path)
        assert status == 200, f"{self.name}: GET {path}: {status} {answer}"
        return answer

    def answers(self):
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            return self.api("GET", "/v1/version", timeout=5)[0] == 200
        return False

    # Moves.
    def plan(self, vm, destination, **request):
        status, answer = self.api("POST", "/v1/plans", {"vm": vm, "destination": destination, **request})
        return answer if status in (200, 201) else {"refused": answer, "findings": []}

    def start_move(self, vm, destination, check=True, **request):
        """Starts a move through the API; its id, or with check=False (status, answer). It is not tried again, unless that is
        asked for: most tests look at how one attempt ends. Nor is its forecast measured, which would take a second."""
        body = {"vm": vm, "destination": destination, "accept_notes": True, "retries": 0, "measure": False, **request}
        status, answer = self.api("POST", "/v1/moves", body)
        if not check:
            return status, answer
        assert status in (200, 201, 202), f"{self.name}: the move of {vm} was refused: {status} {answer}"
        return answer["id"]

    def move(self, move_id):
        return self.get(f"/v1/moves/{move_id}")

    def wait_move(self, move_id, reached=lambda move: move["state"] in ENDED, patience=PATIENCE, pause=0.1):
        """Waits for a move; a daemon that is down meanwhile is waited for as well."""
        last = {}

        def look():
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                last.update(self.api("GET", f"/v1/moves/{move_id}", timeout=10)[1])
                return reached(last) and last
            return None

        return until(look, lambda: f"move {move_id} as last seen: {brief(last)}", patience, pause)

    def wait_phase(self, move_id, phase, pause=0.01):
        """Waits until a move has begun a phase (or has ended)."""
        return self.wait_move(move_id, lambda move: PHASES.index(move["phase"]) >= PHASES.index(phase)
                              or move["state"] in ENDED, pause=pause)

    def moves(self):
        """The newest first."""
        return self.get("/v1/moves")["moves"]

    def kept(self):
        """The disks in quarantine."""
        return self.get("/v1/quarantine")["disks"]

    def peers(self):
        return self.get("/v1/hosts")["hosts"]

    # Processes.
    def pids(self, role):
        return processes.with_role(lab_hosts.members(self.name), role)

    def kill(self, role):
        for pid in self.pids(role):
            processes.send(pid, 9)

    def start_droverd(self):
        self.lab.run("droverd", self.name, "start")
        until(self.answers, f"droverd on {self.name} answers")

    def restart_droverd(self):
        self.lab.run("droverd", self.name, "restart")
        until(self.answers, f"droverd on {self.name} answers")

    def kill_droverd(self):
        self.lab.run("droverd", self.name, "kill")

    def configure(self, **settings):
        """Changes droverd.toml and restarts droverd; None takes a setting out."""
        file = self.path("/etc/drover/droverd.toml")
        keys = {key.replace("_", "-"): value for key, value in settings.items()}
        lines = [line for line in file.read_text().splitlines() if line.split("=")[0].strip() not in keys]
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items() if value is not None]
        file.write_text("\n".join(lines) + "\n")
        self.restart_droverd()

    def start_libvirtd(self):
        self.lab.run("libvirtd", self.name, "start")

    # What moves leave.
    def leftovers(self, vm_uuid=None):
        """What no ended move may leave: processes, sockets, records, open jobs."""
        found = [f"{role} {pid}" for role in ("gate", "mover") for pid in self.pids(role)]
        for folder in ("/run/libvirt/drover", "/run/drover/moves", "/var/lib/drover/records", "/var/lib/drover/writes"):
            where = self.path(folder)
            if where.is_dir():
                found += [f"{folder}/{entry.name}" for entry in where.iterdir()]
        found += [str(entry) for entry in self.path("/run/drover").glob("disk-*")]
        found += [f"open job {row}" for row in self.sql("SELECT side, id FROM jobs WHERE is_open = 1")]
        return found

    def sql(self, query):
        with contextlib.closing(sqlite3.connect(f"file:{self.path('/var/lib/drover/drover.db')}?mode=ro", uri=True)) as book:
            return book.execute(query).fetchall()

    def files(self, folder=IMAGES):
        return sorted(entry.name for entry in self.path(folder).iterdir()) if self.path(folder).is_dir() else []

    def log(self):
        return self.folder / "droverd.log"


PHASES = ("plan", "admit", "reserve", "prepare", "copy-disks", "copy-memory", "switch", "verify", "settle")


def brief(move):
    """What of a move a failure message needs."""
    if not move:
        return "nothing"
    keys = ("id", "state", "phase", "runner", "explanation", "error")
    return json.dumps({key: move[key] for key in keys if key in move}, ensure_ascii=False)


def programs():
    """Where the lab may find Drover's programs."""
    folder = lab_droverd.binaries()
    return [pathlib.Path(folder)] if folder else []


def codes(plan, level=None):
    return [finding["code"] for finding in plan["findings"] if level in (None, finding["level"])]


def boots(lab, host, name):
    """Starts the guest; returns once its records hold."""
    host.virsh("start", name)
    return until(lambda: (found := lab.json("verify", name, "--reboot-allowed", check=False))["ok"] and found,
                 lambda: lab.json("verify", name, "--reboot-allowed", check=False), pause=0.5)


def runs(lab, host, name):
    """The guest runs there and nowhere else, and its records hold."""
    result = lab.verify(name, "--reboot-allowed")
    assert result["ok"] and result["states"] == {host.name: "running"}, result


def assert_clean(*hosts):
    """Nothing of any move is left on these hosts. The last processes may need a moment to end."""
    for host in hosts:
        try:
            until(lambda: not host.leftovers(), "", patience=20)
        except AssertionError:
            raise AssertionError(f"left on {host.name}: {host.leftovers()}") from None


def drop_all(*hosts):
    """Nothing stays in quarantine."""
    for host in hosts:
        for move in {disk["move_id"] for disk in host.kept()}:
            host.drover("quarantine", "drop", move, "--yes")


def ask_https(client, server, method, path, body=None, headers=None, certificate=None, timeout=30):
    """One request from one host to another's API: (status, text). `certificate`: (certificate file, key file)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(*map(str, certificate))
    link = http.client.HTTPConnection(network.move_address(server.name), API_PORT, timeout=timeout)
    link.sock = context.wrap_socket(connect(client, server, API_PORT, timeout))
    try:
        link.request(method, path, body=body, headers=headers or {})
        answer = link.getresponse()
        return answer.status, answer.read().decode()
    finally:
        link.close()


def connect(client, server, port, timeout=30):
    """A TCP connection on the move network."""
    with network.inside(network.netns_of(client.name)):
        link = socket.socket()
    link.settimeout(timeout)
    link.connect((network.move_address(server.name), port))
    return link
