"""The cases of tests/lab/servers: every fault that servers must ride out.

A case is a story: a function that makes faults in a running lab.  Its bars
are the issue's: from the fault the first reply within `first` ms (median of
the runs), all outstanding calls within a second more.  What else must hold
is said by its check function, which returns problems.

A move by hand begins when it is asked for, while the owner still serves: of
these the longest call is judged (`stall`), from each mark that begins with
the case's, in the median.

The owner of the volume is s1 as a story begins, s2 the next candidate.
"""

import time

import agentrpc
import bed
import faults
import programs
import shared
from bed import LabError
from pathrun import Bar
from serverrun import VOLUME

CASES = {}
CUT_MS, XFS_MS, MOVE_MS = 800, 1500, 500


class Case:
    def __init__(self, name, story, **kw):
        self.name, self.story = name, story
        self.text = story.__doc__.strip().split("\n")[0].rstrip(".")
        self.fence = kw.get("fence", "command")
        self.first = kw.get("first")  # ms
        self.stall = kw.get("stall")  # ms: the longest call of a move
        self.mark = kw.get("mark", "fault")
        self.runs = kw.get("runs")
        self.check = kw.get("check")
        self.load = kw.get("load", ["--io-max", "262144"])
        self.slots = kw.get("slots", 12)  # of each of two clients
        self.plain = kw.get("plain", True)
        self.fstype = kw.get("fstype", "ext4")
        self.conf = {"storage": [f'fence = "{self.fence}"'],
                     **kw.get("conf", {})}
        self.conf["storage"] = programs.override(
            [f'fence = "{self.fence}"'], kw.get("conf", {}).get(
                "storage", []))
        self.third = kw.get("third", False)  # a third server
        self.short = kw.get("short", False)  # in the short form
        # violations (by load and text) and doubles (by text) of this case
        self.allow = kw.get("allow", lambda load, text: False)
        self.control = kw.get("control")  # the story without hanfs


def case(name, **kw):
    def register(story):
        CASES[name] = Case(name, story, **kw)
        return story
    return register


def warm(r):
    r.hold(1.5)


# -- the owner's power

def cut_by_hand(r):
    warm(r)
    r.fault("server-cut", "s1")
    r.take_by_hand("s1", "s2")
    r.hold(3)


def cut_and_wait(r, *nets):
    warm(r)
    r.fault("server-cut", "s1", *nets)
    r.wait_serving("s2")
    r.hold(2)


@case("owner-cut", first=CUT_MS, short=True, control=cut_by_hand)
def owner_cut(r):
    """Power cut of the owner"""
    cut_and_wait(r)


@case("owner-cut-reservation", first=CUT_MS, fence="scsi")
def owner_cut_scsi(r):
    """Power cut of the owner, fenced by a SCSI-3 reservation"""
    cut_and_wait(r)


@case("owner-cut-xfs", first=XFS_MS, fstype="xfs")
def owner_cut_xfs(r):
    """Power cut of the owner, xfs"""
    cut_and_wait(r)


@case("owner-and-network-a-cut", first=CUT_MS, short=True)
def owner_and_a(r):
    """Power cut of the owner and of network A at once"""
    cut_and_wait(r, "A")


@case("owner-and-network-b-cut", first=CUT_MS)
def owner_and_b(r):
    """Power cut of the owner and of network B at once"""
    cut_and_wait(r, "B")


def lose_replies(r, networks, seconds):
    """Nothing from the owner reaches the clients any more."""
    for letter in networks:
        for client in r.lab.clients():
            r.fault("oneway-from-server", "s1", client, letter, mark=None)
    r.hold(seconds)


def replies_by_hand(r):
    warm(r)
    lose_replies(r, "A", 0.3)
    r.fault("server-cut", "s1")
    r.take_by_hand("s1", "s2")
    r.hold(3)


@case("replies-lost-owner-cut", first=CUT_MS, short=True,
      control=replies_by_hand)
def replies_lost(r):
    """Owner cut 300 ms after replies stopped arriving"""
    warm(r)
    lose_replies(r, bed.NETWORKS, 0.3)
    r.fault("server-cut", "s1")
    r.wait_serving("s2")
    r.hold(2)


