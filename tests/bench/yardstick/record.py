# SPDX-License-Identifier: GPL-2.0-only
"""The recorded table, which is committed beside the documentation."""

import json
import os

from testhost.cache import REPO, HostError

from . import columns, figures, measure, text

DIRECTORY = REPO / "Documentation/benchmarks"


def load(path):
    """Return a table that was written before."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        version = table["format"]
    except FileNotFoundError as error:
        raise HostError(f"there is no {os.path.relpath(path)}: measure first") from error
    except (ValueError, KeyError, TypeError) as error:
        raise HostError(f"{os.path.relpath(path)} holds no table") from error
    if version != measure.FORMAT:
        raise HostError(f"{os.path.relpath(path)} has format {version}, not {measure.FORMAT}: measure again")
    return table


def read(host):
    """Return the recorded table of a host."""
    path = DIRECTORY / f"{host}.json"
    if not path.exists():
        raise HostError(f"nothing is recorded for host {host}: 'make bench-record HOST={host}' after "
                        f"'make bench HOST={host}'")
    return load(path)


def write(table, host):
    """Record a table; return what was done. HostError if it is not one to compare with."""
    if table["host"] != host:
        raise HostError(f"the last table is of host {table['host']}, not {host}: measure that one, or name it")
    if tuple(table["columns"]) != tuple(columns.ALL):
        raise HostError("the last table has not all columns: measure all of them")
    if figures.failures(table):
        raise HostError("something failed in the last table: measure again")
    if not any("exits" in cell for row in table["rows"] for cell in row["cells"].values()):
        raise HostError("the last table has no exits: measure without --no-exits")
    DIRECTORY.mkdir(exist_ok=True)
    files = {f"{host}.json": json.dumps(_rounded(table), indent=1) + "\n", f"{host}.txt": text.restructured(table)}
    for name, content in files.items():
        (DIRECTORY / name).write_text(content, encoding="utf-8")
    return f"Recorded the table of {table['environment']['date']} in {os.path.relpath(DIRECTORY)}."


def _rounded(value):
    """Return the same with six significant digits at most: what is committed is to be read."""
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    if isinstance(value, float):
        return value if value.is_integer() else float(f"{value:.6g}")
    return value
