// SPDX-License-Identifier: GPL-2.0
/* How long things take, and how long they may. */
#include "check.h"

#include <stdlib.h>
#include <time.h>

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

unsigned int slowness(void)
{
	/* A kernel that looks for its own mistakes says so. */
	const char *slow = getenv("BAR_BROKER_VM_SLOWNESS");

	return slow ? (unsigned int)strtoul(slow, NULL, 10) : 1;
}

uint64_t limit_ns(uint64_t milliseconds)
{
	return milliseconds * 1000000 * slowness();
}