def nothing_moves(r, load, out):
    """No client saw more than a hiccup, and the owner is the same."""
    bad = []
    if r.serving() != "s1":
        bad.append(f"the volume moved to {r.serving()}")
    return bad


@case("backup-cut", check=nothing_moves)
def backup_cut(r):
    """Power cut of the backup: nothing happens"""
    warm(r)
    r.fault("server-cut", "s2")
    r.hold(4)
    r.boot("s2")
    r.hold(3)


@case("both-in-turn", first=CUT_MS, mark="second")
def both_in_turn(r):
    """Power cut of both servers in turn"""
    warm(r)
    r.fault("server-cut", "s1", mark="first")
    r.wait_serving("s2")
    r.hold(1)
    r.boot("s1")
    r.wait_state("s1", ("standby",))
    r.hold(2)
    r.fault("server-cut", "s2", mark="second")
    r.wait_serving("s1")
    r.hold(2)


@case("third-candidate", third=True, mark="second")
def third_candidate(r):
    """Three candidates: the first two cut in turn, the third serves"""
    warm(r)
    r.fault("server-cut", "s1", mark="first")
    r.wait_serving("s2")
    r.hold(2)
    r.fault("server-cut", "s2", mark="second")
    r.wait_serving("s3", 30)
    r.hold(2)


@case("two-of-three-cut", third=True)
def two_of_three(r):
    """Three candidates: the first two cut at once, the third serves"""
    warm(r)
    r.fault("server-cut", "s2", mark=None)
    r.fault("server-cut", "s1")
    r.wait_serving("s3", 40)
    r.hold(2)


# -- programs die

@case("agent-kill", short=True)
def agent_kill(r):
    """SIGKILL of the owner's agent"""
    warm(r)
    r.fault("agent-kill", "s1")
    r.hold(1)
    r.wait("the volume to be served", r.serving, 20)
    r.hold(2)


@case("backend-kill", short=True)
def backend_kill(r):
    """SIGKILL of the backend"""
    warm(r)
    r.fault("backend-kill", VOLUME)
    r.hold(0.5)
    r.wait("the volume to be served", r.serving, 20)
    r.hold(2)


@case("agent-and-backend-kill")
def agent_backend_kill(r):
    """SIGKILL of agent and backend at once"""
    warm(r)
    r.fault("agent-backend-kill", VOLUME)
    r.hold(1)
    r.wait("the volume to be served", r.serving, 20)
    r.hold(2)


@case("agent-kill-loop")
def agent_kill_loop(r):
    """The agent killed in a loop on a live host"""
    warm(r)
    end = time.monotonic() + 8
    r.mark("fault", time.monotonic())
    while time.monotonic() < end:
        try:
            r.fault("agent-kill", "s1", mark=None)
        except LabError:
            pass  # it is just being started
        r.hold(0.5)
    r.wait("the volume to be served", r.serving, 30)
    r.hold(3)


@case("agent-frozen", first=None)
def agent_frozen(r):
    """The owner's agent stopped for longer than its lease, then continued"""
    warm(r)
    r.ended("s1", time.monotonic())
    r.fault("agent-freeze", "s1")
    r.wait_serving("s2", 40)
    r.hold(2)
    r.heal("agent-freeze")
    r.hold(2)
    # what an operator does once the host has let go
    r.lab.path("fault", "fenced").touch()
    r.san.ask("heal", "s1")
    r.lab.path("fault", "fenced").unlink()
    r.hold(4)


# -- networks and disks

def moved(r, load, out):
    return [] if r.serving() == "s2" else \
        [f"the volume is served by {r.serving()}"]


@case("owner-networks-lost", check=moved)
def networks_lost(r):
    """The owner loses both networks, not the disk"""
    warm(r)
    r.fault("networks-lost", "s1")
    r.wait_serving("s2", 30)
    r.hold(2)
    r.heal()
    r.hold(3)


@case("owner-disk-lost", check=moved)
def disk_lost(r):
    """The owner loses the disk, but no network"""
    warm(r)
    r.ended("s1", time.monotonic())
    r.fault("disk-lost", f"s1.{VOLUME}")
    r.wait_serving("s2", 40)
    r.hold(2)
    r.heal()
    r.hold(3)


