// SPDX-License-Identifier: GPL-2.0
/* How a check fails, and how long things may take: what every test program has. */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

void fail(const char *file, int line, const char *format, ...)
{
	va_list arguments;

	printf("  %s:%d: ", file, line);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
	_exit(1);
}

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
