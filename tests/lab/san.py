"""The shared disks of a lab: the san (tests/lab/san/san.h) in a host of its
own, a loop device for each server and area, and the log of all writes.

What stands in the state directory: VOLUME.img and VOLUME.ctl, the content;
san/socket, san/log; in each server /run/san/VOLUME and VOLUME.ctl, its
devices, /run/san/watchdog, its watchdog, and /run/san/san, which names the
host and the socket.
"""

import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import bed
import programs
from bed import HERE, VOLUMES, LabError

CONTROL_SIZE = 1 << 20
AREAS = (".img", ".ctl")
DOG = "/run/san/watchdog"

# Shows a file of the mount namespace that it is run in, in another one (an
# open descriptor), on a file there.
SHOW = """
import ctypes, os, sys
lib = ctypes.CDLL(None, use_errno=True)
there, source, target = sys.argv[1:]
def sure(number):
    if number < 0:
        raise OSError(ctypes.get_errno(), "cannot show " + source)
    return number
OPEN_TREE, MOVE_MOUNT, CWD, CLONE, NEWNS = 428, 429, -100, 1, 0x20000
tree = sure(lib.syscall(OPEN_TREE, CWD, source.encode(), CLONE))
sure(lib.setns(int(there), NEWNS))
open(target, "w").close()
sure(lib.syscall(MOVE_MOUNT, tree, b"", CWD, target.encode(), 4))
"""


class San:
    def __init__(self, lab):
        self.lab = lab
        self.directory = lab.path("san")

    # -- up and down

    def start(self):
        """Serves the content that is there (make_image, make_control)."""
        lab = self.lab
        self.directory.mkdir(exist_ok=True)
        words = []
        for host in lab.servers():
            words += ["-h", host]
        for volume in VOLUMES:
            disk = lab.path(f"{volume}.img").resolve()
            control = lab.path(f"{volume}.ctl").resolve()
            words += ["-v", f"{volume}={disk},{control}"]
        programs.start(lab, "san", "san", programs.find(lab, "san"),
                       "-d", self.directory, *words)
        bed.wait_for("the san (see `lab log san`)", lambda: "ready" in
                     lab.get("log/san.san", ""), 10)

    def plug(self, host):
        """Gives a server its devices."""
        lab = self.lab
        lines = []
        for volume in VOLUMES:
            for area in AREAS:
                if lab.path("plain").exists():
                    device = lab.attach(volume, area)
                else:  # where the san's files are to be seen
                    device = lab.inside(
                        "san", "losetup", "--direct-io=on", "-f", "--show",
                        self.directory / host / (volume + area)).strip()
                name = volume + (area if area != ".img" else "")
                lines.append(f"ln -sf {device} /run/san/{name}")
                lab.put(f"{host}.{volume}{area}.loop", device)
        lab.inside(host, "sh", "-c", "\n".join([
            "set -e; mkdir -p /run/san/bin",
            f"echo {host} {self.directory}/socket >/run/san/san",
            f"ln -sf {programs.find(lab, 'sg_persist')} /run/san/bin/", *lines]))
        if not lab.path("plain").exists():
            self.plug_dog(host)

    def plug_dog(self, host):
        there = os.open(f"/proc/{self.lab.need(host)}/ns/mnt", os.O_RDONLY)
        try:
            bed.run("nsenter", "-t", self.lab.need("san"), "-m", "--",
                    "/usr/bin/python3", "-c", SHOW, there,
                    self.directory / host / "watchdog", DOG,
                    pass_fds=(there,))
        finally:
            os.close(there)

    def unplug(self, host):
        """Detaches the devices of a server that is off."""
        for path in self.lab.root.glob(f"{host}.*.loop"):
            subprocess.run(["losetup", "-d", path.read_text().strip()],
                           stderr=subprocess.DEVNULL, check=False)
            path.unlink()

    # -- commands

    def ask(self, *words):
        """One command of the san's protocol; its answer's lines."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(str(self.directory / "socket"))
            f = s.makefile("rw")
            f.write(" ".join(map(str, words)) + "\n")
            f.flush()
            lines = []
            for line in f:
                line = line.rstrip("\n")
                if line == "ok":
                    return lines
                if line.startswith("error "):
                    raise LabError(f"san: {' '.join(map(str, words))}: "
                                   f"{line[6:]}")
                lines.append(line)
        raise LabError(f"san: {' '.join(map(str, words))}: no answer")

    def dogs(self):
        """{host: "off", "armed" or "fired"}"""
        return {x.split()[0]: x.split()[1] for x in self.ask("dogs")}

    def status(self):
        """{(host, volume): {state, epoch, writes, ...}}"""
        out = {}
        for line in self.ask("status"):
            where, state, *rest = line.split()
            values = dict(x.split("=") for x in rest)
            out[tuple(where.split("/"))] = {"state": state, **{
                k: int(v) if v.isdigit() else v for k, v in values.items()}}
        return out

    def writes(self):
        """The log so far: Write and Note, in the disk's order."""
        self.ask("flush-log")
        return read_log(self.directory / "log")


@dataclass
class Write:
    sequence: int
    began: float  # CLOCK_MONOTONIC, seconds
    ended: float
    host: str
    volume: str
    area: str     # img or ctl
    offset: int
    length: int
    epoch: int
    verdict: str  # taken, torn, lost, or why it was refused

    def landed(self):
        return self.verdict in ("taken", "torn")


@dataclass
class Note:
    at: float
    text: str


def read_log(path):
    out = []
    with open(path, encoding="ascii") as f:
        for line in f:
            w = line.split()
            if w[0] == "#":
                out.append(Note(int(w[1]) / 1e6, " ".join(w[2:])))
            else:
                out.append(Write(int(w[0]), int(w[1]) / 1e6, int(w[2]) / 1e6,
                                 w[3], w[4], w[5], int(w[6]), int(w[7]),
                                 int(w[8]), w[9]))
    return out


def make_control(lab, volume):
    """A volume's control area, empty."""
    path = lab.path(f"{volume}.ctl")
    with open(path, "wb") as f:
        f.truncate(CONTROL_SIZE)


def fence_command(lab):
    """For hanfs.conf: cuts HANFS_PEER off HANFS_VOLUME."""
    return (f"{HERE}/san/fence {programs.find(lab, 'sanctl')} "
            f"{Path(lab.root, 'san')}")


def memory_free():
    shm = os.statvfs("/dev/shm")
    return shm.f_bavail * shm.f_frsize
