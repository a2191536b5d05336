"""The columns of the benchmark: the ways a client reaches the volume, and
which processes' CPU time each of them costs.

  direct    the server's Ganesha that listens in the server's own network
  haproxy1  HAProxy in TCP mode on the client, then the same Ganesha
  haproxy2  HAProxy on the client and on the server: as many hops as hanfs
  hanfs     proxy and agent, then the volume's Ganesha in its own namespace
  hanfs_all the same from the second client, whose proxy has paths = "all"

All Ganeshas export the same directory of the same file system.
"""

import bed
import programs

VOLUME, SERVER, CLIENT, CLIENT_ALL = "home", "s1", "c1", "c2"
NETWORK = "A"
PORTS = {"haproxy1": 20491, "haproxy2": 20492, "server": 20493}

# What made HAProxy 2.6 fastest with splice-auto (its default bufsize of
# 16 KiB halves the rate; tune.pipesize makes no difference beside it; see
# --haproxy).  One thread, as hanfs has.  Reserved source ports, because the
# export asks for them; not those that bindresvport(3) takes.
HAPROXY = """\
global
    nbthread 1
    maxconn 64
    {tune}
defaults
    mode tcp
    {options}
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen nfs
    bind {listen}
    server nfs {to} source {source}:512-599
"""
FLAVOURS = {
    "auto": ("tune.bufsize 262144", "option splice-auto"),
    "auto-default": ("", "option splice-auto"),
    "always": ("tune.bufsize 262144\n    tune.pipesize 1048576",
               "option splice-request\n    option splice-response"),
    "nosplice": ("tune.bufsize 262144", ""),
}


class Column:
    """A way to the volume: where nfsbench runs and connects, and the
    processes (label, host, program of the lab) between it and the disk."""

    def __init__(self, name, server, port, mount, processes, client=CLIENT):
        self.name, self.client = name, client
        self.server, self.port = server, port
        self.mount_server, self.mount_port = mount
        self.processes = processes
        self.export = f"/{VOLUME}"
        self.pids = {}

    def find_processes(self, lab):
        for label, host, program in self.processes:
            pid = programs.outer_pid(lab, host, program)
            if pid is None:
                raise bed.LabError(f"{program} does not run on {host} "
                                   f"(see `lab log {host} {program}`)")
            self.pids[label] = pid

    def arguments(self):
        return ["-s", self.server, "-p", str(self.port),
                "-M", self.mount_server, "-m", str(self.mount_port),
                "-e", self.export]


def direct():
    server = bed.address(SERVER, NETWORK)
    return Column("direct", server, programs.DIRECT_PORT,
                  (server, programs.DIRECT_MOUNT_PORT),
                  [("ganesha", SERVER, f"ganesha-{VOLUME}-direct")])


def hanfs(name="hanfs", client=CLIENT):
    loopback = f"127.77.0.{bed.VOLUMES[VOLUME]['id']}"
    return Column(name, loopback, 2049, (loopback, 2049),
                  [("proxy", client, "hanfs-proxy"),
                   ("agent", SERVER, "hanfs-agent"),
                   ("ganesha", SERVER, f"ganesha-{VOLUME}")], client)


def start_haproxy(lab, host, name, listen, source, to, flavour):
    tune, options = FLAVOURS[flavour]
    lab.put(f"{name}.cfg", HAPROXY.format(
        tune=tune, options=options, listen=listen, source=source,
        to=to))
    programs.start(lab, host, name, "haproxy", "-db", "-f",
                   lab.path(f"{name}.cfg"))
    where, _, port = listen.partition(":")
    programs.wait_rpc(lab, host, where, int(port), programs.NFS, 10)


def haproxies(lab, flavour):
    """Starts them all (an idle one costs nothing); returns the columns."""
    server = bed.address(SERVER, NETWORK)
    mount = server, programs.DIRECT_MOUNT_PORT
    start_haproxy(lab, SERVER, "haproxy-server",
                  f"{server}:{PORTS['server']}", "127.0.0.1",
                  f"127.0.0.1:{programs.DIRECT_PORT}", flavour)
    columns = []
    for name, port in (("haproxy1", programs.DIRECT_PORT),
                       ("haproxy2", PORTS["server"])):
        start_haproxy(lab, CLIENT, name, f"127.0.0.1:{PORTS[name]}",
                      bed.address(CLIENT, NETWORK), f"{server}:{port}", flavour)
        processes = [("client_haproxy", CLIENT, name),
                     ("ganesha", SERVER, f"ganesha-{VOLUME}-direct")]
        if name == "haproxy2":
            processes[1:1] = [("server_haproxy", SERVER, "haproxy-server")]
        columns.append(Column(name, "127.0.0.1", PORTS[name], mount,
                              processes))
    return columns


def all_paths(lab):
    """Gives the second client's proxy both networks; returns its column."""
    text = lab.get("hanfs.conf")
    one, both = 'paths = "primary-first"', 'paths = "all"'
    assert one in text
    lab.put("all-paths.conf", text.replace(one, both))
    lab.inside(CLIENT_ALL, "cp", lab.path("all-paths.conf"),
               "/etc/hanfs/hanfs.conf")
    programs.stop(lab, CLIENT_ALL, "hanfs-proxy")
    programs.release(lab, CLIENT_ALL, "hanfs-proxy")
    column = hanfs("hanfs_all", CLIENT_ALL)
    programs.wait_rpc(lab, CLIENT_ALL, column.server, 2049, programs.NFS, 10)
    return column
