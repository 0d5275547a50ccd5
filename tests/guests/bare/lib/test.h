/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a guest is made of: a table of named tests. Each prints one line, PASS,
 * FAIL or SKIP; the last line is DONE with the totals, then the machine is told
 * to end through the debug-exit port.
 */
#ifndef LIB_TEST_H
#define LIB_TEST_H

#include "kernel.h"
#include "trap.h"

struct test {
	const char *name;
	void (*run)(void);
};

/* Every guest defines its table, and the other two by GUEST() behind it. */
extern const char guest_name[];
extern const struct test guest_tests[];
extern const int guest_test_count;

#define GUEST(name)							\
	const char guest_name[] = name;					\
	const int guest_test_count = ARRAY_SIZE(guest_tests)

/*
 * Notes a failure of the running test when @ok is false; the text says what was
 * expected and what was seen. Returns @ok.
 */
bool check(bool ok, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same for a value, which is printed. */
#define check_eq(seen, expected, what) ({				\
	u64 __s = (seen), __e = (expected);				\
	check(__s == __e, "%s: expected %llx, seen %llx", (what),	\
	      (unsigned long long)__e, (unsigned long long)__s); })

/* Marks the running test as not applicable here. */
void skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * The running test shows a fault of QEMU's TCG (bare, or under a hypervisor that
 * runs on it, which the command line word "host=tcg" tells): failures count as a
 * SKIP with @why there, and as failures everywhere else. Returns whether that is
 * where we are, for tests that TCG does not survive.
 */
bool known_on_tcg(const char *why);

/* Whether TCG is below, for what it does otherwise than processors but not wrongly. */
bool on_tcg(void);

/* known_on_tcg() for a fault of QEMU's devices or board: an excuse on its bare machine only. */
bool known_on_qemu(const char *why);

/* The same for a fault of Bochs, told by "host=bochs", which "make bochs" passes. */
bool known_on_bochs(const char *why);

/* The same for a hypervisor that runs on the AMD-V of Bochs, told by "host=bochs-svm". */
bool known_on_bochs_svm(const char *why);

/* Whether that is below, for a part of a test that Bochs does not survive: excuses nothing. */
bool on_bochs_svm(void);

/* Whether the running test has failed so far. */
bool test_failed(void);

/* Checks that a TRY ended by @vector, with @error where the exception has one. */
#define EXPECT_TRAP(vec, ...) ({					\
	int __v = TRY(__VA_ARGS__);					\
	check(__v == (vec), "%s: expected vector %d, seen %d at %lx error %lx",	\
	      #__VA_ARGS__, (vec), __v, last_trap()->ip, last_trap()->error); })
#define EXPECT_TRAP_ERR(vec, err, ...) ({				\
	int __v = TRY(__VA_ARGS__);					\
	check(__v == (vec) && last_trap()->error == (err),		\
	      "%s: expected vector %d error %lx, seen vector %d error %lx at %lx",	\
	      #__VA_ARGS__, (vec), (ulong)(err), __v, last_trap()->error, last_trap()->ip); })
#define EXPECT_NO_TRAP(...) EXPECT_TRAP(NO_TRAP, __VA_ARGS__)

#endif
