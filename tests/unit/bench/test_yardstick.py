# SPDX-License-Identifier: GPL-2.0-only
"""What the benchmark runner reads, computes and compares."""
# pylint: disable=missing-function-docstring # their names say it

import copy
import csv
import io
import json
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

from yardstick import charts, columns, compare, figures, html, jobs, lines, measure, reasons, record, text

CONSOLE = """\
NANO guest
BENCH name=cpuid ticks=612.5 spread=0.1 iterations=400 rounds=5\r
BENCH name=hlt-wake ticks=-12.0 spread=7.5 iterations=8 rounds=20
SKIP name=chase-1g-64M reason="no pages of 1 GiB"
FAIL name=ptemod reason="loads do not follow: 3"
 a line about BENCH name=nothing ticks=1
BENCH name=broken ticks=many iterations=1
DONE tests=4 failed=1
"""

HISTOGRAM = """\
# event histogram
#
# trigger info: hist:keys=exit_reason:vals=hitcount:sort=hitcount:size=2048 [active]
#

{ exit_reason:       1024 } hitcount:          3
{ exit_reason:         96 } hitcount:          7
{ exit_reason:         78 } hitcount:         12

Totals:
    Hits: 22
    Entries: 3
    Dropped: 0
"""


class Host:
    """A host of which an idle nanosecond has two ticks."""

    vendor = "svm"
    idle = 2.0


def outcome(exits=None, console="", status=1, **more):
    """Return the outcome of a job under Umbra."""
    stats = {"exits": {name: {"count": count, "cycles": 0} for name, count in (exits or {}).items()},
             "counters": more.pop("counters", {})}
    return jobs.Outcome(status, console, stats=stats, **more)


def a_table(**ticks):
    """Return a table of one test, cpuid, and a workload, boot."""
    values = {"native": 1.0, "umbra-nested": 600.0, "umbra-shadow": 630.0, "kvm-nested": 2400.0,
              "kvm-shadow": 2520.0, **{name.replace("_", "-"): value for name, value in ticks.items()}}
    rows = []
    for name, kind, factor in (("cpuid", "test", 1), ("boot", "workload", 1e6)):
        cells = {column: {"ticks": value * factor} for column, value in values.items()}
        for column in cells:
            if column != "native":
                cells[column]["exits"] = {"cpuid": 1.0, "intr": 0.25}
        rows.append({"name": name, "what": f"the <{name}> & all", "kind": kind, "cells": cells})
    return {"format": measure.FORMAT, "host": "svm", "unit": "instructions", "columns": list(columns.ALL),
            "environment": {"date": "today", "revision": "abc", "emulator": "QEMU 7.2",
                            "columns": {"umbra-nested": {"kernel": "6.1"}, "kvm-nested": {
                                "kernel": "6.1", "kvm_amd.npt": "Y", "kvm.halt_poll_ns": "200000"}}},
            "rows": rows}


class Lines(unittest.TestCase):
    """What guests say."""

    def test_cells(self):
        cells = lines.cells(CONSOLE)
        self.assertEqual(cells["cpuid"], {"ticks": 612.5, "spread": 0.1, "iterations": 400, "rounds": 5})
        self.assertEqual(cells["hlt-wake"]["ticks"], -12)
        self.assertEqual(cells["chase-1g-64M"], {"skip": "no pages of 1 GiB"})
        self.assertEqual(cells["ptemod"], {"fail": "loads do not follow: 3"})
        self.assertIn("fail", cells["broken"])
        self.assertNotIn("nothing", cells)

    def test_no_ticks_is_a_failure(self):
        self.assertIn("fail", lines.cells("BENCH name=cpuid iterations=3\n")["cpuid"])

    def test_complete(self):
        self.assertTrue(lines.complete(CONSOLE))
        self.assertFalse(lines.complete(CONSOLE.replace("DONE", "GONE")))

    def test_listing(self):
        self.assertEqual(lines.listing('LIST name=b what="two words" iterations=50\nLIST name=a what="one"\n'),
                         {"b": ("two words", 50), "a": ("one", 1)})


