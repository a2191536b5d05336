"""Two NFS clients with a model: the kernel's own, and one made of libnfs.

Both keep a volume busy in the host c1, check every answer, say how far they
are while they run, and tell at the end what faults did to them. What they
run is tests/vm/worker and nfsload; neither shares code with hanfs.

	start()			the load runs when it returns
	poll(seconds)		reads what it says; False once it has ended
	now, calls, oldest	of its last tick: when it was, calls answered,
				when the oldest call that waits was made
	mark(at)		a fault was begun at `at`, is in force now
	calm()			no call waits for that fault any more
	finish()		ends the load, compares everything; a Result
	kill()			whatever state it is in: nothing is left of it
All times are of CLOCK_MONOTONIC, in seconds.
"""

import json
import os
import select
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import bed
import programs
import shared
from bed import LabError

OWNER = bed.VOLUMES["home"]["owner"]
LOOPBACK = "127.77.0.1"
SOON_S = 0.05   # replies on their way when a fault is in force arrive
SILENCE_S = 60  # how long calls may wait at the end


@dataclass
class Mark:
    """What a fault did; ms."""
    first_ms: float  # until the first reply after the silence it made
    stall_ms: float  # the longest call
    errors: int
    lost: int


@dataclass
class Result:
    calls: int
    marks: list
    errors: int  # at any time, also in the comparison at the end
    compared: str
    said: list = field(default_factory=list)  # the errors in words


def first_after(at, soon, calls):
    """ms from a fault to the end of the silence that it made: the longest
    time without any reply that begins by `soon`, when what was on its way
    has arrived."""
    times = [at] + sorted(done for _, done in calls if done > at)
    gaps = [(b - a, b) for a, b in zip(times, times[1:])
            if a <= soon]
    return (max(gaps)[1] - at) * 1e3 if gaps else 0


class Client:
    """A load that prints lines, in c1."""

    least_ms = 0  # what it measures is this, or less, or more exact

    def __init__(self, lab):
        self.lab, self.process = lab, None
        self.marks, self.ends, self.lines, self.rest = [], [], [], b""
        self.now = self.oldest = time.monotonic()
        self.calls = 0

    def spawn(self, words, **kw):
        self.process = subprocess.Popen(
            [str(w) for w in words], start_new_session=True,
            stdout=subprocess.PIPE, **kw)

    def poll(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.process.stdout], [], [], left)[0]:
                break
            got = os.read(self.process.stdout.fileno(), 65536)
            if not got:
                return False
            *lines, self.rest = (self.rest + got).split(b"\n")
            for line in lines:
                self.take(line.decode(errors="replace").split())
        return True

    def take(self, words):
        if words[:1] == ["tick"]:
            self.now, self.calls = float(words[1]), int(words[2])
            self.oldest = float(words[3])
        else:
            self.lines.append(words)

    def mark(self, at):
        self.marks.append((at, time.monotonic()))

    def calm(self):
        self.ends.append(time.monotonic())

    def measure(self, calls, errors):
        """A Mark for each fault: from (made, answered or 0) of the calls and
        from the moments of the errors."""
        soon = SOON_S + self.least_ms / 1e3
        return [Mark(first_after(at, sure + soon, calls),
                     max((done - made for made, done in calls
                          if made <= end and done > at), default=0) * 1e3,
                     sum(at <= t < end for t in errors),
                     sum(made <= end and not done for made, done in calls))
                for (at, sure), end in zip(self.marks, self.ends)]

    def drain(self, seconds):
        end = time.monotonic() + seconds
        while self.poll(0.2):
            if time.monotonic() > end:
                raise LabError(f"the client's calls have no reply for "
                               f"{seconds} s after the last fault")
        return self.process.wait()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Libnfs(Client):
    name = "libnfs"

    def start(self):
        self.result = self.lab.path("load.json")
        self.records = self.lab.path("load.csv")
        self.log = self.lab.path("load.err")
        self.spawn(
            self.lab.net_only("c1") + [
                programs.find(self.lab, "nfsload"), "--ticks", "--reconnect",
                "--crash",  # it sends unstable WRITEs again, as kernels do
                "--seconds", 3600, "--drain", SILENCE_S, "--directory",
                "quickstart", "--json", self.result, "--records",
                self.records, LOOPBACK, "/home"],
            stdin=subprocess.PIPE, stderr=open(self.log, "w"))
        bed.wait_for("nfsload to run", self.runs, 20)

    def runs(self):
        if self.process.poll() is not None:
            raise LabError(f"nfsload ended: {self.log.read_text().strip()}")
        return "running" in self.log.read_text()

    def tell(self, line):
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def finish(self):
        self.tell("stop")
        self.drain(SILENCE_S + 120)
        got = json.loads(self.result.read_text())
        calls = [tuple(map(float, line.split(",")[2:5:2]))
                 for line in self.records.read_text().splitlines()[1:]]
        errors = [float(v.split()[0]) for v in got["violations"]]
        return Result(
            len(calls), self.measure(calls, errors), got["errors"],
            f"{got['verified']['names']:,} names and "
            f"{got['verified']['bytes'] / (1 << 20):,.0f} MiB",
            got["violations"])


