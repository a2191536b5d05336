"""Did a call run twice?  Judged from the captures of all backends.

An *instance* is one life of a backend: it ends when its server is cut off or
its process dies.  A call seen twice within one instance ran twice: always
wrong.  A call seen in two instances is right exactly when what the first one
did was lost with it.  Whether it was is not in a capture.  What can be told
from outside:

  - an answered call must never be seen again;
  - of a call that makes, moves or removes a name, a second run over an
    effect that survived is answered EXIST or NOENT by the backend, whatever
    the client is told: that is a call that ran twice;
  - for WRITE, COMMIT, SETATTR and an unchecked CREATE a second run with the
    same arguments, before anything later of that file, makes no difference.

The rest is counted as reruns, by procedure; what the client got is judged by
its model (nfsload).
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from itertools import zip_longest

EXIST, NOENT = 17, 2
DYING_S = 0.1   # what reaches a dying backend is captured, and may not run
SURE_S = 0.010  # clocks of a capture and of a client, compared


@dataclass
class Seen:
    xid: str
    procedure: str
    times: int
    first: float   # wall clock, seconds
    latest: float
    status: int = -1         # of the first; -1: no reply was seen
    latest_status: int = -1


def read_list(path):
    """What callcount -l wrote: {identity: Seen}."""
    out = {}
    with open(path, encoding="ascii") as f:
        for line in f:
            xid, digest, procedure, times, first, latest, *status = \
                line.split()
            out[xid, digest, procedure] = Seen(
                xid, procedure, int(times), float(first), float(latest),
                *(-1 if x == "-" else int(x) for x in status))
    return out


def only(captures, wanted):
    """The captures' calls with certain XIDs."""
    return [(host, {k: s for k, s in seen.items() if wanted(s.xid)})
            for host, seen in captures]


def survived(places, told):
    """Does the last run's status say that an earlier one's effect is
    there? (Unless the first was refused as well, by what was seen of it, or
    by what the client was told.)"""
    last = max((s for _, s in places), key=lambda s: s.latest)
    first = min((s for _, s in places), key=lambda s: s.first)
    if first.status < 0:
        return told == 0 and last.latest_status not in (0, -1)
    return first.status == 0 and last.latest_status == {
        "CREATE": EXIST, "MKDIR": EXIST, "SYMLINK": EXIST, "MKNOD": EXIST,
        "LINK": EXIST, "REMOVE": NOENT, "RMDIR": NOENT,
        "RENAME": NOENT}.get(last.procedure)


def effective(seen, cut):
    """A sighting without what came when the host was cut off the disk, from
    `cut` on: that had no effect. None: nothing is left."""
    if cut is None or seen.latest < cut:
        return seen
    if seen.first >= cut or seen.times == 1:
        return None
    return replace(seen, times=seen.times - 1, latest=seen.first,
                   latest_status=seen.status)


def judge(captures, ends, answered, cuts=()):
    """(problems, reruns by procedure).

    captures: [(host, {identity: Seen})]; ends: {host: [when an instance
    ended]}; answered: {xid: (when its answer came or 0, its status)}; cuts:
    for each capture, when its host was cut off the disk for good, or None.
    All wall clock."""
    sightings, problems, reruns = defaultdict(list), [], Counter()
    for (host, seen), cut in zip_longest(captures, cuts):
        for identity, s in seen.items():
            s = effective(s, cut)
            if s:
                sightings[identity].append((host, s))
    for places in sightings.values():
        total = sum(s.times for _, s in places)
        if total == 1:
            continue
        allowed = sum(1 + sum(s.first < end + DYING_S and end < s.latest
                              for end in ends.get(host, ()))
                      for host, s in places)
        xid, what = places[0][1].xid, places[0][1].procedure
        where = ", ".join(f"{s.times} on {host}" for host, s in places)
        if total > allowed:
            problems.append(f"{what} {xid} ran {total} times in {allowed} "
                            f"lives of the backend ({where})")
            continue
        latest = max(s.latest for _, s in places)
        done, told = answered.get(xid, (0, -1))
        if done and latest > done + SURE_S:
            problems.append(f"{what} {xid} ran again {latest - done:.3f} s "
                            f"after its answer ({where})")
            continue
        if survived(places, told):
            problems.append(f"{what} {xid} ran again over what it had done "
                            f"({where})")
            continue
        reruns[what] += total - 1
    return problems, dict(reruns)
