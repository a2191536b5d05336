"""Medians of the rounds, as JSON and as a table for people."""

import statistics

COLUMNS = ("direct", "hanfs", "haproxy1", "haproxy2")


def median(values):
    return statistics.median(values) if values else None


def ratio(a, b):
    return round(a / b, 3) if a and b else None


def cpu_medians(samples):
    """Medians by process, and of their sum (not the sum of the medians)."""
    labels = samples[0][1].keys()
    out = {k: round(median([s[1][k] for s in samples]), 4) for k in labels}
    out["total"] = round(median([sum(s[1].values()) for s in samples]), 4)
    return out


def make_row(row, network, samples):
    """samples: {column: [(rate, {process: CPU seconds}), ...]}"""
    out = {"name": row.name, "network": network, "unit": row.unit}
    for column in (*COLUMNS, *(c for c in samples if c not in COLUMNS)):
        rates = [s[0] for s in samples.get(column, [])]
        out[column] = round(median(rates), 1) if rates else None
    out["ratio_direct"] = ratio(out["hanfs"], out["direct"])
    out["ratio_haproxy2"] = ratio(out["hanfs"], out["haproxy2"])
    if "hanfs_one" in out:
        out["ratio_one"] = ratio(out["hanfs"], out["hanfs_one"])
    out["cpu_s"] = {"per": row.per, **{c: cpu_medians(s)
                                       for c, s in samples.items() if s}}
    out["spread"] = {c: [round(min(x[0] for x in s), 1),
                         round(max(x[0] for x in s), 1)]
                     for c, s in samples.items() if s}
    return out


def cell(row, column):
    """Median and half of the spread around it, in percent."""
    if row.get(column) is None:
        return f"{'-':>13}"
    low, high = row["spread"][column]
    return f"{row[column]:8.0f} ±{(high - low) / 2 / row[column]:4.0%}"


def number(value, form):
    return f"{'-':>8}" if value is None else f"{value:{form}}"


def relay_cpu(row, column):
    """CPU seconds of what stands between client and Ganesha."""
    cpu = row["cpu_s"].get(column)
    if cpu is None:
        return None
    return sum(v for k, v in cpu.items()
               if k not in ("client", "ganesha", "total"))


def header():
    return (f"{'row':11} {'network':9} {'unit':8}"
            + "".join(f"{c:>14}" for c in COLUMNS)
            + f"{'/direct':>9}{'/haproxy2':>10}"
            f"{'cpu hanfs':>11}{'haproxy2':>9}  for each")


def line(row):
    text = (f"{row['name']:11} {row['network']:9} {row['unit']:8}"
            + "".join(" " + cell(row, c) for c in COLUMNS)
            + f" {number(row['ratio_direct'], '8.2f')}"
            f"  {number(row['ratio_haproxy2'], '8.2f')}"
            f"   {number(relay_cpu(row, 'hanfs'), '8.3f')}"
            f" {number(relay_cpu(row, 'haproxy2'), '8.3f')}"
            f"  {row['cpu_s']['per']}")
    if "ratio_one" in row:
        text += (f"\n{'':12}one network {cell(row, 'hanfs_one')}; both give "
                 f"{number(row['ratio_one'], '.2f')} of it")
    return text
