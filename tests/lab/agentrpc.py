"""A client of hanfs-agent in a few lines: record marking, RPC, the agent
program (lib/agent.x) and what the tests need of MOUNT and NFS version 3.

Nothing here retries or decides: a test says what goes over which connection.
"""

import os
import socket
import struct

AGENT, NFS, MOUNT = 0x2048414E, 100003, 100005
NULL, HELLO, FENCE, ACK, SUBSCRIBE, STATUS, FIT = range(7)
(OK, BAD_VERSION, WRONG_CLUSTER, NO_VOLUME, NOT_OWNER, BAD_TOKEN,
 OLD_INCARNATION, FENCED, BACKEND_DOWN, LIMIT, BAD_ARGUMENT,
 NO_HELLO) = range(12)
(GETATTR, SETATTR, LOOKUP, READ, WRITE, CREATE, MKDIR, REMOVE, RENAME,
 COMMIT) = 1, 2, 3, 6, 7, 8, 9, 12, 14, 21
ROOT = struct.pack(">5I", 0, 0, 0, 0, 0)  # stamp, name, uid, gid, gids


def u32(*values):
    return struct.pack(f">{len(values)}I", *values)


def u64(value):
    return struct.pack(">Q", value)


def opaque(data):
    return u32(len(data)) + data + b"\0" * (-len(data) % 4)


def name(text):
    return opaque(text.encode())


def boolean(value):
    return u32(1 if value else 0)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        assert self.at + n <= len(self.data), "reply is cut short"
        self.at += n
        return self.data[self.at - n:self.at]

    def u32(self):
        return struct.unpack(">I", self.take(4))[0]

    def u64(self):
        return struct.unpack(">Q", self.take(8))[0]

    def opaque(self):
        n = self.u32()
        data = self.take(n)
        self.take(-n % 4)
        return data


class Closed(Exception):
    """The other end closed the connection."""


class Conn:
    """One TCP connection from a reserved port of a host of the lab."""

    def __init__(self, lab, host, where, reserved=True, timeout=5):
        self.s = lab.socket(host, socket.AF_INET, socket.SOCK_STREAM)
        self.s.settimeout(timeout)
        self.buffer = b""
        if reserved is True:
            self.bind()
        elif reserved:
            self.s.bind(("", reserved))
        self.s.connect(where)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def bind(self):
        start = int.from_bytes(os.urandom(2), "big")
        for i in range(400):
            try:
                self.s.bind(("", 600 + (start + i) % 400))
                return
            except OSError:
                continue
        raise OSError("no reserved port")

    def close(self):
        self.s.close()

    def raw(self, data):
        self.s.sendall(data)

    def send(self, xid, prog, vers, proc, args=b"", cred=ROOT):
        head = u32(xid, 0, 2, prog, vers, proc)
        auth = u32(1) + opaque(cred) if cred is not None else u32(0, 0)
        body = head + auth + u32(0, 0) + args
        self.s.sendall(u32(0x80000000 | len(body)) + body)

    def more(self):
        data = self.s.recv(1 << 20)
        if not data:
            raise Closed()
        self.buffer += data

    def record(self):
        try:
            while len(self.buffer) < 4:
                self.more()
            n = struct.unpack(">I", self.buffer[:4])[0] & 0x7FFFFFFF
            while len(self.buffer) < 4 + n:
                self.more()
        except ConnectionError:
            raise Closed() from None
        data, self.buffer = self.buffer[4:4 + n], self.buffer[4 + n:]
        return data

    def reply(self, xid=None):
        """The next reply's results; xid checks whose it is."""
        r = Reader(self.record())
        got, kind, denied = r.u32(), r.u32(), r.u32()
        assert kind == 1, "not a reply"
        assert xid is None or got == xid, f"reply for {got}, not {xid}"
        self.xid = got
        if denied:
            raise RpcError("denied", r.u32(), r.u32())
        r.u32()
        r.opaque()
        status = r.u32()
        if status:
            raise RpcError("accepted", status)
        return r

    def call(self, xid, prog, vers, proc, args=b"", cred=ROOT):
        self.send(xid, prog, vers, proc, args, cred)
        return self.reply(xid)

    def silent(self, seconds=0.3):
        """Nothing comes within that time; the connection stays."""
        self.s.settimeout(seconds)
        try:
            return not self.buffer and self.s.recv(1, socket.MSG_PEEK) is None
        except TimeoutError:
            return True
        finally:
            self.s.settimeout(5)

    def closed(self):
        """Waits until the other end closes; False when data comes."""
        try:
            return self.s.recv(1) == b""
        except ConnectionError:
            return True


