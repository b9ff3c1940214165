// SPDX-License-Identifier: GPL-2.0
/* Huge page table entries: where there can be one there is, and it ends as pages do. */
#define _GNU_SOURCE
#include "check.h"
#include "module.h"
#include "vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HUGE	   (2UL << 20)
#define HUGE_PAGES (HUGE / PAGE)
/* Of 32-bit words, as mappings are indexed. */
#define HUGE_WORDS (HUGE / 4)

static struct vfio vfio;
static int session;

static void prepare(void)
{
	vfio_open_ivshmem(&vfio);
	session = session_open();
}

/* A mapping of all of a lease at an address that is @skew pages off 2 MiB alignment. */
static volatile uint32_t *map_at(int lease, uint64_t pages, uint64_t skew, int protection)
{
	char *room =
		mmap(NULL, pages * PAGE + 2 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *place;
	void *memory;

	CHECK(room != MAP_FAILED);
	place = (char *)(((uintptr_t)room + HUGE - 1) & ~(HUGE - 1)) + skew * PAGE;
	memory = mmap(place, pages * PAGE, protection, MAP_SHARED | MAP_FIXED, lease, 0);
	CHECK(memory == place);
	CHECK_OK(madvise(memory, pages * PAGE, MADV_HUGEPAGE));
	return memory;
}

/* A lease of @pages from page @page on, mapped so that both have the same alignment. */
static volatile uint32_t *lease_aligned(uint64_t id, uint64_t page, uint64_t pages)
{
	return map_at(lease_export(session, &vfio, id, page, pages, 0), pages, page % HUGE_PAGES,
		      PROT_READ | PROT_WRITE);
}

/* One touch for each 2 MiB entry of the mapping. */
static void touch_huge(volatile uint32_t *memory, uint64_t entries)
{
	for (uint64_t i = 0; i < entries; i++)
		(void)memory[i * HUGE_WORDS];
}

static void check_huge(const volatile uint32_t *memory)
{
	const struct page_type_query entry = page_at(memory);

	CHECK_EQ(entry.shift, 21);
	CHECK_EQ(entry.type, PAGE_TYPE_UC_MINUS);
}

TEST(a_64_mib_window_faults_in_2_mib_steps)
{
	prepare();
	const uint64_t pages = vfio.size / PAGE, entries = vfio.size / HUGE;
	volatile uint32_t *memory = lease_aligned(1, 0, pages);

	CHECK_EQ(entries, 32);
	for (uint64_t page = 0; page < pages; page++)
		memory[page * 1024 + 5] = (uint32_t)page;
	struct bar_lease_info info = lease_info(session);

	CHECK_EQ(info.faults, entries);
	CHECK_EQ(info.huge_faults, entries);
	for (uint64_t page = 0; page < pages; page++)
		CHECK_EQ(*vfio_word(&vfio, page, 5), page);
	uint64_t first = page_at(memory).pfn;

	for (uint64_t page = 0; page < pages; page += 37) {
		const struct page_type_query entry = page_at(memory + page * 1024);

		CHECK_EQ(entry.shift, 21);
		CHECK_EQ(entry.type, PAGE_TYPE_UC_MINUS);
		CHECK_EQ(entry.pfn, first + page);
		CHECK_EQ(entry.writable, 1);
	}
}

TEST(a_read_only_huge_mapping_cannot_be_written)
{
	prepare();
	int lease = lease_export(session, &vfio, 1, 0, HUGE_PAGES, BAR_LEASE_EXPORT_READ_ONLY);
	volatile uint32_t *memory = map_at(lease, HUGE_PAGES, 0, PROT_READ);

	*vfio_word(&vfio, 99, 1) = 0x99;
	CHECK_EQ(memory[99 * 1024 + 1], 0x99);
	check_huge(memory);
	CHECK_EQ(page_at(memory).writable, 0);
	CHECK_ERRNO(mprotect((void *)memory, HUGE, PROT_READ | PROT_WRITE), EACCES);
	CHECK_ERRNO(mprotect((char *)memory + PAGE, PAGE, PROT_READ | PROT_WRITE), EACCES);
}

TEST(only_what_is_aligned_in_the_lease_is_huge)
{
	prepare();
	/* One MiB before and after the one aligned entry, or nothing in between. */
	volatile uint32_t *memory = lease_aligned(1, HUGE_PAGES / 2, 2 * HUGE_PAGES);
	volatile uint32_t *short_of_it = lease_aligned(2, 4 * HUGE_PAGES, HUGE_PAGES - 1);

	for (uint64_t page = 0; page < 2 * HUGE_PAGES; page++)
		memory[page * 1024] = (uint32_t)page;
	CHECK_EQ(page_at(memory).shift, 12);
	CHECK_EQ(page_at(memory + HUGE_WORDS / 2 - 1024).shift, 12);
	check_huge(memory + HUGE_WORDS / 2);
	check_huge(memory + HUGE_WORDS / 2 * 3 - 1024);
	CHECK_EQ(page_at(memory + HUGE_WORDS / 2 * 3).shift, 12);
	CHECK_EQ(lease_info(session).huge_faults, 1);
	CHECK_EQ(lease_info(session).faults, 1 + HUGE_PAGES);

	for (uint64_t page = 0; page < HUGE_PAGES - 1; page++)
		(void)short_of_it[page * 1024];
	CHECK_EQ(lease_info(session).huge_faults, 1);
	for (uint64_t page = 0; page < 2 * HUGE_PAGES; page++)
		CHECK_EQ(*vfio_word(&vfio, HUGE_PAGES / 2 + page, 0), page);
}

TEST(a_mapping_of_another_alignment_has_pages)
{
	prepare();
	int lease = lease_export(session, &vfio, 1, 0, 2 * HUGE_PAGES, 0);
	volatile uint32_t *memory = map_at(lease, 2 * HUGE_PAGES, 1, PROT_READ | PROT_WRITE);

	memory[HUGE_WORDS] = 0x44;
	CHECK_EQ(*vfio_word(&vfio, HUGE_PAGES, 0), 0x44);
	CHECK_EQ(page_at(memory + HUGE_WORDS).shift, 12);
	CHECK_EQ(lease_info(session).huge_faults, 0);
}

TEST(a_huge_entry_stays_within_one_range)
{
	const struct bar_lease_range ranges[] = { { HUGE, HUGE / 2 },
						  { HUGE + HUGE / 2, HUGE / 2 },
						  { HUGE, HUGE } };
	prepare();
	int lease = lease_export_of(session, &vfio, 1, ranges, 3, 0);
	char *room = mmap(NULL, 4 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile uint32_t *memory = (void *)(((uintptr_t)room + HUGE - 1) & ~(HUGE - 1));

	/* Two that make an aligned whole, and one that is. */
	for (uint64_t half = 0; half < 2; half++)
		CHECK(mmap((char *)memory + half * HUGE / 2, HUGE / 2, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED, lease, (off_t)(half * HUGE / 2)) != MAP_FAILED);
	CHECK(mmap((char *)memory + HUGE, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		   lease, HUGE) != MAP_FAILED);
	CHECK_OK(madvise((void *)memory, 2 * HUGE, MADV_HUGEPAGE));
	memory[7] = 0x70;
	CHECK_EQ(page_at(memory).shift, 12);
	CHECK_EQ(memory[HUGE_WORDS + 7], 0x70);
	check_huge(memory + HUGE_WORDS);
}

TEST(a_write_combining_lease_has_pages)
{
	struct export export;

	prepare();
	export_prepare(&export, &vfio, 1, 0, HUGE_PAGES, 0);
	export.request.memory_type = BAR_LEASE_MEMORY_WRITE_COMBINING;
	volatile uint32_t *memory = map_at(CHECK_OK(export_call(session, &export)), HUGE_PAGES, 0,
					   PROT_READ | PROT_WRITE);

	memory[0] = 1;
	CHECK_EQ(page_at(memory).shift, 12);
	CHECK_EQ(page_at(memory).type, PAGE_TYPE_WC);
	CHECK_EQ(lease_info(session).huge_faults, 0);
}

TEST(a_process_may_forgo_huge_entries)
{
	prepare();
	volatile uint32_t *memory = lease_aligned(1, 0, 3 * HUGE_PAGES);

	CHECK_OK(madvise((void *)memory, HUGE, MADV_NOHUGEPAGE));
	touch_huge(memory, 2);
	CHECK_EQ(page_at(memory).shift, 12);
	check_huge(memory + HUGE_WORDS);
	CHECK_OK(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	touch_huge(memory, 3);
	CHECK_EQ(page_at(memory + 2 * HUGE_WORDS).shift, 12);
}

/* -- taken apart -------------------------------------------------------- */

TEST(part_of_a_huge_mapping_can_be_unmapped)
{
	prepare();
	volatile uint32_t *memory = lease_aligned(1, 0, 2 * HUGE_PAGES);

	touch_huge(memory, 2);
	CHECK_OK(munmap((char *)memory + 8 * PAGE, 3 * PAGE));
	CHECK_EQ(page_at(memory + 11 * 1024).shift, 0);
	memory[7 * 1024] = 0x17;
	memory[11 * 1024] = 0x1b;
	CHECK_EQ(*vfio_word(&vfio, 7, 0), 0x17);
	CHECK_EQ(*vfio_word(&vfio, 11, 0), 0x1b);
	CHECK_EQ(page_at(memory + 11 * 1024).shift, 12);
	check_huge(memory + HUGE_WORDS);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	uint32_t value;

	CHECK(!peek(memory, &value) && !peek(memory + 11 * 1024, &value));
	CHECK(!peek(memory + HUGE_WORDS, &value));
}

TEST(part_of_a_huge_mapping_can_change_its_access)
{
	prepare();
	volatile uint32_t *memory = lease_aligned(1, 0, HUGE_PAGES);

	touch_huge(memory, 1);
	CHECK_OK(mprotect((char *)memory + 8 * PAGE, PAGE, PROT_READ));
	(void)memory[8 * 1024];
	memory[9 * 1024] = 0x19;
	CHECK_EQ(page_at(memory + 8 * 1024).writable, 0);
	CHECK_EQ(page_at(memory + 9 * 1024).writable, 1);
	CHECK_EQ(*vfio_word(&vfio, 9, 0), 0x19);
	CHECK_OK(mprotect((char *)memory + 8 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	memory[8 * 1024] = 0x18;
	CHECK_EQ(*vfio_word(&vfio, 8, 0), 0x18);
}

TEST(all_of_a_huge_mapping_can_change_its_access)
{
	prepare();
	volatile uint32_t *memory = lease_aligned(1, 0, HUGE_PAGES);

	memory[0] = 0x10;
	CHECK_OK(mprotect((void *)memory, HUGE, PROT_READ));
	CHECK_EQ(memory[0], 0x10);
	CHECK_EQ(page_at(memory).writable, 0);
	CHECK_OK(mprotect((void *)memory, HUGE, PROT_READ | PROT_WRITE));
	memory[0] = 0x11;
	check_huge(memory);
	CHECK_EQ(page_at(memory).writable, 1);
	CHECK_EQ(*vfio_word(&vfio, 0, 0), 0x11);
}

TEST(a_huge_mapping_can_move)
{
	uint32_t value;

	prepare();
	volatile uint32_t *memory = lease_aligned(1, 0, HUGE_PAGES), *moved;
	char *room = mmap(NULL, 6 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *aligned = (char *)(((uintptr_t)room + HUGE - 1) & ~(HUGE - 1));

	memory[100] = 0x64;
	moved = mremap((void *)memory, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, aligned);
	CHECK((char *)moved == aligned);
	CHECK_EQ(moved[100], 0x64);
	check_huge(moved);
	/* And to where it can't be huge. */
	moved = mremap((void *)moved, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       aligned + 2 * HUGE + PAGE);
	CHECK((char *)moved == aligned + 2 * HUGE + PAGE);
	CHECK_EQ(moved[100], 0x64);
	CHECK_EQ(page_at(moved).shift, 12);
	moved[HUGE_WORDS - 1] = 0x65;
	CHECK_EQ(*vfio_word(&vfio, HUGE_PAGES - 1, 1023), 0x65);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK(!peek(moved, &value) && !peek(moved + HUGE_WORDS - 1, &value));
}

/* -- revoked and suspended ---------------------------------------------- */

TEST(a_revoke_ends_all_of_a_huge_mapping)
{
	uint32_t value;

	prepare();
	volatile uint32_t *memory = lease_aligned(1, 0, 4 * HUGE_PAGES);

	touch_huge(memory, 4);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	for (uint64_t page = 0; page < 4 * HUGE_PAGES; page += 31) {
		CHECK_EQ(page_at(memory + page * 1024).shift, 0);
		CHECK(!peek(memory + page * 1024, &value));
		CHECK(!poke(memory + page * 1024, 1));
	}
}

TEST(a_revoke_of_one_page_inside_a_huge_mapping_spares_the_rest)
{
	uint32_t value;

	prepare();
	volatile uint32_t *memory = lease_aligned(1, 0, 2 * HUGE_PAGES);
	volatile uint32_t *page =
		lease_map(lease_export(session, &vfio, 2, 77, 1, 0), 1, PROT_READ | PROT_WRITE);

	touch_huge(memory, 2);
	memory[77 * 1024] = 0x77;
	CHECK_EQ(page[0], 0x77);
	struct bar_lease_info before = lease_info(session);

	CHECK_EQ(lease_revoke_one(session, 2), 1);
	CHECK(!peek(page, &value));
	/* Its entry is gone as a whole, and comes back as a whole. */
	CHECK_EQ(page_at(memory).shift, 0);
	check_huge(memory + HUGE_WORDS);
	for (uint64_t i = 0; i < 2 * HUGE_PAGES; i++)
		CHECK(peek(memory + i * 1024, &value));
	CHECK_EQ(memory[77 * 1024], 0x77);
	check_huge(memory);
	CHECK_EQ(lease_info(session).faults, before.faults + 1);
	CHECK_EQ(lease_info(session).huge_faults, before.huge_faults + 1);
	CHECK(!peek(page, &value));
}

TEST(a_revoke_of_a_huge_mapping_spares_the_pages_of_others)
{
	uint32_t value;

	prepare();
	volatile uint32_t *memory = lease_aligned(1, 0, HUGE_PAGES);
	volatile uint32_t *page =
		lease_map(lease_export(session, &vfio, 2, 77, 1, 0), 1, PROT_READ | PROT_WRITE);

	touch_huge(memory, 1);
	page[0] = 0x78;
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK(!peek(memory + 77 * 1024, &value));
	CHECK(peek(page, &value) && value == 0x78);
	CHECK(!peek(memory + 77 * 1024, &value));
}

TEST(a_suspend_takes_huge_entries_and_a_resume_gives_them_back)
{
	uint32_t value;

	prepare();
	volatile uint32_t *memory = lease_aligned(1, 0, 2 * HUGE_PAGES);

	memory[HUGE_WORDS + 3] = 0x33;
	vfio_set_memory(&vfio, false);
	CHECK_EQ(page_at(memory + HUGE_WORDS).shift, 0);
	CHECK(!peek(memory + HUGE_WORDS + 3, &value));
	vfio_set_memory(&vfio, true);
	CHECK(peek(memory + HUGE_WORDS + 3, &value) && value == 0x33);
	check_huge(memory + HUGE_WORDS);
}

/* -- what else a holder can do to it ------------------------------------ */

TEST(writes_to_a_huge_mapping_can_be_tracked)
{
	prepare();
	volatile uint32_t *memory = lease_aligned(1, 0, HUGE_PAGES);
	int clear_refs = CHECK_OK(open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC));

	memory[0] = 1;
	check_huge(memory);
	for (uint32_t round = 0; round < 3; round++) {
		/* From now on the first write to each page is seen. */
		CHECK_EQ(write(clear_refs, "4", 1), 1);
		for (uint64_t page = 0; page < HUGE_PAGES; page += 100) {
			memory[page * 1024] = 0x2000 + round;
			CHECK_EQ(*vfio_word(&vfio, page, 0), 0x2000 + round);
			CHECK_EQ(page_at(memory + page * 1024).shift, 12);
		}
	}
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK(!poke(memory, 1));
}

enum { THREADS = 4, ROUNDS = 200 };

static pthread_barrier_t start;
static volatile uint32_t *shared;

static void *touch(void *argument)
{
	for (uint32_t round = 0; round < ROUNDS; round++) {
		pthread_barrier_wait(&start);
		shared[(uintptr_t)argument * 1024] = round;
		pthread_barrier_wait(&start);
		/* One of them, so that some rounds begin without huge entries being allowed. */
		if (argument == NULL) {
			CHECK_OK(madvise((void *)shared, HUGE, MADV_DONTNEED));
			CHECK_OK(prctl(PR_SET_THP_DISABLE, round % 2, 0, 0, 0));
		}
	}
	return NULL;
}

TEST(threads_that_fault_on_the_same_huge_entry_agree)
{
	pthread_t threads[THREADS];

	prepare();
	shared = lease_aligned(1, 0, HUGE_PAGES);
	CHECK_EQ(pthread_barrier_init(&start, NULL, THREADS), 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, touch, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	for (uint64_t i = 0; i < THREADS; i++)
		CHECK_EQ(*vfio_word(&vfio, i, 0), ROUNDS - 1);
	CHECK(lease_info(session).huge_faults > 0);
}

/* -- what the kernel has for a process that is curious or thrifty ------- */

static void read_all(const char *path)
{
	static char buffer[65536];
	int file = CHECK_OK(open(path, O_RDONLY | O_CLOEXEC));

	while (CHECK_OK(read(file, buffer, sizeof(buffer))) > 0)
		;
	CHECK_OK(close(file));
}

static void read_pagemap(const volatile void *memory, size_t size)
{
	static uint64_t entries[2 * HUGE_PAGES];
	int file = CHECK_OK(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));

	CHECK_EQ(pread(file, entries, size / PAGE * 8, (off_t)((uintptr_t)memory / PAGE * 8)),
		 size / PAGE * 8);
	CHECK_OK(close(file));
}

TEST(the_kernel_takes_no_huge_entry_for_memory_that_it_manages)
{
	static const int advices[] = { MADV_NORMAL,
				       MADV_RANDOM,
				       MADV_SEQUENTIAL,
				       MADV_WILLNEED,
				       MADV_FREE,
				       MADV_COLD,
				       MADV_PAGEOUT,
				       MADV_MERGEABLE,
				       MADV_HWPOISON,
				       MADV_SOFT_OFFLINE,
				       MADV_REMOVE,
				       22 /* POPULATE_READ */,
				       23 /* POPULATE_WRITE */,
				       25 /* COLLAPSE */,
				       MADV_DONTNEED };
	static unsigned char resident[2 * HUGE_PAGES];
	void *pages[2];
	int clear_refs, status[2];

	prepare();
	volatile uint32_t *memory = lease_aligned(1, 0, 2 * HUGE_PAGES);

	clear_refs = CHECK_OK(open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC));
	memory[5] = 0x55;
	memory[HUGE_WORDS + 5] = 0x56;
	/* Most of these may be refused. That isn't the point: the kernel's log must stay silent. */
	for (unsigned int i = 0; i < sizeof(advices) / sizeof(*advices); i++) {
		touch_huge(memory, 2);
		check_huge(memory);
		(void)madvise((void *)memory, 2 * HUGE, advices[i]);
		touch_huge(memory, 2);
		(void)madvise((char *)memory + 3 * PAGE, PAGE, advices[i]);
	}
	CHECK_OK(madvise((void *)memory, 2 * HUGE, MADV_DONTNEED));
	touch_huge(memory, 2);
	check_huge(memory);
	for (char what = '1'; what <= '5'; what++) {
		touch_huge(memory, 2);
		CHECK_EQ(write(clear_refs, &what, 1), 1);
	}
	CHECK_OK(madvise((void *)memory, 2 * HUGE, MADV_DONTNEED));
	touch_huge(memory, 2);
	read_all("/proc/self/smaps");
	read_all("/proc/self/smaps_rollup");
	if (!access("/proc/self/numa_maps", R_OK))
		read_all("/proc/self/numa_maps");
	read_pagemap(memory, 2 * HUGE);
	(void)mincore((void *)memory, 2 * HUGE, resident);
	pages[0] = (void *)memory;
	pages[1] = (void *)(memory + HUGE_WORDS + 1024);
	(void)syscall(SYS_move_pages, 0, 2UL, pages, NULL, status, 0);
	(void)mlock((void *)memory, HUGE);
	(void)mlockall(MCL_CURRENT);
	CHECK_OK(munlockall());

	touch_huge(memory, 2);
	CHECK_EQ(memory[5], 0x55);
	CHECK_EQ(memory[HUGE_WORDS + 5], 0x56);
}
