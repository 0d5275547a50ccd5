# SPDX-License-Identifier: GPL-2.0-only
"""System tests on hosts whose kernel checks itself: KASAN, lockdep, kmemleak and more.

"make check" runs a choice that meets every path of the module, on Linux 6.1;
"make check-debug" runs all tests that such a host can run, on both kernels. When
the tests have ended the module is unloaded and kmemleak scans for what it left.
"""

import dataclasses
import shlex

from testhost import kernels

from . import pool, system

# Of the names of tests.
CHOICE = ("abi[", "bare[nested,exceptions", "bare[shadow,exceptions", "bare[shadow,paging]",
          "bare[shadow,smp", "host-cpus", "hostmem[shadow,2", "linux-boot[shadow,6.1,2", "module-reload")
# These need what such a kernel has not: modify_ldt().
UNABLE = ("hostregs",)
# Everything takes several times as long.
SLOWER = 4


def _can_run(test):
    """Does its host differ from the usual one only in what a debug kernel can do?"""
    return not (test.name.startswith(UNABLE) or {"--count", "--cpu", "--kvm"} & set(shlex.split(test.host)))


def _tests(version, everything):
    """Return the tests for a kernel version, as they are on a debug host.

    Those that want such a host in any case belong to the system tests, with
    one of the kernels.
    """
    for test in system.all_tests():
        if not _can_run(test):
            continue
        if "--debug" in test.host:
            if everything:
                yield test
        elif version in test.versions and (everything or test.name.startswith(CHOICE)):
            yield dataclasses.replace(test, host=f"--debug {test.host}".strip(),
                                      timeout=SLOWER * test.timeout)


def jobs(report, everything=False):
    """Return hosts with the tests of the choice, or with all."""
    system.build_programs(report)
    found = []
    for version in list(kernels.VERSIONS)[:None if everything else 1]:
        groups = {}
        for test in _tests(version, everything):
            groups.setdefault(test.host, []).append(test)
        found += [system.Boot(report, version, host, group) for host, group in groups.items()]
    return found


def run(report):
    """Run all: somebody asked for it by name."""
    pool.run(jobs(report, everything=True), "system tests")
