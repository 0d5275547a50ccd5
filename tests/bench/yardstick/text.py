# SPDX-License-Identifier: GPL-2.0-only
"""The table as text, for a terminal and for reStructuredText."""

from . import columns, figures


def main_table(table):
    """Return (heads, rows) of ticks and ratios."""
    shown = [columns.ALL[name] for name in table["columns"]]
    modes = [(mode, umbra, kvm) for mode, umbra, kvm in columns.RATIOS
             if umbra in table["columns"] and kvm in table["columns"]]
    heads = ["test", "unit", *(column.title for column in shown), *(f"Umbra/KVM {mode}" for mode, _, _ in modes)]
    body = []
    for row in table["rows"]:
        ratio = figures.ratios(row)
        body.append([row["name"], figures.unit(table, row), *(figures.cell(row, column.name) for column in shown),
                     *("-" if ratio[mode] is None else f"{ratio[mode]:.2f}" for mode, _, _ in modes)])
    if modes and len(body) > 1:
        means = [figures.geometric_mean(figures.ratios(row)[mode] for row in table["rows"]) for mode, _, _ in modes]
        body.append(["geometric mean", "", *("" for _ in shown),
                     *("-" if mean is None else f"{mean:.2f}" for mean in means)])
    return heads, body


def exit_table(table):
    """Return (heads, rows) of how often each row exits; no rows if that was not counted."""
    shown = [columns.ALL[name] for name in table["columns"] if columns.ALL[name].hypervisor]
    heads = ["test", "exits", *(column.title for column in shown)]
    body = []
    for row in table["rows"]:
        if any("exits" in row["cells"].get(column.name, {}) for column in shown):
            body.append([row["name"], "/op" if row["kind"] == "test" else "in all",
                         *(figures.exit_cell(row, column.name) for column in shown)])
    return heads, body


def _aligned(heads, body, rule):
    widths = [max(len(line[i]) for line in [heads, *body]) for i in range(len(heads))]

    def line(cells):
        return "  ".join(text.ljust(width) if i < 2 else text.rjust(width)
                         for i, (text, width) in enumerate(zip(cells, widths))).rstrip()

    ruler = "  ".join(rule * width for width in widths)
    return [ruler, line(heads), ruler, *(line(cells) for cells in body), ruler]


def environment(table):
    """Return the lines that say what was measured, on what."""
    known = table["environment"]
    lines = [f"{key.replace('_', ' ')}: {value}" for key, value in known.items() if key != "columns"]
    common = {}
    for found in known.get("columns", {}).values():
        for key, value in found.items():
            common.setdefault(key, set()).add(value)
    lines += [f"{key}: {', '.join(sorted(values))}" for key, values in common.items() if "." not in key]
    return lines


def notes(table):
    """Return a line for each thing that failed, was skipped or is not to be trusted."""
    lines = [f"{verb}, {columns.ALL[column].title}: {', '.join(names)}: {why}"
             for verb, column, why, names in figures.complaints(table)]
    return lines + [f"rounds differ by more than {figures.SPREAD:g} %, {columns.ALL[column].title}: {', '.join(names)}"
                    for column, names in figures.unstable(table).items()]


def terminal(table):
    """Return the table for a terminal."""
    out = _aligned(*main_table(table), "-")
    heads, body = exit_table(table)
    if body:
        out += ["", *_aligned(heads, body, "-")]
    complaints = notes(table)
    if complaints:
        out += ["", *complaints]
    return "\n".join(["", *environment(table), "", *out]) + "\n"


def restructured(table):
    """Return the table to be included in reStructuredText."""
    heads, body = exit_table(table)
    out = [".. SPDX-License-Identifier: GPL-2.0-only", ".. Written by \"make bench-record\".", ""]
    for lines in (main_table(table), (heads, body)):
        if lines[1]:
            # A row must begin with something, and end with something.
            filled = [[text or ".." for text in cells] for cells in lines[1]]
            out += [*_aligned(lines[0], filled, "="), ""]
    out += [f"* {line}" for line in [*environment(table), *notes(table)]]
    out += [f"* {line}" for line in _parameters(table)]
    return "\n".join(out) + "\n"


def _parameters(table):
    """Return the parameters of modules, those of all columns alike together."""
    lines = []
    for column, found in table["environment"].get("columns", {}).items():
        named = [f"``{key}={value}``" for key, value in found.items()
                 if key.partition(".")[2] in ("npt", "ept", "halt_poll_ns", "nested", "avic", "tdp_mmu")]
        if named:
            lines.append(f"{columns.ALL[column].title}: {', '.join(named)}")
    return lines
