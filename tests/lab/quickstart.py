#!/usr/bin/python3 -B
"""The second half of ./quickstart, which installs and builds: the show.

Brings a lab up, lets an NFS client write and read through the proxy while
networks fail and heal, and tells a person what happened. What the faults did
is measured by the client (clients.py); when the proxy noticed them comes
from its own events, as `hanfsctl show events` has them; which network is in
use, and how much, from the client's interfaces. Servers lose their power,
too: the volume's disk is shared, and the agents move it. Exit status 0 only
if all was well.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import bed
import clients
import faults
import programs
import serverfaults  # noqa: F401  they join those of faults.py
import shared
from bed import Lab, LabError
from screen import Screen, Wire, ask, ms

TREE = bed.HERE.parent.parent
PAUSE_S = 2       # a fault has been healed, before the next one
CALM_S = 20       # paths must be up again by then
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Fault:
    text: str
    words: str      # as for `lab fault`; {n}: the network in use, {owner}:
                    # the server that has the volume, {other}: the other
    seconds: float  # until it is healed
    noticed: bool = True    # the proxy must notice
    ridden: bool = True     # calls must go on before it is healed
    moves: bool = False     # the volume goes to the other server


STORY = (
    Fault("cable out at the client, network {n}", "carrier-client {n}", 3),
    Fault("switch dead, carrier up, network {n}", "switch-dead {n}", 3),
    Fault("nothing gets to the server, network {n}",
          "oneway-to-server s1 c1 {n}", 3),
    Fault("30% of all frames lost, network {n}", "loss {n} 30", 4),
    Fault("both networks down for 5 s", "both-down", 5, ridden=False),
    Fault("proxy killed, started again at once", "proxy-kill", 2,
          noticed=False, ridden=False),
    Fault("power cut of {owner}, which has the volume", "server-cut {owner}",
          4, moves=True),
    Fault("{other}, repaired, gets its volume back",
          "volume-move home {other}", 2, noticed=False, moves=True),
    Fault("power cut of {owner} and of network {n} at once",
          "server-cut {owner} {n}", 4, moves=True),
    Fault("{other}, repaired, gets its volume back",
          "volume-move home {other}", 2, noticed=False, moves=True),
)


class Stopped(Exception):
    """A signal asked us to end."""


class Show:
    def __init__(self, lab, screen):
        self.lab, self.screen = lab, screen
        self.client = self.wire = None
        self.rows, self.problems = [], []

    # -- before

    def up(self):
        began = time.monotonic()
        os.environ["HANFS_LAB_KEEP"] = "1"  # until the logs were shown
        shared.up(self.lab, clients=1)
        self.screen.say(f"lab: two servers that share their disks, two "
                        "networks, one client, up in "
                        f"{time.monotonic() - began:.1f} s")
        self.start_client()
        self.wire = Wire(self.lab)
        self.calls = [(self.client.now, self.client.calls)]
        self.began = time.monotonic()

    def start_client(self):
        if clients.Kernel.possible():
            self.client = clients.Kernel(self.lab)
            try:
                self.client.start()
            except (LabError, subprocess.TimeoutExpired) as e:
                self.screen.say(f"the kernel's NFS client cannot: {e}")
                self.client.kill()
                self.client = None
        if self.client is None:
            self.client = clients.Libnfs(self.lab)
            self.client.start()
        self.screen.say(f"client: {self.client.name}, writing, reading, "
                        "making, renaming and removing files in "
                        "127.77.0.1:/home, and checking all of it")

    # -- the faults

    def say(self, when, text):
        self.screen.say(f"{when - self.began:5.1f} s {text}")

    def line(self, what):
        c = self.client
        if self.calls[-1][0] < c.now:
            self.calls = [x for x in self.calls[:-1] if x[0] > c.now - 1.1] \
                + [self.calls[-1], (c.now, c.calls)]
        (t0, n0), (t1, n1) = self.calls[0], self.calls[-1]
        rate = (n1 - n0) / (t1 - t0) if t1 > t0 else 0
        stall = max(0, c.now - c.oldest) * 1e3
        return f"{time.monotonic() - self.began:5.1f} s {rate:6,.0f} calls/s" \
               f" {self.wire.text()}  stall {stall:5,.0f} ms  {what}"

    def go(self, seconds, what):
        """Lets the load run and shows it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.client.poll(0.25):
                raise LabError("the client ended too early")
            self.wire.look()
            self.screen.live(self.line(what))

    def owner(self):
        """The server that the proxy's calls go to."""
        for v in ask(self.lab, "volumes"):
            if v["volume"] == "home":
                return v["owner"]
        return clients.OWNER

    def calm(self):
        """Until every path to every server is up again."""
        end = time.monotonic() + CALM_S
        while True:
            paths = ask(self.lab, "paths")
            down = [f"{p['server']}/{p['network']}" for p in paths
                    if p["state"] != "up"]
            if len(paths) == len(bed.NETWORKS) * len(bed.SERVERS) and \
                    not down and shared.serving(self.lab, "home"):
                return True
            if time.monotonic() > end:
                return False
            self.go(0.25, f"until {down[0] if down else 'the proxy'} is up")

    def noticed(self, at, owner, networks, since):
        """(ms from the fault to the proxy's first word about one of the
        owner's networks, or about the owner, that word), or None."""
        before = time.monotonic()
        events = ask(self.lab, "events")
        asked = (before + time.monotonic()) / 2
        found = [((asked - at) * 1e3 - e["ms_ago"], e["text"]) for e in events
                 if e["number"] > since and any(
                     e["event"] in ("path-down", "path-lossy")
                     and f"path {owner}/{n} " in e["text"] or
                     e["event"] == "owner"
                     and f"volume home: owner {owner} -> " in e["text"] or
                     e["event"] == "choice"
                     and f"volume home network {n} -> " in e["text"]
                     for n in networks)]
        return min(found) if found else None

    def strike(self, fault):
        """One fault, from its making until all is well again."""
        n, owner = self.wire.busiest, self.owner()
        other = next(s for s in bed.SERVERS if s != owner)
        names = {"n": n, "owner": owner, "other": other}
        text = fault.text.format(**names)
        networks = [n] if "{n}" in fault.text and not fault.moves \
            else list(bed.NETWORKS)
        since = max((e["number"] for e in ask(self.lab, "events")),
                    default=-1)
        words = fault.words.format(**names)
        at = faults.inject(self.lab, *words.split())
        made = time.monotonic()
        self.client.mark(at)
        self.say(at, f"== {text}")
        word = None
        while (left := made + fault.seconds - time.monotonic()) > 0:
            self.go(min(left, 0.5), words)
            if fault.noticed and not word:
                word = self.noticed(at, owner, networks, since)
                if word:
                    self.say(at + word[0] / 1e3, f"   proxy: {word[1]}")
        over = time.monotonic()
        if faults.heal(self.lab):
            self.say(over, "== healed")
        self.rows.append({
            "fault": text, "network": n if "{n}" in fault.text else None,
            "owner": self.owner() if fault.moves else None,
            "noticed_ms": max(0, word[0]) if word else None,
            "lasted_ms": (over - at) * 1e3})
        self.go(PAUSE_S, "no fault")
        if fault.moves and self.owner() != other:
            self.problems.append(f"{text}: {other} did not get the volume")
        if not self.calm():
            self.problems.append(f"{text}: the paths were not up again "
                                 f"{CALM_S} s after it was healed")
        self.client.calm()
        self.go(PAUSE_S / 4, "no fault")

    def run(self):
        if not self.calm():
            raise LabError("the proxy finds no path to a server; see "
                           "`lab log c1 hanfs-proxy`")
        self.go(3, "no fault")
        for fault in STORY:
            self.strike(fault)
        self.say(time.monotonic(), "== all faults made; comparing every file")
        self.result = self.client.finish()
        self.judge()

    # -- after

    def judge(self):
        if len(self.result.marks) != len(self.rows):
            raise LabError("the client did not see every fault")
        for row, mark, fault in zip(self.rows, self.result.marks, STORY):
            row.update(first_reply_ms=mark.first_ms, stall_ms=mark.stall_ms,
                       errors=mark.errors + mark.lost)
            why = []
            if row["errors"]:
                why.append(f"{row['errors']} errors")
            if fault.noticed and row["noticed_ms"] is None:
                why.append("the proxy did not notice")
            if fault.ridden and row["first_reply_ms"] >= row["lasted_ms"]:
                why.append("calls went on only when it was healed")
            row["pass"] = not why
            self.problems += [f"{row['fault']}: {w}" for w in why]
        more = self.result.errors - sum(m.errors for m in self.result.marks)
        if more > 0:
            self.problems.append(f"{more} errors outside of the faults")
        if not self.result.calls:
            self.problems.append("the client made no call")

    def table(self):
        head = ("fault", "noticed after", "first replayed reply",
                "longest stall", "errors")
        least = self.client.least_ms
        rows = [(r["fault"], ms(r["noticed_ms"]),
                 ms(r["first_reply_ms"], least), ms(r["stall_ms"], least),
                 str(r["errors"])) for r in self.rows]
        width = [max(len(x[i]) for x in [head, *rows])
                 for i in range(len(head))]
        self.screen.say()
        for row in [head, ["-" * w for w in width], *rows]:
            print("  ".join(x.ljust(w) if i == 0 else x.rjust(w) for
                            i, (x, w) in enumerate(zip(row, width))))
        print(f"""
First replayed reply: from the fault to the end of the silence that it made.
{self.result.calls:,} calls, {self.result.errors} errors. At the end \
{self.result.compared}
were compared with what must be there.""")
        for line in self.result.said[:10] + self.problems:
            print(f"  ! {line}")

    def json(self):
        rows = [{k: round(v, 3) if isinstance(v, float) else v
                 for k, v in r.items()} for r in self.rows]
        good = sum(r["pass"] for r in self.rows)
        return {"client": self.client.name, "calls": self.result.calls,
                "errors": self.result.errors, "rows": rows, "passed": good,
                "failed": len(rows) - good, "problems": self.problems,
                "well": not self.problems}


