"""What runs in the hosts of a lab: backends and hanfs' own programs.

Writes their configuration, starts them through each host's PID 1 (`init`,
which keeps them running) and waits until they answer.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import agentrpc
import bed
from bed import HERE, NETWORKS, VOLUMES, LabError, run

NFS, MOUNT = 100003, 100005
DIRECT_PORT, DIRECT_MOUNT_PORT = 12049, 12048
SOCKETS = tuple(f"127.77.0.{v['id']}:2049" for v in VOLUMES.values())
PLACES = ("", "proxy", "detector", "server-agent", "ctl", "tests/lab",
          "tests/lab/callcount", "tests/lab/nfsload", "tests/lab/san",
          "tests/vm")

GANESHA_THREADS = 200  # its own default
GANESHA = """\
NFS_CORE_PARAM {{
    Protocols = 3;
    Enable_UDP = false;
    NFS_Port = {nfs_port};
    MNT_Port = {mount_port};
    Enable_NLM = false;
    Enable_RQUOTA = false;
    mount_path_pseudo = true;
    RPC_Idle_Timeout_S = 3600;
    RPC_Ioq_ThrdMax = {threads};
}}
NFSv4 {{
    Graceless = true;
}}
NFS_KRB5 {{ Active_krb5 = false; }}
EXPORT_DEFAULTS {{
    Access_Type = RW;
    Squash = No_Root_Squash;
    SecType = sys;
    Protocols = 3;
    Transports = TCP;
    PrivilegedPort = true;
}}
EXPORT {{
    Export_Id = {id};
    Path = /srv/{volume}/export;
    Pseudo = /{volume};
    Filesystem_Id = {id}.{id};
    FSAL {{ Name = VFS; }}
}}
LOG {{ Default_Log_Level = EVENT; }}
"""


def find(lab, program):
    """The path of a program of this build."""
    for place in PLACES:
        path = lab.build / place / program
        if path.is_file() and os.access(path, os.X_OK):
            return path
    raise LabError(f"{program} is not in {lab.build}: build it, or name the "
                   "build tree in HANFS_BUILD")


# -- backends

def write_ganesha(lab, volume, name, nfs_port, mount_port):
    lab.put(name, GANESHA.format(volume=volume, id=VOLUMES[volume]["id"],
                                 nfs_port=nfs_port, mount_port=mount_port,
                                 threads=GANESHA_THREADS))
    return lab.path(name)


def start_backends(lab, direct):
    for volume, v in VOLUMES.items():
        host = v["owner"]
        config = write_ganesha(lab, volume, f"{volume}.ganesha", 2049, 20048)
        start(lab, host, f"ganesha-{volume}", HERE / "backend", volume,
              config, volume)
        if direct:
            config = write_ganesha(lab, volume, f"{volume}-direct.ganesha",
                                   DIRECT_PORT, DIRECT_MOUNT_PORT)
            start(lab, host, f"ganesha-{volume}-direct", HERE / "backend",
                  volume, config)


def wait_backends(lab, direct):
    for volume, v in VOLUMES.items():
        host = v["owner"]
        wait_rpc(lab, f"{host}/{volume}", "10.0.0.1", 2049, NFS, 10)
        if direct:
            wait_rpc(lab, host, "127.0.0.1", DIRECT_PORT, NFS, 10)


# -- hanfs' own programs

def write_config(lab, extra, storage=lambda volume: []):
    """hanfs.conf, the same text everywhere, and the servers' keys.
    storage(volume): lines more of that volume's section."""
    text = ['cluster = "lab"', "heartbeat_port = 9077"]
    for letter, prefix in NETWORKS.items():
        text += [f'network "{letter}" {{ prefix = {{"{prefix}.0/24"}} }}']
    for number, server in enumerate(lab.servers(), 1):
        key = lab.path(f"{server}.key")
        public = run(find(lab, "hanfsctl"), "keygen", key).strip()
        addresses = ", ".join(f'"{bed.address(server, n)}"'
                              for n in NETWORKS)
        text += [f'server "{server}" {{', f"\tid = {number}",
                 f"\t{public}", f"\taddresses = {{{addresses}}}", "}"]
    for volume, v in VOLUMES.items():
        candidates = ", ".join(f'"{c}"' for c in lab.candidates(volume))
        text += [f'volume "{volume}" {{', f"\tid = {v['id']}",
                 f'\tloopback = "127.77.0.{v["id"]}"', "\tport = 2049",
                 f"\tcandidates = {{{candidates}}}",
                 f'\texport = "/{volume}"', "\tbackend {",
                 f'\t\tnetns = "/run/netns/{volume}"',
                 '\t\taddress = "10.0.0.1"', "\t\tnfs_port = 2049",
                 "\t\tmount_port = 20048", "\t}",
                 *(f"\t{x}" for x in storage(volume)), "}"]
    defaults = {
        "proxy": ['user = "hanfs"', 'replay_max = "64M"',
                  'paths = "primary-first"'],
        "detector": ['user = "hanfs"'],
        "agent": ['user = "root"', 'key = "/etc/hanfs/server.key"'],
    }
    for section, lines in defaults.items():
        lines = override(lines, extra.get(section, []))
        text += [f"{section} {{", *(f"\t{x}" for x in lines), "}"]
    lab.put("hanfs.conf", "\n".join(text))