class RpcError(Exception):
    pass


class Client:
    """What a proxy is to an agent: id, token, incarnation."""

    def __init__(self, cluster="lab"):
        self.id, self.token = os.urandom(16), os.urandom(16)
        self.incarnation, self.cluster = 1, cluster
        self.xid = int.from_bytes(os.urandom(3), "big")

    def next_xid(self):
        self.xid += 1
        return self.xid

    def who(self):
        return self.id + self.token + u64(self.incarnation)

    def hello(self, conn, volume="home", kconn=1, network="A", generation=1,
              resend=False, versions=(1, 1), sent=()):
        args = (u32(*versions) + name(self.cluster) + self.who() +
                name(volume) + u64(kconn) + name(network) + u64(generation) +
                boolean(resend) + u32(len(sent), *sent))
        r = conn.call(self.next_xid(), AGENT, 1, HELLO, args, cred=None)
        keys = ("status", "version", "server", "boot", "epoch", "highest",
                "floor", "linger_ms")
        values = (r.u32(), r.u32(), r.opaque().decode(), r.u64(), r.u64(),
                  r.u64(), r.u64(), r.u32())
        return dict(zip(keys, values))

    def fence(self, conn, kconn=1, network="A", floor=1, volume="home"):
        args = (self.who() + name(volume) + u64(kconn) + name(network) +
                u64(floor))
        r = conn.call(self.next_xid(), AGENT, 1, FENCE, args, cred=None)
        return r.u32(), r.u32()

    def ack(self, conn, xids, kconn=1, volume="home"):
        args = (self.who() + name(volume) + u64(kconn) + u32(len(xids)) +
                u32(*xids))
        return conn.call(self.next_xid(), AGENT, 1, ACK, args,
                         cred=None).u32()

    def subscribe(self, conn, port, ttl_ms=5000):
        args = self.who() + u32(port, ttl_ms)
        return conn.call(self.next_xid(), AGENT, 1, SUBSCRIBE, args,
                         cred=None).u32()


def status(conn):
    r = conn.call(1, AGENT, 1, STATUS, cred=None)
    out = {"server": r.opaque().decode(), "boot": r.u64()}
    for key in ("clients", "kconns", "connections", "in_progress",
                "finished"):
        out[key] = r.u32()
    return out


def fit(conn, cluster, volume):
    """(status, {setting: value}) of a volume, as the server has it."""
    r = conn.call(1, AGENT, 1, FIT, name(cluster) + name(volume), cred=None)
    status_ = r.u32()
    return status_, {r.opaque().decode(): r.opaque().decode()
                     for _ in range(r.u32())}


# -- NFS version 3: arguments as bytes, results as far as tests look

def mount(conn, xid, path):
    """MNT: the root's handle."""
    r = conn.call(xid, MOUNT, 3, 1, name(path))
    assert r.u32() == 0, "MNT failed"
    return r.opaque()


def dirop(fh, text):
    return opaque(fh) + name(text)


def sattr(mode=None, size=None):
    return (boolean(mode is not None) +
            (u32(mode) if mode is not None else b"") + u32(0, 0) +
            boolean(size is not None) +
            (u64(size) if size is not None else b"") + u32(0, 0))


def create_args(fh, text, guarded=True, mode=0o644, size=None):
    return dirop(fh, text) + u32(1 if guarded else 0) + sattr(mode, size)


def write_args(fh, offset, data, stable=2):
    return (opaque(fh) + u64(offset) + u32(len(data), stable) + opaque(data))


def read_args(fh, offset, count):
    return opaque(fh) + u64(offset) + u32(count)


def handle_of(r):
    """The handle in a CREATE, MKDIR or LOOKUP result after its status."""
    assert r.u32() == 1, "no handle"
    return r.opaque()


def read_data(r):
    if r.u32():
        r.take(84)
    count, _eof = r.u32(), r.u32()
    data = r.opaque()
    assert len(data) == count
    return data
