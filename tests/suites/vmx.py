# SPDX-License-Identifier: GPL-2.0-only
"""The system tests on VT-x: on several of Bochs' CPUs, on two of them, without VPIDs.

"make check" runs what the tests' own lines "# also:" choose; "make check-vmx" runs
all that such a host can run, on Linux 6.1, in each paging mode that the CPU offers.
"""

import dataclasses
import shlex

from . import pool, system

KERNEL = "6.1"
NESTED, SHADOW = ("nested",), ("shadow",)
# Hosts, the paging modes to test there, and of which tests, by the beginning of their names.
VARIANTS = (("--cpu vmx", NESTED + SHADOW, ("",)),
            ("--cpu vmx-noug", NESTED + SHADOW, ("",)),
            ("--cpu vmx-noept", SHADOW, ("",)),
            ("--cpu vmx-skylake", NESTED + SHADOW, ("",)),
            ("--cpu vmx --module-param vpid=0", NESTED + SHADOW, ("",)),
            # What goes from one CPU to another.
            ("--cpu vmx --smp 2", NESTED + SHADOW,
             ("bare[nested,apic", "bare[nested,memflush", "bare[shadow,memflush", "bare[nested,smp",
              "bare[shadow,smp", "device-writes", "host-cpus", "hostmem", "linux-boot",
              "module-reload", "state-moving[both-smp", "two-guests")))
# What makes a host that Bochs cannot be.
OTHERS = {"--count", "--cpu", "--cpu-model", "--debug", "--kvm"}
# These need a host with two CPUs.
TWO_CPUS = ("host-cpus",)


def _can_run(test, host):
    """Is this host like the one that the test is for?"""
    return (not OTHERS & set(shlex.split(test.host)) and KERNEL in test.versions
            and ("--smp" not in test.host or "--smp" not in host)
            and ("--smp" in host or not test.name.startswith(TWO_CPUS)))


def _tests(host, modes, names):
    """Return the tests for one of the variants."""
    for test in system.all_tests():
        mode = dict(test.settings).get("PAGING", modes[0])
        if mode in modes and test.name.startswith(names) and _can_run(test, host):
            # One CPU is what these hosts have anyway.
            also = test.host.removeprefix("--smp 1")
            # Bochs emulates two in the time of one each.
            yield dataclasses.replace(test, host=f"{host} {also}".strip(),
                                      timeout=test.timeout * (1 + ("--smp" in host)) // system.BOCHS_SHARE)


def jobs(report):
    """Return the hosts with their tests."""
    system.build_programs(report)
    groups = {}
    for variant in VARIANTS:
        for test in _tests(*variant):
            groups.setdefault(test.host, []).append(test)
    return [system.Boot(report, KERNEL, host, group) for host, group in groups.items()]


def run(report):
    """Run them all: somebody asked for it by name."""
    pool.run(jobs(report), "system tests on VT-x")
