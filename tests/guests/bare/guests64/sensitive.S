/* SPDX-License-Identifier: GPL-2.0-only */
/* The instructions of sensitive.c; what the kernel does returns, what the user does traps. */
#include "asm.h"

#define DI %rdi
#define SI %rsi
#define AT0(name, ...)	.globl at0_##name; at0_##name: __VA_ARGS__; ret
#define AT3(name, ...)	.globl at3_##name; at3_##name: __VA_ARGS__; int $USER_TRAP

	.text
	.globl sensitive_code, sensitive_code_end, sensitive_lstar
	.balign 16
sensitive_code:
#include "sensitive-asm.h"
sensitive_code_end:

	/* Where SYSCALL goes. */
sensitive_lstar:
	mov %cs, syscall_cs
	sysretq
	.section .note.GNU-stack, "", @progbits
