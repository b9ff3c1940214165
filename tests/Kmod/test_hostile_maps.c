// SPDX-License-Identifier: GPL-2.0
/* A hostile holder of lease descriptors: as many mappings as it can get. */
#define _GNU_SOURCE
#include "check.h"
#include "hostile.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	/* Of one lease; see BAR_MAX_VMAS. */
	LIMIT = 1024,
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

	/* Others' leases of the very same page: each of their revokes visits them. */
	struct vfio same = vfio;
	uint64_t start = now_ns();

	lease_export(session, &same, 2, 0, PAGES, 0);
	CHECK_EQ(lease_revoke_one(session, 2), 1);
	figure("REVOKE of another lease of the same pages: %llu us",
	       (unsigned long long)(now_ns() - start) / 1000);

	start = now_ns();
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

/* A whole process full of mappings takes many leases: what that costs is known, not bounded. */
TEST(a_process_full_of_mappings_of_many_leases_holds_up_no_others_revoke)
{
	enum { LEASES = 58 };
	uint32_t value;
	uint64_t start;

	prepare();
	for (uint64_t id = 0; id < LEASES; id++) {
		int lease = lease_export(session, &vfio, id, id * PAGES, PAGES, 0);

		for (int i = 0; i < LIMIT; i++) {
			volatile uint32_t *memory = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease,
							 i % PAGES * (off_t)PAGE);

			CHECK(memory != MAP_FAILED);
			CHECK(peek(memory, &value));
		}
		CHECK_OK(close(lease));
	}
	CHECK_EQ(count_mappings(), LEASES * LIMIT);
	check_others_revokes("58 leases have 59,392 mappings", &vfio, session);

	start = now_ns();
	vfio_set_memory(&vfio, false);
	figure("suspend, 58 leases have 59,392 mappings: %llu us",
	       (unsigned long long)(now_ns() - start) / 1000);
	vfio_set_memory(&vfio, true);
}
