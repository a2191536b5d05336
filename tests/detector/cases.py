"""What must hold, one function each; its first line is its name."""
import json
import os
import re
import signal
import socket
import struct
import subprocess
import time

from bed import Failed, NETWORKS, run, wait_for

CAP_NET_RAW = 13


def expect(condition, what):
    if not condition:
        raise Failed(what)


def status_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1)
                    for line in f if ":\t" in line)


def expect_privileges(pid, capabilities):
    st = status_of(pid)
    for name, value in (("CapEff", capabilities), ("CapPrm", capabilities),
                        ("CapInh", 0), ("CapBnd", 0), ("CapAmb", 0)):
        expect(int(st[name], 16) == value, f"{name} is {st[name]}")
    expect(st["NoNewPrivs"] == "1", "NoNewPrivs is not set")
    expect("0" not in st["Uid"].split(), f"uid {st['Uid']}")
    expect(st["Groups"].strip() == "", f"groups {st['Groups']}")
    expect(os.listdir(f"/proc/{pid}/root/") == [], "its root is not empty")


def ask(bed, what):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(bed.path("run/detector.sock"))
        s.sendall(f"show {what}\n".encode())
        with s.makefile() as f:
            return json.load(f)


def prints_both_networks(bed):
    """each network's heartbeats are printed, none is lost"""
    s, d = bed.both()
    s.tell("volume 1 7 serving")
    d.wait_line(r" neta A s1 boot \d+ seq \d+ home 7 serving; jitter \d")
    for interface in NETWORKS:
        d.wait_line(rf" {interface} .* seq 30 .*lost 0$")
    status = d.end(signal.SIGINT)
    expect(status == 0, f"exit status {status}")
    d.wait_line(r"^neta A s1: \d+ heartbeats, 0 lost \(0.0%\), jitter ")
    d.wait_line(r"^netb B s1: \d+ heartbeats, 0 lost ")


def keeps_one_capability(bed):
    """CAP_NET_RAW alone, an own user, an empty root"""
    _, d = bed.both()
    expect_privileges(d.pid, 1 << CAP_NET_RAW)


def udp_keeps_none(bed):
    """--udp hears the same and keeps no capability"""
    bed.sender()
    d = bed.detector("--print", "--udp")
    for interface in NETWORKS:
        d.wait_line(rf" {interface} \S+ s1 .*seq")
    expect_privileges(d.pid, 0)


def change_is_told_at_once(bed):
    """a changed volume table does not wait for its turn"""
    bed.write_config(interval_ms=3000)
    try:
        s, d = bed.sender(), bed.detector("--print")
        d.wait_line("neta: listening")
        d.wait_line("netb: listening")
        s.tell("volume 1 8 draining")
        d.wait_line(r" neta .* home 8 draining", deadline=1)
        d.wait_line(r" netb .* home 8 draining", deadline=1)
    finally:
        bed.write_config()


def unicast_counts(bed):
    """where broadcast is filtered, a subscriber still hears"""
    s, d = bed.both()
    for rule in ("add table ip t",
                 "add chain ip t out { type filter hook output priority 0; }",
                 "add rule ip t out ip daddr 10.81.1.255 drop"):
        bed.on_server("nft", rule)
    try:
        s.tell("subscribe 10.81.1.21 9077 60000")
        n = d.here()
        for _ in range(3):
            n += 1
            d.wait_line(r" neta .* lost \d+.*, unicast$", n)
    finally:
        bed.on_server("nft", "delete table ip t")
    # with both, the second copy is dropped, and changes nothing
    d.wait_line(r" neta dropped: duplicate", d.here())


def refuses_foreign_subscribers(bed):
    """who is in none of the networks cannot subscribe"""
    s = bed.sender()
    try:
        s.tell("subscribe 192.0.2.1 9077 1000")
    except Failed as e:
        expect("unreachable" in str(e), str(e))
    else:
        raise Failed("it could")


def hears_ipv6(bed):
    """a network of IPv6 is heard, with and without libpcap"""
    bed.add_interface("netc", "fd00:83", "{net}::{host}/64")
    try:
        bed.write_config(
            extra='network "C" { prefix = {"fd00:83::/64"} }',
            addresses='"10.81.1.11", "fd00:83::11"')
        s = bed.sender()
        for how in ([], ["--udp"]):
            d = bed.detector("--print", "-v", *how)
            d.wait_line(r" netc C s1 boot \d+ seq")
            d.wait_line(r" neta A s1 boot \d+ seq")
        s.tell("subscribe fd00:83::21 9077 5000")
        d.wait_line(r" netc dropped: duplicate, from \[fd00:83::11\]:")
    finally:
        bed.write_config()
        run("ip", "link", "del", "netc")


