// SPDX-License-Identifier: GPL-2.0
/* REVOKE: what ends, what doesn't, and what it costs. */
#define _GNU_SOURCE
#include "check.h"
#include "vfio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static struct vfio vfio;
static int session;

static void prepare(void)
{
	vfio_open_ivshmem(&vfio);
	session = session_open();
}

/* Leases first..first+count-1, one page each at page id * stride, mapped and touched. */
static volatile uint32_t **leases_touched(uint64_t first, uint32_t count, uint64_t stride, int *fds)
{
	volatile uint32_t **memory = calloc(count, sizeof(*memory));

	for (uint32_t i = 0; i < count; i++) {
		int lease = lease_export(session, &vfio, first + i, (first + i) * stride, 1, 0);

		memory[i] = lease_map(lease, 1, PROT_READ | PROT_WRITE);
		memory[i][0] = i;
		if (fds)
			fds[i] = lease;
		else
			CHECK_OK(close(lease));
	}
	return memory;
}

static uint64_t *ids_from(uint64_t first, uint32_t count)
{
	uint64_t *ids = calloc(count, sizeof(*ids));

	for (uint32_t i = 0; i < count; i++)
		ids[i] = first + i;
	return ids;
}

TEST(a_revoked_lease_faults_and_a_neighbour_does_not)
{
	uint32_t value;
	int lease;

	prepare();
	volatile uint32_t **memory = leases_touched(0, 3, 1, NULL);

	lease = CHECK_OK(lease_get_fd(session, 1));
	uint64_t faults = lease_info(session).faults;

	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK(!peek(memory[1], &value));
	CHECK(!poke(memory[1], 1));
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease, 0), ENODEV);
	CHECK_ERRNO(lease_get_fd(session, 1), ENOENT);

	/* Not only still there: never touched, so no fault was needed. */
	CHECK(peek(memory[0], &value) && value == 0);
	CHECK(peek(memory[2], &value) && value == 2);
	CHECK_EQ(lease_info(session).faults, faults);
}

TEST(a_write_before_the_revoke_has_arrived)
{
	prepare();
	volatile uint32_t **memory = leases_touched(0, 1, 1, NULL);

	for (uint32_t i = 0; i < 1024; i++)
		memory[0][i] = ~i;
	CHECK_EQ(lease_revoke_one(session, 0), 1);
	for (uint32_t i = 0; i < 1024; i++)
		CHECK_EQ(*vfio_word(&vfio, 0, i), ~i);
}

TEST(a_shared_range_stays_with_the_leases_that_are_left)
{
	uint32_t value;

	prepare();
	volatile uint32_t *one =
		lease_map(lease_export(session, &vfio, 1, 4, 2, 0), 2, PROT_READ | PROT_WRITE);
	volatile uint32_t *other =
		lease_map(lease_export(session, &vfio, 2, 4, 1, 0), 1, PROT_READ | PROT_WRITE);

	one[0] = 77;
	one[1024] = 78;
	CHECK_EQ(other[0], 77);
	CHECK_EQ(lease_info(session).faults, 3);

	CHECK_EQ(lease_revoke_one(session, 2), 1);
	CHECK(!peek(other, &value));
	CHECK_EQ(one[0], 77);
	CHECK_EQ(one[1024], 78);
	CHECK_EQ(lease_info(session).faults, 3);
}

TEST(every_mapping_of_a_lease_ends_however_it_was_made)
{
	uint32_t value;

	prepare();
	int lease = lease_export(session, &vfio, 1, 8, 4, 0);
	int other = CHECK_OK(lease_get_fd(session, 1));
	volatile uint32_t *first = lease_map(lease, 4, PROT_READ | PROT_WRITE);
	volatile uint32_t *second = lease_map(other, 4, PROT_READ);
	volatile uint32_t *tail = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease, 3 * PAGE);
	volatile uint32_t *moved;

	CHECK(tail != MAP_FAILED);
	first[0] = second[1024] + tail[0];
	/* A hole, a change of access, a move. */
	CHECK_OK(munmap((char *)first + PAGE, PAGE));
	CHECK_OK(mprotect((char *)first + 2 * PAGE, PAGE, PROT_READ));
	moved = mremap((void *)second, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       (char *)mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	CHECK(moved != MAP_FAILED);
	CHECK(peek(first + 2048, &value) && peek(first + 3072, &value) &&
	      peek(moved + 1024, &value));

	CHECK_EQ(lease_revoke_one(session, 1), 1);
	for (int i = 0; i < 4; i++) {
		CHECK(i == 1 || !peek(first + i * 1024, &value));
		CHECK(!peek(moved + i * 1024, &value));
	}
	CHECK(!peek(tail, &value));
}

/* @stride pages from one lease to the next. */
static void revoke_hundred_of_101(uint64_t stride)
{
	uint32_t value, nr_revoked;

	prepare();
	volatile uint32_t **memory = leases_touched(0, 101, stride, NULL);
	struct bar_lease_info before = lease_info(session), after;
	uint64_t *ids = ids_from(0, 100);

	/* Out of order. */
	for (int i = 0; i < 50; i++) {
		uint64_t id = ids[i];

		ids[i] = ids[99 - i];
		ids[99 - i] = id;
	}
	CHECK_EQ(lease_revoke(session, ids, 100, &nr_revoked), 0);
	CHECK_EQ(nr_revoked, 100);
	after = lease_info(session);
	CHECK_EQ(after.leases_live, 1);
	CHECK_EQ(after.leases_revoked - before.leases_revoked, 100);
	CHECK_EQ(after.revoke_calls - before.revoke_calls, 1);
	CHECK_EQ(after.unmaps - before.unmaps, 100);
	for (int i = 0; i < 100; i++)
		CHECK(!peek(memory[i], &value));
	CHECK(peek(memory[100], &value) && value == 100);
	CHECK_EQ(lease_info(session).faults, before.faults);
}

