# SPDX-License-Identifier: Apache-2.0
"""A droverd that says what a test wants it to say, on a unix socket: enough of /v1 for the command line."""
import contextlib
import http.server
import json
import os
import socketserver
import subprocess
import threading
import time
import urllib.parse

TIME = "2026-07-25T10:00:00.000Z"
UUID = "6c1fa1f0-0b32-4a29-8a2c-4f6a5a0b7c11"


def vm(name="web01", host="host1", **changes):
    return {"uuid": UUID, "name": name, "host": host, "state": "running", "memory_bytes": 2 << 30, "vcpus": 2, "disks": [],
            **changes}


def finding(level, code, **changes):
    return {"code": code, "level": level, "object": "web01", "what": f"{code} is so.", "why": "", "fixes": ["mend it"], **changes}


def plan(findings=(), **changes):
    return {"id": "plan1", "request": {"vm": UUID, "destination": "host2"}, "vm": vm(), "placements": [],
            "findings": list(findings), "made_at": TIME, "expires_at": TIME, **changes}


def move(state="running", percent=10, phase="copy-disks", **changes):
    return {"id": "k3f9x2qa", "plan": plan(), "source": "host1", "destination": "host2", "phase": phase, "state": state,
            "runner": "destination" if state == "done" else "source", "started_at": TIME,
            "progress": {"phase": phase, "percent": percent, "disks": {"done_bytes": 1 << 20, "total_bytes": 4 << 20}},
            **changes}


def error(code, message, *causes):
    return {"error": {"code": code, "message": message, "causes": list(causes)}}


REPORT = {"wire_bytes": 5 << 20, "duration_ms": 2500, "pause_ms": 66, "memory_sent_bytes": 1 << 20, "disks_sent_bytes": 4 << 20}


class FakeDaemon:
    """`answers`: "GET /v1/moves" -> a body, (status, body), or a function of the request that gives one of these."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "drover.sock")
        self.asked = []  # (what, query, body)
        self.events = []  # of any move: a Move, or a number of seconds of silence, or "break"
        self.answers = {
            "GET /v1/version": {"version": "0.1.0", "api": 1, "host": "host1"},
            "GET /v1/vms": {"vms": [vm()], "unreachable": []},
            "GET /v1/hosts": {"hosts": []},
            "GET /v1/quarantine": {"disks": []},
            "POST /v1/plans": plan(),
            "POST /v1/moves": move(percent=0, phase="plan"),
            "GET /v1/moves/k3f9x2qa": move("done", 100, "settle", report=REPORT),
        }

    def times_asked(self, what):
        return [(query, body) for asked, query, body in self.asked if asked == what]

    @contextlib.contextmanager
    def serving(self):
        daemon = self

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

            def handle_error(self, *_):
                """A client that left is nothing to report."""

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def address_string(self):
                return "local"

            def answer(self):
                url = urllib.parse.urlsplit(self.path)
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                what = f"{self.command} {url.path}"
                daemon.asked.append((what, dict(urllib.parse.parse_qsl(url.query)), body))
                if url.path.endswith("/events"):
                    return self.stream()
                said = daemon.answers.get(what, (404, error("NOT_FOUND", f"There is no {url.path}.")))
                if callable(said):
                    said = said(daemon.asked[-1])
                status, content = said if isinstance(said, tuple) else (200, said)
                self.reply(status, json.dumps(content).encode())

            def reply(self, status, content):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def stream(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                events = daemon.events
                while events:
                    event = events.pop(0)
                    if event == "break":
                        self.close_connection = True
                        return
                    if isinstance(event, (int, float)):
                        end = time.monotonic() + event
                        while time.monotonic() < end:
                            self.chunk(": still here\n\n")
                            time.sleep(min(1, max(0, end - time.monotonic())))
                    else:
                        self.chunk(f"event: progress\ndata: {json.dumps(event)}\n\n")
                self.chunk("")

            def chunk(self, text):
                content = text.encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
                self.wfile.flush()

            do_GET = do_POST = do_PATCH = do_DELETE = answer

        server = Server(self.path, Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


class Drover:
    """The command line under test, talking to a fake daemon."""

    def __init__(self, program, daemon):
        self.program, self.daemon = program, daemon

    def environment(self):
        return {**os.environ, "DROVER_SOCKET": self.daemon.path, "TZ": "UTC", "LC_ALL": "C.UTF-8", "TERM": "xterm"}

    def __call__(self, *words, **options):
        if "input" not in options:
            options["stdin"] = subprocess.DEVNULL
        return subprocess.run([self.program, *words], capture_output=True, text=True, env=self.environment(), timeout=60,
                              **options)

    def start(self, *words, **options):
        return subprocess.Popen([self.program, *words], env=self.environment(), text=True, **options)