def interface_comes_back(bed):
    """an interface removed and added again is heard again"""
    s, d = bed.both()
    n = d.here()
    run("ip", "link", "del", "neta")
    d.wait_line("neta: not listening any more", n)
    s.wait_line(r"network A \(neta\): stopped")
    n = d.here()
    bed.add_interface("neta")
    d.wait_line(r" neta A s1 .*seq", n)
    d.wait_line(r" netb B s1 .*lost 0$", n)


def address_comes_back(bed):
    """an address removed and added again is heard again"""
    s, d = bed.both()
    n = d.here()
    run("ip", "addr", "del", "10.81.1.21/24", "dev", "neta")
    bed.on_server("ip", "addr", "del", "10.81.1.11/24", "dev", "neta")
    d.wait_line("neta: not listening any more", n)
    s.wait_line(r"network A \(neta\): stopped: it lost the address")
    n = d.here()
    bed.on_server("ip", "addr", "add", "10.81.1.11/24", "dev", "neta")
    run("ip", "addr", "add", "10.81.1.21/24", "dev", "neta")
    d.wait_line(r" neta A s1 .*seq", n)


def reload_changes_keys(bed):
    """SIGHUP takes another key, from a file that was replaced"""
    _, d = bed.both()
    try:
        bed.write_config(key_of_s1="other")
        n = d.here()
        os.kill(d.pid, signal.SIGHUP)
        d.wait_line("configuration reloaded", n)
        n = d.here()
        d.wait_line(r" neta dropped: signature, from 10.81.1.11:", n)
        d.wait_line(r" netb dropped: signature", n)
        expect(not any("seq" in line for line in d.lines[n:]),
               "a heartbeat with the wrong key was taken")
    finally:
        bed.write_config()
    os.kill(d.pid, signal.SIGHUP)
    d.wait_line(r" neta A s1 .*seq", d.here())


def bad_reload_changes_nothing(bed):
    """SIGHUP with a faulty file keeps the old configuration"""
    _, d = bed.both()
    try:
        bed.write_config(extra='nonsense "x" {')
        n = d.here()
        os.kill(d.pid, signal.SIGHUP)
        d.wait_line("not reloaded: the old one stays", n)
        d.wait_line(r" neta A s1 .*seq", d.here())
    finally:
        bed.write_config()


def restart_raises_boot(bed):
    """a restarted server has a higher boot id, and is taken at once"""
    s, d = bed.both()
    boot = int(d.wait_line(r"boot (\d+)").group(1))
    s.end()
    bed.sender()
    d.wait_line(rf" boot {boot + 1} seq 1;.*, new boot", deadline=2)


def hung_main_loop_is_silent(bed):
    """a server whose main loop hangs falls silent, until it lives again"""
    s, d = bed.both()
    s.tell("hang")
    wait_for("silence", lambda: "silences 1" in s.tell("stats"))
    n = d.here()
    time.sleep(0.3)  # six intervals: that nothing comes takes time to see
    expect(d.here() == n, "it went on: " + " | ".join(d.lines[n:]))
    s.tell("live")
    d.wait_line(r" neta A s1 .*seq", n)


def thread_is_realtime(bed):
    """the sender's thread has real-time priority and keeps its times"""
    s, d = bed.both()
    policies = {}
    for tid in os.listdir(f"/proc/{s.pid}/task"):
        with open(f"/proc/{s.pid}/task/{tid}/comm") as f:
            policies[f.read().strip()] = os.sched_getscheduler(int(tid))
    if "realtime 1" not in s.tell("stats"):
        s.wait_line("no real-time priority")
        return
    expect(policies["heartbeats"] == os.SCHED_FIFO, str(policies))
    d.wait_line(r" netb .* seq 40\b")


REPLAY = """
import socket, sys
payload = bytes.fromhex(sys.argv[1])
for ttl in (255, 64):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    s.sendto(payload, ("10.81.1.21", 9077))
"""


