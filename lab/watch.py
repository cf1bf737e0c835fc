# SPDX-License-Identifier: Apache-2.0
"""Measures from the LAN the longest silence of a guest on one TCP connection, which must survive whatever happens to it."""
import select
import signal
import time

import guests
import network

PAUSE = 0.004


class Watch:
    """One question at a time, asked again as soon as it is answered; the longest wait between two answers is the silence."""

    def __init__(self, guest, patience):
        self.guest, self.patience = guest, patience
        self.replies = self.reconnects = 0
        self.longest = 0.0
        self.boots = set()
        self.stopped = False

    def stop(self, *_):
        self.stopped = True

    def run(self, seconds, on_ready):
        end = time.monotonic() + seconds if seconds else float("inf")
        link, pending, last = None, b"", None
        while not self.stopped and time.monotonic() < end:
            try:
                if link is None:
                    link, pending = network.connect(self.guest["address"], guests.PORT, 2.0), b""
                    if last is not None:
                        self.reconnects += 1
                link.sendall(b"ping %d\n" % self.replies)
                pending = self.wait_for_line(link, pending, end)
                if pending is None:
                    break
            except OSError:
                link = link and link.close()
                time.sleep(0.05)
                continue
            now = time.monotonic()
            if last is None:
                on_ready()
            else:
                self.longest = max(self.longest, now - last)
            last = now
            self.replies += 1
            time.sleep(PAUSE)
        if last is not None:
            self.longest = max(self.longest, time.monotonic() - last)

    def wait_for_line(self, link, pending, end):
        """Reads one answer; None when the watch ends first. A silence longer than our patience counts as a lost connection."""
        give_up = time.monotonic() + self.patience
        while b"\n" not in pending:
            if self.stopped or time.monotonic() > end:
                return None
            if time.monotonic() > give_up:
                raise OSError("no answer")
            if select.select([link], [], [], 0.1)[0]:
                got = link.recv(4096)
                if not got:
                    raise OSError("the connection ended")
                pending += got
        line, _, rest = pending.partition(b"\n")
        self.boots.add(line.split()[-1].decode())
        return rest

    def result(self):
        ok = self.replies > 0 and self.reconnects == 0 and len(self.boots) == 1
        return {"longest_silence_ms": round(self.longest * 1000, 1), "replies": self.replies, "reconnects": self.reconnects,
                "ok": ok}


def watch(name, seconds, patience, on_ready):
    """Watches until the time is up or SIGINT or SIGTERM comes."""
    watching = Watch(guests.need(name), patience)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, watching.stop)
    watching.run(seconds, on_ready)
    return watching.result()
