"""One run of a case: a lab, a load with a model, a count at the backend.

The run brings up a lab of its own, starts callcount beside the backend and
nfsload on the client, makes faults and marks their moments, ends the load
and collects what nfsload, callcount and the server's file system say.
"""

import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import bed
import faults
import programs

SETTLE_S = 0.005  # from the end of a fault's command until it is in force
OWNER = bed.VOLUMES["home"]["owner"]


class Bar(str):
    """A problem of time, of share, or of the measurement itself, on which
    the load of the machine tells; any other is one of correctness."""


class Watch(threading.Thread):
    """Samples the client's packet counters, and its proxy's memory."""

    def __init__(self, lab, step=0.02):
        super().__init__(daemon=True)
        self.lab, self.step = lab, step
        self.over = threading.Event()
        self.samples = []  # (when, {network: bytes sent})
        self.rss_kib = 0
        self.client = lab.need("c1")

    def run(self):
        while not self.over.wait(self.step):
            self.samples.append((time.monotonic(), self.sent()))
            self.rss_kib = max(self.rss_kib, self.memory())

    def sent(self):
        out = {}
        text = Path(f"/proc/{self.client}/net/dev").read_text()
        for line in text.splitlines():
            name, _, fields = line.strip().partition(":")
            for letter in bed.NETWORKS:
                if name == bed.net(letter)[1]:
                    out[letter] = int(fields.split()[8])
        return out

    def memory(self):
        """The proxy's resident memory, KiB; 0 while there is none."""
        pid = programs.inner_pid(self.lab, "c1", "hanfs-proxy")
        try:
            status = Path(f"/proc/{self.client}/root/proc/{pid}/status")
            rss = status.read_text().partition("VmRSS:")[2].split()
        except OSError:
            return 0
        return int(rss[0]) if rss else 0

    def between(self, begin, end):
        """Bytes sent on each network in an interval."""
        total = dict.fromkeys(bed.NETWORKS, 0)
        inside = [s for s in self.samples if begin <= s[0] <= end]
        for (_, a), (_, b) in zip(inside, inside[1:]):
            for letter in bed.NETWORKS:
                if letter in a and letter in b:
                    # an interface made anew counts from zero
                    total[letter] += max(0, b[letter] - a[letter])
        return total

    def switches(self, begin, end, window=0.2):
        """Moments at which another network began to carry most bytes."""
        found, carrier, at = [], None, begin
        while at < end:
            sent = self.between(at, at + window)
            busy = max(sent, key=sent.get)
            if sum(sent.values()) > 20000:
                if carrier not in (None, busy):
                    found.append(at)
                carrier = busy
            at += window
        return found


