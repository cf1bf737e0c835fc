# SPDX-License-Identifier: Apache-2.0
"""A relay to a libvirt socket that reads libvirt's RPC and does harm at chosen calls. Started by relays.py; run as:
relay.py '{"listen": …, "upstream": …, "rules": […], "every": false, "status": …, "host": …}'."""
import collections
import contextlib
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

import hosts
import network
import processes
import rules
from base import LabError, write_file

HEADER = 28
KEEPALIVE = 0x6b656570
MOST = 33554436  # libvirt's own limit for a message


def read_exactly(link, count):
    """Bytes from a socket; None if it ended before."""
    got = bytearray()
    while len(got) < count:
        try:
            piece = link.recv(min(count - len(got), 1 << 20))
        except OSError:
            return None
        if not piece:
            return None
        got += piece
    return bytes(got)


def read_message(link):
    """One RPC message with its program, procedure and type; None at the end of the stream."""
    start = read_exactly(link, HEADER)
    if start is None:
        return None
    length, program, _, procedure, kind, _, _ = struct.unpack(">IIIiIII", start)
    if not HEADER <= length <= MOST:
        return None
    rest = read_exactly(link, length - HEADER)
    return None if rest is None else (start + rest, program, procedure, kind)


class State:
    """What the relay has seen and done, readable by others in its status file."""

    def __init__(self, config):
        self.config, self.lock = config, threading.Lock()
        self.connections = self.released = 0
        self.begun, self.done, self.holding, self.seen = set(), [], [], []

    def write(self):
        write_file(self.config["status"], json.dumps({"connections": self.connections, "done": self.done,
                                                      "holding": self.holding, "seen": self.seen[-200:]}) + "\n")

    def connected(self):
        with self.lock:
            self.connections += 1
            self.write()

    def find(self, program, procedure, kind, when):
        """The rule for this place, None if there is none or it was obeyed already."""
        for rule in self.config["rules"] if program != KEEPALIVE else []:
            if (rule["proc"], rule["type"], rule["when"]) == (procedure, kind, when):
                with self.lock:
                    if self.config["every"] or rule["text"] not in self.begun:
                        self.begun.add(rule["text"])
                        return rule
        return None

    def obeyed(self, rule):
        with self.lock:
            self.done.append({"rule": rule["text"], "time": time.time()})
            self.write()

    def hold(self, rule):
        with self.lock:
            self.holding.append(rule["text"])
            self.done.append({"rule": rule["text"], "time": time.time()})
            self.write()

    def go_on(self, rule):
        with self.lock:
            self.holding.remove(rule["text"])
            self.write()

    def saw(self, procedure, kind):
        with self.lock:
            self.seen.append([procedure, kind])
            self.write()

    def let_go(self, *_):
        """All that is held goes on. Called by a signal, so it takes no lock: its own thread may hold it."""
        self.released += 1


class Pump(threading.Thread):
    """Carries one direction of one connection."""

    def __init__(self, state, source, target):
        super().__init__(daemon=True)
        self.state, self.source, self.target = state, source, target
        self.waiting = collections.deque()

    def run(self):
        try:
            while (message := self.waiting.popleft() if self.waiting else read_message(self.source)) is not None:
                self.carry(message)
        except OSError:
            pass
        for link in (self.source, self.target):
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def carry(self, message):
        content, program, procedure, kind = message
        if self.obey(self.state.find(program, procedure, kind, "before")):
            self.target.sendall(content)
        if program != KEEPALIVE:
            self.state.saw(procedure, kind)
        self.obey(self.state.find(program, procedure, kind, "after"))

    def obey(self, rule):
        """Does what a rule says; answers whether the message is to be passed on."""
        passing = True
        for verb, role, host in rule["actions"] if rule else []:
            if verb == "hold":
                self.hold(rule)
            elif verb == "drop":
                passing = False
            elif verb == "cut":
                network.cut()
            elif verb == "close":
                self.state.obeyed(rule)
                raise OSError("closed as told")
            else:
                for pid in processes.with_role(hosts.members(host), role):
                    processes.send(pid, getattr(signal, rules.SIGNALS[verb]))
        if rule and ["hold", None, None] not in rule["actions"]:
            self.state.obeyed(rule)
        return passing

    def hold(self, rule):
        """Waits until told to go on. Keepalive is passed on meanwhile: it is the call that is held, not the connection."""
        before, ended = self.state.released, False
        self.state.hold(rule)
        while self.state.released == before:
            if ended:
                time.sleep(0.01)
            elif select.select([self.source], [], [], 0.01)[0]:
                message = read_message(self.source)
                ended = message is None
                if message and message[1] == KEEPALIVE:
                    self.target.sendall(message[0])
                elif message:
                    self.waiting.append(message)
        self.state.go_on(rule)


def serve(listener, state):
    while True:
        client, _ = listener.accept()
        try:
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(state.config["upstream"])
        except OSError:
            client.close()
            continue
        state.connected()
        for source, target in ((client, upstream), (upstream, client)):
            Pump(state, source, target).start()


def listen(where):
    if isinstance(where, str):
        if os.path.exists(where):
            os.unlink(where)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(where)
    else:
        listener = socket.socket(socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(tuple(where))
    listener.listen(32)
    return listener


def main(config):
    state = State(config)
    listener = listen(config["listen"])
    signal.signal(signal.SIGUSR1, state.let_go)
    state.write()
    try:
        serve(listener, state)
    except LabError as error:
        sys.exit(f"relay: {error}")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
