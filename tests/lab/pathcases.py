"""The cases of the path tests: every fault that a client must ride out.

A case is a story: a function that makes faults in a running lab.  Its bars
are the issue's: from the fault, the first call outstanding is answered
within `first` ms (median of the runs), all of them within a second more.
What else must hold is said by its check function, which returns problems.
"""

import time

import bed
from pathrun import Bar

CASES = {}


class Case:
    def __init__(self, name, story, **kw):
        self.name, self.story = name, story
        self.text = story.__doc__.strip().split("\n")[0].rstrip(".")
        self.first = kw.get("first")  # ms
        self.mark = kw.get("mark", "fault")  # from which it counts
        self.runs = kw.get("runs")  # instead of the usual number
        self.check = kw.get("check")
        self.load = kw.get("load", ["-n", "20"])
        self.conf = kw.get("conf", {})
        self.held = kw.get("held", True)  # the proxy's sockets
        self.long = kw.get("long", False)  # not in the short form
        self.doubles_allowed = kw.get("doubles_allowed", False)


def case(name, **kw):
    def register(story):
        CASES[name] = Case(name, story, **kw)
        return story
    return register


def warm(r):
    r.hold(1)


# -- one network dies

def dies(*fault):
    def story(r):
        warm(r)
        r.fault(*fault)
        r.hold(2)
        r.heal()
        r.hold(1)
    return story


def one_network(name, text, first, *fault):
    story = dies(*fault)
    story.__doc__ = text
    case(name, first=first)(story)


one_network("carrier-client", "Carrier lost at the client", 100,
            "carrier-client", "A")
one_network("carrier-server", "Carrier lost at the server", 100,
            "carrier-server", "s1", "A")
one_network("switch-dead", "Switch dead, carriers up", 300,
            "switch-dead", "A")
one_network("oneway-from-server", "Server to client lost", 1000,
            "oneway-from-server", "s1", "c1", "A")
one_network("oneway-to-server", "Client to server lost, heartbeats arrive",
            1000, "oneway-to-server", "s1", "c1", "A")
one_network("iface-remove", "Interface removed and added again", 100,
            "iface-remove", "A")
one_network("addr-change", "The client's address changes", 300,
            "addr-change", "c1", "A", "10.81.1.99")


# -- one network is bad

def share_of(r, letter, begin, end):
    sent = r.watch.between(begin, end)
    return sent[letter] / max(1, sum(sent.values()))


def check_loss(r, load, calls):
    """After 2 s at least 95% of calls go over the clean network."""
    sent = {}
    begin = r.marks["fault"] + 2 + time.time() - time.monotonic()
    end = r.marks["healed"] + time.time() - time.monotonic()
    for letter, count in r.captures.items():
        r.read_count(count)
        lines = (line.split() for line in
                 open(f"{count.out}.err", encoding="ascii"))
        sent[letter] = sum(
            1 for w in lines if len(w) == 6 and w[5] != "NULL"
            and begin <= float(w[0]) <= end)
    share = sent["B"] / max(1, sum(sent.values()))
    if share < 0.95 or sent["B"] < 100:
        return [Bar(f"after 2 s {share:.1%} of {sum(sent.values())} calls "
                    "went over the clean network")]
    return []


@case("loss-30", check=check_loss, load=["-n", "20", "--io-max", "65536"])
def loss(r):
    """30% of one network's packets lost"""
    r.captures = {x: r.counter(x, "c1", "-i", bed.net(x)[1], "-o", "-v",
                               "-p", r.port, "-B", "64")
                  for x in bed.NETWORKS}
    warm(r)
    r.fault("loss", "A", "30")
    r.hold(6)
    r.heal()
    r.hold(1)


def check_on_a(r, load, calls):
    """The network in use is not left."""
    share = share_of(r, "A", r.marks["fault"] + 0.5, r.marks["healed"])
    if share < 0.95:
        return [Bar(f"only {share:.0%} of the bytes stayed on network A")]
    return []


@case("nobcast", check=check_on_a)
def nobcast(r):
    """Broadcast filtered, unicast works: the path is not left"""
    warm(r)
    r.fault("nobcast", "A")
    r.hold(5)
    r.heal()
    r.hold(0.5)


