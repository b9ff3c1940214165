// SPDX-License-Identifier: GPL-2.0
/*
 * Usage: bar_lease_stress [--seconds N] [--seed N] [--suspend-ms N]
 *
 * For 10 seconds, with a seed of its own choice, suspending each device every 60
 * milliseconds at most; with --suspend-ms 0 never.
 *
 * First shows that the oracle sees what is broken on purpose, a second each;
 * then the run itself. Ends with a line "N passed, N failed".
 */
#define _GNU_SOURCE
#include "stress.h"

#include "../check.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	OWNER = HOLDERS,
	DMA_CLIENT,
	PROCESSES,
	KILL_MILLISECONDS = 700,
	SUSPEND_US = 60000,
	/* For everything to end, on a slow machine. */
	END_SECONDS = 30,
};

struct argument {
	uint64_t seed;
	uint32_t seconds;
	uint32_t suspend_us;
	enum sabotage sabotage;
	enum violation expected;
};

static pid_t processes[PROCESSES];

static void start(int process, int ready)
{
	static uint64_t started;

	started++;
	fflush(stdout);
	processes[process] = CHECK_OK(fork());
	if (processes[process])
		return;
	if (process == OWNER)
		owner_run(ready);
	if (process == DMA_CLIENT)
		dma_run();
	holder_run(process, shared->seed + 1000 * started + 1);
}

/* The owner first, alone: what it takes to set up isn't part of the run. */
static void start_all(void)
{
	int ready[2];
	char byte;

	CHECK_OK(pipe2(ready, O_CLOEXEC));
	start(OWNER, ready[1]);
	CHECK_OK(close(ready[1]));
	(void)!read(ready[0], &byte, 1);
	CHECK_OK(close(ready[0]));
	for (int i = 0; i < PROCESSES; i++) {
		if (i != OWNER)
			start(i, -1);
	}
}

/* What a process that doesn't end is doing. */
static void print_stacks(pid_t process)
{
	char command[96];

	printf("process %d does not end:\n", process);
	fflush(stdout);
	snprintf(command, sizeof(command), "grep -H . /proc/%d/task/*/stack", process);
	(void)!system(command);
}

/* Whoever ended: false when it should not have, or not so. */
static bool reap(void)
{
	bool well = true;
	int status;
	pid_t ended;

	while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
		for (int i = 0; i < PROCESSES; i++) {
			if (processes[i] != ended)
				continue;
			processes[i] = 0;
			if (status || !shared->over) {
				printf("process %d ended early, or badly: status 0x%x\n", i,
				       status);
				well = false;
			}
		}
	}
	return well;
}

static bool wait_for_child(uint64_t until)
{
	uint64_t now = now_ns(), left = until > now ? until - now : 0;
	struct timespec timeout = { (time_t)(left / 1000000000), (long)(left % 1000000000) };
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	return sigtimedwait(&child, NULL, &timeout) == SIGCHLD;
}

/* Killed in the middle of whatever it does, and another comes in its place. */
static bool replace_holder(uint64_t *random)
{
	uint64_t until = now_ns() + END_SECONDS * slowness() * 1000000000ULL;
	int holder = (int)below(random, HOLDERS);
	pid_t ended;

	CHECK_OK(kill(processes[holder], SIGKILL));
	while (!(ended = waitpid(processes[holder], NULL, WNOHANG)) && now_ns() < until)
		wait_for_child(until);
	if (!ended) {
		print_stacks(processes[holder]);
		return false;
	}
	count(OP_KILL_HOLDER, DONE);
	start(holder, -1);
	return true;
}

static bool all_ended(void)
{
	for (int i = 0; i < PROCESSES; i++) {
		if (processes[i])
			return false;
	}
	return true;
}

static bool end_all(bool well)
{
	uint64_t until = now_ns() + END_SECONDS * slowness() * 1000000000ULL;

	shared->stop = true;
	while (well && !all_ended() && now_ns() < until) {
		well &= reap();
		if (!all_ended())
			wait_for_child(now_ns() + 100000000);
	}
	for (int i = 0; i < PROCESSES; i++) {
		if (!processes[i])
			continue;
		if (well)
			print_stacks(processes[i]);
		kill(processes[i], SIGKILL);
	}
	return well && all_ended();
}