class Kernel(Client):
    name = "the kernel's NFS client"
    OPTIONS = ("vers=3,hard,nolock,proto=tcp,mountproto=tcp,port=2049,"
               "mountport=2049")
    PLACE = "/srv/quickstart"  # in c1, where /srv is its own
    PROCESSES = 8
    least_ms = 100  # shorter calls are not told one by one

    @staticmethod
    def possible():
        """Has this machine the kernel's client and its mount program?"""
        subprocess.run(["sh", "-c", "modprobe -q nfs || :"], check=False,
                       stderr=subprocess.DEVNULL)
        return "nfs" in Path("/proc/filesystems").read_text().split() and \
            os.access("/sbin/mount.nfs", os.X_OK)

    def words(self, host, *command):
        """A command in a host, but in our process namespace, so that signals
        and wait reach it."""
        return ["nsenter", "-t", str(self.lab.need(host)), "-m", "-n", "--",
                *map(str, command)]

    def mount(self):
        self.lab.inside("c1", "mkdir", "-p", self.PLACE)
        self.lab.inside("c1", "mount", "-t", "nfs", "-o", self.OPTIONS,
                        f"{LOOPBACK}:/home", self.PLACE, timeout=30)

    def unmount(self):
        self.lab.inside("c1", "umount", self.PLACE, timeout=60)

    def start(self):
        self.worker = programs.find(self.lab, "worker")
        self.manifest = self.lab.path("manifest")
        self.mount()
        self.lab.inside("c1", "mkdir", f"{self.PLACE}/load", timeout=30)
        self.spawn(self.words(
            "c1", self.worker, "run", f"{self.PLACE}/load", self.PROCESSES,
            time.monotonic_ns() % 1000000, self.manifest),
            stdin=subprocess.DEVNULL)
        bed.wait_for("the worker to run",
                     lambda: not self.poll(0.1) or self.calls, 20)

    def tree(self, host, directory):
        return sorted(bed.run(*self.words(
            host, self.worker, "tree", directory), timeout=120).splitlines())

    def compare(self):
        """The model against a new mount, and the server's own disk."""
        model = sorted(self.manifest.read_text().splitlines())
        self.unmount()
        self.mount()
        views = [("the client", self.tree("c1", f"{self.PLACE}/load")),
                 ("the server", self.tree(shared.serving(
                     self.lab, "home") or OWNER, "/srv/home/export/load"))]
        return len(model), [
            f"what {who} has is not the model's: {line}"
            for who, tree in views for line in sorted(set(tree) ^ set(model))]

    def finish(self):
        self.process.terminate()
        self.drain(SILENCE_S)
        said = [" ".join(w[1:]) for w in self.lines if w[0] == "violation"]
        times = [float(s.split()[0]) for s in said]
        if ["done"] not in [w[:1] for w in self.lines]:
            said.append("the load ended too early")
        names, wrong = (0, []) if said else self.compare()
        calls = [(float(w[1]), float(w[1]) + int(w[2]) / 1e3)
                 for w in self.lines if w[0] == "stall"]
        return Result(self.calls, self.measure(calls, times),
                      len(said + wrong),
                      f"{names:,} names with all they hold", said + wrong)

    def kill(self):
        super().kill()
        if not self.lab.pid("c1"):
            return
        for way in ([], ["-f", "-l"]):
            try:
                subprocess.run(
                    [*self.lab.enter("c1"), "umount", *way, self.PLACE],
                    timeout=5, stderr=subprocess.DEVNULL, check=False)
            except subprocess.TimeoutExpired:
                continue
