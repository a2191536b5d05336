"""A lab whose servers share the disks: either can have either volume.

With `managed` the agents decide who has one: they mount it, start its
backend and move its service address.  Without, nobody does; the control
experiment (byhand.py) then does what people do today.

A server here has a life: boot() and power_cut().  What outlives it is what
a machine keeps: its key and /var/lib/hanfs (disk/HOST in the state
directory), and the shared disks.
"""

import json
import os
import signal
import socket
import subprocess
import time

import bed
import programs
from bed import NETWORKS, VOLUMES, LabError
from san import San, fence_command, make_control

SERVICE_NETWORK = "A"


def service_address(volume):
    """Where clients without a proxy find a volume."""
    return f"{NETWORKS[SERVICE_NETWORK]}.{100 + VOLUMES[volume]['id']}"


# -- configuration

def storage_lines(lab, volume, extra):
    """The section `storage` of a volume; `extra` lines replace ours."""
    lines = [f'device = "/run/san/{volume}"',
             f'control = "/run/san/{volume}.ctl"',
             f'mountpoint = "/srv/{volume}"', f'fstype = "{lab.fstype}"',
             'fence = "command"', f'fence_command = "{fence_command(lab)}"',
             f'service_address = "{service_address(volume)}"',
             'failback = "manual"']
    extra = [x.replace("{volume}", volume) for x in extra]
    return ["storage {", *(f"\t{x}" for x in
                           programs.override(lines, extra)), "}"]


def assembling(extra, verb):
    """The command of a `storage` section that makes its device, or ""."""
    for line in extra.get("storage", []):
        name, _, value = line.partition(" = ")
        if name == verb:
            return value.strip('"').replace("\\\"", '"')
    return ""


# -- up

def up(lab, clients=2, extra=None, managed=True, third=False, plain=False):
    """Brings it up and waits until all volumes are served. extra: lines for
    sections of hanfs.conf, `storage` among them. third: a server more, the
    last candidate of each volume. plain: no san, the disks' own loop devices
    (power cuts have no effect on them)."""
    lab.down()
    lab.lock()
    lab.put("shared", "managed" if managed else "by hand")
    if third:
        lab.put("third", bed.THIRD)
    try:
        for volume in VOLUMES:
            lab.make_image(volume)
            make_control(lab, volume)
        lab.start_hosts(clients)
        if plain:
            lab.put("plain", "")
        else:
            San(lab).start()
        for host in lab.servers():
            prepare(lab, host)
        extra = extra or {}
        programs.write_config(lab, extra, lambda volume: storage_lines(
            lab, volume, extra.get("storage", [])))
        programs.install_config(lab)
        for volume in VOLUMES:
            make_volume(lab, volume, managed, extra)
        if managed:
            programs.start_daemons(lab, held=True)
            wait_served(lab)
            programs.wait_daemons(lab)
    except BaseException:
        if not os.environ.get("HANFS_LAB_KEEP"):
            lab.down()
        raise


def prepare(lab, host):
    """What a server's start does before any program of ours."""
    San(lab).plug(host)
    for volume in VOLUMES:
        lab.inside(host, "mkdir", "-p", f"/srv/{volume}")
        lab.make_namespace(host, volume)


def make_volume(lab, volume, managed, extra):
    """The exported directory, and what --format makes of the volume."""
    host = VOLUMES[volume]["owner"]
    where = f"/srv/{volume}"
    lab.inside(host, "sh", "-c", f"mount /run/san/{volume} {where} && "
               f"mkdir -p {where}/export && chmod 1777 {where}/export && "
               f"umount {where}")
    if not managed:
        return
    steps = [assembling(extra, "assemble") or "true",
             f"{programs.find(lab, 'hanfs-agent')} -c /etc/hanfs/hanfs.conf "
             f"-n {host} --format {volume}",
             assembling(extra, "disassemble") or "true"]
    lab.inside(host, "env", f"HANFS_VOLUME={volume}", "sh", "-ec",
               "\n".join(f"({x})" for x in steps))


# -- who serves?

def ask(lab, host, what, program="agent"):
    """What `hanfsctl show WHAT PROGRAM` asks for; [] while there is none.
    Without a process of its own: it is asked while times are measured."""
    try:
        path = f"/proc/{lab.need(host)}/root/run/hanfs/{program}.sock"
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(1)
            s.connect(path)
            s.sendall(f"show {what}\n".encode())
            return json.loads(b"".join(iter(lambda: s.recv(65536), b"")))
    except (OSError, ValueError, LabError):
        return []


def volume_view(lab, host, volume):
    """What the agent of a server says of a volume, or None."""
    for v in ask(lab, host, "volumes"):
        if v.get("volume") == volume or v.get("name") == volume:
            return v
    return None


def serving(lab, volume):
    """The server that serves a volume, or None."""
    for host in lab.servers():
        if lab.pid(host):
            view = volume_view(lab, host, volume)
            if view and view.get("state") == "serving":
                return host
    return None


def wait_served(lab, seconds=20):
    for volume in VOLUMES:
        bed.wait_for(f"volume {volume} to be served (see `lab log s1`)",
                     lambda v=volume: serving(lab, v), seconds, 0.05)


# -- power

def power_cut(lab, host, networks_first=()):
    """The server is off: no packet leaves it and no write of it lands any
    more.  `networks_first`: switches that die with it.  Returns when."""
    pid = lab.need(host)
    tree = bed.whole_tree(pid)
    lines = [f"link set {bed.net(x)[0]} down" for x in networks_first]
    lines += [f"link set {host}{bed.net(x)[2]} down" for x in NETWORKS]
    when = time.monotonic()
    for each in tree:  # nothing is handed over while the ports go down
        try:
            os.kill(each, signal.SIGSTOP)
        except ProcessLookupError:
            pass
    lab.ip("fabric", *lines)
    San(lab).ask("cut", host)
    San(lab).ask("power-off", host)
    bed.kill_all([pid])
    lab.path(f"{host}.pid").unlink()
    San(lab).unplug(host)
    # Its connections, which nobody acknowledges any more, would keep its
    # network, and so the ports, for minutes. (ip returns long after.)
    for letter in NETWORKS:
        subprocess.Popen([*lab.net_only("fabric"), "ip", "link", "del",
                          host + bed.net(letter)[2]],
                         stderr=subprocess.DEVNULL)
    return when


def boot(lab, host, managed=None):
    """Starts a server that is off, with its agent; returns when."""
    if lab.pid(host):
        raise LabError(f"{host} runs already")
    if managed is None:
        managed = lab.get("shared") == "managed"
    when = time.monotonic()
    process = lab.spawn(host)
    lab.finish(host, process)
    bed.wait_for("the old ports to be gone", lambda: not any(
        host + bed.net(x)[2] in bed.interfaces(lab, "fabric")
        for x in NETWORKS), 10)
    lab.wire_hosts([host])
    San(lab).ask("heal", host)
    prepare(lab, host)
    programs.install_config(lab, [host])
    lab.booted(host)
    if managed:
        programs.start_agent(lab, host)
    return when

