// SPDX-License-Identifier: Apache-2.0
//
// A program in C without any gRPC, for bar-lease:
//
//     bar-lease run --device nvme0 --window doorbell-3 -- leased
//
// Writes a counter to the register at 0x100 until the lease is taken away: exit status 3.
#include <barbroker.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The first descriptor that is handed on: sd_listen_fds(3), which would do the same as this. */
#define FIRST_DESCRIPTOR 3

static int count_descriptors(void)
{
	const char *process = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");

	/* Somebody else's, inherited by accident, would have another process id. */
	if (!process || !count || strtol(process, NULL, 10) != getpid())
		return 0;
	return atoi(count);
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-error));
	return 1;
}

int main(void)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	uint32_t identification, back, counter;
	size_t length;
	void *memory;
	char *bar;
	int error;

	if (count_descriptors() < 1) {
		fprintf(stderr,
			"There is no lease among the descriptors: start this by bar-lease.\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	error = bb_map(FIRST_DESCRIPTOR, BB_READ_WRITE, &memory, &length);
	if (error)
		return fail("bb_map", error);
	error = bb_mmio_init();
	if (error)
		return fail("bb_mmio_init", error);
	printf("%s, %zu bytes\n", getenv("LISTEN_FDNAMES"), length);
	bar = memory;
	for (counter = 1;; counter++) {
		if (bb_mmio_read32(bar, &identification) || bb_mmio_write32(bar + 0x100, counter) ||
		    bb_mmio_read32(bar + 0x100, &back)) {
			int state = bb_lease_state(FIRST_DESCRIPTOR, bar);

			if (state < 0)
				return fail("bb_lease_state", state);
			if (state == BB_REVOKED) {
				puts("revoked");
				return 3;
			}
			/* Otherwise it is back already. */
			if (state == BB_SUSPENDED)
				puts("suspended");
		} else if (counter == 1) {
			printf("identification 0x%08x, wrote 1, reads back %u\n", identification,
			       back);
		}
		nanosleep(&pause, NULL);
	}
}
