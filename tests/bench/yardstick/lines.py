# SPDX-License-Identifier: GPL-2.0-only
"""What measuring guests say on their serial port: one line for each test.

  BENCH name=cpuid ticks=612.0 spread=0.1 iterations=10000 rounds=3
  SKIP name=touch-1g reason="no 1G pages"
  FAIL name=ptemod reason="the page is not there"
  LIST name=cpuid what="CPUID leaf 0" iterations=50
  DONE tests=30 failed=0
"""

import re

_LINE = re.compile(r"(BENCH|SKIP|FAIL|LIST|DONE)((?: [a-z]+=(?:\"[^\"]*\"|\S+))+)$")
_FIELD = re.compile(r" ([a-z]+)=(?:\"([^\"]*)\"|(\S+))")


def parse(console):
    """Return [(word, {field: text})] of the lines of a guest that are for us."""
    found = []
    for line in console.splitlines():
        matched = _LINE.match(line.strip())
        if matched:
            fields = {key: quoted or plain for key, quoted, plain in _FIELD.findall(matched.group(2))}
            found.append((matched.group(1), fields))
    return found


def numbers(fields):
    """Return what is a number in a line's fields; ValueError if one is none."""
    return {key: float(text) for key, text in fields.items() if key != "name"}


def cells(console):
    """Return {test: cell}: what a guest measured, skipped or failed at."""
    result = {}
    for word, fields in parse(console):
        name = fields.get("name", "")
        if word == "BENCH":
            try:
                values = numbers(fields)
                result[name] = {**values, "ticks": values["ticks"]}
            except (ValueError, KeyError):
                result[name] = {"fail": "the guest's figures make no sense"}
        elif word in ("SKIP", "FAIL"):
            result[name] = {word.lower(): fields.get("reason", "for no reason given")}
    return result


def listing(console):
    """Return {test: (what it measures, of how many operations its rounds are)}, in the guest's order."""
    return {fields["name"]: (fields.get("what", ""), int(fields.get("iterations", 1)))
            for word, fields in parse(console) if word == "LIST" and "name" in fields}


def complete(console):
    """Tell whether a guest came to its end."""
    return any(word == "DONE" for word, _ in parse(console))
