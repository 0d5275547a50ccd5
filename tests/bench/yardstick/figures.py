# SPDX-License-Identifier: GPL-2.0-only
"""Figures out of a table: ratios, totals, and how they are written."""

import csv
import io
import math

from . import columns

MILLION = 1e6
# A figure whose rounds differ by more than so many percent is not to be trusted.
SPREAD = 5.0


def ticks(row, column):
    """Return what a row took in a column, or None."""
    return row["cells"].get(column, {}).get("ticks")


def exits(row, column):
    """Return how often a row exited in a column, for any reason, or None."""
    found = row["cells"].get(column, {}).get("exits")
    return None if found is None else sum(found.values())


def ratio(measured, yardstick):
    """Return measured / yardstick, or None if there is no sense in it."""
    return measured / yardstick if measured is not None and yardstick else None


def ratios(row):
    """Return {mode: Umbra/KVM} of a row."""
    return {mode: ratio(ticks(row, umbra), ticks(row, kvm)) for mode, umbra, kvm in columns.RATIOS}


def geometric_mean(values):
    """Return the geometric mean of what is there and positive, or None."""
    logarithms = [math.log(value) for value in values if value is not None and value > 0]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else None


def unit(table, row):
    """Return the unit of a row's figures."""
    return f"{table['unit']}/op" if row["kind"] == "test" else f"M {table['unit']}"


def number(value, row):
    """Write ticks in the unit of their row."""
    if row["kind"] != "test":
        value /= MILLION
    return f"{value:,.1f}" if abs(value) < 100 or row["kind"] != "test" else f"{value:,.0f}"


def count(value, row):
    """Write a number of exits: whole ones if they are totals."""
    return f"{value:,.2f}" if value < 100 and row["kind"] == "test" else f"{value:,.0f}"


def cell(row, column):
    """Write ticks of a row in a column: "-" if skipped or not measured, "failed" if it did."""
    found = row["cells"].get(column, {})
    if "ticks" in found:
        return number(found["ticks"], row)
    return "failed" if "fail" in found else "-"


def exit_cell(row, column):
    """Write how often a row exits in a column."""
    found = row["cells"].get(column, {})
    if "exits_fail" in found or "fail" in found:
        return "failed"
    value = exits(row, column)
    return "-" if value is None else count(value, row)


def reasons(row, column):
    """Return [(reason, exits)] of a row in a column, the most frequent first."""
    found = row["cells"].get(column, {}).get("exits") or {}
    return sorted(found.items(), key=lambda item: -item[1])


def complaints(table):
    """Return [(what failed or was skipped, why, in which rows' columns)]."""
    found = {}
    for row in table["rows"]:
        for column, entry in row["cells"].items():
            for word, verb in (("fail", "failed"), ("exits_fail", "exits not counted"), ("skip", "skipped")):
                if word in entry:
                    found.setdefault((verb, column, entry[word]), []).append(row["name"])
    return [(verb, column, why, names) for (verb, column, why), names in found.items()]


def unstable(table):
    """Return {column: [rows]} of what was measured with too much of a spread."""
    found = {}
    for row in table["rows"]:
        for column, entry in row["cells"].items():
            if entry.get("spread", 0) > SPREAD:
                found.setdefault(column, []).append(row["name"])
    return found


def failures(table):
    """Tell how many cells failed."""
    return sum("fail" in entry or "exits_fail" in entry
               for row in table["rows"] for entry in row["cells"].values())


def as_csv(table):
    """Return the table as comma-separated values, a line for each row and column."""
    names = sorted({reason for row in table["rows"] for entry in row["cells"].values()
                    for reason in entry.get("exits") or {}})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["row", "kind", "column", "unit", "ticks", "spread", "iterations", "status", "exits",
                     *(f"exit_{name}" for name in names)])
    for row in table["rows"]:
        for column in table["columns"]:
            entry = row["cells"].get(column, {})
            status = next((f"{word}: {entry[word]}" for word in ("fail", "exits_fail", "skip") if word in entry), "ok")
            found = entry.get("exits")
            writer.writerow([row["name"], row["kind"], column, table["unit"], entry.get("ticks", ""),
                             entry.get("spread", ""), entry.get("iterations", ""), status,
                             "" if found is None else sum(found.values()),
                             *("" if found is None else found.get(name, 0) for name in names)])
    return out.getvalue()
