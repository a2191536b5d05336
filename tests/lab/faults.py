"""Every fault that the lab can make, and how each one heals.

A fault is a pair of functions.  inject() and heal() return the moment
(CLOCK_MONOTONIC, seconds) just before the thing happened, so that a test
counts from there and not from when a program got round to it.  What is in
force stands in the directory fault/ of the lab, one file each, named
NAME:ARGUMENT:ARGUMENT.
"""

import signal
import subprocess
import time

import bed
import programs
from bed import NETWORKS, HERE, LabError, net, run

FAULTS = {}  # name -> Fault


class Fault:
    def __init__(self, name, usage, text, do, undo):
        self.name, self.usage, self.text = name, usage, text
        self.do, self.undo = do, undo


def fault(name, usage, text, undo=None):
    def register(do):
        FAULTS[name] = Fault(name, usage, text, do, undo)
        return do
    return register


def listing():
    lines = [f"{f.name + ' ' + f.usage:38} {f.text}"
             for f in FAULTS.values()]
    return "\n".join(lines)


def in_force(lab):
    if not lab.path("fault").is_dir():
        return []
    return sorted(p.name for p in lab.path("fault").iterdir())


def inject(lab, name, *args):
    """Makes a fault; returns when."""
    lab.need("fabric")
    if name not in FAULTS:
        raise LabError(f"no fault {name}; `lab fault` lists them")
    f = FAULTS[name]
    record = lab.path("fault", ":".join([name, *map(str, args)]))
    if record.exists():
        raise LabError(f"{record.name} is in force already")
    try:
        when = f.do(lab, *args)
    except TypeError as e:
        raise LabError(f"usage: lab fault {name} {f.usage}") from e
    if f.undo:
        record.touch()
    return when


def heal(lab, name=None, *args):
    """Ends the faults that match; returns [(record, when)]."""
    lab.need("fabric")
    done = []
    for record in in_force(lab):
        parts = record.split(":")
        if name and parts[:1 + len(args)] != [name, *map(str, args)]:
            continue
        when = FAULTS[parts[0]].undo(lab, *parts[1:])
        lab.path("fault", record).unlink()
        done.append((record, when))
    if name and not done:
        raise LabError(f"{name} is not in force")
    return done


def port(host, letter):
    return host + net(letter)[2]


def fabric(lab, *lines):
    now = time.monotonic()
    lab.ip("fabric", *lines)
    return now


# -- cables and switches

def port_up(lab, letter, host="c1"):
    return fabric(lab, f"link set {port(host, letter)} up")


@fault("carrier-client", "NET [HOST]", "the client's cable is out",
       port_up)
def carrier_client(lab, letter, host="c1"):
    return fabric(lab, f"link set {port(host, letter)} down")


@fault("carrier-server", "HOST NET", "the server's cable is out",
       lambda lab, host, letter: port_up(lab, letter, host))
def carrier_server(lab, host, letter):
    return carrier_client(lab, letter, host)


def switch_up(lab, letter):
    return fabric(lab, f"link set {net(letter)[0]} up")


@fault("switch-dead", "NET", "the switch forwards nothing, carriers stay",
       switch_up)
def switch_dead(lab, letter):
    return fabric(lab, f"link set {net(letter)[0]} down")


@fault("both-down", "", "switch-dead on every network, each healed alone")
def both_down(lab):
    when = fabric(lab, *(f"link set {net(x)[0]} down" for x in NETWORKS))
    for letter in NETWORKS:
        lab.path("fault", f"switch-dead:{letter}").touch()
    return when


FLAP = r"""
trap 'exit 0' TERM
set_all() { for p in $ports; do echo "link set $p $1"; done | ip -batch -; }
half=$1; shift; ports=$*
while :; do set_all down; sleep "$half"; set_all up; sleep "$half"; done
"""


def flap_end(lab, letter, *_):
    programs.stop(lab, "fabric", f"flap-{letter}")
    return fabric(lab, *(f"link set {port(h, letter)} up"
                         for h in lab.hosts()))


@fault("flap", "NET [SECONDS]",
       "all cables of a network out and in, one turn every SECONDS (1)",
       flap_end)
def flap(lab, letter, period="1"):
    ports = [port(h, letter) for h in lab.hosts()]
    now = time.monotonic()
    programs.start(lab, "fabric", f"flap-{letter}", "bash", "-c", FLAP,
                   "flap", float(period) / 2, *ports)
    return now


# -- packets lost on the way

def nft(lab, text):
    now = time.monotonic()
    run(*lab.net_only("fabric"), "nft", "-f", "-", input=text)
    return now


def one_way(name, source, target):
    """Drops what goes from one host's port to another's."""
    return lambda lab, *a: nft(lab, f"""
table bridge {name}_{'_'.join(a)} {{
    chain forward {{
        type filter hook forward priority 0;
        iifname "{port(a[source], a[2])}" oifname "{port(a[target], a[2])}" \
drop
    }}
}}""")


def delete_table(family, name):
    return lambda lab, *a: nft(
        lab, f"delete table {family} {'_'.join([name, *a])}\n")


fault("oneway-from-server", "SERVER CLIENT NET",
      "nothing from the server reaches the client",
      delete_table("bridge", "from"))(one_way("from", 0, 1))
fault("oneway-to-server", "SERVER CLIENT NET",
      "nothing from the client reaches the server",
      delete_table("bridge", "to"))(one_way("to", 1, 0))


@fault("loss", "NET PERCENT", "frames are lost at random, both ways",
       delete_table("netdev", "loss"))
