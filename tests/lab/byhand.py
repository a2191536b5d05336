"""How NFS fails over without hanfs: the control experiment's takeover.

As it is done today: the file system is mounted and NFS-Ganesha started on
one server; clients mount a floating address.  When that server dies a
script waits DETECT_S (a cluster manager's dead time), fences it, mounts,
starts the NFS server, takes the address and tells the network (gratuitous
ARP).  Nothing of hanfs runs.
"""

import socket
import time

import bed
import programs
import shared
from bed import HERE, LabError

DETECT_S = 1.0
PORT, MOUNT_PORT = 2049, 20048
MOUNT_OPTIONS = "noatime,dirsync"  # else Ganesha loses answered CREATEs


def take(lab, host, volume, options=MOUNT_OPTIONS):
    """Makes a server the owner; returns the time of each step."""
    steps, began = [], time.monotonic()

    def done(name):
        nonlocal began
        now = time.monotonic()
        steps.append({"step": name, "ms": round((now - began) * 1e3, 1)})
        began = now

    san = shared.San(lab)
    epoch = 1 + max(x["epoch"] for (_, v), x in san.status().items()
                    if v == volume)
    san.ask("epoch", f"{host}/{volume}", epoch)  # for the oracle alone
    lab.inside(host, "mount", "-o", options, f"/run/san/{volume}",
               f"/srv/{volume}")
    done("mount")
    name = f"ganesha-{volume}-hand"
    config = programs.write_ganesha(lab, volume, f"{volume}-hand.ganesha",
                                    PORT, MOUNT_PORT)
    programs.start(lab, host, name, HERE / "backend", volume, config)
    programs.wait_rpc(lab, host, "127.0.0.1", PORT, programs.NFS, 20)
    done("backend")
    address = shared.service_address(volume)
    device = bed.net(shared.SERVICE_NETWORK)[1]
    lab.ip(host, f"addr add {address}/24 dev {device}")
    announce(lab, host, address)
    done("address")
    return steps


def announce(lab, host, address):
    """Gratuitous ARP, request and reply form, three times."""
    device = bed.net(shared.SERVICE_NETWORK)[1]
    with lab.socket(host, socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind((device, 0))
        own = s.getsockname()[4]
        ip = socket.inet_aton(address)
        for _ in range(3):
            for kind in (1, 2):
                s.send(b"\xff" * 6 + own + b"\x08\x06\0\1\x08\0\6\4\0" +
                       bytes([kind]) + own + ip +
                       (bytes(6) if kind == 1 else b"\xff" * 6) + ip)


def take_over(lab, dead, host, volume):
    """After the death of a server: the script of every such cluster."""
    began = time.monotonic()
    time.sleep(DETECT_S)
    steps = [{"step": "detect", "ms": round(
        (time.monotonic() - began) * 1e3, 1)}]
    if lab.pid(dead) and shared.San(lab).status()[dead, volume]["state"] \
            != "cut":
        raise LabError(f"{dead} is not fenced")
    return steps + take(lab, host, volume)
