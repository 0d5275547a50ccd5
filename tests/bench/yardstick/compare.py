# SPDX-License-Identifier: GPL-2.0-only
"""A fresh table against the recorded one: what has become worse."""

import dataclasses

from . import figures

# What moves by less than this may be due to what the host does meanwhile, not to the guest.
LEAST_TICKS = 0.25
LEAST_EXITS = {"test": 0.05, "workload": 100}


@dataclasses.dataclass(frozen=True)
class Finding:
    """A figure that is worse than it was."""

    row: str
    column: str
    what: str
    recorded: float
    measured: float = None
    why: str = ""

    def __str__(self):
        where = f"{self.row} ({self.column})"
        if self.measured is None:
            return f"{where}: {self.what} was {self.recorded:,.2f}, and now {self.why}"
        return (f"{where}: {self.what} rose from {self.recorded:,.2f} to {self.measured:,.2f}, "
                f"by {100 * (self.measured / self.recorded - 1) if self.recorded else float('inf'):.1f} %")


def _worse(measured, recorded, tolerance, least):
    return measured > recorded * (1 + tolerance) and measured - recorded > least


def _cell(row, column, was, now, tolerance):
    if "ticks" in was and "ticks" not in now:
        why = now.get("fail") or now.get("skip") or "is missing"
        return [Finding(row["name"], column, "ticks", was["ticks"], why=f"it has none: {why}")]
    found = []
    if "ticks" in was and _worse(now["ticks"], was["ticks"], tolerance, LEAST_TICKS):
        found.append(Finding(row["name"], column, "ticks", was["ticks"], now["ticks"]))
    before, after = (figures.exits({"cells": {column: cell}}, column) for cell in (was, now))
    least = LEAST_EXITS[row["kind"]]
    if before is not None and after is not None and _worse(after, before, tolerance, least):
        found.append(Finding(row["name"], column, "exits", before, after))
    return found


def worse(recorded, fresh, tolerance, rows=None):
    """Return the findings in the fresh table's columns.

    @rows: names of rows that the fresh table must have if the recorded one has
    them; None: all. What only the fresh table has is compared with nothing.
    """
    now = {row["name"]: row for row in fresh["rows"]}
    found = []
    for row in recorded["rows"]:
        if rows is not None and row["name"] not in rows:
            continue
        cells = now.get(row["name"], {"cells": {}})["cells"]
        for column in fresh["columns"]:
            if column in row["cells"]:
                found += _cell(row, column, row["cells"][column], cells.get(column, {}), tolerance)
    return found


def differences(recorded, fresh):
    """Return what of the environment makes the two hard to compare, as lines."""
    lines = []
    for key in ("host", "unit"):
        if recorded[key] != fresh[key]:
            lines.append(f"{key}: {recorded[key]} recorded, {fresh[key]} now")
    was, now = recorded["environment"], fresh["environment"]
    for key in ("emulator", "guest_kernel"):
        if was.get(key) != now.get(key):
            lines.append(f"{key.replace('_', ' ')}: {was.get(key)} recorded, {now.get(key)} now")
    for column, settings in now.get("columns", {}).items():
        before = was.get("columns", {}).get(column, {})
        for key in ("kernel", "cpu"):
            if settings and before and settings.get(key) != before.get(key):
                lines.append(f"{key} of {column}: {before.get(key)} recorded, {settings.get(key)} now")
    return lines