def loss(lab, letter, percent):
    chains = [f"""
    chain {p} {{
        type filter hook ingress device "{p}" priority 0;
        numgen random mod 100 < {int(percent)} drop
    }}""" for p in (port(h, letter) for h in lab.hosts())]
    return nft(lab, f"table netdev loss_{letter}_{percent} {{"
               f"{''.join(chains)}\n}}\n")


@fault("nobcast", "NET", "broadcast is filtered (but for ARP)",
       delete_table("bridge", "nobcast"))
def nobcast(lab, letter):
    return nft(lab, f"""
table bridge nobcast_{letter} {{
    chain forward {{
        type filter hook forward priority 0;
        oifname {{ {', '.join(f'"{port(h, letter)}"'
                               for h in lab.hosts())} }} \
ether daddr ff:ff:ff:ff:ff:ff ether type != arp drop
    }}
}}
""")


# -- delay: the clients' ports move to a second bridge behind a slow wire

def delay_end(lab, letter, _):
    bridge = net(letter)[0]
    when = fabric(lab, *(f"link set {port(h, letter)} master {bridge}"
                         for h in lab.clients()))
    programs.stop(lab, "fabric", f"wire-{letter}")
    fabric(lab, f"link del near{letter}", f"link del far{letter}",
           f"link del {bridge}x")
    return when


@fault("delay", "NET MS", "MS more each way between servers and clients",
       delay_end)
def delay(lab, letter, ms):
    bridge = net(letter)[0]
    lines = [f"link add {bridge}x type bridge stp_state 0 forward_delay 0 "
             "mcast_snooping 0", f"link set {bridge}x up"]
    for end, master in (("near", bridge), ("far", bridge + "x")):
        lines += [f"link add {end}{letter} type veth peer name "
                  f"{end}{letter}w",
                  f"link set {end}{letter} master {master} up",
                  f"link set {end}{letter}w up"]
    fabric(lab, *lines)
    programs.start(lab, "fabric", f"wire-{letter}",
                   programs.find(lab, "wire"), f"near{letter}w",
                   f"far{letter}w", ms)
    bed.wait_for("the wire", lambda: "ready" in
                 lab.get(f"log/fabric.wire-{letter}", ""), 5)
    return fabric(lab, *(f"link set {port(h, letter)} master {bridge}x"
                         for h in lab.clients()))


# -- interfaces and addresses

def iface_add(lab, letter, host="c1"):
    # The kernel may still be at work on the removal.
    bed.wait_for("the old port to be gone", lambda: port(host, letter)
                 not in bed.interfaces(lab, "fabric"), 10)
    now = time.monotonic()
    lab.plug(host, letter)
    return now


@fault("iface-remove", "NET [HOST]",
       "the host's interface goes away (heal makes it again)", iface_add)
def iface_remove(lab, letter, host="c1"):
    dev = net(letter)[1]
    now = time.monotonic()
    # It is gone at once, but the command returns only when the kernel has
    # forgotten it, long after.
    subprocess.Popen([*lab.net_only(host), "ip", "link", "del", dev])
    bed.wait_for(f"{dev} to be gone",
                 lambda: dev not in bed.interfaces(lab, host), 5, 0.001)
    return now


def readdress(lab, host, letter, old, new):
    now = time.monotonic()
    dev = net(letter)[1]
    lab.ip(host, f"addr del {old}/24 dev {dev}",
           f"addr add {new}/24 brd {NETWORKS[letter]}.255 dev {dev}")
    return now


@fault("addr-change", "HOST NET NEW", "the host's address becomes NEW",
       lambda lab, host, letter, new: readdress(
           lab, host, letter, new, bed.address(host, letter)))
def addr_change(lab, host, letter, new):
    return readdress(lab, host, letter, bed.address(host, letter), new)


# -- programs

def program_faults(short, program, host):
    """SHORT-kill and SHORT-down for one of hanfs' programs."""
    def kill(lab, where=host):
        return programs.kill(lab, where, program)

    def down(lab, where=host):
        programs.hold(lab, where, program)
        return programs.kill(lab, where, program)

    def back(lab, where=host):
        now = time.monotonic()
        programs.release(lab, where, program)
        return now

    fault(f"{short}-kill", "[HOST]",
          f"SIGKILL to {program}, which starts again 100 ms later")(kill)
    fault(f"{short}-down", "[HOST]",
          f"SIGKILL to {program}, which stays away", back)(down)


program_faults("proxy", "hanfs-proxy", "c1")
program_faults("detector", "hanfs-detector", "c1")
program_faults("agent", "hanfs-agent", "s1")


def signal_backend(lab, volume, sig):
    return programs.kill(lab, bed.VOLUMES[volume]["owner"],
                         f"ganesha-{volume}", sig)


@fault("backend-stop", "VOLUME", "the volume's NFS server is frozen",
       lambda lab, v: signal_backend(lab, v, signal.SIGCONT))
def backend_stop(lab, volume):
    return signal_backend(lab, volume, signal.SIGSTOP)


LOCAL_DISKS = ("/run", "/var/lib/hanfs", "/var/log/ganesha")


def disk_empty(lab, host="c1"):
    now = time.monotonic()
    lab.inside(host, "rm", "-f", *(f"{d}/lab-fill" for d in LOCAL_DISKS))
    return now


@fault("client-disk-full", "[HOST]",
       f"not a byte left on {' '.join(LOCAL_DISKS[:2])}", disk_empty)
def client_disk_full(lab, host="c1"):
    now = time.monotonic()
    for directory in LOCAL_DISKS:
        lab.inside(host, "sh", "-c",
                   f"cat /dev/zero >{directory}/lab-fill 2>/dev/null; "
                   f"df --output=avail {directory} | grep -qx ' *0'")
    return now
