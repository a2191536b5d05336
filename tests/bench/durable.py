"""Part "durable": CREATE when an answered call survives a power cut.

  direct  a Ganesha of its own whose file system is mounted `dirsync`: what
          people do today; set up as the agent's is
  hanfs   proxy and agent, a volume mounted as always, its log

Both file systems are made alike, each on a loop device of its own with
direct I/O, both images in one directory; the agent's volume is an owned one
(format, lease and fence as in production), on plain devices: the lab's san
would be measured, too.
"""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import bed
import columns
import measure
import programs
import shared
from bed import HERE

NETWORK = "durable"
ROWS = [measure.Row("create", n) for n in (1, 8, 64)]
DIRECT, OPTIONS = "dirsync", "noatime,dirsync"
THREADS = 24  # as the agent's has them: hanfs.conf(5), backend


def start_direct(lab):
    """A second volume of the server, for it alone."""
    host, at = columns.SERVER, f"/srv/{DIRECT}"
    lab.make_image(DIRECT)
    device = lab.attach(DIRECT)
    lab.inside(host, "sh", "-c",
               f"mkdir -p {at} && mount -o {OPTIONS} {device} {at} && "
               f"mkdir -p {at}/export && chmod 1777 {at}/export")
    lab.put("direct.ganesha", programs.GANESHA.format(
        volume=DIRECT, id=9, nfs_port=programs.DIRECT_PORT,
        mount_port=programs.DIRECT_MOUNT_PORT, threads=THREADS))
    programs.start(lab, host, f"ganesha-{DIRECT}", HERE / "backend", DIRECT,
                   lab.path("direct.ganesha"))
    programs.wait_rpc(lab, host, "127.0.0.1", programs.DIRECT_PORT,
                      programs.NFS, 10)


def backend_pid(lab):
    """The agent's own Ganesha of the volume: by its network namespace."""
    agent = programs.outer_pid(lab, columns.SERVER, "hanfs-agent")
    space = os.stat(f"/proc/{agent}/root/run/netns/{columns.VOLUME}").st_ino
    for pid in bed.whole_tree(agent):
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        if name == "ganesha.nfsd" and \
                os.stat(f"/proc/{pid}/ns/net").st_ino == space:
            return pid
    raise bed.LabError("the agent has no Ganesha for " + columns.VOLUME)


def find_columns(lab):
    direct, hanfs = columns.direct(), columns.hanfs()
    direct.export = f"/{DIRECT}"
    direct.processes = [("ganesha", columns.SERVER, f"ganesha-{DIRECT}")]
    hanfs.processes = hanfs.processes[:2]
    for column in (direct, hanfs):
        column.find_processes(lab)
    hanfs.pids["ganesha"] = backend_pid(lab)
    return {"direct": direct, "hanfs": hanfs}


@contextlib.contextmanager
def testbed(congestion):
    """(lab, {name: Column})"""
    root = tempfile.mkdtemp(prefix="hanfs-bench-")
    lab = bed.Lab(root=root)
    if congestion != "system":
        lab.sysctl = [f"net.ipv4.tcp_congestion_control={congestion}"]
    try:
        shared.up(lab, clients=1, plain=True)
        start_direct(lab)
        yield lab, find_columns(lab)
    finally:
        lab.down()
        shutil.rmtree(root, ignore_errors=True)