TEST(many_leases_end_in_one_call_and_a_neighbour_does_not_notice)
{
	revoke_hundred_of_101(1);
}

TEST(many_leases_all_over_the_device_end_in_one_call)
{
	revoke_hundred_of_101(2);
}

TEST(all_leases_of_a_device_end_in_one_call)
{
	uint32_t value, nr_revoked;

	prepare();
	volatile uint32_t **memory = leases_touched(0, 100, 2, NULL);
	struct bar_lease_info before = lease_info(session);

	CHECK_EQ(lease_revoke(session, ids_from(0, 100), 100, &nr_revoked), 0);
	CHECK_EQ(nr_revoked, 100);
	CHECK_EQ(lease_info(session).leases_live, 0);
	for (int i = 0; i < 100; i++)
		CHECK(!peek(memory[i], &value));
	CHECK_EQ(lease_info(session).faults, before.faults);
}

TEST(revoking_all_of_ones_own_spares_other_sessions)
{
	uint32_t value;

	prepare();
	volatile uint32_t **memory = leases_touched(0, 2, 1, NULL);
	int other = session_open();
	volatile uint32_t *others = lease_map(lease_export(other, &vfio, 0, 9, 1, 0), 1, PROT_READ);

	CHECK(peek(others, &value));
	CHECK_EQ(lease_revoke(session, ids_from(0, 2), 2, NULL), 0);
	CHECK(!peek(memory[0], &value) && !peek(memory[1], &value));
	CHECK(peek(others, &value));
	CHECK_EQ(lease_info(other).faults, 1);
	CHECK_EQ(lease_info(other).leases_live, 1);
}

TEST(a_session_cannot_revoke_anothers_leases)
{
	uint32_t value;

	prepare();
	volatile uint32_t **memory = leases_touched(0, 1, 1, NULL);

	CHECK_EQ(lease_revoke_one(session_open(), 0), 0);
	CHECK(peek(memory[0], &value));
}

TEST(revoke_is_idempotent)
{
	uint32_t nr_revoked;

	prepare();
	leases_touched(0, 3, 1, NULL);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK_EQ(lease_revoke_one(session, 1), 0);
	/* Known, gone, named twice, never there. */
	const uint64_t ids[] = { 0, 1, 0, 12345, 0 };

	CHECK_EQ(lease_revoke(session, ids, 5, &nr_revoked), 0);
	CHECK_EQ(nr_revoked, 1);
	CHECK_EQ(lease_info(session).leases_revoked, 2);
	CHECK_EQ(lease_info(session).leases_live, 1);
	CHECK_EQ(lease_info(session).revoke_calls, 3);
}

TEST(revoke_refuses_no_ids_and_more_than_it_reports)
{
	prepare();
	uint64_t *ids = ids_from(0, BAR_LEASE_MAX_IDS + 1);

	leases_touched(0, 1, 1, NULL);
	CHECK_ERRNO(lease_revoke(session, ids, 0, NULL), EINVAL);
	CHECK_ERRNO(lease_revoke(session, ids, BAR_LEASE_MAX_IDS + 1, NULL), EINVAL);
	CHECK_ERRNO(lease_revoke(session, ids, UINT32_MAX, NULL), EINVAL);
	CHECK_EQ(lease_info(session).leases_live, 1);
	CHECK_EQ(lease_revoke(session, ids, BAR_LEASE_MAX_IDS, NULL), 0);
	CHECK_EQ(lease_info(session).leases_live, 0);
}

TEST(revoke_refuses_ids_that_cannot_be_read_and_revokes_none)
{
	prepare();
	uint64_t *ids =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK_OK(mprotect((char *)ids + PAGE, PAGE, PROT_NONE));
	leases_touched(0, 2, 1, NULL);
	ids[PAGE / 8 - 1] = 1;
	CHECK_ERRNO(lease_revoke(session, ids + PAGE / 8 - 1, 2, NULL), EFAULT);
	CHECK_ERRNO(lease_revoke(session, NULL, 1, NULL), EFAULT);
	CHECK_EQ(lease_info(session).leases_live, 2);
	CHECK_EQ(lease_info(session).revoke_calls, 0);
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x > y ? 1 : x < y ? -1 : 0;
}

/* Of leases that are mapped and touched, among 200 that stay. */
static void measure(uint32_t count, uint64_t stride)
{
	enum { ROUNDS = 20 };
	uint64_t took[ROUNDS], first = 300;
	uint64_t *ids = ids_from(first, count);
	uint32_t nr_revoked;

	for (int round = 0; round < ROUNDS; round++) {
		volatile uint32_t **memory = leases_touched(first, count, stride, NULL);
		uint64_t start = now_ns();

		CHECK_EQ(lease_revoke(session, ids, count, &nr_revoked), 0);
		took[round] = now_ns() - start;
		CHECK_EQ(nr_revoked, count);
		for (uint32_t i = 0; i < count; i++)
			CHECK_OK(munmap((void *)memory[i], PAGE));
		free(memory);
	}
	free(ids);
	qsort(took, ROUNDS, sizeof(*took), compare_u64);
	figure("REVOKE of %u lease(s), %s, 200 others live: median %.0f us, worst %.0f us", count,
	       stride == 1 ? "adjacent" : "apart", (double)took[ROUNDS / 2] / 1e3,
	       (double)took[ROUNDS - 1] / 1e3);
	CHECK(took[ROUNDS / 2] < 1000000000);
}

TEST(revoke_is_quick)
{
	prepare();
	leases_touched(0, 200, 1, NULL);
	measure(1, 1);
	measure(100, 1);
	measure(100, 2);
}