def replay_is_dropped(bed):
    """a recorded heartbeat is dropped, and so is one from behind a router"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tap:
        tap.settimeout(5)
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"neta")
        tap.bind(("", 9077))
        _, d = bed.both()
        old = tap.recv(2000)
    d.wait_line(r" neta .* seq 30;", deadline=5)
    n = d.here()
    bed.on_server("/usr/bin/python3", "-c", REPLAY, old.hex())
    d.wait_line(r" neta dropped: sequence, from 10.81.1.11:", n)
    d.wait_line(r" neta dropped: ttl, from 10.81.1.11", n)


# struct report of include/hanfs/report.h: its head
HEAD = struct.Struct("=IHHQQ")
TYPES = {1: "hello", 2: "interface", 3: "heartbeat", 4: "synced", 5: "tick"}


class Reader:
    def __init__(self, bed):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.settimeout(5)
        self.s.connect(bed.path("run/detector.report"))
        self.number = 0

    def take(self):
        """Type and bytes of the next report; None at the end."""
        data = self.s.recv(8192)
        if not data:
            return None
        length, version, kind, number, when_ms = HEAD.unpack(data[:24])
        now = time.clock_gettime(time.CLOCK_BOOTTIME) * 1000
        expect(length == len(data) and version == 1, "malformed report")
        expect(number == self.number, "a report was left out")
        expect(when_ms <= now + 1, "a report from the future")
        self.number += 1
        return TYPES[kind], data

    def take_until(self, kind):
        kinds = []
        while not kinds or kinds[-1] != kind:
            report = self.take()
            expect(report, f"the end, before a {kind}")
            kinds.append(report[0])
        return kinds


def reports(bed):
    """a reader gets the picture, then heartbeats and ticks; a slow one ends"""
    bed.sender()
    d = bed.detector()
    d.wait_line("server s1 heard")
    slow, reader = Reader(bed), Reader(bed)
    kinds = reader.take_until("synced")
    expect(kinds[0] == "hello" and kinds.count("interface") == 2,
           f"picture: {kinds}")
    expect("heartbeat" in kinds, f"picture: {kinds}")
    kinds = reader.take_until("tick") + reader.take_until("tick")
    expect(kinds.count("heartbeat") >= 2, f"between ticks: {kinds}")
    slow.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    end = time.monotonic() + 30
    while ask(bed, "counters")["readers_dropped"] == 0:
        expect(time.monotonic() < end, "the slow reader was not dropped")
        reader.take()
    while slow.take():
        pass
    reader.take_until("heartbeat")


def carrier_is_reported(bed):
    """a lost carrier is reported at once"""
    bed.sender()
    d = bed.detector()
    d.wait_line("server s1 heard")
    reader = Reader(bed)
    reader.take_until("synced")
    bed.on_server("ip", "link", "set", "netb", "down")
    try:
        while True:
            kind, data = reader.take()
            if kind != "interface":
                continue
            _, _, flags, _, name = struct.unpack("=IIII16s", data[24:56])
            if name.rstrip(b"\0") == b"netb" and flags & 3 == 1:
                break  # up, without carrier
    finally:
        bed.on_server("ip", "link", "set", "netb", "up")


def shows(bed):
    """show counters and show heartbeats"""
    bed.sender()
    d = bed.detector()
    d.wait_line("server s1 heard")
    wait_for("heartbeats of both networks",
             lambda: len(ask(bed, "heartbeats")) == 2)
    one = ask(bed, "heartbeats")[0]
    expect(one["server"] == "s1" and one["lost"] == 0, str(one))
    lines = ask(bed, "counters")["interfaces"]
    expect({line["interface"] for line in lines} == set(NETWORKS), str(lines))
    expect(all(line["passed"] > 0 for line in lines), str(lines))


def second_instance(bed):
    """a second instance says so, and the first goes on"""
    bed.sender()
    d = bed.detector()
    d.wait_line("server s1 heard")
    other = bed.detector()
    other.wait_line("another detector runs")
    expect(other.p.wait(5) == 1, "exit status")
    before = ask(bed, "heartbeats")[0]["heard"]
    wait_for("the first one's next heartbeat",
             lambda: ask(bed, "heartbeats")[0]["heard"] > before)
    udp = bed.detector("--print", "--udp")
    udp.wait_line("netb: listening")
    again = bed.detector("--print", "--udp")
    again.wait_line("UDP port 9077: Address already in use")
    expect(d.end() == 0, "exit status on SIGTERM")
    bed.detector().wait_line("server s1 heard")  # over the old sockets


def refusals(bed):
    """what cannot work is said in words, with status 1"""
    def refused(pattern, words, enter=()):
        done = subprocess.run(
            [*enter, bed.program("hanfs-detector"), *words],
            capture_output=True, text=True, timeout=5, check=False)
        expect(done.returncode == 1 and re.search(pattern, done.stderr),
               f"{words}: status {done.returncode}: {done.stderr}")
    conf = ["-c", bed.path("hanfs.conf"), "--print"]
    refused("there is no interface nosuch", conf + ["-i", "nosuch"])
    refused("/nosuch/file", ["-c", "/nosuch/file"])
    refused("needs CAP_NET_RAW", conf,
            ["setpriv", "--bounding-set", "-net_raw"])
    refused("as root", conf,
            ["setpriv", "--reuid", "65534", "--clear-groups"])


ALL = [
    prints_both_networks, keeps_one_capability, udp_keeps_none,
    change_is_told_at_once, unicast_counts, refuses_foreign_subscribers,
    hears_ipv6, interface_comes_back, address_comes_back, reload_changes_keys,
    bad_reload_changes_nothing, restart_raises_boot,
    hung_main_loop_is_silent, thread_is_realtime, replay_is_dropped,
    reports, carrier_is_reported, shows, second_instance, refusals,
]