def override(lines, more):
    """Lines "NAME = VALUE", those of `more` in the place of ours."""
    names = {x.partition("=")[0].strip() for x in more}
    return [x for x in lines if x.partition("=")[0].strip() not in
            names] + more


def install_config(lab, hosts=None):
    for host in hosts or lab.hosts():
        lab.inside(host, "cp", lab.path("hanfs.conf"), "/etc/hanfs/")
        if host in lab.servers():
            lab.inside(host, "install", "-m", "600",
                       lab.path(f"{host}.key"), "/etc/hanfs/server.key")


def start_agent(lab, host):
    start(lab, host, "hanfs-agent", find(lab, "hanfs-agent"),
          "-c", "/etc/hanfs/hanfs.conf", "-n", host)


def start_daemons(lab, held):
    config = "/etc/hanfs/hanfs.conf"
    for host in lab.hosts():
        if host in lab.servers():
            start_agent(lab, host)
        else:
            start(lab, host, "hanfs-detector", find(lab, "hanfs-detector"),
                  "-c", config)
            start(lab, host, "hanfs-proxy", find(lab, "hanfs-proxy"),
                  "-c", config, sockets=SOCKETS if held else ())


def wait_daemons(lab):
    for client in lab.clients():
        for v in VOLUMES.values():
            loopback = f"127.77.0.{v['id']}"
            wait_rpc(lab, client, loopback, 2049, MOUNT, 10)
            wait_rpc(lab, client, loopback, 2049, NFS, 10)
        bed.wait_for(f"all paths of {client} to be up",
                     lambda c=client: paths_up(lab, c), 10)


def show(lab, host, what, program):
    """What hanfsctl says of a daemon, or nothing."""
    words = [find(lab, "hanfsctl"), "show", what, program, "--json"]
    try:
        return json.loads(lab.inside(host, *words))
    except (LabError, ValueError):
        return []


def paths_up(lab, client):
    paths = show(lab, client, "paths", "proxy")
    return paths and all(p["state"] == "up" for p in paths)


# -- all of it

def up(lab, clients=1, direct=False, bare=False, extra=None, held=True):
    """Brings a lab up and waits until everything answers; on a failure
    takes it down again (not with $HANFS_LAB_KEEP, to look at it).

    held: the proxy's sockets are held by the host while it is away."""
    lab.down()  # what a crash may have left
    lab.lock()
    try:
        for volume in VOLUMES:
            lab.make_image(volume)
        lab.start_hosts(clients)
        for volume in VOLUMES:
            lab.mount(volume)
        start_backends(lab, direct)
        if not bare:
            write_config(lab, extra or {})
            install_config(lab)
            start_daemons(lab, held)
        wait_backends(lab, direct)
        if not bare:
            wait_daemons(lab)
    except BaseException:
        if not os.environ.get("HANFS_LAB_KEEP"):
            lab.down()
        raise


# -- programs in general

