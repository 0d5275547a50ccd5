// SPDX-License-Identifier: GPL-2.0-only
/*
 * The decoder: the first byte of the input is the size of code, the others are an
 * instruction. Its bytes are in a buffer of just their size.
 */
#include <stdlib.h>

#include "emulate.h"
#include "input.h"

static void check_offset(const struct umbra_insn *insn, struct input *in)
{
	u64 gpr[16], offset;

	input_bytes(in, gpr, sizeof(gpr));
	offset = umbra_insn_offset(insn, gpr, input_number(in, 8));
	MUST(insn->adsize == 8 || !(offset >> insn->adsize * 8));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned int codes[] = { UMBRA_CODE_16, UMBRA_CODE_32, UMBRA_CODE_64 };
	struct input in = { data, size };
	unsigned int code = codes[input_number(&in, 1) % 3], avail, n;
	struct umbra_insn insn, less;
	u8 *bytes;
	int ret;

	avail = in.left < 20 ? in.left : 20;
	bytes = malloc(avail + !avail);
	input_bytes(&in, bytes, avail);
	/* Not every instruction has every field. */
	memset(&insn, 0, sizeof(insn));
	memset(&less, 0, sizeof(less));
	ret = umbra_decode(&insn, bytes, avail, code);
	switch (ret) {
	case 0:
		MUST(insn.length && insn.length <= avail && insn.length <= UMBRA_INSN_MAX);
		MUST(insn.code == code);
		MUST(insn.opsize == 1 || insn.opsize == 2 || insn.opsize == 4 || insn.opsize == 8);
		MUST(insn.adsize == 2 || insn.adsize == 4 || insn.adsize == 8);
		MUST(insn.seg < UMBRA_EMUL_NR_SEG && insn.reg < 32 && insn.rm < 32);
		/* What follows an instruction has no part in it, and nothing less will do. */
		MUST(!umbra_decode(&less, bytes, insn.length, code));
		MUST(!memcmp(&less, &insn, sizeof(insn)));
		for (n = 0; n < insn.length; n++)
			MUST(umbra_decode(&less, bytes, n, code) == -EAGAIN);
		if (insn.flags & UMBRA_INSN_MEM)
			check_offset(&insn, &in);
		break;
	case -EAGAIN:
		MUST(avail < UMBRA_INSN_MAX && !insn.length);
		break;
	case -E2BIG:
		MUST(avail >= UMBRA_INSN_MAX && !insn.length);
		break;
	default:
		MUST((ret == -EINVAL || ret == -EOPNOTSUPP) && !insn.length);
	}
	free(bytes);
	return 0;
}
