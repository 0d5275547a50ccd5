# SPDX-License-Identifier: GPL-2.0-only
"""What in a kernel log says that the kernel found something wrong with itself."""

import re

_SIGNS = (
    r"\bBUG: ", r"^BUG ", r"kernel BUG at", r"\bWARNING: ", r"\bOops\b", r"Kernel panic",
    r"\bINFO: .*(stall|lockdep|suspicious|inconsistent|trying to register)",
    r"blocked for more than \d+ seconds", r"detected( expedited)? stalls", r"self-detected stall",
    r"soft lockup", r"hard LOCKUP", r"scheduling while atomic", r"sleeping function called",
    r"possible (circular|recursive|irq lock) ", r"inconsistent lock state", r"suspicious RCU usage",
    r"held lock freed", r"bad unlock balance", r"KASAN:", r"KCSAN:", r"KMSAN:", r"UBSAN:",
    r"kmemleak: \d+ new", r"general protection fault, ", r"general protection fault: ",
    r"^double fault", r"unchecked MSR access", r"refcount_t: ", r"list_(add|del) corruption",
    r"Bad page (state|map)|Bad rss-counter|bad pmd|bad pte", r"slab.*still has objects",
    r"Objects remaining in", r"stack-protector:", r"stack guard page was hit",
    r"nobody cared", r"unable to handle (kernel|page fault)", r"DEBUG_LOCKS_WARN_ON",
    r"-+\[ cut here \]-+", r"invalid opcode: ", r"divide error: ", r"Spectre V2.*fail",
    r"vmap allocation.*failed", r"NMI: PCI system error", r"Machine check events logged",
)
_SPLAT = re.compile("|".join(_SIGNS))

# After these, what runs on the host need not end any more.
_HANGS = re.compile(r"detected( expedited)? stalls|self-detected stall|soft lockup|hard LOCKUP|"
                    r"blocked for more than \d+ seconds")

# Faults of user programs carry words of kernel faults; and the kernel warns of what
# the emulated CPU, were it real, would be vulnerable to.
_HARMLESS = re.compile(r"^traps: |segfault at |WARNING: See https?://")
_STAMP = re.compile(r"^(<\d+>)?\[ *\d+\.\d+\](\[ *[TC]\d+\])? ?")


def find(text):
    """Return the first line of a kernel log that is a splat, or None."""
    for line in text.splitlines():
        line = _STAMP.sub("", line)
        if _SPLAT.search(line) and not _HARMLESS.search(line):
            return line.strip()
    return None


def hangs(text):
    """Tell whether a part of a kernel log says that something hangs."""
    return bool(_HANGS.search(text))
