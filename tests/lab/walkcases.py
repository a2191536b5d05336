"""Cases of tests/lab/servers: a power cut at every step of a takeover and of
a move."""

import threading
import time

from bed import LabError
from servercases import case, warm
from serverrun import VOLUME

STEPS_UP = ("claiming", "fencing", "taking", "assembling", "mounting",
            "starting-backend", "verifying", "recovering", "serving")
STEPS_DOWN = ("syncing", "draining", "removing-address", "closing",
              "stopping-backend", "unmounting", "disassembling", "releasing")


class Watcher(threading.Thread):
    """Cuts a server off the moment its agent says that it has reached a
    step."""

    def __init__(self, r, host, step):
        super().__init__(daemon=True)
        self.r, self.host, self.step = r, host, step
        self.path = r.lab.path("log", f"{host}.hanfs-agent")
        self.start_at = self.path.stat().st_size
        self.over = threading.Event()
        self.hit = None

    def run(self):
        wanted = f"-> {self.step}:"
        while not self.over.is_set():
            with open(self.path, encoding="utf-8", errors="replace") as f:
                f.seek(self.start_at)
                text = f.read()
            if any(wanted in x and VOLUME in x for x in text.splitlines()):
                self.hit = time.monotonic()
                self.r.fault("server-cut", self.host, mark="cut")
                return
            time.sleep(0.001)


def recover_both(r):
    """Whoever is off is booted; somebody must serve in the end."""
    for host in r.lab.servers():
        if not r.lab.pid(host):
            r.boot(host, mark=None)
    r.wait("the volume to be served", r.serving, 60)
    r.hold(2)


def walk_up(step):
    def story(r):
        warm(r)
        w = Watcher(r, "s2", step)
        w.start()
        r.fault("server-cut", "s1")
        w.join(20)
        w.over.set()
        if w.hit is None:
            r.problems.append(f"s2 never was {step}")
        r.hold(0.5)
        recover_both(r)
    story.__doc__ = f"The next owner cut as well, at its step “{step}”"
    return story


def walk_down(step, which):
    def story(r):
        warm(r)
        host = "s1" if which == "old" else "s2"
        w = Watcher(r, host, step)
        w.start()
        r.ended("s1", time.monotonic())
        try:
            r.ctl("s1", "volume", VOLUME, "move", "s2")
        except LabError:
            if w.hit is None:
                raise  # else it was cut off with its host
        w.join(20)
        w.over.set()
        if w.hit is None:
            r.problems.append(f"{host} never was {step}")
        r.hold(0.5)
        recover_both(r)
    story.__doc__ = f"A move: the {which} owner cut at its step “{step}”"
    return story


def walks():
    for step in STEPS_UP:
        case(f"walk-takeover-{step}", runs=1)(walk_up(step))
        if step != "fencing":  # what is granted needs no fence
            case(f"walk-move-new-{step}", runs=1)(walk_down(step, "new"))
    for step in STEPS_DOWN:
        case(f"walk-move-old-{step}", runs=1)(walk_down(step, "old"))


walks()