STAY_TEXT = """
The lab is up. Where to look next:
  export HANFS_LAB={root} HANFS_BUILD={build}
  cd {tree}
  tests/lab/lab status                       what runs where
  tests/lab/lab in c1 {ctl} show paths
  tests/lab/lab in c1 {ctl} show events
  tests/lab/lab fault switch-dead A          and look again; `lab fault`
  tests/lab/lab heal                         alone lists all faults
  tests/lab/lab in c1 {detector} --print     each heartbeat
  tests/lab/lab in c1 nfs-ls \\
      'nfs://127.77.0.1/home?nfsport=2049&mountport=2049'
  tests/lab/lab log c1 hanfs-proxy           decisions, with their evidence
  tests/lab/lab down                         ends it
"""
NEXT_TEXT = """
Where to look next:
  ./quickstart --stay       the same, and leaves the lab up to play with
  ./check                   every test; ./check --list names them
  man man/hanfs-proxy.8     and hanfs.conf.5, hanfsctl.8, ...
  ARCHITECTURE.md           how it is built
"""


def next_text(lab, stay):
    if not stay:
        return NEXT_TEXT
    return STAY_TEXT.format(
        root=lab.root, build=lab.build, tree=TREE,
        ctl=programs.find(lab, "hanfsctl"),
        detector=programs.find(lab, "hanfs-detector"))