def start(lab, host, name, *command, sockets=()):
    """Has a host's PID 1 run a program and keep it running, and hold these
    sockets (ADDRESS:PORT) for it."""
    run_dir = lab.path("run", host)
    if sockets:
        (run_dir / f"{name}.sockets").write_text(" ".join(sockets) + "\n")
    (run_dir / f"{name}.command").write_bytes(
        b"".join(os.fsencode(str(word)) + b"\0" for word in command))
    release(lab, host, name)
    with open(run_dir / "init", "w") as f:
        f.write(f"{name}\n")


def inner_pid(lab, host, name):
    text = lab.get(f"run/{host}/{name}.pid")
    return int(text) if text else None


def outer_pid(lab, host, name):
    """A program's process id as this machine sees it, or None."""
    inner = inner_pid(lab, host, name)
    space = os.readlink(f"/proc/{lab.need(host)}/ns/pid")
    if inner is None:
        return None
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            status = Path(f"/proc/{entry}/status").read_text()
            ids = status.partition("NSpid:")[2].split("\n")[0].split()
            if len(ids) > 1 and int(ids[-1]) == inner and \
                    os.readlink(f"/proc/{entry}/ns/pid") == space:
                return int(entry)
        except OSError:
            continue
    return None


def programs(lab, host):
    """(name, outer pid or None) of every program a host was given."""
    names = {p.name.partition(".")[2] for p in
             lab.path("log").glob(f"{host}.*")} - {"init"}
    return [(n, outer_pid(lab, host, n)) for n in sorted(names)]


def kill(lab, host, name, sig=signal.SIGKILL):
    """Signals a program; returns the moment before (CLOCK_MONOTONIC)."""
    pid = outer_pid(lab, host, name)
    if pid is None:
        raise LabError(f"{name} does not run on {host}")
    now = time.monotonic()
    os.kill(pid, sig)
    return now


def freeze(pid):
    """SIGSTOP; returns when every thread has stopped, the moment before.
    (kill(2) alone is back while threads of a busy machine still run.)"""
    now = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    bed.wait_for(f"process {pid} to stop", lambda: all(
        (t / "stat").read_text().rpartition(")")[2].split()[0] in "TZ"
        for t in Path(f"/proc/{pid}/task").iterdir()), 5, 0.001)
    return now


def hold(lab, host, name):
    """Once it ends, a program stays away until release()."""
    lab.path("run", host, f"{name}.down").touch()


def release(lab, host, name):
    lab.path("run", host, f"{name}.down").unlink(missing_ok=True)


def stop(lab, host, name):
    """Ends a program (SIGTERM, after 5 s SIGKILL) and keeps it away."""
    hold(lab, host, name)
    pid = outer_pid(lab, host, name)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    try:
        bed.wait_for(f"{name} to end", lambda: not bed.start_time(pid), 5)
    except LabError:
        os.kill(pid, signal.SIGKILL)


# -- does it answer?

def answers(lab, where, host, port, program):
    """One NULL call over a new connection from a reserved port."""
    try:
        conn = agentrpc.Conn(lab, where, (host, port), timeout=1)
    except OSError:
        return False
    try:
        conn.call(1, program, 3, agentrpc.NULL, cred=None)
        return True
    except (OSError, agentrpc.Closed, agentrpc.RpcError, AssertionError):
        return False
    finally:
        conn.close()


def wait_rpc(lab, where, host, port, program, seconds):
    bed.wait_for(f"RPC program {program} at {host}:{port} in {where} "
                 f"(see `lab log {where.partition('/')[0]}`)",
                 lambda: answers(lab, where, host, port, program), seconds)


# -- bandwidth

def shape(lab, rate):
    """Limits every switch port to a rate (as tc writes it), or "off"."""
    for host in lab.hosts():
        for letter in NETWORKS:
            port = host + bed.net(letter)[2]
            tc = lab.net_only("fabric") + ["tc", "qdisc"]
            subprocess.run(tc + ["del", "dev", port, "root"], check=False,
                           stderr=subprocess.DEVNULL)
            if rate != "off":
                run(*tc, "add", "dev", port, "root", "tbf", "rate", rate,
                    "burst", "1mb", "latency", "20ms")
    lab.put("shape", rate)
