"""One run of a case of tests/lab/servers.

The run brings up a lab with shared disks, two clients that go through
their proxies and a plain one of the service address, each with a model of
its own; counts what ran at every backend of the volume; makes the faults of
the story; and at the end collects what the clients, the captures, the san's
log, the servers' file system and the agents say.
"""

import collections
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import bed
import byhand
import faults
import oracle
import programs
import serverfaults
import shared
import twice
from bed import LabError
from pathrun import Bar, SETTLE_S
from san import Note, San

VOLUME = "home"
TIMEO_S = 5  # of a plain client; the kernel's is 60 s over TCP
STUCK_S = 30  # a load that is told to stop checks all and ends before


class Load:
    """An nfsload on a client."""

    def __init__(self, run, name, client, words, extra):
        self.run, self.name = run, name
        self.json = run.directory / f"{name}.json"
        self.records = run.directory / f"{name}.csv"
        self.dump = run.directory / f"{name}.dump"
        self.log = run.directory / f"{name}.err"
        with open(self.log, "w", encoding="ascii") as log:
            self.process = subprocess.Popen(
                [*run.lab.net_only(client), programs.find(run.lab, "nfsload"),
                 "-t", "3600", "-d", name, "-o", self.json, "--dump",
                 self.dump, "--records", self.records, "--crash",
                 *extra, *map(str, words)],
                stdin=subprocess.PIPE, text=True, stderr=log)
        bed.wait_for(f"nfsload {name}", self.runs, 20)

    def runs(self):
        text = self.log.read_text()
        if self.process.poll() is not None:
            raise LabError(f"nfsload {self.name} ended: {text}")
        return "running" in text

    def tell(self, line):
        if self.process.poll() is None:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def stop(self, seconds):
        try:
            self.process.communicate("stop\n", timeout=STUCK_S)
        except subprocess.TimeoutExpired:
            self.run.note_calls(self.name)
            self.process.communicate(timeout=seconds - STUCK_S)

    def end(self, seconds=240):
        """Its result; the story is over."""
        try:
            self.stop(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.run.problems.append(f"nfsload {self.name} did not end")
        try:
            return json.loads(self.json.read_text())
        except (OSError, ValueError):
            raise LabError(f"nfsload {self.name} left no result: "
                           f"{self.log.read_text()}") from None

    def answered(self):
        """{xid: (wall clock of its answer or 0, its status)}"""
        shift = time.time() - time.monotonic()
        out = {}
        for line in self.records.read_text().splitlines()[1:]:
            words = line.split(",")
            done = float(words[4])
            out[words[5]] = done + shift if done else 0, int(words[6])
        return out

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Run:
    """What a case's story is told with."""

    def __init__(self, directory, options, case):
        self.directory = Path(directory)
        self.lab = bed.Lab(self.directory / "lab")
        self.lab.fstype = case.fstype
        self.lab.booted = self.count
        self.options, self.case = options, case
        self.control = options.control
        self.loads, self.plain, self.counters = [], None, []
        self.ends = collections.defaultdict(list)
        self.problems, self.takeovers, self.note = [], [], ""
        self.san = San(self.lab)
        self.notes = []  # of the san's log

    # -- up

    def up(self):
        shared.up(self.lab, 2, self.case.conf, managed=not self.control,
                  third=self.case.third)
        for host in self.lab.servers():
            self.count(host)
        if self.control:
            byhand.take(self.lab, "s1", VOLUME)
        self.start_loads()

    def count(self, host):
        """A capture of what reaches the volume's backend on a server, from
        before its first call."""
        where, words = f"{host}/{VOLUME}", []
        if self.control:
            where = host
            words = ["-i", bed.net(shared.SERVICE_NETWORK)[1], "-p",
                     byhand.PORT]
        out = self.directory / f"count-{host}-{len(self.counters)}"
        with open(out, "w", encoding="ascii") as f, \
                open(f"{out}.err", "w", encoding="ascii") as err:
            p = subprocess.Popen(
                [*self.lab.net_only(where),
                 programs.find(self.lab, "callcount"), "-l", f"{out}.list",
                 *map(str, words)], stdin=subprocess.PIPE, stdout=f,
                stderr=err)
        p.host, p.out = host, out
        self.counters.append(p)
        p.since = time.monotonic()
        bed.wait_for("callcount", lambda: "ready" in Path(
            f"{out}.err").read_text(), 10)

    def cut_from(self, counter):
        """When the server of a capture was cut off the volume: the first
        time while it ran that was not healed before the next capture."""
        wall = time.time() - time.monotonic()
        for note in self.notes:
            words = note.text.split()
            if words[0] == "cut" and note.at > counter.since and words[1] \
                    in (counter.host, f"{counter.host}/{VOLUME}"):
                return note.at + wall
        return None

    def start_loads(self):
        slots = ["-n", str(self.case.slots), "--cross-renames"]
        mount = byhand.MOUNT_PORT if self.control else 2049
        plain = ["-m", mount, shared.service_address(VOLUME), f"/{VOLUME}"]
        proxied = ["127.77.0.1", f"/{VOLUME}"]
        again = ["--reconnect", "--timeo", str(TIMEO_S)]
        for name, client in (("one", "c1"), ("two", "c2")):
            self.loads.append(Load(
                self, name, client, plain if self.control else proxied,
                slots + self.case.load + (again if self.control else [])))
        if self.case.plain:
            self.plain = Load(self, "plain", "c2", plain, [
                "-n", "4", *again, *self.case.load])

    def everyone(self):
        return self.loads + ([self.plain] if self.plain else [])

    # -- the story

    def hold(self, seconds):
        """Lets time pass; ends early if a load does."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for load in self.loads:
                if load.process.poll() is not None:
                    self.problems.append(f"nfsload {load.name} ended early")
                    return
            time.sleep(max(0, min(0.05, end - time.monotonic())))

    def wait(self, what, test, seconds):
        bed.wait_for(what, test, seconds, 0.02)

    def mark(self, name, at, sure=None):
        for load in self.everyone():
            load.tell(f"mark {name} {at:.6f} {sure or at:.6f}")

    def fault(self, *words, mark="fault"):
        at = faults.inject(self.lab, *words)
        if words[0] in ("server-cut", "agent-kill"):
            self.ended(words[1], at)
        elif words[0] in ("backend-kill", "agent-backend-kill"):
            self.ended(None, at)
        if mark:
            self.mark(mark, at, time.monotonic() + SETTLE_S)
        return at

    def ended(self, host, at):
        """A life of the backend is over (on any server, if not known)."""
        for h in self.lab.servers() if host is None else (host,):
            self.ends[h].append(at + time.time() - time.monotonic())

    def heal(self, *words, mark="healed"):
        done = faults.heal(self.lab, *words)
        at = min(when for _, when in done)
        if mark:
            self.mark(mark, at)
        return at

    def boot(self, host, mark="booted"):
        """Ends a power cut of a server; it is counted before its agent,
        which may serve at once, starts."""
        for name in faults.in_force(self.lab):
            parts = name.split(":")
            if parts[:2] == ["server-cut", host]:
                self.heal(*parts, mark=mark)

    def serving(self):
        return shared.serving(self.lab, VOLUME)

    def wait_serving(self, host, seconds=20):
        self.wait(f"{host} to serve {VOLUME}",
                  lambda: self.serving() == host, seconds)

    def state(self, host):
        view = shared.volume_view(self.lab, host, VOLUME)
        return view.get("state") if view else None

    def wait_state(self, host, states, seconds=20):
        self.wait(f"{host} to be {' or '.join(states)}",
                  lambda: self.state(host) in states, seconds)

    def ctl(self, host, *words):
        return self.lab.inside(host, programs.find(self.lab, "hanfsctl"),
                               *words)

    def take_by_hand(self, dead, host):
        """The control experiment's takeover."""
        self.takeovers.append({"steps": byhand.take_over(
            self.lab, dead, host, VOLUME)})

    def serving_again(self):
        """Until every client's calls are answered again."""
        self.hold(0.5)

    # -- the end

    def finish(self):
        """Everything that is known of the run."""
        out = {"loads": {x.name: x.end() for x in self.everyone()}}
        log = self.san.writes()
        self.notes = [x for x in log if isinstance(x, Note)]
        self.read_counts(out)
        out["writes"] = {v: oracle.summary(log, v) for v in bed.VOLUMES}
        out["oracle"] = [f"{v}: {x}" for v in bed.VOLUMES
                         for x in oracle.violations(log, v)]
        self.compare([x for x in self.loads
                      if not out["loads"][x.name]["errors"]])
        if not self.control:
            self.takeovers = self.reports()
        out["takeovers"] = self.takeovers
        return out

    def note_calls(self, load):
        """Where the calls are that a load waits for: for keep()."""
        daemons = [("agent", x) for x in self.lab.servers()] + \
            [("proxy", x) for x in self.lab.clients()]
        said = {host: {what: shared.ask(self.lab, host, what, program)
                       for what in ("calls", "counters")}
                for program, host in daemons if self.lab.pid(host)}
        path = self.directory / f"stuck-{load}.json"
        path.write_text(json.dumps(said, indent=1))

    def read_counts(self, out):
        captures = []
        for p in self.counters:
            p.communicate(timeout=60)
            got = json.loads(p.out.read_text())
            if not got["valid"]:
                self.problems.append(Bar(f"the capture on {p.host} has a "
                                         "gap"))
            captures.append((p.host, twice.read_list(f"{p.out}.list")))
        answered = {}
        for load in self.everyone():
            answered.update(load.answered())
        cuts = [self.cut_from(p) for p in self.counters]
        plain = set(self.plain.answered()) if self.plain else set()
        out["twice"], out["reruns"] = twice.judge(
            twice.only(captures, lambda xid: xid not in plain), self.ends,
            answered, cuts)
        out["plain_twice"], _ = twice.judge(
            twice.only(captures, plain.__contains__), self.ends, answered,
            cuts)
        out["ran"] = sum(len(seen) for _, seen in captures)

    def reports(self):
        out = []
        for host in filter(self.lab.pid, self.lab.servers()):
            for x in shared.ask(self.lab, host, "takeovers"):
                if x.get("volume") == VOLUME:
                    out.append({"server": host, **x})
        return out

    def compare(self, loads):
        """The file system, as the present owner has it, against the
        models."""
        host = self.owner()
        if host is None:
            self.problems.append("nobody serves the volume at the end")
            return
        for load in loads:
            p = subprocess.run(
                [*self.lab.enter(host), programs.find(self.lab, "nfsload"),
                 "--compare", load.dump,
                 f"/srv/{VOLUME}/export/{load.name}"], text=True,
                capture_output=True, check=False)
            if p.returncode:
                self.problems.append(f"{host}'s files of {load.name}: "
                                     f"{p.stdout.strip()}{p.stderr.strip()}")

    def owner(self):
        if not self.control:
            return self.serving()
        for host in filter(self.lab.pid, self.lab.servers()):
            mounts = Path(f"/proc/{self.lab.pid(host)}/mounts").read_text()
            if f" /srv/{VOLUME} " in mounts:
                return host
        return None

    def keep(self, target):
        """Saves logs and results, for a person to look at."""
        target = Path(target)
        target.mkdir(parents=True, exist_ok=True)
        for path in self.directory.iterdir():
            if path.is_file() and path.suffix != ".csv":
                shutil.copy(path, target)
        if self.lab.path("log").is_dir():
            shutil.copytree(self.lab.path("log"), target / "log",
                            dirs_exist_ok=True)
        if self.lab.path("san/log").exists():
            shutil.copy(self.lab.path("san/log"), target / "san.log")
        if self.lab.path("hanfs.conf").exists():
            shutil.copy(self.lab.path("hanfs.conf"), target)

    def close(self):
        for load in self.everyone():
            load.kill()
        for p in self.counters:
            if p.poll() is None:
                p.kill()
                p.wait()
        self.lab.down()


def backend_pids(run, host):
    return serverfaults.backends(run.lab, host, VOLUME)


def have_memory():
    """Is there room in memory for the disks of a lab?"""
    shm = os.statvfs("/dev/shm")
    return shm.f_bavail * shm.f_frsize > 2 << 30