def stop(number, _):
    for s in SIGNALS:
        signal.signal(s, signal.SIG_IGN)  # cleaning up takes a moment
    raise Stopped(number)


def perform(show, args):
    """Exit status."""
    show.up()
    show.run()
    show.table()
    if args.json:
        Path(args.json).write_text(json.dumps(show.json(), indent=1) + "\n")
    lab = show.lab
    if args.stay:
        lab.put("stay", "left up by ./quickstart --stay")
    print(next_text(lab, args.stay))
    print(f"quickstart: {'NOT all' if show.problems else 'all'} was well")
    return 1 if show.problems else 0


def clean_up(show, stay):
    for s in SIGNALS:
        signal.signal(s, signal.SIG_IGN)
    if show.client:
        show.client.kill()
    if not stay:
        show.lab.down()


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("--stay", action="store_true")
    p.add_argument("--json", metavar="FILE")
    return p.parse_args()


def main():
    args = parse()
    lab, screen = Lab(), Screen()
    if lab.hosts() and lab.path("stay").exists():
        raise LabError(f"a lab that --stay left up is in {lab.root}; "
                       f"HANFS_LAB={lab.root} tests/lab/lab down ends it")
    show, stay = Show(lab, screen), False
    for s in SIGNALS:
        signal.signal(s, stop)
    try:
        status = perform(show, args)
        stay = args.stay
        return status
    except Stopped as e:
        screen.say("quickstart: stopped; cleaning up")
        return 128 + e.args[0]
    except (LabError, OSError, subprocess.SubprocessError) as e:
        screen.say(f"quickstart: {e}")
        show_logs(lab)
        return 1
    finally:
        clean_up(show, stay)


def show_logs(lab):
    """The last words of the programs, which go with the lab."""
    for path in sorted(lab.path("log").glob("*.*")):
        lines = path.read_text(errors="replace").splitlines()
        if "ganesha" in path.name:
            lines = [x for x in lines if ":CRIT :" in x and "DBUS" not in x]
        if lines:
            print("\n".join([f"-- {path.name}", *lines[-8:]]),
                  file=sys.stderr)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as e:
        sys.exit(f"quickstart: {e}")