@case("servers-apart", check=nothing_moves)
def servers_apart(r):
    """The servers cut off from each other, the disk works: nothing moves"""
    warm(r)
    r.fault("servers-apart")
    r.hold(12)
    r.heal()
    r.hold(1)


@case("disk-slow", check=nothing_moves)
def disk_slow(r):
    """Shared disk slow, 500 ms a write for 10 s: nothing moves"""
    warm(r)
    r.fault("disk-slow", f"*.{VOLUME}", "500")
    r.hold(10)
    r.heal()
    r.hold(3)


def refused(text):
    """The claimant stays standby, and says why."""
    def check(r, load, out):
        said = r.lab.path("log", "s2.hanfs-agent").read_text(
            errors="replace")
        return [] if text in said else [f"s2's agent never said “{text}”"]
    return check


def never_moves(r, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if r.serving() == "s2":
            r.problems.append("s2 took the volume without a fence")
            return
        r.hold(0.25)


@case("no-fence", fence="none", check=refused("fence"))
def no_fence(r):
    """No fence configured: the claimant refuses and says so"""
    warm(r)
    r.fault("server-cut", "s1")
    never_moves(r, 10)
    r.boot("s1")
    r.wait_serving("s1", 30)
    r.hold(2)


@case("fence-fails", check=refused("does not answer"))
def fence_fails(r):
    """The fence command fails, then works"""
    warm(r)
    r.fault("fence-fails", mark=None)
    r.fault("server-cut", "s1")
    never_moves(r, 6)
    r.heal("fence-fails")
    r.wait_serving("s2", 40)
    r.hold(2)


@case("disk-readonly")
def disk_readonly(r):
    """The file system turns read-only for 5 s, then is well again"""
    warm(r)
    r.ended(None, time.monotonic())
    r.fault("disk-readonly", f"*.{VOLUME}")
    r.hold(5)
    r.heal()
    r.wait("the volume to be served", r.serving, 40)
    r.hold(3)


# -- there and back

def boot_back(r):
    r.boot("s1")
    r.wait_state("s1", ("standby", "serving"), 20)


@case("reintegration-auto", conf={"storage": ['failback = "auto"']},
      stall=MOVE_MS, mark="move")
def reintegration_auto(r):
    """The server is back after a crash: reintegration under load"""
    warm(r)
    r.fault("server-cut", "s1")
    r.wait_serving("s2")
    r.hold(1)
    r.boot("s1")
    r.wait("s2 to give it up", lambda: r.state("s2") != "serving", 30)
    at = time.monotonic()
    r.ended("s2", at)
    r.mark("move", at)
    r.wait_serving("s1", 30)
    r.hold(2)


def move(r, host, mark="move"):
    at = time.monotonic()
    other = "s2" if host == "s1" else "s1"
    r.ended(other, at)
    r.mark(mark, at)
    r.ctl(other, "volume", VOLUME, "move", host)
    r.wait_serving(host, 20)


@case("reintegration-by-hand", stall=MOVE_MS, mark="move", short=True)
def reintegration_hand(r):
    """The server is back after a crash: moved back by hand under load"""
    warm(r)
    r.fault("server-cut", "s1")
    r.wait_serving("s2")
    r.hold(1)
    boot_back(r)
    r.hold(1)
    move(r, "s1")
    r.hold(2)


@case("ten-moves", stall=MOVE_MS, mark="move")
def ten_moves(r):
    """Ten moves back and forth"""
    warm(r)
    for i in range(10):
        move(r, "s2" if i % 2 == 0 else "s1", mark=f"move{i}" if i else
             "move")
        r.hold(1)
    r.hold(1)


@case("move-dirty", stall=MOVE_MS, mark="move",
      load=["-x", "write", "--io-max", "1048576"])
def move_dirty(r):
    """A move with 256 MiB dirty on a 100 MiB/s disk"""
    for host in r.lab.servers():
        r.san.ask("rate", f"{host}/{VOLUME}", 100 << 20)
    path = f"/srv/{VOLUME}/export/dirty"
    r.hold(1)
    r.lab.inside("s1", "sh", "-c", f"head -c {256 << 20} /dev/zero >{path}")
    move(r, "s2")
    r.hold(2)


def undecidable(load, text):
    """Of the silent client's calls that may have run, and whose replies are
    forgotten: IO after undecidable_wait, never a success. COMMIT and WRITE
    are harmless to repeat, and do."""
    return (load == "two" and "status 5," in text) or \
        (load == "twice" and text.split()[0] in ("COMMIT", "WRITE"))


def reported(r, load, out):
    """The crafted case: some are undecidable, at most those in flight."""
    failed = out["loads"]["two"]["errors"]
    said = r.lab.path("log", "s1.hanfs-agent").read_text(errors="replace")
    if failed > r.case.slots:
        return [f"{failed} calls failed, {r.case.slots} were in flight"]
    if failed and "undecidable:" not in said:
        return ["the agent did not say that calls are undecidable"]
    return []


@case("silent-client", check=reported, allow=undecidable,
      conf={"agent": ["retain_s = 10", "undecidable_wait_s = 3"]})
def silent_client(r):
    """A client silent for longer than retain: undecidable, and said so"""
    warm(r)
    for letter in bed.NETWORKS:
        faults.inject(r.lab, "carrier-client", letter, "c2")
    r.mark("fault", time.monotonic())
    r.hold(14)
    r.heal()
    r.hold(8)


# -- space

def removals_work(r, load, out):
    return [] if r.note == "removed" else ["REMOVE did not work: " + r.note]


def full(r):
    warm(r)
    names = [f"/srv/{VOLUME}/export/victim{i}" for i in range(8)]
    r.lab.inside("s1", "touch", *names)
    r.fault("volume-full", VOLUME)
    r.hold(2)
    r.note = remove_through(r, len(names))
    r.heal()
    r.hold(1)


def remove_through(r, count):
    """REMOVE through the first client's proxy, on a full volume."""
    try:
        conn = agentrpc.Conn(r.lab, "c1", ("127.77.0.1", 2049), timeout=10)
        root = agentrpc.mount(conn, 1, f"/{VOLUME}")
        for i in range(count):
            reply = conn.call(2 + i, agentrpc.NFS, 3, agentrpc.REMOVE,
                              agentrpc.dirop(root, f"victim{i}"))
            status = reply.u32()
            if status:
                return f"status {status}"
        conn.close()
        return "removed"
    except (OSError, agentrpc.RpcError, agentrpc.Closed) as e:
        return f"{type(e).__name__} {e}"


def allows_nospc(name, fstype):
    @case(name, fstype=fstype, check=removals_work, plain=False,
          load=["--io-max", "65536", "--full"])
    def story(r):
        """File system full, REMOVE still works"""
        full(r)
    CASES[name].text = f"File system full ({fstype}), REMOVE still works"


allows_nospc("full-ext4", "ext4")
allows_nospc("full-xfs", "xfs")


# -- a rehearsal

def was_away(r, load, out):
    return [] if {x["host"] for x in out["writes"][VOLUME]["turns"]} \
        == {"s1", "s2"} else ["s2 never had the volume"]


@case("drill", check=was_away)
def drill(r):
    """A rehearsed takeover and return, by hanfsctl drill"""
    warm(r)
    at = time.monotonic()
    r.mark("fault", at)
    r.note = r.ctl("s1", "drill", VOLUME)  # until it is back
    for host in r.lab.servers():
        r.ended(host, at)
    r.wait_serving("s1", 30)
    r.hold(2)


# -- what a run is held against

def late(case_, result):
    """Was the first reply later than its bar, or a move longer? (The
    medians are judged.)"""
    return (case_.first and result.get("first_ms", 0) > case_.first) or \
        (case_.stall and result.get("move_ms", 0) > case_.stall)


def bars(case_, result):
    if case_.first and result.get("all_ms", 0) > case_.first + 1000:
        return [Bar(f"the last call took {result['all_ms']:.0f} ms, "
                    f"{case_.first + 1000} allowed")]
    return []


def is_served(lab):
    return shared.serving(lab, VOLUME)
