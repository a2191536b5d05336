"""Cases of tests/lab/servers about a volume's log and its control area:
what is forged, used up or damaged there."""

import time

import agentrpc
import bed
import damage
import shared
from servercases import CUT_MS, case, cut_and_wait, warm
from serverrun import VOLUME

KERNEL_HANDLE = """
import ctypes, sys
lib = ctypes.CDLL(None, use_errno=True)
buf, mount = ctypes.create_string_buffer(136), ctypes.c_int()
ctypes.c_uint.from_buffer(buf).value = 128
if lib.name_to_handle_at(-100, sys.argv[1].encode(), buf,
                         ctypes.byref(mount), 0):
    raise OSError(ctypes.get_errno(), sys.argv[1])
print(buf.raw[8:8 + ctypes.c_uint.from_buffer(buf).value].hex())
"""


def kernel_handle(r, path):
    return bytes.fromhex(r.lab.inside(
        "s1", "/usr/bin/python3", "-c", KERNEL_HANDLE,
        f"/srv/{VOLUME}{path}").strip())


def ask_forged(r):
    """What a LOOKUP says in directories that a client cannot reach, with
    their kernel handles in the place of the export's."""
    conn = agentrpc.Conn(r.lab, "c1", ("127.77.0.1", 2049), timeout=10)
    root = agentrpc.mount(conn, 1, f"/{VOLUME}")
    export = kernel_handle(r, "/export")
    if export not in root:
        return {"export": "its handle does not hold the kernel's"}
    said = {}
    for xid, path in enumerate(["/export", "", "/.hanfs", "/.hanfs/log",
                                "/.hanfs/state"], 10):
        forged = root.replace(export, kernel_handle(r, path))
        said[path] = conn.call(xid, agentrpc.NFS, 3, agentrpc.LOOKUP,
                               agentrpc.dirop(forged, "log")).u32()
    conn.close()
    return said


def forged_refused(r, load, out):
    said = dict(r.note)
    wrong = [] if said.pop("/export", None) == 2 else ["the export itself"]
    wrong += [f"{path or '/'}: {what}" for path, what in said.items()
              if what != 10001]
    return [f"forged handles: {', '.join(wrong)}"] if wrong else []


@case("forged-handles", check=forged_refused)
def forged_handles(r):
    """Handles forged to lead into .hanfs are refused"""
    warm(r)
    r.mark("fault", time.monotonic())
    r.note = ask_forged(r)
    r.hold(1)


@case("slots-taken", slots=48, conf={"storage": ["slots = 64"]},
      load=["-x", "names"], first=CUT_MS)
def slots_taken(r):
    """All slots of the log taken, then power cut of the owner"""
    cut_and_wait(r)


def both_off(r):
    warm(r)
    r.fault("server-cut", "s2", mark=None)
    r.fault("server-cut", "s1")


def refuses(r, seconds, words):
    """Both servers are up: nobody serves the damaged volume, somebody the
    other, and an agent says why."""
    for host in r.lab.servers():
        r.boot(host, mark=None)
    other = next(v for v in bed.VOLUMES if v != VOLUME)
    r.wait(f"volume {other} to be served",
           lambda: shared.serving(r.lab, other), 30)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if r.serving():
            r.problems.append(f"{r.serving()} served a damaged volume")
            return
        r.hold(0.25)
    said = [x for host in r.lab.servers() for x in r.lab.path(
        "log", f"{host}.hanfs-agent").read_text(
            errors="replace").splitlines()
            if any(w in x for w in words)]
    if not said:
        r.problems.append(f"no agent spoke of {' or '.join(words)}")


def mended(r):
    for host in r.lab.servers():
        r.boot(host, mark=None)
    r.wait("the volume to be served", r.serving, 60)
    r.hold(2)


def off_again(r):
    for host in r.lab.servers():
        r.fault("server-cut", host, mark=None)


@case("lease-damaged")
def lease_damaged(r):
    """Flipped bits in the owner's lease: refused, then mended"""
    both_off(r)
    damage.flip_lease(r.lab, VOLUME, 0)
    refuses(r, 6, ("damaged",))
    off_again(r)
    damage.flip_lease(r.lab, VOLUME, 0)
    mended(r)


@case("slots-damaged")
def slots_damaged(r):
    """Flipped bits in the log's slots: refused, then mended"""
    both_off(r)
    flipped = damage.flip_slots(r.lab, VOLUME)
    if not flipped:
        r.problems.append("no record was in the log")
    refuses(r, 8, ("damaged", "checksum", "CRC"))
    off_again(r)
    damage.flip_slots(r.lab, VOLUME)
    mended(r)