/* With the last process, everything that it held of the module is gone. */
static bool module_is_free(void)
{
	for (int tries = 0; tries < 1000; tries++) {
		int file = open("/sys/module/bar_lease/refcnt", O_RDONLY | O_CLOEXEC);
		char text[16] = "";

		if (file < 0)
			return false;
		(void)!read(file, text, sizeof(text) - 1);
		CHECK_OK(close(file));
		if (atoi(text) == 0)
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	printf("the module is still in use\n");
	return false;
}

/* The first operation that has never happened, though it should; OPS: none. */
static int first_missing(void)
{
	for (int op = 0; op < OPS; op++) {
		unsigned long sum = 0;

		for (int outcome = 0; outcome < OUTCOMES; outcome++)
			sum += shared->counts[op][outcome];
		/* Need not come to that, or comes at the end. */
		if (op == OP_REVOKE_TIMEOUT || op == OP_AUDIT_PAGE)
			continue;
		if (!shared->suspend_us && (op == OP_DECODE_OFF || op == OP_RESET))
			continue;
		if (!sum)
			return op;
	}
	return OPS;
}

static bool all_seen(const struct argument *argument)
{
	if (argument->sabotage)
		return shared->violations[argument->expected];
	return first_missing() == OPS;
}

static bool run(const struct argument *argument)
{
	uint64_t random = argument->seed, end, last;
	sigset_t child;
	bool well = true;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	CHECK_OK(sigprocmask(SIG_BLOCK, &child, NULL));
	oracle_create(argument->seed, argument->suspend_us, argument->sabotage);
	inboxes_create();
	start_all();

	end = now_ns() + argument->seconds * 1000000000ULL;
	/* On a machine that is busy with something else it may take longer until all is seen. */
	last = end + 3 * argument->seconds * 1000000000ULL;
	while (well && now_ns() < last) {
		if (now_ns() >= end && all_seen(argument))
			break;

		uint64_t kill_at = now_ns() + KILL_MILLISECONDS * 1000000ULL;

		while (well && wait_for_child(kill_at))
			well &= reap();
		if (well)
			well &= replace_holder(&random);
	}
	well = end_all(well);
	/* Descriptors that were still on their way. */
	inboxes_close();
	return module_is_free() && well;
}

/* -- cases ---------------------------------------------------------------- */

static void detect(const struct argument *argument)
{
	bool well = run(argument);

	printf("  %lu violations, %lu of the kind that it is\n", violations_total(),
	       shared->violations[argument->expected]);
	fflush(stdout);
	_exit(well && shared->violations[argument->expected] ? 0 : 1);
}

static void stress(const struct argument *argument)
{
	bool well = run(argument);

	oracle_print();
	if (first_missing() < OPS) {
		printf("  never happened: operation %d\n", first_missing());
		well = false;
	}
	/* Else no device's silence would prove anything. */
	well &= shared->counts[OP_DMA_CONTROL][DONE] > 0;
	printf("violations %lu\n", violations_total());
	fflush(stdout);
	_exit(well && !violations_total() ? 0 : 1);
}

static int case_in_child(const char *name, void (*body)(const struct argument *),
			 const struct argument *argument)
{
	uint64_t begin = now_ns();
	int status;
	pid_t child;

	fflush(stdout);
	child = CHECK_OK(fork());
	if (!child)
		body(argument);
	CHECK_EQ(waitpid(child, &status, 0), child);
	printf("%-6s %s (%.3f s)\n", status ? "FAIL" : "ok", name,
	       (double)(now_ns() - begin) / 1e9);
	fflush(stdout);
	return status != 0;
}

static void parse(int argc, char **argv, struct argument *argument)
{
	static const struct option options[] = {
		{ "seconds", required_argument, NULL, 'n' },
		{ "seed", required_argument, NULL, 's' },
		{ "suspend-ms", required_argument, NULL, 'm' },
		{ 0 },
	};
	int option;

	*argument = (struct argument){ .seconds = 10, .suspend_us = SUSPEND_US };
	CHECK_EQ(getrandom(&argument->seed, sizeof(argument->seed), 0), sizeof(argument->seed));
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'n')
			argument->seconds = (uint32_t)strtoul(optarg, NULL, 0);
		else if (option == 's')
			argument->seed = strtoull(optarg, NULL, 0);
		else if (option == 'm')
			argument->suspend_us = (uint32_t)strtoul(optarg, NULL, 0) * 1000;
		else
			exit(2);
	}
	/* Of 0 nothing but zeros would come. */
	argument->seed |= 1;
	CHECK(argument->seconds && optind == argc);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		enum sabotage sabotage;
		enum violation expected;
	} sabotages[] = {
		{ "the_oracle_sees_a_revoke_that_does_nothing", SKIP_REVOKE, LATE },
		{ "the_oracle_sees_a_live_lease_that_fails", HIDE_SUSPEND, LOST },
		{ "the_oracle_sees_a_store_elsewhere", STRAY_STORE, STRAY },
		{ "the_oracle_sees_pages_that_can_be_kept", MAP_MEMORY, PINNED },
	};
	const int nr_sabotages = sizeof(sabotages) / sizeof(*sabotages);
	struct argument argument;
	int failed = 0, run_cases = 1;

	parse(argc, argv, &argument);
	printf("seed %llu, %u s\n", (unsigned long long)argument.seed, argument.seconds);

	for (int i = 0; i < nr_sabotages; i++) {
		struct argument broken = argument;

		broken.seconds = slowness();
		broken.sabotage = sabotages[i].sabotage;
		broken.expected = sabotages[i].expected;
		/* That one is seen at suspends, the others need none. */
		if (broken.sabotage != HIDE_SUSPEND)
			broken.suspend_us = 0;
		else if (!broken.suspend_us)
			continue;
		else
			broken.suspend_us = SUSPEND_US;
		run_cases++;
		failed += case_in_child(sabotages[i].name, detect, &broken);
	}
	failed += case_in_child("stress", stress, &argument);
	printf("%d passed, %d failed\n", run_cases - failed, failed);
	return failed != 0;
}
