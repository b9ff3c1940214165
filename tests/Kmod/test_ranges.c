// SPDX-License-Identifier: GPL-2.0
/* Leases of several ranges: one space, in the order of the ranges, and nothing between them. */
#define _GNU_SOURCE
#include "check.h"
#include "vfio.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES(first, count)                                                                        \
	{                                                                                          \
		(first) * PAGE, (count)*PAGE                                                       \
	}

static struct vfio vfio;
static int session;

static void prepare(void)
{
	vfio_open_ivshmem(&vfio);
	session = session_open();
}

/* @pages pages of the lease's space, from page @first of it. */
static volatile uint32_t *map_pages(int lease, uint64_t first, uint64_t pages)
{
	void *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, lease,
			    (off_t)(first * PAGE));

	if (memory == MAP_FAILED)
		FAIL("mmap of %lu pages from %lu: %s", pages, first, strerror(errno));
	return memory;
}

/* Does the kernel have one mapping from @start to @end exactly? */
static bool is_a_mapping(const char *start, const char *end)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from, to;
	char line[512];
	bool found = false;

	CHECK(maps);
	while (fgets(line, sizeof(line), maps))
		found |= sscanf(line, "%lx-%lx", &from, &to) == 2 && from == (uintptr_t)start &&
			 to == (uintptr_t)end;
	CHECK_EQ(fclose(maps), 0);
	return found;
}

TEST(ranges_are_one_space_in_their_order)
{
	const struct bar_lease_range ranges[] = { PAGES(20, 2), PAGES(4, 1), PAGES(40, 3) };
	const uint64_t pages[] = { 20, 21, 4, 40, 41, 42 };

	prepare();
	int lease = lease_export_of(session, &vfio, 1, ranges, 3, 0);

	CHECK_EQ(lseek(lease, 0, SEEK_END), 6 * PAGE);
	for (uint64_t i = 0; i < 6; i++) {
		*vfio_word(&vfio, pages[i], 5) = (uint32_t)(0x1000 + i);
		CHECK_EQ(map_pages(lease, i, 1)[5], 0x1000 + i);
	}
	volatile uint32_t *last = map_pages(lease, 3, 3);

	last[2 * 1024 + 9] = 0x99;
	CHECK_EQ(*vfio_word(&vfio, 42, 9), 0x99);
}

TEST(a_mapping_cannot_straddle_ranges_even_if_they_are_adjacent)
{
	const struct bar_lease_range ranges[] = { PAGES(8, 2), PAGES(10, 2), PAGES(30, 1) };
	const struct {
		uint64_t first, pages;
	} wrong[] = { { 0, 3 }, { 1, 2 }, { 0, 5 }, { 3, 2 }, { 2, 3 }, { 4, 2 }, { 5, 1 } };

	prepare();
	int lease = lease_export_of(session, &vfio, 1, ranges, 3, 0);

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		CHECK_ERRNO(mmap(NULL, wrong[i].pages * PAGE, PROT_READ, MAP_SHARED, lease,
				 (off_t)(wrong[i].first * PAGE)),
			    EINVAL);
}

