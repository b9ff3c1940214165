// SPDX-License-Identifier: GPL-2.0
/*
 * Views: a holder's mappings of leases, each in address space of its own that
 * nothing else ever comes into, so that an access which meets a hole can't meet
 * something else. Threads access and change a view together; only giving it
 * another lease, or another place, is exclusive.
 */
#define _GNU_SOURCE
#include "stress.h"

#include "../check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define AREA_BYTES (MAX_PAGES * PAGE)
#define HUGE_BYTES (2UL << 20)

struct view {
	pthread_rwlock_t lock;
	/* One change at a time: each leaves the view as it was. */
	pthread_mutex_t changing;
	struct instance instance;
	struct sighting *sighting;
	int descriptor;
	bool present;
	bool steady;
	/* A change could not be undone: holes, or less access, from here on. */
	atomic_bool broken;
	/* It lives in one, and moves to the other. */
	char *areas[2];
	int area;
};

static struct view views[VIEWS];

static void reserve(char *area)
{
	CHECK(mmap(area, AREA_BYTES, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == area);
}

void views_create(int holder)
{
	size_t size = 2 * VIEWS * AREA_BYTES + HUGE_BYTES;
	char *space =
		mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(space != MAP_FAILED);
	space += -(uintptr_t)space % HUGE_BYTES;
	for (int i = 0; i < VIEWS; i++) {
		struct view *view = &views[i];

		CHECK_EQ(pthread_rwlock_init(&view->lock, NULL), 0);
		CHECK_EQ(pthread_mutex_init(&view->changing, NULL), 0);
		view->areas[0] = space + (2 * i) * AREA_BYTES;
		view->areas[1] = space + (2 * i + 1) * AREA_BYTES;
		view->descriptor = -1;
		if (holder < HOLDERS) {
			view->sighting = &shared->sightings[holder][i];
			/* The address first: a former holder's must not be taken for ours. */
			view->sighting->address = 0;
			view->sighting->pid = getpid();
		}
	}
}

struct view *view_enter(uint64_t *random)
{
	struct view *view = &views[below(random, VIEWS)];

	if (pthread_rwlock_tryrdlock(&view->lock))
		return NULL;
	if (view->present)
		return view;
	pthread_rwlock_unlock(&view->lock);
	return NULL;
}

void view_leave(struct view *view)
{
	pthread_rwlock_unlock(&view->lock);
}

const struct instance *view_instance(struct view *view)
{
	return &view->instance;
}

volatile uint32_t *view_memory(struct view *view)
{
	return (volatile uint32_t *)view->areas[view->area];
}

int view_descriptor(struct view *view)
{
	return view->descriptor;
}

bool view_steady(struct view *view)
{
	return view->steady;
}

static int protection(const struct view *view)
{
	return view->instance.read_only ? PROT_READ : PROT_READ | PROT_WRITE;
}

/* Pages of one range, at their own place in the view. */
static bool map_pages(struct view *view, uint32_t page, uint32_t pages)
{
	char *at = view->areas[view->area] + page * PAGE;

	return mmap(at, pages * PAGE, protection(view), MAP_SHARED | MAP_FIXED, view->descriptor,
		    (off_t)(page * PAGE)) == at;
}

/* How many pages from @page on are in the same range: a mapping can't have more. */
static uint32_t pages_left(const struct view *view, uint32_t page)
{
	const struct page_range *range = view->instance.ranges;

	while (page >= range->pages) {
		page -= range->pages;
		range++;
	}
	return range->pages - page;
}

static bool map_all(struct view *view)
{
	uint32_t page = 0;

	if (shared->sabotage == MAP_MEMORY && view->instance.generation % 2) {
		char *area = view->areas[view->area];

		return mmap(area, view->instance.pages * PAGE, protection(view),
			    MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == area;
	}
	for (uint32_t i = 0; i < view->instance.nr_ranges; i++) {
		if (!map_pages(view, page, view->instance.ranges[i].pages))
			return false;
		page += view->instance.ranges[i].pages;
	}
	return true;
}

static void drop(struct view *view)
{
	reserve(view->areas[0]);
	reserve(view->areas[1]);
	if (view->descriptor >= 0)
		CHECK_OK(close(view->descriptor));
	view->descriptor = -1;
	view->present = false;
}

/* NULL: others are at it. */
static struct view *enter_alone(uint64_t *random)
{
	struct view *view = &views[below(random, VIEWS)];

	for (int tries = 0; tries < 20; tries++) {
		if (!pthread_rwlock_trywrlock(&view->lock))
			return view;
		sched_yield();
	}
	return NULL;
}

void view_assign(const struct instance *instance, int descriptor, uint64_t *random)
{
	struct view *view = enter_alone(random);
	struct witness witness;
	int copy;

	if (!view) {
		CHECK_OK(close(descriptor));
		return;
	}
	drop(view);
	view->instance = *instance;
	/* A copy is as good. */
	copy = CHECK_OK(dup(descriptor));
	count(OP_DUP, DONE);
	CHECK_OK(close(descriptor));
	view->descriptor = copy;
	view->steady = below(random, 2);
	view->broken = false;

	witness_begin(&witness, &view->instance);
	view->present = map_all(view);
	witness_end(&witness, OP_MMAP, view->present ? DONE : REFUSED);
	if (!view->present)
		drop(view);
	else if (view->sighting)
		view->sighting->address = (uintptr_t)view->areas[view->area];
	if (instance->pages == MAX_PAGES)
		(void)!madvise(view->areas[view->area], AREA_BYTES, MADV_HUGEPAGE);
	pthread_rwlock_unlock(&view->lock);
}

static void punch(struct view *view, uint32_t page, uint32_t pages)
{
	char *at = view->areas[view->area] + page * PAGE;

	if (mmap(at, pages * PAGE, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != at) {
		/* As many mappings as a lease may have. */
		count(OP_PUNCH, errno == ENOMEM ? REFUSED : UNCLEAR);
		return;
	}
	sched_yield();
	if (!map_pages(view, page, pages))
		view->broken = true;
	count(OP_PUNCH, DONE);
}

static void protect(struct view *view, uint32_t page, uint32_t pages, bool readable)
{
	char *at = view->areas[view->area] + page * PAGE;

	if (mprotect(at, pages * PAGE, readable ? PROT_READ : PROT_NONE)) {
		count(OP_MPROTECT, REFUSED);
		return;
	}
	sched_yield();
	if (mprotect(at, pages * PAGE, protection(view)))
		view->broken = true;
	count(OP_MPROTECT, DONE);
}

/* Write-protects every page that this process has, to see which it writes to. */
static void clear_soft_dirty(void)
{
	int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

	count(OP_CLEAR_REFS, file >= 0 && write(file, "4", 1) == 1 ? DONE : UNCLEAR);
	if (file >= 0)
		CHECK_OK(close(file));
}

void view_disturb(struct view *view, uint64_t *random)
{
	uint32_t page = below(random, view->instance.pages);
	uint32_t pages = 1 + below(random, pages_left(view, page));
	char *at = view->areas[view->area] + page * PAGE;

	if (below(random, 16) == 0) {
		clear_soft_dirty();
		return;
	}
	if (view->steady || view->broken || below(random, 3) == 0) {
		count(OP_DONTNEED, madvise(at, pages * PAGE, MADV_DONTNEED) ? REFUSED : DONE);
		return;
	}
	if (pthread_mutex_trylock(&view->changing))
		return;
	if (!view->broken) {
		if (below(random, 2))
			punch(view, page, pages);
		else
			protect(view, page, pages, below(random, 2));
	}
	pthread_mutex_unlock(&view->changing);
}

void view_move(uint64_t *random)
{
	struct view *view = enter_alone(random);
	uint32_t page = 0;

	if (!view)
		return;
	for (uint32_t i = 0; view->present && i < view->instance.nr_ranges; i++) {
		char *from = view->areas[view->area] + page * PAGE;
		char *to = view->areas[1 - view->area] + page * PAGE;
		size_t bytes = view->instance.ranges[i].pages * PAGE;

		if (mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to) {
			/* Pieces that changes have left can't all move, or not at once. */
			count(OP_MREMAP, REFUSED);
			drop(view);
			break;
		}
		count(OP_MREMAP, DONE);
		page += view->instance.ranges[i].pages;
	}
	if (view->present) {
		reserve(view->areas[view->area]);
		view->area = 1 - view->area;
		if (view->sighting)
			view->sighting->address = (uintptr_t)view->areas[view->area];
	}
	pthread_rwlock_unlock(&view->lock);
}

static void load(const struct view *view, uint32_t page, uint32_t word)
{
	const volatile uint32_t *memory = (const volatile uint32_t *)view->areas[view->area];
	struct witness witness;
	uint32_t value;
	int raised;

	witness_begin(&witness, &view->instance);
	raised = guarded_load(memory + page * PAGE_WORDS + word, &value);
	witness_end(&witness, OP_LOAD, raised ? UNCLEAR : DONE);
	if (!raised)
		check_read(&view->instance, page, word, value);
}

void views_check_dead(void)
{
	for (int i = 0; i < VIEWS; i++) {
		struct view *view = &views[i];

		for (uint32_t page = 0; view->present && page < view->instance.pages; page++)
			load(view, page, 0);
		if (view->present) {
			struct witness witness;

			witness_begin(&witness, &view->instance);
			witness_end(&witness, OP_MMAP, map_pages(view, 0, 1) ? DONE : REFUSED);
		}
	}
}

void view_touch_as_child(struct view *view, uint64_t *random)
{
	uint32_t pages = view->instance.ranges[0].pages;
	struct witness witness;
	bool mapped;

	witness_begin(&witness, &view->instance);
	mapped = map_pages(view, 0, pages);
	witness_end(&witness, OP_MMAP, mapped ? DONE : REFUSED);
	for (int i = 0; mapped && i < 8; i++)
		load(view, below(random, pages), word_to_read(&view->instance, random));
}
