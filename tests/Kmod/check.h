/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Cases and checks. A case runs in a process of its own, so it leaves nothing
 * behind: whatever it opened is closed, and what it crashed is only itself.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test_case {
	const char *name;
	void (*run)(void);
	struct test_case *next;
};

void test_register(struct test_case *test);

/* TEST(an_identifier_that_reads_as_a_sentence) { ... } */
#define TEST(identifier)                                                                           \
	static void identifier(void);                                                              \
	__attribute__((constructor)) static void register_##identifier(void)                       \
	{                                                                                          \
		static struct test_case test = { #identifier, identifier, NULL };                  \
                                                                                                   \
		test_register(&test);                                                              \
	}                                                                                          \
	static void identifier(void)

/* Ends the case as failed; in threads and children too. */
_Noreturn void fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define FAIL(...) fail(__FILE__, __LINE__, __VA_ARGS__)

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			FAIL("not so: %s", #condition);                                            \
	} while (0)

#define CHECK_EQ(actual, expected)                                                                 \
	do {                                                                                       \
		long long actual_ = (long long)(actual), expected_ = (long long)(expected);        \
                                                                                                   \
		if (actual_ != expected_)                                                          \
			FAIL("%s is %lld (0x%llx), not %lld", #actual, actual_, actual_,           \
			     expected_);                                                           \
	} while (0)

/* For libc calls: -1 and errno as the expression would have it. */
#define CHECK_ERRNO(call, expected)                                                                \
	do {                                                                                       \
		errno = 0;                                                                         \
		long long result_ = (long long)(call);                                             \
                                                                                                   \
		if (result_ != -1)                                                                 \
			FAIL("%s returned %lld, not %s", #call, result_, #expected);               \
		if (errno != (expected))                                                           \
			FAIL("%s: %s, not %s", #call, strerror(errno), #expected);                 \
	} while (0)

#define CHECK_OK(call)                                                                             \
	({                                                                                         \
		long long result_ = (long long)(call);                                             \
                                                                                                   \
		if (result_ == -1)                                                                 \
			FAIL("%s: %s", #call, strerror(errno));                                    \
		(int)result_;                                                                      \
	})

/* A measurement, to be read by people. */
void figure(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Access to memory that may raise SIGBUS: false if it did. In any thread. */
bool peek(const volatile uint32_t *address, uint32_t *value);
bool poke(volatile uint32_t *address, uint32_t value);

uint64_t now_ns(void);
/* How long something may take, in ns, if @milliseconds is right for a usual machine. */
uint64_t limit_ns(uint64_t milliseconds);

/* How many times as slow as usual this machine is by design: for limits that are times. */
unsigned int slowness(void);

/* Runs @run(@argument) in a child; the child's exit status, or -signal. */
int in_child(void (*run)(void *), void *argument);

#endif /* CHECK_H */
