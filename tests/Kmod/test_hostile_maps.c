// SPDX-License-Identifier: GPL-2.0
/* A hostile holder of lease descriptors: as many mappings as it can get. */
#define _GNU_SOURCE
#include "check.h"
#include "hostile.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	/* Of one lease, and of all leases of one holder: the module's parameters. */
	LIMIT = 1024,
	HOLDER_LIMIT = 4096,
	ATTEMPTS = 60000,
	PAGES = 64,
};

static struct vfio vfio;
static int session;

static void prepare(void)
{
	vfio_open_ivshmem(&vfio);
	session = session_open();
}

/* How many lines of this process's list of mappings are of a lease. */
static int count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int count = 0;

	CHECK(maps);
	while (fgets(line, sizeof(line), maps))
		count += strstr(line, "dmabuf") != NULL;
	CHECK_EQ(fclose(maps), 0);
	return count;
}

TEST(sixty_thousand_attempts_to_map_one_lease_give_no_more_than_its_share)
{
	uint32_t value;
	int made = 0;

	prepare();
	int lease = lease_export(session, &vfio, 1, 0, PAGES, 0);

	for (int i = 0; i < ATTEMPTS; i++) {
		volatile uint32_t *memory =
			mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease, i % PAGES * (off_t)PAGE);

		if (memory == MAP_FAILED)
			CHECK_EQ(errno, ENOMEM);
		else
			CHECK(++made && peek(memory, &value));
	}
	CHECK_EQ(made, LIMIT);
	CHECK_EQ(count_mappings(), LIMIT);
	check_others("one lease has 1,024 mappings", &vfio, session);

	check_sharers("of the same page; one has 1,024 mappings", &vfio, session);

	uint64_t start = now_ns();

	CHECK_EQ(lease_revoke_one(session, 1), 1);
	figure("REVOKE of the lease with 1,024 mappings: %llu us",
	       (unsigned long long)(now_ns() - start) / 1000);
	check_others("one revoked lease has 1,024 empty mappings", &vfio, session);
}

/* Stripes of access, again and again: pieces that can't be merged. */
TEST(striping_a_mapping_gives_no_more_pieces_than_its_share)
{
	enum { MAPPINGS = 40 };
	char *memory[MAPPINGS];
	int refused = 0;

	prepare();
	int lease = lease_export(session, &vfio, 1, 0, PAGES, 0);

	for (int i = 0; i < MAPPINGS; i++)
		memory[i] = (char *)lease_map(lease, PAGES, PROT_READ | PROT_WRITE);
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < MAPPINGS; i++) {
			for (int page = round % 2; page < PAGES; page += 2)
				refused += mprotect(memory[i] + page * PAGE, PAGE,
						    round % 4 < 2 ? PROT_READ : PROT_NONE) != 0;
		}
	}
	CHECK(refused > 0);
	CHECK(count_mappings() <= LIMIT);
	CHECK(count_mappings() > LIMIT - 64);
	check_others("a lease is mapped in 1,024 stripes", &vfio, session);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
}

/* -- in the middle of it --------------------------------------------------- */

/* Maps, touches, splits, moves and unmaps without rest. */
static void churn(int lease)
{
	uint32_t value;

	for (int i = 0;; i++) {
		char *memory = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, lease, 0);

		if (memory == MAP_FAILED)
			continue;
		for (int page = 0; page < PAGES; page += 8)
			(void)!peek((uint32_t *)(memory + page * PAGE), &value);
		(void)!mprotect(memory + (i % PAGES) * PAGE, PAGE, PROT_NONE);
		(void)!madvise(memory, PAGES * PAGE, MADV_DONTNEED);
		(void)!munmap(memory + PAGE, (PAGES - 1) * PAGE);
		(void)!munmap(memory, PAGE);
	}
}

TEST(processes_that_map_and_unmap_without_rest_hold_up_nobody)
{
	enum { PROCESSES = 3 };
	pid_t children[PROCESSES];

	prepare();
	int lease = lease_export(session, &vfio, 1, 0, PAGES, 0);

	for (int i = 0; i < PROCESSES; i++) {
		children[i] = CHECK_OK(fork());
		if (!children[i]) {
			CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGKILL));
			churn(lease);
		}
	}
	check_others("3 processes map and unmap without rest", &vfio, session);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	for (int i = 0; i < PROCESSES; i++) {
		CHECK_OK(kill(children[i], SIGKILL));
		CHECK_EQ(waitpid(children[i], NULL, 0), children[i]);
	}
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease, 0), ENODEV);
}

static volatile uint32_t *mapped[HOLDER_LIMIT];

/* Maps each of @count leases of the first @pages pages up to @times times; how often that was. */
static int map_many(int count, int pages, int times)
{
	int made = 0;

	for (uint64_t id = 0; id < (uint64_t)count; id++) {
		int lease = lease_export(session, &vfio, id, 0, pages, 0);

		for (int i = 0; i < times; i++) {
			void *memory = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease,
					    i % pages * (off_t)PAGE);

			if (memory == MAP_FAILED)
				CHECK_EQ(errno, ENOMEM);
			else
				mapped[made++] = memory;
		}
		CHECK_OK(close(lease));
	}
	return made;
}