def check_flap(r, load, calls):
    """At most 2 switches a minute after the first three."""
    begin, end = r.marks["fault"], r.marks["healed"]
    switches = r.watch.switches(begin, end)
    allowed = 3 + 2 * -(-(end - begin) // 60)
    if len(switches) > allowed:
        times = ", ".join(f"{s - begin:.1f}" for s in switches)
        return [Bar(f"{len(switches)} switches in {end - begin:.0f} s "
                    f"(at {times}), {allowed:.0f} allowed")]
    return []


@case("flap", check=check_flap)
def flap(r):
    """One network flaps once a second for 20 s"""
    warm(r)
    r.fault("flap", "A")
    r.hold(20)
    r.heal()
    r.hold(1)


@case("delay-25")
def delay(r):
    """25 ms delay on one network"""
    warm(r)
    r.fault("delay", "A", "25")
    r.hold(3)
    r.heal()
    r.hold(1)


# -- both networks die

def both_down(r, seconds):
    warm(r)
    r.fault("both-down")
    r.hold(seconds)
    r.heal("switch-dead", "B", mark="back")
    r.hold(4)
    r.heal()
    r.hold(0.5)


@case("both-down-10", first=1000, mark="back")
def both_down_10(r):
    """Both networks down for 10 s, then one back"""
    both_down(r, 10)


@case("both-down-150", first=1000, mark="back", runs=3, long=True)
def both_down_150(r):
    """Both networks down for 150 s, then one back"""
    both_down(r, 150)


# -- programs die

def held(r, load, calls):
    """A socket that is held: connections wait, and none is refused."""
    bad = []
    if not load.get("reconnects"):
        bad.append("the client never had to reconnect")
    if load.get("refused"):
        bad.append(f"{load['refused']} connections were refused")
    return bad


def refused(r, load, calls):
    return [] if load.get("reconnects") and load.get("refused") else \
        ["no connection was refused"]


def killed_proxy(r):
    warm(r)
    r.fault("proxy-kill")
    r.hold(3)


@case("proxy-kill", load=["-n", "20", "--reconnect"], check=held)
def proxy_kill(r):
    """The proxy killed and started again"""
    killed_proxy(r)


@case("proxy-kill-refused", load=["-n", "20", "--reconnect"],
      check=refused, held=False)
def proxy_kill_refused(r):
    """The proxy killed, with nobody to hold its sockets"""
    killed_proxy(r)


@case("detector-kill")
def detector_kill(r):
    """The detector killed, away for 2 s"""
    warm(r)
    r.fault("detector-down")
    r.hold(2)
    r.heal()
    r.hold(1)


def only_doubles(r, load, calls):
    """No call is lost; a wrong answer only where a call ran twice."""
    xids = {f"{d['xid']:08x}" for d in calls["doubles"]}
    return [v for v in load["violations"]
            if v.partition("xid ")[2][:8] not in xids]


@case("agent-kill", check=only_doubles, doubles_allowed=True)
def agent_kill(r):
    """The agent killed and started again: all calls complete"""
    warm(r)
    r.fault("agent-kill")
    r.hold(3)


def check_stop(r, load, calls):
    """A backend that pauses is no path fault: nothing moves to B."""
    share = share_of(r, "A", r.marks["fault"], r.marks["healed"] + 1)
    if share < 0.95:
        return [Bar(f"only {share:.0%} of the bytes stayed on network A")]
    return []


@case("backend-stop", check=check_stop)
def backend_stop(r):
    """The backend stopped for 5 s: no path fault"""
    warm(r)
    r.fault("backend-stop", "home")
    r.hold(5)
    r.heal()
    r.hold(1.5)


@case("disk-full", first=100)
def disk_full(r):
    """The client's local disk full, then carrier lost"""
    warm(r)
    r.fault("client-disk-full", mark="full")
    r.hold(1)
    r.fault("carrier-client", "A")
    r.hold(2)
    r.heal()
    r.hold(1)


# -- memory

def check_memory(r, load, calls):
    mib = r.watch.rss_kib / 1024
    r.note = f"proxy RSS {mib:.0f} MiB"
    down = [m for m in load["marks"] if m["name"] == "fault"][0]
    bad = []
    if mib > 96 or mib < 1:
        bad.append(f"the proxy's RSS was {mib:.0f} MiB")
    if down["outstanding"] < 512:
        bad.append(Bar(f"only {down['outstanding']} calls were "
                       "outstanding"))
    return bad


@case("memory", check=check_memory, runs=1,
      load=["--writes-1m", "512", "--drain", "180"])
def memory(r):
    """512 WRITEs of 1 MiB outstanding, both networks down for 60 s"""
    warm(r)
    r.hold(2)
    r.fault("both-down")
    r.hold(8 if r.options.short else 60)
    r.heal(mark="back")
    r.hold(3)
