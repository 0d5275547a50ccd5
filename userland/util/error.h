/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The reason of the last failure, in words, for the person at the terminal.
 */
#ifndef UMBRA_UTIL_ERROR_H
#define UMBRA_UTIL_ERROR_H

/**
 * error_record() - Record why something failed; error_set() is what to use
 * @fmt: one line without a full stop: what is wrong and, if known, what to do
 *
 * The text is kept per thread until the next one.
 */
void error_record(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * error_set() - Record why something failed
 * @err: a positive errno value that classifies the failure
 *
 * What follows is for error_record(). A macro, so that the compiler sees that
 * the result is not 0.
 *
 * Return: -@err, so that a function can end with "return error_set(...)".
 */
#define error_set(err, ...)				\
({							\
	const int error_set_err = (err);		\
							\
	error_record(__VA_ARGS__);			\
	-error_set_err;					\
})

/**
 * error_text() - The text of the last error_set() of this thread
 *
 * Return: a string that is valid until the thread's next error_set().
 */
const char *error_text(void);

#endif
