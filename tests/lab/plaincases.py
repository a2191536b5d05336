"""Cases of tests/lab/servers about the client without a proxy, at the service
address: it has its connection reset by the new owner as soon as that has the
address, and does not wait for its own time-out (5 s here, 60 s of a kernel).
"""

from serverrun import TIMEO_S, VOLUME
from servercases import case, move, warm

NUDGED_MS = TIMEO_S * 500  # a takeover on a busy machine, and then at once


def nudged(*marks):
    """None of its calls after those marks took as long as its time-out."""
    def check(r, loads, out):
        seen = {m["name"]: m for m in out["loads"]["plain"]["marks"]}
        bad = []
        for name in marks:
            m = seen.get(name)
            if m is None or m["lost"]:
                bad.append(f"calls of the plain client were lost at {name}")
            elif m["stall_ms"] > NUDGED_MS:
                bad.append(f"the plain client waited {m['stall_ms']:.0f} ms "
                           f"after {name}")
        return bad
    return check


@case("plain-moves", check=nudged("away", "back"))
def plain_moves(r):
    """A volume moves away and back: a client without proxy goes with it"""
    warm(r)
    move(r, "s2", mark="away")
    r.hold(3)
    move(r, "s1", mark="back")
    r.hold(3)


@case("plain-cut", check=nudged("fault"))
def plain_cut(r):
    """Power cut of the owner: a client without proxy goes on at once"""
    warm(r)
    # its calls have arrived and wait: its TCP has nothing to send again, and
    # would not notice
    r.fault("disk-slow", f"s1.{VOLUME}", "1500", mark=None)
    r.hold(1)
    r.fault("server-cut", "s1")
    r.wait_serving("s2")
    r.hold(3)
