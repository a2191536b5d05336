"""Who wrote when, by the san's log: the judge of I1 (DESIGN section 7).

It takes the disk's order of what landed and never a server's word for it.
What it knows of ownership is the epoch that the log has with each write: the
host's own, from its lease slot on the disk, or told by a test.
"""

from collections import Counter

from san import Note, Write


def violations(log, volume, most=20):
    """What broke I1 on a volume's disk; [] is good."""
    newest, writer, bad = 0, {}, []
    cut = set()
    for x in log:
        if isinstance(x, Note):
            follow_cut(x, volume, cut)
            continue
        if x.volume != volume or not x.landed():
            continue
        if x.host in cut:
            bad.append(f"write {x.sequence} of {x.host} landed after its "
                       "cut had been confirmed")
        if x.area != "img":
            continue
        if x.epoch < newest:
            bad.append(f"write {x.sequence} of {x.host} at {x.offset} in "
                       f"epoch {x.epoch} landed after one of epoch {newest} "
                       f"({writer[newest]})")
        elif writer.setdefault(x.epoch, x.host) != x.host:
            bad.append(f"write {x.sequence}: {x.host} wrote in epoch "
                       f"{x.epoch}, which was {writer[x.epoch]}'s")
        newest = max(newest, x.epoch)
    if len(bad) > most:
        bad[most:] = [f"and {len(bad) - most} more"]
    return bad


def follow_cut(note, volume, cut):
    """Keeps the set of hosts that are cut from a volume."""
    words = note.text.split()
    if words[0] not in ("cut", "heal") or len(words) < 2:
        return
    host, _, only = words[1].partition("/")
    if only not in ("", "*", volume):
        return
    if words[0] == "cut":
        cut.add(host)
    elif host == "*":
        cut.clear()
    else:
        cut.discard(host)


def summary(log, volume):
    """Figures for a report: writers in turn, and what was refused."""
    turns, refused, landed = [], Counter(), Counter()
    for x in log:
        if not isinstance(x, Write) or x.volume != volume or x.area != "img":
            continue
        if not x.landed():
            refused[f"{x.host} {x.verdict}"] += 1
            continue
        landed[x.host] += 1
        if not turns or turns[-1]["host"] != x.host or \
                turns[-1]["epoch"] != x.epoch:
            turns.append({"host": x.host, "epoch": x.epoch,
                          "from": x.began, "writes": 0})
        turns[-1]["writes"] += 1
        turns[-1]["to"] = x.ended
    return {"turns": turns, "landed": dict(landed), "refused": dict(refused)}
