"""Cases of tests/lab/servers without a fault: what the load alone must not
bring about.
"""

from pathrun import Bar
from servercases import case

SLEEP_MS = 900  # NFS-Ganesha's, in a RENAME, is a second


def no_sleep(r, loads, out):
    """No call waited for one that slept at the backend."""
    return [Bar(f"{name}: a {kind} took {x['max_ms']:.0f} ms")
            for name, load in out["loads"].items()
            for kind, x in load["kinds"].items() if x["max_ms"] > SLEEP_MS]


@case("renames", load=["-x", "names"], check=no_sleep)
def renames(r):
    """Renames between directories that others use"""
    r.hold(15)
