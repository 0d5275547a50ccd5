/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is planted into a VMCS: encodings of fields are those of SDM Vol. 3 B. Not
 * among it is what Bochs 2.7 takes and should not: a GS base and a RIP that are not
 * canonical, CR0.PG clear in IA-32e mode.
 */

static const struct plant vmx_plants[] = {
	/* 27.3.1.1 */
	{ "CR0.NE", 0x6800, CLEAR(1 << 5), "CR0 (0x", 0 },
	{ "CR0, upper half", 0x6800, SET(1ULL << 40), "CR0 (0x1", 0 },
	{ "CR0.PG without PE", 0x6800, CLEAR(1), "CR0 (0x", 0 },
	{ "CR4.VMXE", 0x6804, CLEAR(1 << 13), "lacks a bit that must be set in VMX operation", 0 },
	{ "CR4 bit 31", 0x6804, SET(1ULL << 31), "has a bit set that the CPU does not have", 0 },
	{ "CR4.PAE in long mode", 0x6804, CLEAR(1 << 5), "lacks PAE in IA-32e mode", 0 },
	{ "CR4.PCIDE", 0x6804, SET(1 << 17), "CR4 (0x", PAE },
	{ "CR3", 0x6802, SET(1ULL << 60), "CR3 (0x1", 0 },
	{ "DR7", 0x681a, SET(1ULL << 32), "DR7 (0x100000", 0 },
	{ "SYSENTER_ESP", 0x6824, IS(1ULL << 63),
	  "IA32_SYSENTER_ESP (0x8000000000000000) is not canonical (SDM Vol. 3 27.3.1.1)", 0 },
	{ "SYSENTER_EIP", 0x6826, IS(1ULL << 63),
	  "IA32_SYSENTER_EIP (0x8000000000000000) is not canonical (SDM Vol. 3 27.3.1.1)", 0 },

	/* 27.3.1.2 */
	{ "TR in the LDT", 0x080e, IS(0x1c),
	  "TR (0x1c) has a selector in the LDT (SDM Vol. 3 27.3.1.2)", 0 },
	{ "TR base", 0x6814, IS(1ULL << 63),
	  "TR (0x8000000000000000) has a base that is not canonical", 0 },
	{ "FS base", 0x680e, IS(1ULL << 62),
	  "FS (0x4000000000000000) has a base that is not canonical", 0 },
	{ "CS base", 0x6808, IS(1ULL << 32), "CS (0x100000000) has a base with bits 63:32 set", 0 },
	{ "SS base", 0x680a, IS(1ULL << 32), "SS (0x100000000) has a base with bits 63:32 set", 0 },
	{ "DS base", 0x680c, IS(1ULL << 32), "DS (0x100000000) has a base with bits 63:32 set", 0 },
	{ "CS type", 0x4816, IS(0xa091),
	  "CS (0xa091) is no code segment that has been accessed", 0 },
	{ "CS as a system segment", 0x4816, CLEAR(0x10), "is a system segment", 0 },
	{ "CS absent", 0x4816, CLEAR(0x80), "is neither present nor marked unusable", 0 },
	{ "CS DPL", 0x4816, SET(0x60), "has another DPL than SS", 0 },
	{ "CS conforming", 0x4816, IS(0xa0ff), "is conforming, with a DPL above SS", 0 },
	{ "CS reserved", 0x4816, SET(0x100), "has a reserved bit set in its access rights", 0 },
	{ "CS.L and CS.D", 0x4816, SET(0x6000), "is of 64-bit and of 32-bit code at once", 0 },
	{ "CS granularity", 0x4802, IS(0xfff00000),
	  "has page granularity, and a limit that does not end a page", 0 },
	{ "CS limit", 0x4816, CLEAR(0x8000), "has byte granularity, and a limit beyond 1 MiB", 0 },
	{ "SS type", 0x4818, IS(0xc09b), "is no writable data segment that has been accessed", 0 },
	{ "SS read-only", 0x4818, IS(0xc091),
	  "is no writable data segment that has been accessed", 0 },
	{ "SS reserved", 0x4818, SET(0x100000), "has a reserved bit set in its access rights", 0 },
	{ "SS absent", 0x4818, CLEAR(0x80),
	  "SS (0xc013) is neither present nor marked unusable", 0 },
	{ "DS not accessed", 0x481a, IS(0xc092), "DS (0xc092) has not been accessed", 0 },
	{ "ES unreadable", 0x4814, IS(0xc099),
	  "ES (0xc099) is a code segment that cannot be read", 0 },
	{ "FS as a system segment", 0x481c, IS(0xc083), "FS (0xc083) is a system segment", 0 },
	{ "GS absent", 0x481e, IS(0xc013),
	  "GS (0xc013) is neither present nor marked unusable", 0 },
	{ "TR unusable", 0x4822, SET(0x10000), "TR (0x1008b) is unusable", 0 },
	{ "TR type", 0x4822, IS(0x82), "TR (0x82) is no busy TSS of this mode", 0 },
	{ "TR of 16 bits", 0x4822, IS(0x83), "TR (0x83) is no busy TSS of this mode", 0 },
	{ "TR as a code segment", 0x4822, IS(0x9b), "TR (0x9b) is no system segment", 0 },
	{ "LDTR type", 0x4820, IS(0x8b), "LDTR (0x8b) is no LDT", 0 },

	/* 27.3.1.3 */
	{ "GDTR base", 0x6816, IS(1ULL << 63),
	  "GDTR (0x8000000000000000) has a base that is not canonical (SDM Vol. 3 27.3.1.3)", 0 },
	{ "GDTR limit", 0x4810, IS(0x10000), "GDTR (0x10000) has a limit above 0xffff", 0 },
	{ "IDTR base", 0x6818, IS(1ULL << 63),
	  "IDTR (0x8000000000000000) has a base that is not canonical", 0 },
	{ "IDTR limit", 0x4812, IS(0x80000000), "IDTR (0x80000000) has a limit above 0xffff", 0 },

	/* 27.3.1.4 */
	{ "RIP of 32-bit code", 0x681e, IS(1ULL << 32),
	  "RIP (0x100000000) has bits 63:32 set outside 64-bit code", PAE },
	{ "RFLAGS bit 1", 0x6820, CLEAR(2), "has bit 1 clear", 0 },
	{ "RFLAGS bit 15", 0x6820, SET(1 << 15), "RFLAGS (0x8", 0 },
	{ "RFLAGS bit 63", 0x6820, SET(1ULL << 63), "has a reserved bit set", 0 },
	{ "RFLAGS.VM", 0x6820, SET(1 << 17), "virtual-8086 mode", 0 },
	{ "an interrupt with IF clear", 0x4016, IS(0x80000030),
	  "RFLAGS (0x2) has IF clear, and an interrupt is injected", NO_IF },

	/* 27.3.1.5 */
	{ "activity state", 0x4826, IS(7),
	  "the activity state (0x7) is none that the CPU has (SDM Vol. 3 27.3.1.5)", 0 },
	{ "interruptibility", 0x4824, IS(0x80),
	  "the interruptibility state (0x80) has a reserved bit set", 0 },
	{ "STI and MOV SS", 0x4824, IS(3), "has blocking by STI", 0 },
	{ "STI with IF clear", 0x4824, IS(1), "has blocking by STI, and RFLAGS.IF is 0", NO_IF },
	{ "SMI", 0x4824, IS(4), "has blocking by SMI outside SMM", 0 },
	{ "pending debug exceptions", 0x6822, IS(1 << 5),
	  "the pending debug exceptions (0x20) have a reserved bit set", 0 },
	{ "link pointer", 0x2800, IS(0x123), "the VMCS link pointer (0x123) is not all ones", 0 },

	/* 27.2.1.1 */
	{ "pin-based controls, must", 0x4000, CLEAR(0x16), "the pin-based controls (0x", 0 },
	{ "pin-based controls, may", 0x4000, SET(1U << 31),
	  "have a bit set that the CPU does not offer (SDM Vol. 3 27.2.1.1)", 0 },
	{ "processor-based controls", 0x4002, SET(1), "the processor-based controls (0x", 0 },
	{ "secondary controls", 0x401e, SET(1U << 30), "the secondary controls (0x", 0 },
	{ "CR3-target count", 0x400a, IS(0x200),
	  "the CR3-target count (0x200) is more than the CPU offers", 0 },
	{ "MSR bitmap", 0x2004, SET(8), "is not page-aligned", 0 },
	{ "MSR bitmap's address", 0x2004, SET(1ULL << 60), "the MSR bitmap (0x1", 0 },
	{ "virtual NMIs alone", 0x4000, CLEAR(8), "have virtual NMIs without NMI exiting", 0 },
	{ "EPTP memory type", 0x201a, SET(7),
	  "has a memory type that the CPU does not offer", NESTED },
	{ "EPTP walk", 0x201a, CLEAR(0x38),
	  "has a walk length that the CPU does not offer", NESTED },
	{ "EPTP reserved", 0x201a, SET(1 << 11), "EPTP (0x", NESTED },

	/* 27.2.1.2 */
	{ "exit controls", 0x400c, SET(1U << 31), "the exit controls (0x", 0 },

	/* 27.2.1.3 */
	{ "entry controls", 0x4012, SET(1U << 31), "the entry controls (0x", 0 },
	{ "entry controls, SMM", 0x4012, SET(1 << 10), "are for SMM (SDM Vol. 3 27.2.1.3)", 0 },
	{ "event of a reserved type", 0x4016, IS(0x80000130),
	  "the event to inject (0x80000130) is of a reserved type (SDM Vol. 3 27.2.1.3)", 0 },
	{ "NMI of vector 3", 0x4016, IS(0x80000203), "is an NMI of a vector other than 2", 0 },
	{ "exception 32", 0x4016, IS(0x80000320), "is an exception of a vector above 31", 0 },
	{ "#GP without error code", 0x4016, IS(0x8000030d), "lacks its error code", 0 },
	{ "#UD with error code", 0x4016, IS(0x80000b06), "has an error code and must not", 0 },
	{ "event, reserved bits", 0x4016, IS(0x80001030), "has a reserved bit set", 0 },

	/* 27.2.2 */
	{ "host CR0", 0x6c00, CLEAR(1U << 31), "the host's CR0 (0x", 0 },
	{ "host CR4", 0x6c04, CLEAR(1 << 13), "the host's CR4 (0x", 0 },
	{ "host CR3", 0x6c02, SET(1ULL << 60), "the host's CR3 (0x1", 0 },
	{ "host SYSENTER_EIP", 0x6c12, IS(1ULL << 63),
	  "the host's IA32_SYSENTER_EIP (0x8000000000000000) is not canonical (SDM Vol. 3 27.2.2)",
	  0 },

	/* 27.2.3 */
	{ "host CS RPL", 0x0c02, SET(3),
	  "the host's CS (0x13) has an RPL other than 0, or is in the LDT (SDM Vol. 3 27.2.3)", 0 },
	{ "host CS null", 0x0c02, IS(0), "the host's CS (0x0) is null", 0 },
	{ "host TR null", 0x0c0c, IS(0), "the host's TR (0x0) is null", 0 },
	{ "host GS base", 0x6c08, IS(1ULL << 63),
	  "the base of the host's GS (0x8000000000000000) is not canonical", 0 },
	{ "host TR base", 0x6c0a, IS(1ULL << 63),
	  "the base of the host's TR (0x8000000000000000) is not canonical", 0 },

	/* 27.2.4 */
	{ "host address-space size", 0x400c, CLEAR(1 << 9), "the ", 0 },
	{ "host RIP", 0x6c16, IS(1ULL << 63),
	  "the host's RIP (0x8000000000000000) is not canonical (SDM Vol. 3 27.2.4)", 0 },

	/* Real mode, where the CPU runs it. */
	{ "real-mode SS.DPL", 0x4818, IS(0xf3),
	  "SS (0xf3) has a DPL other than 0 in real mode", REAL | NESTED | NATIVE },
};
