"""Cases of tests/lab/servers about what cuts an owner off from inside.

With fence "watchdog" the owner's own watchdog resets it, and whoever claims
the volume waits for that.

The watchdog is the san's (san/dog.c), on which the agent's own code does what
it does on a real one. When it fires, the host is cut off its disks at once,
and then loses its power here.  A takeover takes the lease and two timeouts of
the watchdog: it is a case's to say so, there is no bar for it.
"""

import os
import threading
import time
from pathlib import Path

import programs
import serverrun
import shared
from bed import LabError
from san import DOG, Note, Write
from servercases import case, move, nothing_moves, warm

LEASE_S, DOG_S = 5, 1
OTHER = "work"  # a volume whose owner is s2 at first
PATIENT_S = 5  # of a watchdog that an agent's restart is no reason for
TAKES_S = 30  # lease, watchdog, and then a takeover on a busy machine


def conf(seconds=DOG_S):
    return {"agent": [f'watchdog = "{DOG}"', f"watchdog_s = {seconds}",
                      f"lease_ms = {LEASE_S * 1000}"]}


class Dog(threading.Thread):
    """Takes the power from a host when its watchdog has fired."""

    def __init__(self, r, host):
        super().__init__(daemon=True)
        self.r, self.host = r, host
        self.over = threading.Event()
        self.fired = False
        self.start()

    def run(self):
        while not self.over.wait(0.01):
            try:
                if self.r.san.dogs()[self.host] != "fired":
                    continue
            except (LabError, OSError):
                continue  # the lab is ending
            self.fired = True
            self.r.fault("server-cut", self.host, mark="reset")
            return

    def end(self):
        self.over.set()
        self.join()
        return self.fired


def waited(r, load, out):
    """s2 has the volume, by the watchdog's time and no sooner."""
    log = r.san.writes()
    cut = [x.at for x in log if isinstance(x, Note) and x.text == "cut s1"]
    last = [x.ended for x in log if isinstance(x, Write) and x.host == "s1"
            and x.volume == serverrun.VOLUME and x.area == "ctl"
            and x.landed() and x.ended < cut[0]] if cut else []
    first = [x.began for x in log if isinstance(x, Write) and x.host == "s2"
             and x.volume == serverrun.VOLUME and x.area == "img"]
    said = r.lab.path("log", "s2.hanfs-agent").read_text(errors="replace")
    bad = []
    if not cut or not last or not first:
        return ["s1 was not cut, or s2 never wrote"]
    wait = first[0] - max(last)
    if wait < LEASE_S + 2 * DOG_S:
        bad.append(f"s2 wrote {wait:.1f} s after the last renewal of s1")
    if first[0] < cut[0]:
        bad.append("s2 wrote before s1 was reset")
    if "its watchdog fire" not in said:
        bad.append("s2 never said what it waits for")
    return bad


def armed(r):
    warm(r)
    if r.san.dogs()["s1"] != "armed":
        raise LabError("the owner's agent has not armed its watchdog")


@case("watchdog-owner-cut", fence="watchdog", conf=conf(), check=waited)
def owner_cut(r):
    """Power cut of the owner: its watchdog's time is waited for"""
    armed(r)
    r.fault("server-cut", "s1")
    r.wait_serving("s2", TAKES_S)
    r.hold(2)


def resets(r, *fault):
    """The fault has the watchdog fire; s2 takes over, s1 comes back."""
    armed(r)
    dog = Dog(r, "s1")
    r.fault(*fault)
    r.wait_serving("s2", TAKES_S)
    if not dog.end():
        r.problems.append("the watchdog never fired")
        return
    r.hold(1)
    r.boot("s1")
    r.wait_state("s1", ("standby",))
    r.hold(2)


@case("watchdog-agent-frozen", fence="watchdog", conf=conf(), check=waited,
      short=True)
def agent_frozen(r):
    """The owner's agent stopped for ever: its watchdog resets the server"""
    resets(r, "agent-freeze", "s1")


@case("watchdog-disk-stall", fence="watchdog", conf=conf(), check=waited)
def disk_stalls(r):
    """The disk answers the owner nothing: its watchdog resets it"""
    resets(r, "disk-stall", f"s1.{serverrun.VOLUME}")


def stayed(r, load, out):
    bad = nothing_moves(r, load, out)
    if any(isinstance(x, Note) and x.text.startswith("watchdog")
           for x in r.san.writes()):
        bad.append("a watchdog fired")
    return bad


@case("watchdog-agent-kill", fence="watchdog", conf=conf(PATIENT_S),
      check=stayed)
def agent_kill(r):
    """SIGKILL of an agent with two volumes: back before its watchdog fires"""
    armed(r)
    r.ctl("s2", "volume", OTHER, "move", "s1")
    r.wait(f"s1 to serve {OTHER}",
           lambda: shared.serving(r.lab, OTHER) == "s1", 20)
    r.fault("agent-kill", "s1")
    r.hold(1)
    r.wait("the volume to be served", r.serving, 20)
    r.wait(f"{OTHER} to be served",
           lambda: shared.serving(r.lab, OTHER), 20)
    r.hold(2 * PATIENT_S)


@case("watchdog-moves", fence="watchdog", conf=conf(PATIENT_S), check=stayed)
def moves(r):
    """Moves with watchdogs armed: neither fires, nothing is waited for"""
    armed(r)
    began = time.monotonic()
    for host in ("s2", "s1"):
        move(r, host)
        r.hold(1)
    if time.monotonic() - began > LEASE_S + 2:
        r.problems.append("a move waited for a lease or a watchdog")
    r.hold(2 * PATIENT_S)


# -- a device that the owner alone has

ASSEMBLED = "/run/assembled-"
MAKE = ("[ -b {0}$HANFS_VOLUME ] || mknod {0}$HANFS_VOLUME b "
        "$(stat -L -c '0x%t 0x%T' /run/san/$HANFS_VOLUME)")
UNMAKE = ("! ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q {0}$HANFS_VOLUME$ "
          "&& rm -f {0}$HANFS_VOLUME")


def holds(r, host):
    """Does the host's agent have the volume's device open?"""
    pid = programs.outer_pid(r.lab, host, "hanfs-agent")
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(fd) == ASSEMBLED + serverrun.VOLUME:
                return True
        except OSError:
            pass
    return False


@case("assembled", conf={"storage": [
    f'device = "{ASSEMBLED}{{volume}}"',
    f'assemble = "{MAKE.format(ASSEMBLED)}"',
    f'disassemble = "{UNMAKE.format(ASSEMBLED)}"']})
def assembled(r):
    """A device that is assembled: the guard has it, but not in the way"""
    warm(r)
    for host, other in (("s2", "s1"), ("s1", "s2")):
        if not holds(r, other):
            r.problems.append(f"the guard of {other} has not its device")
        move(r, host)
        r.wait_state(other, ("standby",))
        if holds(r, other):
            r.problems.append(f"{other} has a device that it took apart")
        r.hold(1)
    r.fault("server-cut", "s1")
    r.wait_serving("s2")
    if not holds(r, "s2"):
        r.problems.append("the guard of s2 has not its device")
    r.hold(2)