class Reasons(unittest.TestCase):
    """KVM's exit reasons."""

    def test_histogram(self):
        self.assertEqual(reasons.parse_histogram(HISTOGRAM, "svm"), {"npf": 3, "intr": 7, "pf": 12})

    def test_names(self):
        for vendor, number, name in (("svm", 0x72, "cpuid"), ("svm", 0x79, "invlpg"), ("svm", 0x7b, "io"),
                                     ("svm", 0x81, "vmmcall"), ("svm", 0x8d, "xsetbv"), ("svm", 0x18, "cr8_write"),
                                     ("vmx", 10, "cpuid"), ("vmx", 30, "io"), ("vmx", 48, "ept"),
                                     ("vmx", 52, "preemption_timer"), ("vmx", 0x80000021, "invalid_state"),
                                     ("svm", 0x999, "0x999")):
            self.assertEqual(reasons.name(number, vendor), name)

    def test_lost_exits(self):
        with self.assertRaises(ValueError):
            reasons.parse_histogram(HISTOGRAM.replace("Dropped: 0", "Dropped: 2"), "svm")
        with self.assertRaises(ValueError):
            reasons.parse_histogram("", "svm")


class Jobs(unittest.TestCase):
    """What is run, and what is made of it."""

    guests = jobs.Guests("nano.elf", "vmlinuz", "initrd")

    def test_plan(self):
        todo = jobs.plan(columns.ALL["kvm-shadow"], self.guests, ["cpuid", "touch-2m"], ["forkwait"],
                         {"cpuid": 400, "touch-2m": 32})
        self.assertEqual([job.name for job in todo],
                         ["nano.4k", "nano.2m", "exits.cpuid.1", "exits.cpuid.2", "exits.touch-2m.1",
                          "exits.touch-2m.2", "linux.boot", "trace.boot", "linux.forkwait", "trace.forkwait"])
        self.assertEqual([job.name for job in todo if job.traced],
                         ["exits.cpuid.1", "exits.cpuid.2", "exits.touch-2m.1", "exits.touch-2m.2",
                          "trace.boot", "trace.forkwait"])
        self.assertIn("only=cpuid iterations=800", todo[3].arguments)
        self.assertEqual((todo[0].huge, todo[1].huge, todo[6].huge), ("never", "always", "-"))
        self.assertEqual(todo[2].line().count("\t"), 2 + len(todo[2].arguments))

    def test_plan_without_exits(self):
        todo = jobs.plan(columns.ALL["umbra-nested"], self.guests, ["cpuid"], [], {})
        self.assertEqual([job.name for job in todo], ["nano.4k"])

    def test_exits_of_a_test(self):
        outcomes = {"nano.4k": outcome(console=CONSOLE),
                    "exits.cpuid.1": outcome({"cpuid": 410, "io": 90, "intr": 3}, counters={"entries": 503}),
                    "exits.cpuid.2": outcome({"cpuid": 810, "io": 90, "intr": 5}, counters={"entries": 905})}
        cell = jobs.results(outcomes, ["cpuid"], [], {"cpuid": 400}, Host)["cpuid"]
        self.assertEqual(cell["ticks"], 612.5)
        self.assertEqual(cell["exits"], {"cpuid": 1.0, "intr": 0.005})
        self.assertEqual(cell["counters"], {"entries": 1.005})

    def test_exits_that_failed(self):
        outcomes = {"nano.4k": outcome(console=CONSOLE), "exits.cpuid.1": outcome({"cpuid": 410}),
                    "exits.cpuid.2": outcome(status=34)}
        cell = jobs.results(outcomes, ["cpuid"], [], {"cpuid": 400}, Host)["cpuid"]
        self.assertEqual((cell["ticks"], cell["exits_fail"]), (612.5, "exit status 34"))

    def test_guest_that_ended_early(self):
        early = CONSOLE.replace("DONE", "GONE")
        cells = jobs.results({"nano.4k": outcome(console=early)}, ["cpuid", "invlpg"], [], {}, Host)
        self.assertEqual(cells["cpuid"]["ticks"], 612.5)
        self.assertEqual(cells["invlpg"], {"fail": "the guest ended early"})

    def test_workload_is_the_difference_to_booting(self):
        outcomes = {
            "linux.boot": outcome({"io": 700, "npf": 50}, "BENCH name=boot ticks=1000 iterations=1 idle=100\n", 0),
            "linux.forkwait": outcome({"io": 705, "npf": 50, "hlt": 4},
                                      "BENCH name=forkwait ticks=300 iterations=2 idle=0\n", 0)}
        cells = jobs.results(outcomes, [], ["boot", "forkwait"], {}, Host)
        self.assertEqual((cells["boot"]["ticks"], cells["boot"]["exits"]), (800, {"io": 700, "npf": 50}))
        self.assertEqual((cells["forkwait"]["ticks"], cells["forkwait"]["exits"]), (300, {"io": 5, "hlt": 4}))

    def test_kvm_is_traced_apart(self):
        traced = {"histogram": HISTOGRAM}
        more = {"histogram": HISTOGRAM.replace(" 12", " 40")}
        outcomes = {
            "linux.boot": outcome({}, "BENCH name=boot ticks=1000 iterations=1 idle=5\n", 0),
            "trace.boot": outcome({}, "", 0, **traced),
            "linux.forkwait": outcome({}, "BENCH name=forkwait ticks=300 iterations=2 idle=0\n", 0),
            "trace.forkwait": outcome({}, "BENCH name=forkwait ticks=999 iterations=2 idle=0\n", 0, **more)}
        cell = jobs.results(outcomes, [], ["forkwait"], {}, Host)["forkwait"]
        self.assertEqual((cell["ticks"], cell["exits"]), (300, {"pf": 28}))

    def test_workload_that_failed(self):
        outcomes = {"linux.boot": outcome(console="Kernel panic", status=32)}
        self.assertEqual(jobs.results(outcomes, [], ["boot"], {}, Host)["boot"], {"fail": "exit status 32"})
        self.assertIn("fail", jobs.results({}, [], ["boot"], {}, Host)["boot"])

    def test_monitor_that_complains(self):
        self.assertEqual(jobs.why(outcome(status=1)), "")
        self.assertEqual(jobs.why(outcome(status=1, errors="vmctl: no")), "vmctl: no")
        self.assertEqual(jobs.why(outcome(status=124)), "no end in time")

    def test_pages_of_2m(self):
        self.assertTrue(jobs.is_huge("touch-2m") and jobs.is_huge("chase-2m-64K"))
        self.assertFalse(jobs.is_huge("touch-4k") or jobs.is_huge("chase-4k-2M0"))


