# SPDX-License-Identifier: GPL-2.0-only
"""Names of the exit reasons that KVM's tracepoint tells as numbers.

They are the names that Umbra's own counters have, so that both can be compared.
"""

import re

_EXCEPTIONS = ("de", "db", "nmi", "bp", "of", "br", "ud", "nm", "df", "9", "ts", "np", "ss", "gp",
               "pf", "15", "mf", "ac", "mc", "xf")

# AMD64 Architecture Programmer's Manual, volume 2, appendix C: codes from 0x60 on.
_SVM = ("intr nmi smi init vintr cr0_sel_write idtr_read gdtr_read ldtr_read tr_read idtr_write "
        "gdtr_write ldtr_write tr_write rdtsc rdpmc pushf popf cpuid rsm iret swint invd pause hlt "
        "invlpg invlpga io msr task_switch ferr_freeze shutdown vmrun vmmcall vmload vmsave stgi "
        "clgi skinit rdtscp icebp wbinvd monitor mwait mwait_cond xsetbv rdpru efer_write_trap")
SVM = {
    **{number: f"cr{number}_read" for number in range(16)},
    **{0x10 + number: f"cr{number}_write" for number in range(16)},
    **{0x20 + number: f"dr{number}_read" for number in range(16)},
    **{0x30 + number: f"dr{number}_write" for number in range(16)},
    **{0x40 + number: name for number, name in enumerate(_EXCEPTIONS)},
    **{0x60 + number: name for number, name in enumerate(_SVM.split())},
    0xa2: "invpcid",
    0x400: "npf",
    0x401: "avic_incomplete_ipi",
    0x402: "avic_noaccel",
    0xffffffff: "invalid",
}

# Intel Software Developer's Manual, volume 3, appendix C: basic reasons from 0 on.
_VMX = ("exception intr triple_fault init sipi io_smi other_smi intr_window nmi_window task_switch "
        "cpuid getsec hlt invd invlpg rdpmc rdtsc rsm vmcall vmclear vmlaunch vmptrld vmptrst vmread "
        "vmresume vmwrite vmxoff vmxon cr dr io msr_read msr_write invalid_state msr_load 35 mwait "
        "monitor_trap 38 monitor pause mc 42 tpr_threshold apic_access eoi gdtr_idtr ldtr_tr ept "
        "ept_misconfig invept rdtscp preemption_timer invvpid wbinvd xsetbv apic_write rdrand invpcid "
        "vmfunc encls rdseed pml_full xsaves xrstors")
VMX = dict(enumerate(_VMX.split()))
_VMX_BASIC = 0xffff


def name(number, vendor):
    """Return the name of a reason; vendor is "svm" or "vmx"."""
    if vendor == "vmx":
        number &= _VMX_BASIC
    return (SVM if vendor == "svm" else VMX).get(number, f"{number:#x}")


def parse_histogram(text, vendor):
    """Return {reason: count} of what a histogram of exits in tracefs says."""
    counts = {}
    for number, count in re.findall(r"\{ exit_reason: *(\d+) *\} hitcount: *(\d+)", text):
        reason = name(int(number), vendor)
        counts[reason] = counts.get(reason, 0) + int(count)
    found = re.search(r"^ *Dropped: (\d+)", text, re.M)
    if not found or int(found.group(1)):
        raise ValueError("tracefs has lost some of KVM's exits")
    return counts
