# SPDX-License-Identifier: GPL-2.0-only
"""The table as one page with charts, which needs nothing but itself."""

import html
import math

from . import charts, columns, figures, text

_STYLE = """
:root { --ink: #1c2733; --soft: #66717d; --line: #d5dade; --paper: #fff; --band: #f4f6f8;
  --umbra: #4b3f9e; --umbra2: #8d83d8; --kvm: #b5651d; --kvm2: #e0a769; --native: #6b8e73; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --soft: #98a3ae; --line: #3a444e;
  --paper: #161b20; --band: #1e252c; --umbra: #a79cf0; --umbra2: #6f64c4; --kvm: #e59b53;
  --kvm2: #a8652a; --native: #8fb898; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p, dl { max-width: 56rem; } dt { color: var(--soft); float: left; clear: left; width: 13rem; } dd { margin-left: 13.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .2rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; } td.unit, th.unit { text-align: left; color: var(--soft); }
tbody tr:hover { background: var(--band); } th { font-weight: 600; }
td.better { color: var(--umbra); font-weight: 600; } td.worse { color: var(--kvm); font-weight: 600; }
details { border-top: 1px solid var(--line); padding: .4rem 0; } summary { cursor: pointer; }
summary span { color: var(--soft); } details .both { display: flex; flex-wrap: wrap; gap: 2rem; margin: .6rem 0 1rem; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg text.soft { fill: var(--soft); }
svg line { stroke: var(--line); } svg line.one { stroke: var(--soft); stroke-width: 1.5; }
""" + "".join(f"svg .{name} {{ fill: var(--{color}); }}\n" for name, color in charts.COLORS.items())


def _table(heads, body, ratios=0):
    """Return an HTML table; the last cells of a row are ratios, which have a colour."""
    units = {1: ' class="unit"'}

    def cell(number, value):
        kind = units.get(number, "")
        if number >= len(heads) - ratios and value not in ("-", ""):
            kind = ' class="better"' if float(value) < 1 else ' class="worse"' if float(value) > 1 else ""
        return f"<td{kind}>{html.escape(value)}</td>"

    head = "".join(f"<th{units.get(number, '')}>{html.escape(name)}</th>" for number, name in enumerate(heads))
    rows = "".join("<tr>" + "".join(cell(*item) for item in enumerate(row)) + "</tr>\n" for row in body)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>'


def _by_reason(row, shown):
    """Return the table of a row's exits by reason, or ""."""
    names = {}
    for column in shown:
        for reason, value in figures.reasons(row, column.name):
            names[reason] = names.get(reason, 0) + value
    if not names:
        return ""
    by_column = [dict(figures.reasons(row, column.name)) for column in shown]
    body = [[reason, "", *(figures.count(found.get(reason, 0), row) for found in by_column)]
            for reason in sorted(names, key=names.get, reverse=True)]
    return _table(["exits by reason", "per operation" if row["kind"] == "test" else "in all",
                   *(column.title for column in shown)], body)


def _detail(table, row):
    shown = [columns.ALL[name] for name in table["columns"]]
    bars = [(column.title, column.name, figures.ticks(row, column.name), figures.cell(row, column.name))
            for column in shown]
    chart = charts.bars(bars) if any(value for _, _, value, _ in bars) else ""
    return (f'<details><summary>{html.escape(row["name"])} <span>{html.escape(row["what"])}, in '
            f'{html.escape(figures.unit(table, row))}</span></summary><div class="both">{chart}'
            f'{_by_reason(row, [column for column in shown if column.hypervisor])}</div></details>')


def _ratios(table):
    rows = [(row["name"], figures.ratios(row)) for row in table["rows"]]
    rows = [(name, {mode: value for mode, value in found.items() if value}) for name, found in rows]
    rows = [(name, found) for name, found in rows if found]
    if not rows:
        return ""
    largest = max(abs(math.log2(value)) for _, found in rows for value in found.values())
    return ("<h2>Umbra in terms of KVM</h2><p>To the left of the line Umbra takes less, to the right KVM "
            "does. Each step of the scale is a factor of two.</p>" + charts.ratios(rows, max(1, math.ceil(largest))))


def page(table):
    """Return the page."""
    facts = "".join(f"<dt>{html.escape(key)}</dt><dd>{html.escape(value)}</dd>"
                    for key, _, value in (line.partition(": ") for line in text.environment(table)))
    heads, body = text.main_table(table)
    exit_heads, exit_body = text.exit_table(table)
    notes = "".join(f"<li>{html.escape(line)}</li>" for line in text.notes(table))
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Umbra and KVM, {html.escape(table["host"])}</title><style>{_STYLE}</style></head><body>
<h1>What virtualization costs: native, Umbra, KVM</h1>
<p>Ticks of the time stamp counter are {html.escape(table["unit"])} on this host ({html.escape(table["host"])}).
Rows of the bare-metal guest are per operation; those of the Linux guest are totals.</p>
<dl>{facts}</dl>
{_ratios(table)}
<h2>Ticks</h2>{_table(heads, body, sum(head.startswith("Umbra/") for head in heads))}
{"<h2>Exits</h2>" + _table(exit_heads, exit_body) if exit_body else ""}
{"<ul>" + notes + "</ul>" if notes else ""}
<h2>Each row</h2>{"".join(_detail(table, row) for row in table["rows"])}
</body></html>
"""
