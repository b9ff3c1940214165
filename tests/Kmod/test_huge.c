// SPDX-License-Identifier: GPL-2.0
/* Huge page table entries: where there can be one there is, and it ends as pages do. */
#define _GNU_SOURCE
#include "check.h"
#include "module.h"
#include "vfio.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

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

/* A lease of @pages from page @page on, mapped so that both have the same alignment. */
static volatile uint32_t *lease_aligned(uint64_t id, uint64_t page, uint64_t pages)
{
	return lease_map_aligned(lease_export(session, &vfio, id, page, pages, 0), pages,
				 page % HUGE_PAGES, PROT_READ | PROT_WRITE);
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

	CHECK_EQ(entry.shift, huge_shift());
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

	CHECK_EQ(info.faults, huge_entries() ? entries : pages);
	CHECK_EQ(info.huge_faults, huge_entries() ? entries : 0);
	for (uint64_t page = 0; page < pages; page++)
		CHECK_EQ(*vfio_word(&vfio, page, 5), page);
	uint64_t first = page_at(memory).pfn;

	for (uint64_t page = 0; page < pages; page += 37) {
		const struct page_type_query entry = page_at(memory + page * 1024);

		CHECK_EQ(entry.shift, huge_shift());
		CHECK_EQ(entry.type, PAGE_TYPE_UC_MINUS);
		CHECK_EQ(entry.pfn, first + page);
		CHECK_EQ(entry.writable, 1);
	}
}

TEST(a_read_only_huge_mapping_cannot_be_written)
{
	prepare();
	int lease = lease_export(session, &vfio, 1, 0, HUGE_PAGES, BAR_LEASE_EXPORT_READ_ONLY);
	volatile uint32_t *memory = lease_map_aligned(lease, HUGE_PAGES, 0, PROT_READ);

	*vfio_word(&vfio, 99, 1) = 0x99;
	CHECK_EQ(memory[99 * 1024 + 1], 0x99);
	check_huge(memory + 99 * 1024);
	CHECK_EQ(page_at(memory + 99 * 1024).writable, 0);
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
	CHECK_EQ(lease_info(session).huge_faults, huge_entries());
	CHECK_EQ(lease_info(session).faults, (huge_entries() ? 1 : HUGE_PAGES) + HUGE_PAGES);

	for (uint64_t page = 0; page < HUGE_PAGES - 1; page++)
		(void)short_of_it[page * 1024];
	CHECK_EQ(lease_info(session).huge_faults, huge_entries());
	for (uint64_t page = 0; page < 2 * HUGE_PAGES; page++)
		CHECK_EQ(*vfio_word(&vfio, HUGE_PAGES / 2 + page, 0), page);
}

TEST(a_mapping_of_another_alignment_has_pages)
{
	prepare();
	int lease = lease_export(session, &vfio, 1, 0, 2 * HUGE_PAGES, 0);
	volatile uint32_t *memory =
		lease_map_aligned(lease, 2 * HUGE_PAGES, 1, PROT_READ | PROT_WRITE);

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
	volatile uint32_t *memory = lease_map_aligned(CHECK_OK(export_call(session, &export)),
						      HUGE_PAGES, 0, PROT_READ | PROT_WRITE);

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
	check_huge(memory);
	check_huge(memory + HUGE_WORDS);
	CHECK_EQ(memory[77 * 1024], 0x77);
	CHECK_EQ(lease_info(session).faults, before.faults);
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
