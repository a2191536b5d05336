#!/usr/bin/python3 -B
"""Flipped bits in a volume's control area or log, while no server runs.

It works on the content that the san serves (VOLUME.img, VOLUME.ctl).  The
same call again puts all as it was.

As a program, in the host `san`: damage.py slots DIRECTORY, one bit of each
record in the log of the volume mounted there; prints how many there were.
"""

import os
import sys
from pathlib import Path

from bed import HERE, LabError

BLOCK, COPY = 4096, 512  # server-agent/ctlarea.h
FIRST_LEASE = 8
XATTR = "trusted.hanfs"  # server-agent/store.h
MAGIC, KIND_AT, BIT_AT = b"hanL", 5, 60
USED = (1, 2)            # INTENT, DONE (server-agent/logrec.h)


def flip_lease(lab, volume, slot):
    """A bit in every copy of a candidate's lease slot."""
    with open(lab.path(f"{volume}.ctl"), "r+b") as f:
        for copy in range(BLOCK // COPY):
            at = (FIRST_LEASE + slot) * BLOCK + copy * COPY + BIT_AT
            f.seek(at)
            byte = f.read(1)[0]
            f.seek(at)
            f.write(bytes([byte ^ 4]))


def flip_slots(lab, volume):
    """A bit of each record of the log; returns how many."""
    image = lab.path(f"{volume}.img").resolve()
    where = f"/srv/{volume}"
    out = lab.inside("san", "sh", "-c", f"""set -e
        mkdir -p {where}; loop=$(losetup -f --show {image})
        trap 'umount {where} 2>/dev/null; losetup -d $loop' EXIT
        mount -o noatime $loop {where}
        {HERE}/damage.py slots {where}""")
    return int(out)


def flip_here(directory):
    count = 0
    for path in Path(directory, ".hanfs", "log").iterdir():
        try:
            value = bytearray(os.getxattr(path, XATTR))
        except OSError:
            continue  # no slot
        if value[:4] != MAGIC or value[KIND_AT] not in USED:
            continue
        value[BIT_AT] ^= 4
        os.setxattr(path, XATTR, bytes(value))
        count += 1
    return count


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "slots":
        sys.exit(__doc__)
    try:
        print(flip_here(sys.argv[2]))
    except (OSError, LabError) as e:
        sys.exit(f"damage: {e}")
