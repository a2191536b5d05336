"""Two hosts, two networks, and the programs that run on them."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

NETWORKS = {"neta": "10.81.1", "netb": "10.82.1"}
DEADLINE = 5
# A sanitized build's search for leaks needs /proc, which is out of reach in
# an empty root.
os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=0")


class Failed(Exception):
    pass


def wait_for(what, test, deadline=DEADLINE):
    """Until test() is true; its value. Raises what was waited for."""
    end = time.monotonic() + deadline
    while True:
        value = test()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {deadline} s")
        time.sleep(0.01)


def run(*words, check=True):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(words)}: {done.stderr.strip()}")
    return done


class Program:
    """A running program whose lines are kept as they come."""

    def __init__(self, name, words):
        self.name = name
        self.lines = []
        self.p = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, bufsize=1)
        self.pid = self.p.pid
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.p.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_line(self, pattern, since=0, deadline=DEADLINE):
        """The first line from number `since` on that matches."""
        def look():
            for line in self.lines[since:]:
                found = re.search(pattern, line)
                if found:
                    return found
            return None
        return wait_for(f"{self.name}: a line '{pattern}'", look, deadline)

    def here(self):
        return len(self.lines)

    def end(self, sig=signal.SIGTERM):
        """Exit status; the reader has seen all lines then."""
        if self.p.poll() is None:
            self.p.send_signal(sig)
        try:
            status = self.p.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.p.kill()
            status = self.p.wait()
        self.reader.join(DEADLINE)
        return status

    def tell(self, line):
        """A command to the sender; its answer."""
        n = self.here()
        self.p.stdin.write(line + "\n")
        answer = self.wait_line(r"^(ok|no)\b.*", n).group(0)
        if not answer.startswith("ok"):
            raise Failed(f"{line}: {answer}")
        return answer


class Bed:
    def __init__(self, build):
        self.build = build
        self.dir = tempfile.mkdtemp(prefix="hanfs-detector-")
        os.chmod(self.dir, 0o755)
        self.programs = []
        self.holder = None

    def __enter__(self):
        try:
            self.holder = subprocess.Popen(
                ["unshare", "--net", "sleep", "infinity"])
            own = os.readlink("/proc/self/ns/net")
            wait_for("the server's namespace", lambda: os.readlink(
                f"/proc/{self.holder.pid}/ns/net") != own)
            for name in NETWORKS:
                self.add_interface(name)
            for server in ("s1", "s2", "other"):
                self.make_key(server)
            self.write_config()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *unused):
        self.end_programs()
        if self.holder:
            self.holder.kill()
            self.holder.wait()
        shutil.rmtree(self.dir)

    # hosts and networks

    def on_server(self, *words, check=True):
        return run(*self.enter_server(), *words, check=check)

    def enter_server(self):
        return ["nsenter", "-t", str(self.holder.pid), "-n"]

    def add_interface(self, name, net=None, form="{net}.{host}/24"):
        run("ip", "link", "add", name, "type", "veth", "peer", "name", name,
            "netns", str(self.holder.pid))
        net = net or NETWORKS[name]
        for host, on in ((21, run), (11, self.on_server)):
            on("ip", "link", "set", name, "up")
            on("ip", "addr", "add", form.format(net=net, host=host),
               "dev", name, *(["nodad"] if ":" in net else []))

    # files

    def path(self, name):
        return os.path.join(self.dir, name)

    def make_key(self, server):
        key = run(self.program("tests/detector/sender"), "keygen",
                  self.path(server + ".key")).stdout.strip()
        with open(self.path(server + ".pub"), "w") as f:
            f.write(key)

    def write_config(self, key_of_s1="s1", interval_ms=50, extra="",
                     addresses='"10.81.1.11", "10.82.1.11"'):
        """As an editor does: a new file takes the old one's place."""
        def pub(server):
            with open(self.path(server + ".pub")) as f:
                return f.read()
        text = f'''cluster = "test"
network "A" {{ prefix = {{"10.81.1.0/24"}} }}
network "B" {{ prefix = {{"10.82.1.0/24"}} }}
server "s1" {{
	id = 1
	public_key = "{pub(key_of_s1)}"
	addresses = {{{addresses}}}
}}
server "s2" {{
	id = 2
	public_key = "{pub("s2")}"
	addresses = {{"10.81.1.12", "10.82.1.12"}}
}}
volume "home" {{ id = 1 candidates = {{"s1", "s2"}} }}
proxy {{ user = "nobody" }}
detector {{ user = "nobody" }}
agent {{
	key = "{self.path("SERVER.key")}"
	heartbeat_interval_ms = {interval_ms}
}}
{extra}
'''
        with open(self.path("new"), "w") as f:
            f.write(text)
        os.rename(self.path("new"), self.path("hanfs.conf"))

    # programs

    def program(self, name):
        return os.path.join(self.build, name)

    def start(self, name, words):
        p = Program(name, words)
        self.programs.append(p)
        return p

    def detector(self, *options):
        return self.start("detector", [
            self.program("hanfs-detector"), "-c", self.path("hanfs.conf"),
            "--run", self.path("run"), *options])

    def sender(self, alive_max_ms=500):
        state = self.path("state")
        os.makedirs(state, exist_ok=True)
        p = self.start("sender", self.enter_server() + [
            self.program("tests/detector/sender"), self.path("hanfs.conf"),
            "s1", state, str(alive_max_ms)])
        p.wait_line("^ok started")
        return p

    def both(self):
        """A printing detector that hears the sender on both networks."""
        s, d = self.sender(), self.detector("--print", "-v")
        for interface in NETWORKS:
            d.wait_line(rf" {interface} \S+ s1 .*seq")
        return s, d

    def end_programs(self):
        for p in reversed(self.programs):
            p.end()
        self.programs = []

    def story(self):
        return "".join(
            f"    {p.name}: {line}\n" for p in self.programs
            for line in p.lines[-15:])
