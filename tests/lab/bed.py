"""The test bed: hosts, networks and volumes made of namespaces.

Owns what stands in the state directory ($HANFS_LAB): one file a fact, so that
another process, or a person with `cat`, finds everything again:

    NAME.pid        PID 1 of a host (or of `fabric`) and its start time
    run/HOST/*.pid  a program's process id, as the host itself sees it
    log/HOST.*      what each program wrote
    VOLUME.img      the disk of a volume, or a link to it: $HANFS_LAB_IMAGES
                    may name another directory (one in memory, say, when
                    the disk's own pauses are not what is measured)
    shared          is there if both servers see both disks (san.py), in the
                    host `san`; else each volume has one server for ever
    fault/*         faults in force
    hanfs.conf      the same text in every host

A host is a set of namespaces (net, mount, pid, ipc, uts) with a PID 1 of its
own (`init`).  A network is a bridge in the namespace `fabric`; host HOST's
port on network A is the interface HOSTa there, and neta inside the host.
What runs in the hosts is programs.py's, what is done to them faults.py's.
"""

import contextlib
import ctypes
import fcntl
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
NETWORKS = {"A": "10.81.1", "B": "10.82.1"}
NUMBERS = {"s1": 11, "s2": 12, "s3": 13, "c1": 21, "c2": 22}
SERVERS = ("s1", "s2")
THIRD = "s3"  # a lab with shared disks may have it
VOLUMES = {
    "home": {"id": 1, "owner": "s1", "candidates": ("s1", "s2")},
    "work": {"id": 2, "owner": "s2", "candidates": ("s2", "s1")},
}
IMAGE_SIZE = "4G"
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """Something a person can act on; printed without a traceback."""


def run(*cmd, **kw):
    """Runs a command; raises LabError with what it said if it fails."""
    p = subprocess.run([str(c) for c in cmd], text=True, capture_output=True,
                       **kw)
    if p.returncode:
        raise LabError(f"{' '.join(map(str, cmd))}: exit {p.returncode}: "
                       f"{(p.stderr or p.stdout).strip()}")
    return p.stdout


def wait_for(what, test, seconds, step=0.01):
    """Waits until test() is true and returns that value."""
    end = time.monotonic() + seconds
    while True:
        value = test()
        if value:
            return value
        if time.monotonic() > end:
            raise LabError(f"waited {seconds} s in vain for {what}")
        time.sleep(step)


def start_time(pid):
    """The kernel's start time of a process: tells a reused pid apart."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def net(letter):
    """(bridge in fabric, interface in a host, letter of a port)."""
    if letter not in NETWORKS:
        raise LabError(f"no network {letter}; there are "
                       f"{' '.join(NETWORKS)}")
    return "net" + letter, "net" + letter.lower(), letter.lower()


def address(host, letter):
    return f"{NETWORKS[letter]}.{NUMBERS[host]}"


def mac(host, letter):
    third = NETWORKS[letter].split(".")[1]
    return f"02:{int(third):02x}:00:00:00:{NUMBERS[host]:02x}"


def interfaces(lab, host):
    """Names of a host's interfaces."""
    text = Path(f"/proc/{lab.need(host)}/net/dev").read_text()
    return {x.partition(":")[0].strip() for x in text.splitlines()[2:]}


