// SPDX-License-Identifier: GPL-2.0
/* Memory types, as they stand in the page table. */
#define _GNU_SOURCE
#include "check.h"
#include "module.h"
#include "vfio.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct vfio vfio;
static int session;

/* A lease of one range, of type @memory_type, which has to be had. */
static int export_typed(uint64_t id, uint64_t page, uint64_t pages, uint32_t flags,
			uint32_t memory_type)
{
	struct export export;
	int lease;

	export_prepare(&export, &vfio, id, page, pages, flags);
	export.request.memory_type = memory_type;
	lease = CHECK_OK(export_call(session, &export));
	CHECK_EQ(export.request.memory_type, memory_type ? memory_type : BAR_LEASE_MEMORY_UNCACHED);
	export_finish(&export);
	return lease;
}

static void prepare(void)
{
	vfio_open_ivshmem(&vfio);
	session = session_open();
}

static void prepare_write_combining(void)
{
	prepare();
	CHECK(lease_info(session).memory_types & 1U << BAR_LEASE_MEMORY_WRITE_COMBINING);
}

static void check_page(const volatile uint32_t *memory, uint64_t page, uint32_t type,
		       uint32_t writable)
{
	const struct page_type_query entry = page_at(memory);

	/* VFIO's own mapping has a page once it was touched. */
	(void)*vfio_word(&vfio, page, 0);
	CHECK_EQ(entry.shift, 12);
	CHECK_EQ(entry.type, type);
	CHECK_EQ(entry.writable, writable);
	CHECK_EQ(entry.pfn, page_at(vfio_word(&vfio, page, 0)).pfn);
}

TEST(a_lease_is_uncached_unless_asked_otherwise)
{
	prepare();
	for (uint32_t type = 0; type <= BAR_LEASE_MEMORY_UNCACHED; type++) {
		volatile uint32_t *memory =
			lease_map(export_typed(type, 5, 1, 0, type), 1, PROT_READ | PROT_WRITE);

		memory[0] = *vfio_word(&vfio, 5, 0) + 1;
		check_page(memory, 5, PAGE_TYPE_UC_MINUS, 1);
	}
}

TEST(a_write_combining_lease_is_so_in_the_page_table)
{
	prepare_write_combining();
	volatile uint32_t *memory =
		lease_map(export_typed(1, 5, 3, 0, BAR_LEASE_MEMORY_WRITE_COMBINING), 3,
			  PROT_READ | PROT_WRITE);

	CHECK_EQ(page_at(memory).shift, 0);
	for (uint32_t page = 0; page < 3; page++) {
		memory[page * 1024 + 9] = 0x900 + page;
		CHECK_EQ(*vfio_word(&vfio, 5 + page, 9), 0x900 + page);
		check_page(memory + page * 1024, 5 + page, PAGE_TYPE_WC, 1);
	}
	/* VFIO's own way to the same page stays what it was. */
	CHECK_EQ(page_at(vfio_word(&vfio, 5, 0)).type, PAGE_TYPE_UC_MINUS);
}

TEST(a_read_only_write_combining_lease_can_only_be_read)
{
	prepare_write_combining();
	int lease =
		export_typed(1, 5, 1, BAR_LEASE_EXPORT_READ_ONLY, BAR_LEASE_MEMORY_WRITE_COMBINING);
	volatile uint32_t *memory = lease_map(lease, 1, PROT_READ);

	*vfio_word(&vfio, 5, 0) = 0x5555;
	CHECK_EQ(memory[0], 0x5555);
	check_page(memory, 5, PAGE_TYPE_WC, 0);
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, lease, 0), EACCES);
	CHECK_ERRNO(mprotect((void *)memory, PAGE, PROT_READ | PROT_WRITE), EACCES);
}

TEST(the_type_stays_when_the_access_changes)
{
	prepare_write_combining();
	volatile uint32_t *memory =
		lease_map(export_typed(1, 5, 1, 0, BAR_LEASE_MEMORY_WRITE_COMBINING), 1, PROT_READ);
	uint32_t value;

	CHECK(peek(memory, &value));
	check_page(memory, 5, PAGE_TYPE_WC, 0);
	CHECK_OK(mprotect((void *)memory, PAGE, PROT_READ | PROT_WRITE));
	memory[0] = 0x77;
	CHECK_EQ(*vfio_word(&vfio, 5, 0), 0x77);
	check_page(memory, 5, PAGE_TYPE_WC, 1);
	CHECK_OK(mprotect((void *)memory, PAGE, PROT_NONE));
	CHECK_OK(mprotect((void *)memory, PAGE, PROT_READ));
	CHECK_EQ(memory[0], 0x77);
	check_page(memory, 5, PAGE_TYPE_WC, 0);
}

TEST(the_type_stays_when_a_mapping_moves)
{
	prepare_write_combining();
	volatile uint32_t *memory =
		lease_map(export_typed(1, 5, 2, 0, BAR_LEASE_MEMORY_WRITE_COMBINING), 2,
			  PROT_READ | PROT_WRITE);
	void *elsewhere = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile uint32_t *moved;

	memory[0] = 0x66;
	moved = mremap((void *)memory, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       elsewhere);
	CHECK(moved == elsewhere);
	check_page(moved, 5, PAGE_TYPE_WC, 1);
	CHECK_EQ(moved[0], 0x66);
	moved[1024] = 0x67;
	check_page(moved + 1024, 6, PAGE_TYPE_WC, 1);
}

