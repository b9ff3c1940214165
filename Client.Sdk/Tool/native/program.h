/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program that bar-lease runs: what takes fork(), and signal handlers that see who sent a
 * signal, neither of which managed code has. One program per process.
 */
#ifndef BAR_LEASE_PROGRAM_H
#define BAR_LEASE_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#define BAR_LEASE_API __attribute__((visibility("default")))

/* Characters that the environment's text of LISTEN_PID takes, with the zero at its end. */
#define PROCESS_ID_SIZE 12

struct program {
	/* Where it may be: tried in this order, as execvp(3) does. Ends with NULL. */
	const char *const *paths;
	char *const *arguments;
	char *const *environment;
	/* Inside the environment: PROCESS_ID_SIZE characters, for the program's process id. */
	char *process_id;
	/* What it finds as its descriptors 3, 4, ... program_start() leaves other numbers in there.
	 */
	int *descriptors;
	size_t descriptor_count;
	/* Bit n - 1: signal n is ignored in the program. Every other one has its default action. */
	uint64_t ignored_signals;
};

/*
 * Starts it, once. From then on INT, TERM, HUP, QUIT, USR1 and USR2 are passed on to it, except
 * those that it ignores, which this process then ignores, too, and those that the terminal sends:
 * these it gets by itself. Returns 0; -errno when no program could be started; execve's errno when
 * this one couldn't: ENOENT and ENOTDIR mean that it is at none of the paths, or that the
 * interpreter which it names isn't there.
 */
BAR_LEASE_API int program_start(const struct program *program);

/* Sends it a signal; 0, or -errno: -ESRCH when it has ended. */
BAR_LEASE_API int program_signal(int number);

/* Waits for its end, once. Returns its exit status, 128 + n when signal n ended it, or -errno. */
BAR_LEASE_API int program_wait(void);

#endif