class Lab:
    def __init__(self, root=None, build=None):
        self.root = Path(root or os.environ.get("HANFS_LAB")
                         or f"/tmp/hanfs-lab-{os.getuid()}").absolute()
        tree = HERE.parent.parent
        self.build = Path(build or os.environ.get("HANFS_BUILD")
                          or (tree / "build" if (tree / "build").is_dir()
                              else tree)).absolute()
        self.sysctl = []  # KEY=VALUE for each network made
        self.booted = lambda host: None  # a server is up but for its agent
        self.fstype = "ext4"

    # -- files of the state directory

    def path(self, *parts):
        return self.root.joinpath(*parts)

    def get(self, name, default=None):
        try:
            return self.path(name).read_text().strip()
        except FileNotFoundError:
            return default

    def put(self, name, text):
        self.path(name).write_text(f"{text}\n")

    def lock(self):
        """One change of the bed at a time; held until the process ends."""
        self.root.mkdir(parents=True, exist_ok=True)
        self._lock = open(self.path("lock"), "w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    # -- hosts

    def pid(self, name):
        """PID 1 of a host, or None when it is not running."""
        text = self.get(f"{name}.pid")
        if not text:
            return None
        pid, started = text.split()
        return int(pid) if start_time(pid) == started else None

    def need(self, name):
        pid = self.pid(name)
        if pid is None:
            raise LabError(f"no host {name} runs in {self.root}; "
                           "`lab status` shows what does, `lab up` starts it")
        return pid

    def hosts(self):
        return [h for h in NUMBERS if self.pid(h)]

    def clients(self):
        return [h for h in self.hosts() if h not in self.servers()]

    def servers(self):
        """All that belong to this lab, whether they run or not."""
        return SERVERS + (THIRD,) * self.path("third").exists()

    def candidates(self, volume):
        return VOLUMES[volume]["candidates"] + self.servers()[len(SERVERS):]

    def enter(self, where):
        """The words that run a command in HOST, or HOST/VOLUME for the
        network namespace of that volume's backend, or `fabric`."""
        host, _, volume = where.partition("/")
        pid = self.need(host)
        words = ["nsenter", "-t", str(pid), "-m", "-n", "-p", "-i", "-u",
                 f"--wd={os.getcwd()}", "--"]
        if volume:
            words += ["nsenter", f"--net=/run/netns/{volume}", "--"]
        return words

    def inside(self, where, *cmd, **kw):
        return run(*self.enter(where), *cmd, **kw)

    def net_only(self, where):
        """The words that run a command in the network of HOST or HOST/VOLUME
        and nowhere else: quick, and signals reach it."""
        host, _, volume = where.partition("/")
        pid = self.need(host)
        path = f"/proc/{pid}/root/run/netns/{volume}" if volume \
            else f"/proc/{pid}/ns/net"
        return ["nsenter", f"--net={path}", "--"]

    def ip(self, where, *lines):
        """Runs lines of ip(8) in the network of a host, at once."""
        run(*self.net_only(where), "ip", "-batch", "-",
            input="\n".join(lines) + "\n")

    def socket(self, where, *args):
        """A socket that lives in the network of a host."""
        here = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(self.net_only(where)[1].partition("=")[2],
                        os.O_RDONLY)
        try:
            if LIBC.setns(there, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            return socket.socket(*args)
        finally:
            LIBC.setns(here, CLONE_NEWNET)
            os.close(here)
            os.close(there)

    # -- up

    def spawn(self, name):
        """Starts the namespaces and PID 1 of a host; finish() waits."""
        directory = self.path("run", name)
        shutil.rmtree(directory, ignore_errors=True)  # of an earlier boot
        directory.mkdir(parents=True)
        os.mkfifo(directory / "init")
        return subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--ipc", "--uts",
             "--fork", "--kill-child", "--mount-proc",
             "--propagation", "private", HERE / "init", name, self.root],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, cwd="/",
            text=True, preexec_fn=lambda: unmask(()))

    def finish(self, name, process):
        line = process.stdout.readline()
        if line != "ready\n":
            raise LabError(f"host {name} did not start: {line}"
                           f"{process.stdout.read()}")
        children = f"/proc/{process.pid}/task/{process.pid}/children"
        pid = int(Path(children).read_text().split()[0])
        self.put(f"{name}.pid", f"{pid} {start_time(pid)}")

    def shared(self):
        return self.path("shared").exists()

    def start_hosts(self, clients):
        self.path("log").mkdir()
        self.path("fault").mkdir()
        names = [*self.servers(), *(f"c{i + 1}" for i in range(clients))]
        self.spawn_all(["fabric"] + ["san"] * self.shared() + names)
        self.wire_up(names)

    def spawn_all(self, names):
        started = []
        try:
            for name in names:
                with unheard_signals():  # none between fork and append
                    started.append((name, self.spawn(name)))
            for name, process in started:
                self.finish(name, process)
        except BaseException:  # Ctrl-C: down() knows only finished ones
            for _, process in started:
                process.kill()  # and its PID 1 with it: --kill-child
                process.wait()
            kill_all(self.orphans(names))  # --kill-child came too late
            raise

    def set_sysctl(self, where):
        """Settings of a network, before anything listens there.

        What TCP does under loss must not depend on the machine's choice
        (with bbr a changed delay starved a connection for seconds): cubic,
        or reno, which no machine can forbid a namespace."""
        sysctl = self.net_only(where) + ["sysctl", "-qw"]
        for name in ("cubic", "reno"):
            if subprocess.run(
                    sysctl + [f"net.ipv4.tcp_congestion_control={name}"],
                    stderr=subprocess.DEVNULL, check=False).returncode == 0:
                break
        if self.sysctl:
            run(*sysctl, *self.sysctl)

    def wire_up(self, hosts):
        lines = []
        for letter in NETWORKS:
            bridge = net(letter)[0]
            third = NETWORKS[letter].split(".")[1]
            lines += [f"link add {bridge} address 02:{int(third):02x}:00:00:"
                      "00:01 type bridge stp_state 0 forward_delay 0 "
                      "mcast_snooping 0", f"link set {bridge} up"]
        self.ip("fabric", *lines)
        subprocess.run(self.net_only("fabric") + [
            "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0",
            "net.bridge.bridge-nf-call-ip6tables=0",
            "net.bridge.bridge-nf-call-arptables=0"],
            stderr=subprocess.DEVNULL, check=False)  # module may be absent
        self.wire_hosts(hosts)

    def wire_hosts(self, hosts):
        for host in hosts:
            self.set_sysctl(host)
            for letter in NETWORKS:
                self.plug(host, letter)

    def plug(self, host, letter):
        """Gives a host its interface on a network, with its address."""
        bridge, interface, low = net(letter)
        port = host + low
        self.ip("fabric",
                f"link add {port} type veth peer name {interface} "
                f"address {mac(host, letter)} netns {self.need(host)}",
                f"link set {port} master {bridge} up")
        self.ip(host,
                f"addr add {address(host, letter)}/24 "
                f"brd {NETWORKS[letter]}.255 dev {interface}",
                f"link set {interface} up")

    # -- volumes

    def make_image(self, volume):
        """A volume's disk: an ext4 image behind a loop device of its own."""
        image = self.path(f"{volume}.img")
        elsewhere = os.environ.get("HANFS_LAB_IMAGES")
        if elsewhere:
            handle, name = tempfile.mkstemp(
                prefix=f"hanfs-lab-{volume}-", dir=elsewhere)
            os.close(handle)
            image.symlink_to(name)
        with open(image, "w") as f:
            f.truncate(int(IMAGE_SIZE[:-1]) << 30)
        if self.fstype == "xfs":
            run("mkfs.xfs", "-q", "-f", "-K", "-l", "size=64m", image)
            return
        run("mkfs.ext4", "-q", "-F", "-b", "4096", "-J", "size=64",
            "-e", "remount-ro", "-N", "65536", "-E",
            "lazy_itable_init=1,nodiscard", image)

    def attach(self, volume, area=".img"):
        image = self.path(volume + area).resolve()
        try:
            return run("losetup", "--direct-io=on", "-f", "--show",
                       image).strip()
        except LabError:  # a file system that has no direct I/O
            return run("losetup", "-f", "--show", image).strip()

    def mount(self, volume):
        """Mounts a volume in its owner and makes the exported directory."""
        host = VOLUMES[volume]["owner"]
        device = self.attach(volume)
        self.put(f"{volume}.loop", device)
        self.inside(host, "sh", "-c",
                    f"mkdir -p /srv/{volume} && "
                    f"mount -o noatime {device} /srv/{volume} && "
                    f"mkdir -p /srv/{volume}/export && "
                    f"chmod 1777 /srv/{volume}/export")
        self.make_namespace(host, volume)

    def make_namespace(self, host, volume):
        """The network of a volume's backend: every address is local."""
        self.inside(host, "ip", "netns", "add", volume)
        self.ip(f"{host}/{volume}", "link set lo up",
                "route add local 0.0.0.0/0 dev lo")
        self.set_sysctl(f"{host}/{volume}")

    def loops(self):
        """Loop devices on images of this lab."""
        found = []
        for image in [*self.root.glob("*.img"), *self.root.glob("*.ctl")]:
            found += run("losetup", "-j", image.resolve(), "-O", "NAME",
                         "-n").split()
        for line in run("losetup", "-l", "-n", "-O",
                        "NAME,BACK-FILE").splitlines():
            device, _, file = line.partition(" ")
            if self.is_of_san(device, file.strip()):
                found.append(device)
        return found

    def is_of_san(self, device, file):
        """Is a loop device one of ours on a file of the san? Once the san
        is gone its files have no path but their name."""
        own = {f.read_text().strip(): f.name for f in
               self.root.glob("*.*.loop")}  # HOST.VOLUME.img.loop
        name = own.get(device, "").partition(".")[2].removesuffix(".loop")
        return file.startswith(f"{self.root}/san/") or \
            (name != "" and file == f"/{name}")

    # -- down

    def down(self):
        """Ends and removes everything; right also after a crash."""
        self.cut_all()
        names = [p.stem for p in self.root.glob("*.pid")]
        names += [p.name for p in self.path("run").glob("*")]
        kill_all(p for p in (self.pid(n) for n in set(names)) if p)
        while orphans := self.orphans():  # one may fork while we look
            kill_all(orphans)
        for device in self.loops():
            subprocess.run(["losetup", "-d", device], check=False,
                           stderr=subprocess.DEVNULL)
        wait_for("the loop devices to be free", lambda: not self.loops(), 10)
        for image in self.root.glob("*.img"):
            image.resolve().unlink(missing_ok=True)
        shutil.rmtree(self.root, ignore_errors=True)

    def cut_all(self):
        """No process may wait for a disk when it is to end."""
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(10)
                s.connect(str(self.path("san/socket")))
                s.sendall(b"cut *\n")
                s.recv(64)
        except OSError:
            pass  # there is no san

    def orphans(self, names=None):
        """PID 1s of this lab whose pid file was never written, and what is
        about to become one: init, or unshare in front of it."""
        head, root = os.fsencode(HERE / "init"), os.fsencode(self.root)
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                words = Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
            words = words.split(b"\0")
            if head not in words:
                continue
            host, state = (words + [b"", b""])[words.index(head) + 1:][:2]
            if state == root and (names is None or
                                  os.fsdecode(host) in names):
                found.append(int(entry))
        return found


def whole_tree(pid):
    """A process and all below it."""
    found, children = [pid], []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            children += Path(f"/proc/{pid}/task/{task}/children"
                             ).read_text().split()
    except OSError:
        pass  # it, or a thread of it, has ended
    for child in children:
        found += whole_tree(int(child))
    return found


def unmask(signals):
    signal.pthread_sigmask(signal.SIG_SETMASK, signals)


@contextlib.contextmanager
def unheard_signals():
    """Ctrl-C, SIGTERM and SIGHUP wait until the block has ended."""
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        unmask(before)


def clean_up_on_term():
    """Has SIGTERM unwind the stack, so that `finally:` is reached, and left
    in peace by a second one (timeout(1) sends two)."""
    def end(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(143)
    signal.signal(signal.SIGTERM, end)


def kill_all(pids, seconds=10):
    """SIGKILLs processes by id and waits until they are gone."""
    fds = []
    for pid in pids:
        try:
            fds.append(os.pidfd_open(pid))
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    end = time.monotonic() + seconds
    for fd in fds:
        ready = select.select([fd], [], [], max(0, end - time.monotonic()))
        os.close(fd)
        if not ready[0]:
            raise LabError("a killed process did not end")
