// SPDX-License-Identifier: GPL-2.0
/* Huge page table entries in the hands of a holder that plays with them. */
#define _GNU_SOURCE
#include "check.h"
#include "module.h"
#include "vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HUGE_PAGES (HUGE / PAGE)
#define HUGE_WORDS (HUGE / 4)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1, include/uapi/asm-generic/mman-common.h */
#endif

static struct vfio vfio;
static int session;

/* A lease of the first @entries of 2 MiB each. */
static volatile uint32_t *lease_huge(uint64_t entries)
{
	vfio_open_ivshmem(&vfio);
	session = session_open();
	return lease_map_aligned(lease_export(session, &vfio, 1, 0, entries * HUGE_PAGES, 0),
				 entries * HUGE_PAGES, 0, PROT_READ | PROT_WRITE);
}

/* -- what else a holder can do to it ------------------------------------ */

/* Bits of /proc/self/pagemap for the pages of a mapping of no more than two huge entries. */
static const uint64_t *pagemap(const volatile void *memory, size_t size)
{
	static uint64_t entries[2 * HUGE_PAGES];
	int file = CHECK_OK(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));

	CHECK_EQ(pread(file, entries, size / PAGE * 8, (off_t)((uintptr_t)memory / PAGE * 8)),
		 size / PAGE * 8);
	CHECK_OK(close(file));
	return entries;
}

/* Documentation/admin-guide/mm/pagemap.rst. Never set if the kernel was built without it. */
static bool is_soft_dirty(const volatile void *address)
{
	return pagemap(address, PAGE)[0] & 1ULL << 55;
}

TEST(writes_to_a_huge_mapping_can_be_tracked)
{
	volatile uint32_t *memory = lease_huge(1);
	int clear_refs = CHECK_OK(open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC));

	memory[0] = 1;
	CHECK_EQ(page_at(memory).shift, huge_shift());
	bool tracked = is_soft_dirty(memory);

	for (uint32_t round = 0; round < 3; round++) {
		/* From now on the first write to each page is seen. */
		CHECK_EQ(write(clear_refs, "4", 1), 1);
		CHECK(!is_soft_dirty(memory));
		for (uint64_t page = 0; page < HUGE_PAGES; page += 100) {
			memory[page * 1024] = 0x2000 + round;
			CHECK_EQ(*vfio_word(&vfio, page, 0), 0x2000 + round);
			CHECK_EQ(page_at(memory + page * 1024).shift, tracked ? 12 : huge_shift());
			CHECK_EQ(is_soft_dirty(memory + page * 1024), tracked);
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

	shared = lease_huge(1);
	CHECK_EQ(pthread_barrier_init(&start, NULL, THREADS), 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, touch, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	for (uint64_t i = 0; i < THREADS; i++)
		CHECK_EQ(*vfio_word(&vfio, i, 0), ROUNDS - 1);
	CHECK_EQ(lease_info(session).huge_faults > 0, huge_entries());
}

enum { TRACKED_ROUNDS = 400 };

static atomic_bool tracking_ended;

static void *read_on(void *unused)
{
	(void)unused;
	while (!atomic_load(&tracking_ended))
		(void)shared[1024];
	return NULL;
}

/* The one wants a page's entry, because its writes are tracked, the other a huge one. */
TEST(a_reader_and_a_tracked_writer_of_the_same_huge_entry_agree)
{
	int clear_refs = CHECK_OK(open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC));
	pthread_t reader;

	shared = lease_huge(1);
	CHECK_EQ(write(clear_refs, "4", 1), 1);
	CHECK_EQ(pthread_create(&reader, NULL, read_on, NULL), 0);
	for (uint32_t round = 1; round <= TRACKED_ROUNDS; round++) {
		shared[0] = round;
		CHECK_EQ(*vfio_word(&vfio, 0, 0), round);
		CHECK_OK(madvise((void *)shared, HUGE, MADV_DONTNEED));
	}
	atomic_store(&tracking_ended, true);
	CHECK_EQ(pthread_join(reader, NULL), 0);
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

/* Both of its entries are huge once they were touched. */
static void touch_both(volatile uint32_t *memory)
{
	(void)memory[0];
	(void)memory[HUGE_WORDS];
}

TEST(the_kernel_takes_no_huge_entry_for_memory_that_it_manages)
{
	static const int advices[] = {
		MADV_NORMAL, MADV_RANDOM,   MADV_SEQUENTIAL,	MADV_WILLNEED,
		MADV_FREE,   MADV_COLD,	    MADV_PAGEOUT,	MADV_MERGEABLE,
		MADV_REMOVE, MADV_COLLAPSE, MADV_POPULATE_READ, MADV_POPULATE_WRITE,
	};
	static unsigned char resident[2 * HUGE_PAGES];
	volatile uint32_t *memory = lease_huge(2);
	int clear_refs = CHECK_OK(open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC)), status[2];
	void *pages[] = { (void *)memory, (void *)(memory + HUGE_WORDS + 1024) };

	memory[5] = 0x55;
	memory[HUGE_WORDS + 5] = 0x56;
	/* Most of this may well be refused: what counts is that the kernel's log stays silent. */
	for (unsigned int i = 0; i < sizeof(advices) / sizeof(*advices); i++) {
		CHECK_OK(madvise((void *)memory, 2 * HUGE, MADV_DONTNEED));
		touch_both(memory);
		CHECK_EQ(page_at(memory).shift, huge_shift());
		(void)madvise((void *)memory, 2 * HUGE, advices[i]);
		touch_both(memory);
		(void)madvise((char *)memory + 3 * PAGE, PAGE, advices[i]);
	}
	for (char what = '1'; what <= '5'; what++) {
		CHECK_OK(madvise((void *)memory, 2 * HUGE, MADV_DONTNEED));
		touch_both(memory);
		CHECK_EQ(write(clear_refs, &what, 1), 1);
	}
	CHECK_OK(madvise((void *)memory, 2 * HUGE, MADV_DONTNEED));
	touch_both(memory);
	CHECK_EQ(page_at(memory).shift, huge_shift());
	read_all("/proc/self/smaps");
	read_all("/proc/self/smaps_rollup");
	if (!access("/proc/self/numa_maps", R_OK))
		read_all("/proc/self/numa_maps");
	CHECK(pagemap(memory, 2 * HUGE)[HUGE_PAGES] & 1ULL << 63);
	(void)mincore((void *)memory, 2 * HUGE, resident);
	(void)syscall(SYS_move_pages, 0, 2UL, pages, NULL, status, 0);
	(void)mlock((void *)memory, HUGE);
	(void)mlockall(MCL_CURRENT);
	CHECK_OK(munlockall());

	CHECK_EQ(memory[5], 0x55);
	CHECK_EQ(memory[HUGE_WORDS + 5], 0x56);
	CHECK_EQ(page_at(memory).shift, huge_shift());
}