TEST(leases_of_both_types_share_a_page_and_end_by_themselves)
{
	uint32_t value;

	prepare_write_combining();
	volatile uint32_t *combining =
		lease_map(export_typed(1, 5, 1, 0, BAR_LEASE_MEMORY_WRITE_COMBINING), 1,
			  PROT_READ | PROT_WRITE);
	volatile uint32_t *uncached =
		lease_map(lease_export(session, &vfio, 2, 5, 1, 0), 1, PROT_READ | PROT_WRITE);

	combining[3] = 0x31;
	CHECK_EQ(uncached[3], 0x31);
	uncached[3] = 0x32;
	CHECK_EQ(combining[3], 0x32);
	check_page(combining, 5, PAGE_TYPE_WC, 1);
	check_page(uncached, 5, PAGE_TYPE_UC_MINUS, 1);

	CHECK_EQ(lease_revoke_one(session, 2), 1);
	CHECK(!peek(uncached, &value));
	CHECK(peek(combining + 3, &value) && value == 0x32);
	check_page(combining, 5, PAGE_TYPE_WC, 1);

	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK_EQ(page_at(combining).shift, 0);
	CHECK(!peek(combining, &value) && !poke(combining, 1));
	CHECK_EQ(page_at(combining).shift, 0);
}

TEST(a_suspend_takes_write_combining_pages_and_a_resume_gives_them_back)
{
	uint32_t value;

	prepare_write_combining();
	volatile uint32_t *memory =
		lease_map(export_typed(1, 5, 1, 0, BAR_LEASE_MEMORY_WRITE_COMBINING), 1,
			  PROT_READ | PROT_WRITE);

	memory[0] = 0x12;
	vfio_set_memory(&vfio, false);
	CHECK_EQ(page_at(memory).shift, 0);
	CHECK(!peek(memory, &value));
	vfio_set_memory(&vfio, true);
	CHECK(peek(memory, &value) && value == 0x12);
	check_page(memory, 5, PAGE_TYPE_WC, 1);
}

TEST(list_tells_the_type_of_each_lease)
{
	struct bar_lease_entry *entries;
	struct bar_lease_range *ranges;

	prepare_write_combining();
	export_typed(1, 5, 1, 0, 0);
	export_typed(2, 5, 1, 0, BAR_LEASE_MEMORY_WRITE_COMBINING);
	export_typed(3, 5, 1, 0, BAR_LEASE_MEMORY_UNCACHED);
	CHECK_EQ(lease_list(session, &entries, &ranges), 3);
	CHECK_EQ(entries[0].memory_type, BAR_LEASE_MEMORY_UNCACHED);
	CHECK_EQ(entries[1].memory_type, BAR_LEASE_MEMORY_WRITE_COMBINING);
	CHECK_EQ(entries[2].memory_type, BAR_LEASE_MEMORY_UNCACHED);
}

/* -- many at once ------------------------------------------------------- */

enum { THREADS = 4, TOUCHED = 64, ROUNDS = 20 };

static pthread_barrier_t start;
static volatile uint32_t *shared;

static void *touch(void *argument)
{
	pthread_barrier_wait(&start);
	for (uintptr_t page = 0; page < TOUCHED; page++)
		shared[page * 1024 + (uintptr_t)argument] = (uint32_t)(page + 1);
	return NULL;
}

TEST(threads_that_fault_on_the_same_write_combining_pages_agree)
{
	pthread_t threads[THREADS];

	prepare_write_combining();
	int lease = export_typed(1, 100, TOUCHED, 0, BAR_LEASE_MEMORY_WRITE_COMBINING);

	for (int round = 0; round < ROUNDS; round++) {
		shared = lease_map(lease, TOUCHED, PROT_READ | PROT_WRITE);
		CHECK_EQ(pthread_barrier_init(&start, NULL, THREADS), 0);
		for (uintptr_t i = 0; i < THREADS; i++)
			CHECK_EQ(pthread_create(&threads[i], NULL, touch, (void *)i), 0);
		for (int i = 0; i < THREADS; i++)
			CHECK_EQ(pthread_join(threads[i], NULL), 0);
		for (uint64_t page = 0; page < TOUCHED; page++) {
			check_page(shared + page * 1024, 100 + page, PAGE_TYPE_WC, 1);
			for (uint64_t i = 0; i < THREADS; i++)
				CHECK_EQ(*vfio_word(&vfio, 100 + page, i), page + 1);
		}
		CHECK_OK(munmap((void *)shared, TOUCHED * PAGE));
	}
}

/* Memory of this process, in KiB, that the kernel counts as device or file pages. */
static long resident_kib(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[256];
	long file = -1, shmem = -1;

	CHECK(status);
	while (fgets(line, sizeof(line), status)) {
		(void)sscanf(line, "RssFile: %ld", &file);
		(void)sscanf(line, "RssShmem: %ld", &shmem);
	}
	CHECK_EQ(fclose(status), 0);
	CHECK(file >= 0 && shmem >= 0);
	return file + shmem;
}

TEST(write_combining_pages_are_nobodys_memory)
{
	enum { PAGES = 4096 };
	long before;

	prepare_write_combining();
	volatile uint32_t *memory =
		lease_map(export_typed(1, 0, PAGES, 0, BAR_LEASE_MEMORY_WRITE_COMBINING), PAGES,
			  PROT_READ | PROT_WRITE);

	before = resident_kib();
	for (uint64_t page = 0; page < PAGES; page++)
		memory[page * 1024] = 1;
	CHECK(resident_kib() - before < 1024);
	CHECK_OK(munmap((void *)memory, PAGES * PAGE));
	CHECK(before - resident_kib() < 1024);
}
