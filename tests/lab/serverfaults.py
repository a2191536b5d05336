"""Faults of servers and shared disks, in a lab of shared.py.

They join those of faults.py when this is imported.
"""

import os
import signal
import time

import bed
import faults
import programs
import shared
from bed import NETWORKS, LabError
from faults import fault, fabric, port
from san import San


def cut(lab, *words):
    return shared.power_cut(lab, words[0], words[1:])


@fault("server-cut", "HOST [NET]",
       "power cut of a server (and of a switch); heal boots it",
       lambda lab, host, *nets: restore(lab, host, nets))
def server_cut(lab, host, *nets):
    return cut(lab, host, *nets)


def restore(lab, host, nets):
    when = time.monotonic()
    for letter in nets:
        faults.switch_up(lab, letter)
    shared.boot(lab, host)
    return when


# -- programs

def agent(lab, host):
    pid = programs.outer_pid(lab, host, "hanfs-agent")
    if pid is None:
        raise LabError(f"no agent runs on {host}")
    return pid


@fault("agent-freeze", "HOST", "the agent's process is stopped",
       lambda lab, host: signal_agent(lab, host, signal.SIGCONT))
def agent_freeze(lab, host):
    return programs.freeze(agent(lab, host))


def signal_agent(lab, host, sig):
    now = time.monotonic()
    os.kill(agent(lab, host), sig)
    return now


def backends(lab, host, volume):
    """The NFS servers of a volume on a server: those that live in the
    network that its backend has."""
    try:
        space = os.stat(f"/proc/{lab.need(host)}/root/run/netns/{volume}")
    except FileNotFoundError:
        return []
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/comm", encoding="utf-8") as f:
                if not f.read().startswith("ganesha"):
                    continue
            if os.stat(f"/proc/{entry}/ns/net").st_ino == space.st_ino:
                found.append(int(entry))
        except OSError:
            continue
    return found


def owner(lab, volume):
    host = shared.serving(lab, volume)
    if host is None:
        raise LabError(f"nobody serves volume {volume}")
    return host


@fault("backend-kill", "VOLUME", "SIGKILL to the volume's NFS server")
def backend_kill(lab, volume):
    pids = backends(lab, owner(lab, volume), volume)
    if not pids:
        raise LabError(f"volume {volume} has no NFS server")
    now = time.monotonic()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return now


@fault("agent-backend-kill", "VOLUME",
       "SIGKILL to agent and NFS server of a volume at once")
def agent_backend_kill(lab, volume):
    host = owner(lab, volume)
    pids = backends(lab, host, volume) + [agent(lab, host)]
    now = time.monotonic()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return now


@fault("volume-move", "VOLUME HOST", "an operator moves it to a server")
def volume_move(lab, volume, host):
    source = owner(lab, volume)
    now = time.monotonic()
    lab.inside(source, programs.find(lab, "hanfsctl"), "volume", volume,
               "move", host)
    return now


# -- networks of a server

def ports(lab, host, state):
    return fabric(lab, *(f"link set {port(host, x)} {state}"
                         for x in NETWORKS))


@fault("networks-lost", "HOST", "all cables of a server are out",
       lambda lab, host: ports(lab, host, "up"))
def networks_lost(lab, host):
    return ports(lab, host, "down")


def isolate(lab, state):
    now = time.monotonic()
    for host in filter(lab.pid, lab.servers()):
        for letter in NETWORKS:
            bed.run(*lab.net_only("fabric"), "bridge", "link", "set", "dev",
                    port(host, letter), "isolated", state)
    return now


@fault("servers-apart", "",
       "the servers reach each other on no network, clients reach both",
       lambda lab: isolate(lab, "off"))
def servers_apart(lab):
    return isolate(lab, "on")


# -- disks

def heal_disk(lab, target, *_):
    now = time.monotonic()
    San(lab).ask("heal", target)
    return now


def disk_fault(name, usage, text, *command):
    """The san's word for it; TARGET is HOST, HOST/VOLUME or */VOLUME, with
    a dot for the slash."""
    def do(lab, target, *more):
        now = time.monotonic()
        San(lab).ask(command[0], target.replace(".", "/"), *more,
                     *command[1:])
        return now

    def undo(lab, target, *_):
        return heal_disk(lab, target.replace(".", "/"))
    fault(name, usage, text, undo)(do)


disk_fault("disk-lost", "HOST[.VOLUME]", "the path to the disk is dead",
           "path-dead")
disk_fault("disk-stall", "HOST[.VOLUME]", "the disk answers nothing",
           "stall")
disk_fault("disk-slow", "HOST[.VOLUME] MS", "each write takes MS more",
           "delay", "write")
disk_fault("disk-readonly", "HOST[.VOLUME]", "the disk takes no writes",
           "readonly")
disk_fault("disk-rate", "HOST[.VOLUME] BYTES", "so many bytes a second",
           "rate")
disk_fault("disk-cut", "HOST[.VOLUME]", "fenced: no write lands any more",
           "cut")


def fence_file(lab, name):
    return lab.path("san", name)


def fence_back(name):
    def undo(lab):
        now = time.monotonic()
        fence_file(lab, name).unlink()
        return now
    return undo


@fault("fence-fails", "", "the fence command fails",
       fence_back("fence-fails"))
def fence_fails(lab):
    now = time.monotonic()
    fence_file(lab, "fence-fails").touch()
    return now


@fault("fence-slow", "", "the fence command takes 3 s",
       fence_back("fence-slow"))
def fence_slow(lab):
    now = time.monotonic()
    fence_file(lab, "fence-slow").touch()
    return now


FILL = "export/lab-fill"


@fault("volume-full", "VOLUME", "not a block is left in the file system",
       lambda lab, volume: unfill(lab, volume))
def volume_full(lab, volume):
    now = time.monotonic()
    # what fallocate leaves is taken by writing
    lab.inside(owner(lab, volume), "sh", "-c",
               f"cd /srv/{volume}; free=$(stat -f -c '%a * %S' .); "
               f"fallocate -l $(( $free - 1048576 )) {FILL}; "
               f"cat /dev/zero >>{FILL} 2>/dev/null; true")
    return now


def unfill(lab, volume):
    now = time.monotonic()
    lab.inside(owner(lab, volume), "rm", "-f", f"/srv/{volume}/{FILL}")
    return now