class Selection(unittest.TestCase):
    """Which rows are wanted, and what is said of hosts."""

    def test_select(self):
        listing = {"cpuid": ("", 1), "invlpg": ("", 1)}
        self.assertEqual(measure.select(listing, ()), (["cpuid", "invlpg"], list(jobs.WORKLOADS)))
        self.assertEqual(measure.select(listing, ("boot", "invlpg")), (["invlpg"], ["boot"]))
        with self.assertRaisesRegex(ValueError, "'cpu'"):
            measure.select(listing, ("cpuid", "cpu"))

    def test_environment(self):
        self.assertEqual(measure.environment_of("kernel=6.1\nkvm.x=a=b\nnothing\n"), {"kernel": "6.1", "kvm.x": "a=b"})


class Figures(unittest.TestCase):
    """Ratios, means, and how figures are written."""

    def test_ratio(self):
        self.assertEqual(figures.ratio(600, 2400), 0.25)
        for measured, yardstick in ((None, 1), (1, None), (1, 0)):
            self.assertIsNone(figures.ratio(measured, yardstick))

    def test_geometric_mean(self):
        self.assertAlmostEqual(figures.geometric_mean([0.25, 4, None, -1]), 1)
        self.assertAlmostEqual(figures.geometric_mean(iter([2, 8])), 4)
        self.assertIsNone(figures.geometric_mean([None]))

    def test_ratios_of_a_row(self):
        row = a_table(umbra_shadow=252.0)["rows"][0]
        self.assertEqual(figures.ratios(row), {"nested": 0.25, "shadow": 0.1})
        del row["cells"]["kvm-nested"]
        self.assertIsNone(figures.ratios(row)["nested"])

    def test_written(self):
        rows = a_table(umbra_nested=12345.6)["rows"]
        test, workload = rows[0], rows[1]
        self.assertEqual(figures.cell(test, "umbra-nested"), "12,346")
        self.assertEqual(figures.cell(test, "native"), "1.0")
        self.assertEqual(figures.cell(workload, "kvm-nested"), "2,400.0")
        self.assertEqual(figures.exit_cell(test, "umbra-nested"), "1.25")
        self.assertEqual(figures.exit_cell(test, "native"), "-")
        workload["cells"]["umbra-nested"]["exits"]["npf"] = 71.0
        self.assertEqual(figures.exit_cell(workload, "umbra-nested"), "72")
        self.assertEqual(figures.cell({"kind": "test", "cells": {"native": {"fail": "x"}}}, "native"), "failed")
        self.assertEqual(figures.cell({"kind": "test", "cells": {"native": {"skip": "x"}}}, "native"), "-")

    def test_csv(self):
        table = a_table()
        table["rows"][0]["cells"]["kvm-nested"] = {"skip": "in use, by \"others\""}
        rows = list(csv.DictReader(io.StringIO(figures.as_csv(table))))
        self.assertEqual(len(rows), 10)
        self.assertEqual((rows[1]["ticks"], rows[1]["exits"], rows[1]["exit_intr"]), ("600.0", "1.25", "0.25"))
        self.assertEqual((rows[3]["ticks"], rows[3]["status"]), ("", "skip: in use, by \"others\""))

    def test_complaints(self):
        table = a_table()
        self.assertEqual((figures.failures(table), figures.complaints(table)), (0, []))
        for row in table["rows"]:
            row["cells"]["kvm-nested"] = {"fail": "died"}
        self.assertEqual(figures.failures(table), 2)
        self.assertEqual(figures.complaints(table), [("failed", "kvm-nested", "died", ["cpuid", "boot"])])

    def test_unstable(self):
        table = a_table()
        table["rows"][0]["cells"]["kvm-nested"]["spread"] = 5.1
        table["rows"][0]["cells"]["kvm-shadow"]["spread"] = 5.0
        self.assertEqual(figures.unstable(table), {"kvm-nested": ["cpuid"]})
        self.assertIn("KVM nested: cpuid", text.terminal(table).splitlines()[-1])


