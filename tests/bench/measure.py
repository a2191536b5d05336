"""One measurement: nfsbench over one column, with CPU time by process."""

import itertools
import json
import os
import subprocess
import time

import bed

FILE_MIB = 256
MAKE = 20000  # no more files than that in one measurement
serial = itertools.count()


class Row:
    """What is measured: an operation with a number of calls in flight."""

    def __init__(self, operation, inflight):
        self.operation, self.inflight = operation, inflight
        self.name = f"{operation}-{inflight}"
        self.bulk = operation in ("read", "write")
        self.unit = "MiB/s" if self.bulk else "calls/s"
        self.per = "GiB" if self.bulk else "10000 calls"
        self.per_calls = 1024 if self.bulk else 10000


ROWS = [Row(operation, n) for operation, depths in (
    ("read", (1, 8)), ("write", (1, 8)), ("getattr", (1, 16)),
    ("create", (1, 16)), ("remove", (1, 16))) for n in depths]


def cpu_clock(pid):
    """CPU seconds of a process with all its threads, ended ones too: the
    clock that clock_getcpuclockid(3) names."""
    return time.clock_gettime(~pid << 3 | 2)


def nfsbench(lab, column, operation, inflight, *more):
    p = subprocess.run(
        lab.net_only(column.client)
        + [lab.build / "tests/bench/nfsbench", *column.arguments(),
           "-o", operation, "-q", str(inflight), "-z", str(FILE_MIB),
           *map(str, more)],
        text=True, capture_output=True, timeout=120, check=False)
    if p.returncode:
        raise bed.LabError(f"{column.name}: {p.stderr.strip()}")
    return json.loads(p.stdout)


def prepare(lab, column):
    """Makes the file of the READ and WRITE rows and has it in memory."""
    nfsbench(lab, column, "write", 4, "-n", FILE_MIB)


def timed(lab, column, row, *more):
    """(rate in the row's unit, CPU seconds by process for row.per, calls)"""
    before = {k: cpu_clock(pid) for k, pid in column.pids.items()}
    result = nfsbench(lab, column, row.operation, row.inflight, *more)
    per = row.per_calls / result["all_calls"]
    cpu = {"client": result["cpu_s"] * per}
    for label, pid in column.pids.items():
        cpu[label] = (cpu_clock(pid) - before[label]) * per
    return result["calls"] / result["seconds"], cpu, result["all_calls"]


def measure(lab, column, row, seconds):
    """Runs a row over a column for so many seconds, and tidies up after it:
    names made are removed, dirty data written, outside of what is timed."""
    span = ["-t", seconds, "-w", seconds / 5]
    names = ["-x", f"bench-{os.getpid()}-{next(serial)}-"]
    if row.operation == "create":
        rate, cpu, made = timed(lab, column, row, *span, *names, "-n", MAKE)
        nfsbench(lab, column, "remove", 16, *names, "-n", made)
    elif row.operation == "remove":
        made = nfsbench(lab, column, "create", 16, *names,
                        "-t", seconds, "-n", MAKE)["all_calls"]
        rate, cpu, _ = timed(lab, column, row, *names, "-n", made)
    else:
        rate, cpu, _ = timed(lab, column, row, *span)
    if row.operation == "write":
        lab.inside("s1", "sync", "-f", "/srv/home")
    return rate, cpu


def peak_memory(pid):
    """Largest resident set so far, in KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return None
