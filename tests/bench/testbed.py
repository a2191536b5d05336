"""The benchmark's own lab: brought up with every column, and taken away."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import bed
import columns
import measure
import programs

HERE = Path(__file__).resolve().parent
RATE = "2500mbit"
DAEMONS = ("hanfs-proxy", "hanfs-agent", "hanfs-detector", "hanfsctl")


def lab_command(lab, *words):
    bed.run(HERE.parent / "lab" / "lab", *words,
            env={**os.environ, "HANFS_LAB": str(lab.root),
                 "HANFS_BUILD": str(lab.build)})


def built(lab):
    """Are all of hanfs' programs there?"""
    try:
        return all(programs.find(lab, name) for name in DAEMONS)
    except bed.LabError as e:
        print(f"bench: no column hanfs: {e}", file=sys.stderr)
        return False


def bring_up(lab, congestion, haproxy):
    words = ["up", "--direct", "--clients", "2"]
    if congestion != "system":
        words += ["--sysctl", f"net.ipv4.tcp_congestion_control={congestion}"]
    whole = built(lab)
    lab_command(lab, *words, *([] if whole else ["--bare"]))
    found = [columns.direct(), *columns.haproxies(lab, haproxy)]
    if whole:
        found[1:1] = [columns.hanfs(), columns.all_paths(lab)]
    for column in found:
        column.find_processes(lab)
    measure.prepare(lab, found[0])
    return {c.name: c for c in found}


def shape(lab, network):
    programs.shape(lab, "off" if network == "unshaped" else RATE)


def check():
    """May it run? It then ends well on SIGINT and SIGTERM, too."""
    if os.getuid():
        raise bed.LabError("the lab makes namespaces: run it as root")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@contextlib.contextmanager
def testbed(congestion, haproxy):
    """(lab, {name: Column})"""
    if shutil.which("haproxy") is None:
        raise bed.LabError("no haproxy (Debian package haproxy)")
    root = tempfile.mkdtemp(prefix="hanfs-bench-")
    lab = bed.Lab(root=root)
    try:
        yield lab, bring_up(lab, congestion, haproxy)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        lab_command(lab, "down")
        shutil.rmtree(root, ignore_errors=True)