class Run:
    """What a case's story is told with."""

    def __init__(self, directory, options):
        self.directory = Path(directory)
        self.lab = bed.Lab(self.directory / "lab")
        self.options = options
        self.marks = {}
        self.load = self.count = self.watch = None
        self.port = programs.DIRECT_PORT if options.direct else 2049
        self.problems = []

    # -- the load

    def up(self, load, conf, held=True):
        programs.up(self.lab, direct=self.options.direct,
                    bare=self.options.direct, extra=conf, held=held)
        self.start_count()
        self.start_load(load)

    def start_count(self):
        where, words = f"{OWNER}/home", []
        if self.options.direct:
            where = OWNER
            words = ["-i", "neta", "-p", self.port]
        self.count = self.counter("backend", where, *words)

    def counter(self, name, where, *words):
        """Starts a callcount; its calls, too, when words say -v."""
        out = self.directory / f"count-{name}"
        p = subprocess.Popen(
            [*self.lab.net_only(where), programs.find(self.lab, "callcount"),
             *map(str, words)], stdin=subprocess.PIPE,
            stdout=open(out, "w"), stderr=open(f"{out}.err", "w"))
        p.out = out
        bed.wait_for("callcount", lambda: "ready" in Path(
            f"{out}.err").read_text(), 10)
        return p

    def start_load(self, extra):
        words = ["127.77.0.1", "/home"]
        if self.options.direct:
            words = ["-p", self.port, "-m",
                     programs.DIRECT_MOUNT_PORT, bed.address(OWNER, "A"),
                     "/home"]
        self.load = subprocess.Popen(
            [*self.lab.net_only("c1"), programs.find(self.lab, "nfsload"),
             "-t", "3600", "-d", "load", "-o", self.directory / "load.json",
             "--dump", self.directory / "dump", *extra,
             *map(str, words)],
            stdin=subprocess.PIPE, text=True,
            stderr=open(self.directory / "load.err", "w"))
        bed.wait_for("nfsload", self.load_runs, 15)
        self.watch = Watch(self.lab)
        self.watch.start()

    def load_runs(self):
        text = (self.directory / "load.err").read_text()
        if self.load.poll() is not None:
            raise bed.LabError(f"nfsload ended at once: {text}")
        return "running" in text

    # -- the story

    def hold(self, seconds):
        """Lets time pass; at once over if the load ends."""
        try:
            self.load.wait(seconds)
            self.problems.append("nfsload ended early")
        except subprocess.TimeoutExpired:
            pass

    def mark(self, name, at, sure=None):
        self.marks[name] = at
        if self.load.poll() is None:
            self.load.stdin.write(
                f"mark {name} {at:.6f} {sure or at:.6f}\n")
            self.load.stdin.flush()

    def fault(self, *fault, mark="fault"):
        at = faults.inject(self.lab, *fault)
        self.mark(mark, at, time.monotonic() + SETTLE_S)

    def heal(self, *fault, mark="healed"):
        done = faults.heal(self.lab, *fault)
        self.mark(mark, min(when for _, when in done))

    # -- the end

    def finish(self):
        """Ends the load and returns what is known of the run."""
        try:
            self.load.communicate("stop\n", timeout=240)
        except subprocess.TimeoutExpired:
            self.load.kill()
            self.problems.append("nfsload did not end")
        self.watch.over.set()
        self.watch.join()
        calls = self.read_count(self.count)
        try:
            load = json.loads((self.directory / "load.json").read_text())
        except (OSError, ValueError):
            text = (self.directory / "load.err").read_text()
            raise bed.LabError(f"nfsload left no result: {text}") from None
        if not calls["valid"]:
            self.problems.append(Bar("the capture has a gap"))
        if load["errors"] == 0:
            self.compare()
        return load, calls

    @staticmethod
    def read_count(count):
        count.communicate(timeout=60)
        return json.loads(count.out.read_text())

    def compare(self):
        """The server's own files against the model."""
        p = subprocess.run(
            [*self.lab.enter(OWNER), programs.find(self.lab, "nfsload"),
             "--compare", self.directory / "dump",
             "/srv/home/export/load"], text=True, capture_output=True,
            check=False)
        if p.returncode:
            self.problems.append(f"server's files: {p.stdout.strip()}")

    def keep(self, target):
        """Saves logs and results, for a person to look at."""
        target = Path(target)
        target.mkdir(parents=True, exist_ok=True)
        for path in self.directory.iterdir():
            if path.is_file():
                shutil.copy(path, target)
        if self.lab.path("log").is_dir():
            shutil.copytree(self.lab.path("log"), target / "log",
                            dirs_exist_ok=True)

    def close(self):
        if self.watch:
            self.watch.over.set()
        for p in (self.load, self.count):
            if p and p.poll() is None:
                p.kill()
                p.wait()
        self.lab.down()


def memory_for_images():
    """A directory in memory for the volumes, if there is room: the cases
    measure networks, and a disk's own pauses would hide them."""
    shm = os.statvfs("/dev/shm")
    return "/dev/shm" if shm.f_bavail * shm.f_frsize > 3 << 30 else None
