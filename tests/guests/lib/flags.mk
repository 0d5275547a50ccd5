# SPDX-License-Identifier: GPL-2.0-only
# How kernels are compiled and linked; to be included from a directory beside this one.

CC	:= gcc
OBJCOPY	:= objcopy
LINK	:= ../lib/link.ld

INCLUDE	:= -I../lib
CFLAGS	= -O2 -g -std=gnu11 -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes \
	-Wno-unused-parameter -Wno-clobbered -ffreestanding -fno-pic -fno-pie -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fcf-protection=none -fno-strict-aliasing \
	-fno-omit-frame-pointer -fno-tree-loop-distribute-patterns \
	-mgeneral-regs-only $(INCLUDE) -MMD -MP
FLAGS64	:= -m64 -mno-red-zone -mcmodel=small
FLAGS32	:= -m32 -march=i686
LDFLAGS	:= -nostdlib -static -no-pie -Wl,-T,$(LINK) -Wl,--build-id=none -Wl,-z,noexecstack \
	-Wl,-z,max-page-size=4096 -Wl,--no-warn-rwx-segments