TEST(ranges_can_be_mapped_side_by_side_and_stay_apart)
{
	const struct bar_lease_range ranges[] = { PAGES(10, 2), PAGES(12, 2), PAGES(8, 2) };
	const uint64_t pages[] = { 10, 11, 12, 13, 8, 9 };
	char *space;

	prepare();
	int lease = lease_export_of(session, &vfio, 1, ranges, 3, 0);

	space = mmap(NULL, 6 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(space != MAP_FAILED);
	for (int i = 0; i < 3; i++)
		CHECK(mmap(space + 2 * i * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED, lease,
			   2 * i * (off_t)PAGE) == space + 2 * i * PAGE);
	for (uint32_t i = 0; i < 6; i++) {
		((volatile uint32_t *)(space + i * PAGE))[3] = 0x300 + i;
		CHECK_EQ(*vfio_word(&vfio, pages[i], 3), 0x300 + i);
	}
	/* In the device they are adjacent as well; yet the first two are two mappings. */
	CHECK(is_a_mapping(space, space + 2 * PAGE));
	CHECK(is_a_mapping(space + 2 * PAGE, space + 4 * PAGE));
}

TEST(ranges_may_overlap_and_are_coherent)
{
	const struct bar_lease_range ranges[] = { PAGES(16, 4), PAGES(17, 2), PAGES(16, 4) };
	uint32_t value;

	prepare();
	int lease = lease_export_of(session, &vfio, 1, ranges, 3, 0);
	volatile uint32_t *first = map_pages(lease, 0, 4), *second = map_pages(lease, 4, 2),
			  *third = map_pages(lease, 6, 4);

	second[7] = 0x77;
	CHECK_EQ(first[1024 + 7], 0x77);
	CHECK_EQ(third[1024 + 7], 0x77);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	for (int page = 0; page < 4; page++) {
		CHECK(!peek(first + page * 1024, &value));
		CHECK(!peek(third + page * 1024, &value));
		CHECK(page > 1 || !peek(second + page * 1024, &value));
	}
}

TEST(a_revoke_ends_every_range_and_spares_what_lies_between)
{
	const struct bar_lease_range ranges[] = { PAGES(60, 1), PAGES(50, 1), PAGES(70, 1) };
	uint32_t value;

	prepare();
	volatile uint32_t *between =
		lease_map(lease_export(session, &vfio, 2, 51, 9, 0), 9, PROT_READ);
	int lease = lease_export_of(session, &vfio, 1, ranges, 3, 0);
	volatile uint32_t *memory[] = { map_pages(lease, 0, 1), map_pages(lease, 1, 1),
					map_pages(lease, 2, 1) };

	for (int i = 0; i < 3; i++)
		CHECK(peek(memory[i], &value));
	for (int page = 0; page < 9; page++)
		CHECK(peek(between + page * 1024, &value));
	struct bar_lease_info before = lease_info(session);

	CHECK_EQ(lease_revoke_one(session, 1), 1);
	for (int i = 0; i < 3; i++)
		CHECK(!peek(memory[i], &value));
	for (int page = 0; page < 9; page++)
		CHECK(peek(between + page * 1024, &value));
	CHECK_EQ(lease_info(session).faults, before.faults);
	CHECK_EQ(lease_info(session).unmaps, before.unmaps + 1);
}

TEST(a_suspend_reaches_every_range)
{
	const struct bar_lease_range ranges[] = { PAGES(60, 1), PAGES(50, 1) };
	uint32_t value;

	prepare();
	int lease = lease_export_of(session, &vfio, 1, ranges, 2, 0);
	volatile uint32_t *one = map_pages(lease, 0, 1), *other = map_pages(lease, 1, 1);

	CHECK(peek(one, &value) && peek(other, &value));
	vfio_set_memory(&vfio, false);
	CHECK(!peek(one, &value) && !peek(other, &value));
	CHECK_EQ(lease_state(session, 1), BAR_LEASE_STATE_SUSPENDED);
	vfio_set_memory(&vfio, true);
	CHECK(peek(one, &value) && peek(other, &value));
}

TEST(list_tells_every_range_in_order)
{
	const struct bar_lease_range ranges[] = { PAGES(9, 1), PAGES(3, 2), PAGES(9, 1) };
	struct bar_lease_entry *entries;
	struct bar_lease_range *listed;

	prepare();
	lease_export(session, &vfio, 1, 5, 1, 0);
	lease_export_of(session, &vfio, 2, ranges, 3, 0);
	lease_export(session, &vfio, 3, 6, 1, 0);
	CHECK_EQ(lease_list(session, &entries, &listed), 3);
	CHECK_EQ(entries[1].first_range, 1);
	CHECK_EQ(entries[1].nr_ranges, 3);
	CHECK_EQ(memcmp(listed + 1, ranges, sizeof(ranges)), 0);
	CHECK_EQ(entries[2].first_range, 4);
	CHECK_EQ(listed[4].offset, 6 * PAGE);
}

TEST(a_lease_has_as_many_ranges_as_info_says)
{
	prepare();
	uint32_t limit = lease_info(session).max_ranges;
	struct bar_lease_range *ranges = calloc(limit + 1, sizeof(*ranges));
	struct export export;

	CHECK(limit > 1);
	for (uint32_t i = 0; i <= limit; i++)
		ranges[i] = (struct bar_lease_range)PAGES(2 * i, 1);
	int lease = lease_export_of(session, &vfio, 1, ranges, limit, 0);

	for (uint32_t i = 0; i < limit; i++) {
		*vfio_word(&vfio, 2 * i, 0) = i;
		CHECK_EQ(map_pages(lease, i, 1)[0], i);
	}
	CHECK_EQ(lease_revoke_one(session, 1), 1);

	export_prepare_of(&export, &vfio, 1, ranges, limit + 1, 0);
	CHECK_ERRNO(export_call(session, &export), EINVAL);
}

TEST(export_refuses_ranges_in_another_order_than_the_dmabufs)
{
	const struct bar_lease_range ranges[] = { PAGES(5, 1), PAGES(9, 1) };
	const struct bar_lease_range swapped[] = { PAGES(9, 1), PAGES(5, 1) };
	const struct bar_lease_range shifted[] = { PAGES(5, 1), PAGES(10, 1) };
	struct export export;

	prepare();
	export_prepare_of(&export, &vfio, 1, ranges, 2, 0);
	export.request.ranges = (uintptr_t)swapped;
	CHECK_ERRNO(export_call(session, &export), EINVAL);
	export.request.ranges = (uintptr_t)shifted;
	CHECK_ERRNO(export_call(session, &export), EINVAL);
	export.request.ranges = (uintptr_t)ranges;
	CHECK_OK(export_call(session, &export));
}

TEST(export_goes_by_the_addresses_of_ranges_not_by_how_they_are_cut)
{
	/* The same pages in the same order: there is nothing in which they differ. */
	const struct bar_lease_range two[] = { PAGES(5, 1), PAGES(6, 3) };
	const struct bar_lease_range one[] = { PAGES(5, 4) };
	const struct bar_lease_range three[] = { PAGES(5, 2), PAGES(7, 1), PAGES(8, 1) };
	struct export export;

	prepare();
	export_prepare_of(&export, &vfio, 1, two, 2, 0);
	export.request.nr_ranges = 1;
	export.request.ranges = (uintptr_t)one;
	map_pages(CHECK_OK(export_call(session, &export)), 0, 4)[3 * 1024] = 0x55;
	CHECK_EQ(export.request.verified, 1);
	CHECK_EQ(*vfio_word(&vfio, 8, 0), 0x55);

	export.request.lease_id = 2;
	export.request.nr_ranges = 3;
	export.request.ranges = (uintptr_t)three;
	CHECK_OK(export_call(session, &export));
	CHECK_EQ(export.request.verified, 1);
}

TEST(export_refuses_a_range_that_is_wrong_among_right_ones)
{
	const struct bar_lease_range right[] = { PAGES(5, 1), PAGES(9, 1), PAGES(12, 1) };
	const struct bar_lease_range wrong[] = {
		{ 9 * PAGE, 0 },      { 9 * PAGE + 1, PAGE },	{ 9 * PAGE, PAGE + 1 },
		{ 1ULL << 56, PAGE }, { 9 * PAGE, 1ULL << 63 }, { UINT64_MAX - PAGE + 1, PAGE },
	};
	struct bar_lease_range ranges[3];
	struct export export;

	prepare();
	export_prepare_of(&export, &vfio, 1, right, 3, 0);
	export.request.ranges = (uintptr_t)ranges;
	for (unsigned int i = 0; i < 3 * sizeof(wrong) / sizeof(*wrong); i++) {
		memcpy(ranges, right, sizeof(ranges));
		ranges[i % 3] = wrong[i / 3];
		CHECK_ERRNO(export_call(session, &export), EINVAL);
	}
	/* Each fits, but their sum is beyond 64 bits. */
	for (int i = 0; i < 3; i++)
		ranges[i] = (struct bar_lease_range){ 0, 1ULL << 63 };
	CHECK_ERRNO(export_call(session, &export), EINVAL);
	CHECK_EQ(lease_info(session).leases_live, 0);
	memcpy(ranges, right, sizeof(ranges));
	CHECK_OK(export_call(session, &export));
}