/* check_others() suspends as well, but what it suspends has no entries after the first time. */
static void check_suspends_of_touched(const char *situation, int count)
{
	uint64_t took[5];
	uint32_t value;

	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < count; i++)
			CHECK(peek(mapped[i], &value));
		took[round] = now_ns();
		vfio_set_memory(&vfio, false);
		took[round] = now_ns() - took[round];
		CHECK(!peek(mapped[0], &value));
		CHECK(!peek(mapped[count - 1], &value));
		vfio_set_memory(&vfio, true);
	}
	check_suspend_times(situation, took, 5);
}

TEST(a_process_with_many_leases_gets_no_more_mappings_than_its_share)
{
	prepare();
	CHECK_EQ(map_many(58, PAGES, LIMIT), HOLDER_LIMIT);
	CHECK_EQ(count_mappings(), HOLDER_LIMIT);
	check_suspends_of_touched("58 leases have 4,096 mappings", HOLDER_LIMIT);
	check_others("58 leases have 4,096 mappings", &vfio, session);
	check_sharers("of the same page; 58 leases have 4,096 mappings", &vfio, session);
}

/* What a lease costs others doesn't depend on how many share its pages. */
TEST(many_leases_of_the_same_page_hold_up_nobody)
{
	enum { LEASES = 1000 };

	prepare();
	CHECK_EQ(map_many(LEASES, 1, 1), LEASES);
	check_suspends_of_touched("1,000 leases have the same page", LEASES);
	check_others("1,000 leases have the same page", &vfio, session);
	check_sharers("of the page that 1,000 have", &vfio, session);
}

static void keep_busy(void)
{
	for (volatile uint64_t i = 0;; i++)
		;
}

static pid_t start(void (*does)(int), int lease)
{
	pid_t child = CHECK_OK(fork());

	if (!child) {
		CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGKILL));
		if (does)
			does(lease);
		keep_busy();
	}
	return child;
}

/* Moves a mapping, which is two for as long as that takes, to and fro. */
static void move_to_and_fro(int lease)
{
	enum { MANY = 4096 };
	/* By a page off, so that each has entries of its own. */
	char *memory = (char *)lease_map_aligned(lease, MANY, 1, PROT_READ);
	char *places[2] = { memory, (char *)mmap(NULL, MANY * PAGE, PROT_NONE,
						 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) };
	uint32_t value;

	CHECK(places[1] != MAP_FAILED);
	for (int i = 0; i < MANY; i++)
		CHECK(peek((uint32_t *)(memory + i * PAGE), &value));
	for (int i = 0;; i++)
		CHECK(mremap(places[i % 2], MANY * PAGE, MANY * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			     places[(i + 1) % 2]) == places[(i + 1) % 2]);
}

/* Moving isn't asked about; that must not make the limit one that is passed. */
TEST(who_moves_a_mapping_makes_no_room_for_more)
{
	enum { MOVERS = 2 };
	pid_t children[MOVERS];
	int made = 0;

	prepare();
	int lease = lease_export(session, &vfio, 1, 0, 4096, 0);

	for (int i = 0; i < MOVERS; i++)
		children[i] = start(move_to_and_fro, lease);
	for (uint64_t end = now_ns() + limit_ns(2000); now_ns() < end;) {
		if (mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease, 0) == MAP_FAILED)
			CHECK_EQ(errno, ENOMEM);
		else
			made++;
	}
	CHECK(made <= LIMIT - MOVERS);
	for (int i = 0; i < MOVERS; i++) {
		CHECK_OK(kill(children[i], SIGKILL));
		CHECK_EQ(waitpid(children[i], NULL, 0), children[i]);
	}
	CHECK_EQ(lease_revoke_one(session, 1), 1);
}

/* Does the least important work of all, while others keep the processor busy. */
static void churn_idly(int lease)
{
	struct sched_param none = { 0 };

	CHECK_OK(sched_setscheduler(0, SCHED_IDLE, &none));
	churn(lease);
}

/*
 * A process that is kept from the processor in the middle of mmap() has the lock
 * of its lease's mapping: that may cost its own lease's revoke the bound on all
 * waiting, and others' nothing.
 */
TEST(processes_that_map_at_the_lowest_priority_hold_up_nobody_elses_revoke)
{
	enum { IDLERS = 4 };
	pid_t children[IDLERS + 1];
	uint32_t nr_revoked;
	uint64_t id = 1, took;
	int result;

	prepare();
	int lease = lease_export(session, &vfio, 1, 0, PAGES, 0);

	for (int i = 0; i < IDLERS; i++)
		children[i] = start(churn_idly, lease);
	children[IDLERS] = start(NULL, -1);
	check_sharers("of the same page; 4 idle processes map without rest", &vfio, session);

	took = now_ns();
	result = lease_revoke(session, &id, 1, &nr_revoked);
	CHECK(!result || errno == ETIMEDOUT);
	took = (now_ns() - took) / 1000000;
	figure("REVOKE of the lease that 4 idle processes map without rest: %llu ms%s",
	       (unsigned long long)took, result ? ", not confirmed" : "");
	CHECK_EQ(nr_revoked, 1);
	CHECK(took < 2000 * (uint64_t)slowness());

	for (int i = 0; i <= IDLERS; i++) {
		CHECK_OK(kill(children[i], SIGKILL));
		CHECK_EQ(waitpid(children[i], NULL, 0), children[i]);
	}
	/* Nobody has the lock any more. */
	CHECK_OK(lease_revoke(session, &id, 1, &nr_revoked));
	CHECK_EQ(lease_state(session, 1), 0);
}
