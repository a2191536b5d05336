"""Disks for these tests: an image, a loop device, a file system, a volume.

Everything lives in one temporary directory and goes with it, also when a
test fails or is ended by a signal: `with Bench() as bench: ...`.
"""

import base64
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREE = HERE.parent.parent
BUILD = Path(os.environ.get("HANFS_BUILD") or TREE / "build").absolute()
FILE_SYSTEMS = ("ext4", "xfs")
MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-b", "4096", "-J", "size=64",
             "-e", "remount-ro", "-E", "lazy_itable_init=1,nodiscard"],
    # xfs has no smaller log than 64 MiB on 300 MiB and more
    "xfs": ["mkfs.xfs", "-q", "-f", "-K", "-l", "size=64m"],
}


CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 0x40000


class CutError(Exception):
    """Something that went wrong, said in one line."""


def run(*cmd, ok=(0,), **kw):
    p = subprocess.run([str(c) for c in cmd], text=True, capture_output=True,
                       check=False, **kw)
    if p.returncode not in ok:
        raise CutError(f"{' '.join(map(str, cmd))}: exit {p.returncode}: "
                       f"{(p.stderr or p.stdout).strip()[-600:]}")
    return p.stdout


def own_mounts():
    """A mount namespace of our own: one that is copied while a disk is
    mounted, by whoever starts a container, would hold that disk."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(
            b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        raise CutError("no mount namespace of our own: "
                       + os.strerror(ctypes.get_errno()))


def program(*parts):
    path = BUILD.joinpath(*parts)
    if not path.exists():
        raise CutError(f"{path} is not built")
    return path


class Disk:
    """An image behind a loop device with direct I/O."""

    def __init__(self, bench, name, fs, size="512M", mkfs=None):
        self.bench, self.fs = bench, fs
        self.image = bench.path(f"{name}.img")
        self.control = bench.path(f"{name}.ctl")
        self.at = bench.path(f"{name}.mnt")
        self.at.mkdir(exist_ok=True)
        self.device = None
        run("truncate", "-s", size, self.image)
        run("truncate", "-s", "1M", self.control)
        run(*(mkfs or MKFS[fs]), self.image)
        bench.disks.append(self)

    def attach(self):
        words = ["-f", "--show", self.image]
        try:
            self.device = run("losetup", "--direct-io=on", *words).strip()
        except CutError:  # a file system that has no direct I/O
            self.device = run("losetup", *words).strip()
        return self.device

    def detach(self):
        if self.device:
            run("losetup", "-d", self.device)
        self.device = None

    def mount(self, options="noatime"):
        run("mount", "-t", self.fs, "-o", options, self.device, self.at)

    def umount(self):
        run("umount", self.at)

    def clean_up(self):
        for cmd in (["umount", "-l", self.at],
                    ["losetup", "-d", self.device]):
            if cmd[-1]:
                subprocess.run([str(c) for c in cmd], check=False,
                               stderr=subprocess.DEVNULL)

    def config(self, slots=1024, more=""):
        """A configuration with this disk as the volume "home"."""
        path = self.bench.path("hanfs.conf")
        key = base64.b64encode(bytes(range(32))).decode()
        path.write_text(
            'cluster = "cuts"\n'
            'network "A" { prefix = {"10.81.1.0/24"} }\n'
            f'server "s1" {{ id = 1 public_key = "{key}"'
            ' addresses = {"10.81.1.11"} }\n'
            'volume "home" { id = 1 candidates = {"s1"} storage {\n'
            f' device = "{self.device}" control = "{self.control}"\n'
            f' fstype = "{self.fs}" slots = {slots} {more}\n'
            '} }\n')
        return path

    def format(self, *words, slots=1024, more="", ok=(0,)):
        """hanfs-agent --format; what it said."""
        agent = os.environ.get("HANFS_AGENT") or program("hanfs-agent")
        p = subprocess.run(
            [agent, "-c", self.config(slots, more), "-n", "s1", "--format",
             "home", *words], text=True, capture_output=True, check=False)
        if p.returncode not in ok:
            raise CutError(f"--format {' '.join(words)}: exit "
                           f"{p.returncode}: {p.stderr.strip()}")
        return p.stderr


class Bench:
    """A temporary directory, and an end to all that is in it."""

    def __init__(self, root=None):
        self.parent = root
        self.disks = []

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        own_mounts()
        self.root = Path(tempfile.mkdtemp(prefix="hanfs-cuts-",
                                          dir=self.parent))
        return self

    def __exit__(self, *_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for disk in self.disks:
            disk.clean_up()
        shutil.rmtree(self.root, ignore_errors=True)

    def path(self, *parts):
        return self.root.joinpath(*parts)