class Compare(unittest.TestCase):
    """A fresh table against the recorded one."""

    def findings(self, change, tolerance=0.05, rows=None):
        """Return what is found after change(fresh table)."""
        recorded = a_table()
        fresh = copy.deepcopy(recorded)
        fresh["columns"] = list(columns.UMBRA)
        change(fresh)
        return compare.worse(recorded, fresh, tolerance, rows)

    def set_ticks(self, ticks):
        """Return a change of one cell."""
        def change(table):
            table["rows"][0]["cells"]["umbra-shadow"]["ticks"] = ticks
        return change

    def test_same_is_fine(self):
        self.assertEqual(self.findings(lambda table: None), [])

    def test_within_tolerance(self):
        self.assertEqual(self.findings(self.set_ticks(630 * 1.049)), [])
        self.assertEqual(self.findings(self.set_ticks(100)), [])
        self.assertEqual(self.findings(self.set_ticks(630 * 1.09), 0.1), [])

    def test_worse(self):
        found = self.findings(self.set_ticks(630 * 1.06))
        self.assertEqual([(f.row, f.column, f.what) for f in found], [("cpuid", "umbra-shadow", "ticks")])
        self.assertIn("by 6.0 %", str(found[0]))

    def test_other_columns_do_not_count(self):
        def change(table):
            table["rows"][0]["cells"]["kvm-nested"]["ticks"] *= 2
        self.assertEqual(self.findings(change), [])

    def test_more_exits(self):
        def change(row, more):
            def change_exits(table):
                table["rows"][row]["cells"]["umbra-nested"]["exits"]["npf"] = more
            return change_exits
        self.assertEqual([f.what for f in self.findings(change(0, 1.0))], ["exits"])
        self.assertEqual([f.what for f in self.findings(change(1, 101.0))], ["exits"])
        self.assertEqual(self.findings(change(0, 0.04)) + self.findings(change(1, 99.0)), [])

    def test_exits_not_counted(self):
        def change(table):
            del table["rows"][1]["cells"]["umbra-nested"]["exits"]
        self.assertEqual(self.findings(change), [])

    def test_a_row_that_fails_or_is_gone(self):
        def fail(table):
            table["rows"][0]["cells"]["umbra-nested"] = {"fail": "died"}

        def drop(table):
            del table["rows"][0]
        self.assertIn("died", str(self.findings(fail)[0]))
        self.assertEqual(len(self.findings(drop)), 2)
        self.assertEqual(self.findings(drop, rows=("boot",)), [])

    def test_least_difference(self):
        recorded = a_table(umbra_shadow=1.0)
        fresh = copy.deepcopy(recorded)
        fresh["rows"][0]["cells"]["umbra-shadow"]["ticks"] = 1.2
        self.assertEqual(compare.worse(recorded, fresh, 0.05), [])
        fresh["rows"][0]["cells"]["umbra-shadow"]["ticks"] = 1.3
        self.assertEqual(len(compare.worse(recorded, fresh, 0.05)), 1)

    def test_differences(self):
        recorded = a_table()
        fresh = copy.deepcopy(recorded)
        self.assertEqual(compare.differences(recorded, fresh), [])
        fresh["environment"]["columns"]["umbra-nested"]["kernel"] = "6.12"
        self.assertEqual(compare.differences(recorded, fresh), ["kernel of umbra-nested: 6.1 recorded, 6.12 now"])


