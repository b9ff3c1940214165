// SPDX-License-Identifier: GPL-2.0
/* What REVOKE costs its caller, and those whose leases go on, of 2,000 leases in several processes.
 */
#define _GNU_SOURCE
#include "check.h"
#include "vfio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	LEASES = 2000,
	HOLDERS = 4,
	ROUNDS = 9,
};

static struct vfio vfio;
static int session;
static int leases[LEASES];
/* Of them in use: fewer on a kernel that is slow because it checks everything. */
static uint32_t total = LEASES;

/* Written by the holders, read by the one who asked them. */
struct result {
	uint64_t survivors;
	uint64_t dead;
	uint64_t total_ns;
	uint64_t worst_ns;
};

static struct holder {
	pid_t process;
	int commands[2], answers[2];
} holders[HOLDERS];

static void touch(volatile uint32_t **memory, uint32_t count, struct result *result)
{
	uint32_t value;

	memset(result, 0, sizeof(*result));
	for (uint32_t i = 0; i < count; i++) {
		uint64_t start = now_ns(), took;
		bool alive = peek(memory[i], &value);

		took = now_ns() - start;
		if (!alive) {
			result->dead++;
			continue;
		}
		result->survivors++;
		result->total_ns += took;
		if (took > result->worst_ns)
			result->worst_ns = took;
	}
}

/* Maps every HOLDERS-th lease and touches them all, whenever told to. */
static void hold(struct holder *holder, uint32_t first)
{
	static volatile uint32_t *memory[LEASES];
	struct result result;
	uint32_t count = 0;
	char command;

	CHECK_OK(close(holder->commands[1]));
	for (uint32_t i = first; i < total; i += HOLDERS)
		memory[count++] = lease_map(leases[i], 1, PROT_READ);
	while (read(holder->commands[0], &command, 1) == 1) {
		touch(memory, count, &result);
		CHECK_EQ(write(holder->answers[1], &result, sizeof(result)), sizeof(result));
	}
	_exit(0);
}

static void holders_start(void)
{
	for (uint32_t i = 0; i < HOLDERS; i++) {
		CHECK_OK(pipe(holders[i].commands));
		CHECK_OK(pipe(holders[i].answers));
		holders[i].process = CHECK_OK(fork());
		if (!holders[i].process) {
			for (uint32_t j = 0; j < i; j++)
				CHECK_OK(close(holders[j].commands[1]));
			hold(&holders[i], i);
		}
		CHECK_OK(close(holders[i].commands[0]));
		CHECK_OK(close(holders[i].answers[1]));
	}
}

static void holders_end(void)
{
	for (int i = 0; i < HOLDERS; i++) {
		int status;

		CHECK_OK(close(holders[i].commands[1]));
		CHECK_OK(close(holders[i].answers[0]));
		CHECK_EQ(waitpid(holders[i].process, &status, 0), holders[i].process);
		CHECK_EQ(status, 0);
	}
}

/* Has every holder touch what it has, one after the other. */
static struct result holders_touch(void)
{
	struct result sum = { 0 }, result;

	for (int i = 0; i < HOLDERS; i++) {
		CHECK_EQ(write(holders[i].commands[1], "t", 1), 1);
		CHECK_EQ(read(holders[i].answers[0], &result, sizeof(result)), sizeof(result));
		sum.survivors += result.survivors;
		sum.dead += result.dead;
		sum.total_ns += result.total_ns;
		if (result.worst_ns > sum.worst_ns)
			sum.worst_ns = result.worst_ns;
	}
	return sum;
}

static double mean_us(struct result result)
{
	return result.survivors ? (double)result.total_ns / 1e3 / (double)result.survivors : 0;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x > y ? 1 : x < y ? -1 : 0;
}

/* Revokes every so many-th lease, @count of them, from @first on. Returns nanoseconds. */
static uint64_t revoke_some(uint32_t count, uint32_t first)
{
	static uint64_t ids[LEASES];
	uint32_t nr_revoked;
	uint64_t start;

	for (uint32_t i = 0; i < count; i++)
		ids[i] = first + (uint64_t)i * (total / count);
	start = now_ns();
	CHECK_OK(lease_revoke(session, ids, count, &nr_revoked));
	start = now_ns() - start;
	CHECK_EQ(nr_revoked, count);
	return start;
}

/*
 * @count leases, of pages all over the BAR, in one call; and again, @rounds
 * times, with others. @sharers leases have the same page, but not in the same
 * process.
 */
static void measure(uint32_t count, uint32_t rounds, uint32_t sharers)
{
	uint64_t took[ROUNDS], faults = 0, worst_ns = 0;
	struct result idle, paid;
	double paid_us = 0;

	for (uint64_t i = 0; i < total; i++)
		leases[i] = lease_export(session, &vfio, i, i / sharers * 8 * sharers, 1, 0);
	holders_start();
	CHECK_EQ(holders_touch().survivors, total);
	idle = holders_touch();
	CHECK_EQ(lease_info(session).leases_live, total);

	for (uint32_t round = 0; round < rounds; round++) {
		faults = lease_info(session).faults;
		took[round] = revoke_some(count, round * sharers);
		paid = holders_touch();
		faults = lease_info(session).faults - faults;
		CHECK_EQ(paid.survivors, total - count * (round + 1));
		CHECK_EQ(paid.dead, count * (round + 1));
		/* Nobody else pays, not even who has a page in common with a lease that ended. */
		CHECK_EQ(faults, 0);
		paid_us += mean_us(paid) / rounds;
		if (paid.worst_ns > worst_ns)
			worst_ns = paid.worst_ns;
	}
	CHECK_EQ(lease_info(session).leases_live, total - count * rounds);
	qsort(took, rounds, sizeof(*took), compare_u64);
	figure("REVOKE of %u of %u leases, %u to a page, in %u processes: median of %u: %.0f us; "
	       "then survivors: %lu page faults, %.2f us each (%.2f before), worst %.0f us",
	       count, total, sharers, HOLDERS, rounds, (double)took[rounds / 2] / 1e3,
	       (unsigned long)faults, paid_us, mean_us(idle), (double)worst_ns / 1e3);

	holders_end();
	for (uint32_t i = 0; i < total; i++)
		CHECK_OK(close(leases[i]));
	CHECK_OK(close(session));
	session = session_open();
}

static void prepare(void)
{
	const char *slowness = getenv("BAR_BROKER_VM_SLOWNESS");
	struct rlimit limit;

	if (slowness && atoi(slowness) > 1)
		total = LEASES / 10;
	CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max;
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	vfio_open_ivshmem(&vfio);
	session = session_open();
}

static void measure_all(uint32_t sharers)
{
	prepare();
	measure(1, ROUNDS, sharers);
	measure(10, ROUNDS, sharers);
	measure(100, total > 300 ? 3 : 1, sharers);
	if (total > 1000)
		measure(1000, 1, sharers);
	measure(total, 1, sharers);
}

TEST(what_a_revoke_costs_when_every_lease_has_its_own_page)
{
	measure_all(1);
}

TEST(what_a_revoke_costs_when_two_leases_have_a_page)
{
	measure_all(2);
}
