// SPDX-License-Identifier: GPL-2.0
/* Loads and stores that may raise a signal. */
#define _GNU_SOURCE
#include "stress.h"

#include "../check.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static __thread sigjmp_buf *volatile guard;

static void on_signal(int signal)
{
	static const char message[] = "a signal where no access is made\n";

	if (guard)
		siglongjmp(*guard, signal);
	(void)!write(STDOUT_FILENO, message, sizeof(message) - 1);
	_exit(1);
}

void access_prepare(void)
{
	/* NODEFER, and so no mask to restore: a guard costs no system call. */
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_NODEFER };

	CHECK_OK(sigaction(SIGBUS, &action, NULL));
	CHECK_OK(sigaction(SIGSEGV, &action, NULL));
}

#define GUARDED(statement)                                                                         \
	({                                                                                         \
		sigjmp_buf here;                                                                   \
		int raised = sigsetjmp(here, 0);                                                   \
                                                                                                   \
		if (!raised) {                                                                     \
			guard = &here;                                                             \
			statement;                                                                 \
		}                                                                                  \
		guard = NULL;                                                                      \
		raised;                                                                            \
	})

int guarded_load(const volatile uint32_t *address, uint32_t *value)
{
	return GUARDED(*value = *address);
}

int guarded_store(volatile uint32_t *address, uint32_t value)
{
	return GUARDED(*address = value);
}

int guarded_exchange(volatile uint32_t *address, uint32_t *value)
{
	return GUARDED(*value = __atomic_exchange_n(address, *value, __ATOMIC_SEQ_CST));
}

uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

void pause_up_to(uint64_t *state, uint32_t microseconds)
{
	uint32_t chosen = below(state, microseconds);
	struct timespec time = { chosen / 1000000, (long)(chosen % 1000000) * 1000 };

	nanosleep(&time, NULL);
}