class Written(unittest.TestCase):
    """Tables for people."""

    def test_terminal(self):
        said = text.terminal(a_table())
        self.assertRegex(said, r"(?m)^cpuid +instructions/op +1\.0 +600 +630 +2,400 +2,520 +0\.25 +0\.25$")
        self.assertRegex(said, r"(?m)^geometric mean +0\.25 +0\.25$")
        self.assertRegex(said, r"(?m)^cpuid +/op( +1\.25){4}$")
        self.assertRegex(said, r"(?m)^boot +in all( +1){4}$")

    def test_restructured(self):
        said = text.restructured(a_table())
        self.assertIn("``kvm.halt_poll_ns=200000``", said)
        widths = {tuple(len(part) for part in line.split("  ")) for line in said.splitlines() if line.startswith("==")}
        self.assertEqual(len(widths), 2)

    def test_page(self):
        table = a_table()
        page = html.page(table)
        xml.etree.ElementTree.fromstring(page[page.index("<body>"):page.index("</body>") + 7])
        for needle in ("<svg", "the &lt;cpuid&gt; &amp; all", "exits by reason"):
            self.assertIn(needle, page)
        for needle in ("http", "src=", "@import", "url("):
            self.assertNotIn(needle, page)

    def test_bars_are_in_proportion(self):
        root = xml.etree.ElementTree.fromstring(charts.bars([("a", "native", 50, "50"), ("b", "native", 200, "200"),
                                                             ("c", "native", None, "-")]))
        widths = [float(rect.get("width")) for rect in root.iter("rect")]
        self.assertEqual(len(widths), 2)
        self.assertAlmostEqual(widths[1] / widths[0], 4)

    def test_ratios_grow_from_the_middle(self):
        root = xml.etree.ElementTree.fromstring(charts.ratios([("a", {"nested": 0.5, "shadow": 2.0})], 1))
        low, high = list(root.iter("rect"))[:2]
        self.assertAlmostEqual(float(low.get("x")) + float(low.get("width")), float(high.get("x")))
        self.assertAlmostEqual(float(low.get("width")), float(high.get("width")))


class Record(unittest.TestCase):
    """The recorded table."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        record.DIRECTORY = self.directory / "benchmarks"

    def test_there_and_back(self):
        table = a_table(umbra_nested=600.123456)
        record.write(table, "svm")
        again = record.read("svm")
        self.assertEqual(again["rows"][0]["cells"]["umbra-nested"]["ticks"], 600.123)
        self.assertEqual(again["environment"], table["environment"])
        self.assertEqual(compare.worse(again, table, 0.05), [])
        self.assertTrue((record.DIRECTORY / "svm.txt").read_text(encoding="utf-8").startswith(".. SPDX"))

    def test_refused(self):
        broken = a_table()
        broken["rows"][0]["cells"]["kvm-nested"] = {"fail": "died"}
        partial = a_table()
        partial["columns"] = ["native"]
        bare = a_table()
        for row in bare["rows"]:
            for cell in row["cells"].values():
                cell.pop("exits", None)
        for table, host in ((a_table(), "vmx"), (broken, "svm"), (partial, "svm"), (bare, "svm")):
            with self.assertRaises(record.HostError):
                record.write(table, host)
        self.assertFalse(record.DIRECTORY.exists())

    def test_no_table(self):
        with self.assertRaisesRegex(record.HostError, "nothing is recorded"):
            record.read("svm")
        path = self.directory / "bench.json"
        for content in ("", "[]", "{}", json.dumps({"format": 99})):
            path.write_text(content, encoding="utf-8")
            with self.assertRaises(record.HostError):
                record.load(path)
