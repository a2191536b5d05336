"""Cases of tests/lab/servers where an administrator ends the owner's agent:
it hands over, however long that takes, and nobody is fenced.
"""

import os
import signal
import time

import bed
import programs
from servercases import MOVE_MS, case, warm
from serverrun import VOLUME

SLOW_RATE = 24 << 20
DIRTY = 28 * SLOW_RATE  # longer than the agent waits without a word


def stop(r, seconds):
    programs.hold(r.lab, "s1", "hanfs-agent")
    pid = programs.outer_pid(r.lab, "s1", "hanfs-agent")
    at = time.monotonic()
    r.ended("s1", at)
    r.mark("fault", at)
    os.kill(pid, signal.SIGHUP)  # changes nothing
    os.kill(pid, signal.SIGTERM)
    r.wait("the agent to end", lambda: not bed.start_time(pid), seconds)
    r.wait_serving("s2", 20)


def handed_over(r, load, out):
    said = r.lab.path("log", "s2.hanfs-agent").read_text(errors="replace")
    return ["s1 was to be fenced"] if "s1 is to be fenced" in said else []


@case("agent-stop", stall=MOVE_MS, check=handed_over)
def agent_stop(r):
    """The owner's agent is ended: it hands over, and nobody is fenced"""
    warm(r)
    proxy = programs.outer_pid(r.lab, "c1", "hanfs-proxy")
    os.kill(proxy, signal.SIGHUP)  # changes nothing
    stop(r, 20)
    r.hold(2)
    if programs.outer_pid(r.lab, "c1", "hanfs-proxy") != proxy:
        r.problems.append("the proxy was ended by SIGHUP")


@case("agent-stop-dirty", load=["-x", "names"], check=handed_over)
def agent_stop_dirty(r):
    """The same with 672 MiB dirty on a 24 MiB/s disk: it takes its time"""
    path = f"/srv/{VOLUME}/export/dirty"
    r.hold(1)
    r.san.ask("rate", f"s1/{VOLUME}", SLOW_RATE)
    r.lab.inside("s1", "sh", "-c", f"head -c {DIRTY} /dev/zero >{path}")
    stop(r, 150)
    r.hold(2)
