"""What ./quickstart shows a person, and where it looks for it."""

import json
import shutil
import socket
import sys
import time
from pathlib import Path

import bed


class Screen:
    """One line that lives, where there is a terminal; else plain lines."""

    def __init__(self):
        self.alive = sys.stdout.isatty()
        self.last = 0

    def live(self, text):
        now = time.monotonic()
        if self.alive:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{text[:width]}\x1b[K", end="", flush=True)
        elif now - self.last >= 1:
            self.last = now
            print(text, flush=True)

    def say(self, text=""):
        print(("\r\x1b[K" if self.alive else "") + text, flush=True)


class Wire:
    """What the client's interfaces carry, from the kernel's counters."""

    def __init__(self, lab):
        self.path = Path(f"/proc/{lab.need('c1')}/net/dev")
        self.old, self.then = self.count(), time.monotonic()
        self.rate = dict.fromkeys(self.old, 0)
        self.busiest = "A"

    def count(self):
        rows = [line.replace(":", " ").split()
                for line in self.path.read_text().splitlines()[2:]]
        found = {row[0]: int(row[1]) + int(row[9]) for row in rows}
        return {n: found.get(bed.net(n)[1], 0) for n in bed.NETWORKS}

    def look(self):
        new, now = self.count(), time.monotonic()
        self.rate = {n: max(0, new[n] - self.old[n]) / (now - self.then)
                     for n in new}
        self.old, self.then = new, now
        if sum(self.rate.values()) > 50000:
            self.busiest = max(self.rate, key=self.rate.get)

    def text(self):
        """The networks that carry a tenth of it all or more."""
        total = sum(self.rate.values())
        used = [n for n in sorted(self.rate)
                if self.rate[n] > max(total / 10, 50000)]
        return f"{total / (1 << 20):4.0f} MiB/s  " \
               f"net {'+'.join(used) or '-':3}"


def ask(lab, what):
    """What `hanfsctl show WHAT` asks the proxy for; [] while it is away."""
    path = f"/proc/{lab.need('c1')}/root/run/hanfs/proxy.sock"
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(1)
            s.connect(path)
            s.sendall(f"show {what}\n".encode())
            answer = b"".join(iter(lambda: s.recv(65536), b""))
        return json.loads(answer)
    except (OSError, ValueError):
        return []


def ms(value, least=0):
    if value is None:
        return "-"
    if value <= max(least, 0.5):
        return f"< {max(least, 1)} ms"
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1e3:.2f} s"
