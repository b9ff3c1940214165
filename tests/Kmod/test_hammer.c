// SPDX-License-Identifier: GPL-2.0
/*
 * Threads that touch leases without rest, against one that exports and revokes
 * them, and one that suspends the device. Two oracles: no access succeeds that
 * began after REVOKE had returned, and no write lands after that either.
 */
#define _GNU_SOURCE
#include "check.h"
#include "module.h"
#include "vfio.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
	SLOTS = 8,
	PAGES = 4,
	WORKERS = 4,
};

/*
 * One lease after the other on the same range. A worker announces itself in
 * @users before it looks at @memory, so that the mapping isn't taken away, or
 * put to another use, under it.
 */
struct slot {
	_Atomic(volatile uint32_t *) memory;
	atomic_int users;
	atomic_bool revoked;
};

/* Every other slot is huge, and those in between are write-combining. */
static bool mixed;

static struct vfio vfio;
static int session;
static struct slot slots[SLOTS];
static atomic_bool stop;
static atomic_ulong hits, faults, late;

/* Memory is on while it's held: the oracle looks at it by way of VFIO. */
static pthread_mutex_t powered = PTHREAD_MUTEX_INITIALIZER;

static uint64_t slot_pages(uint64_t id)
{
	return mixed && id % 2 == 0 ? HUGE / PAGE : PAGES;
}

static uint64_t slot_page(uint64_t id)
{
	return id * (mixed ? HUGE / PAGE : PAGES);
}

static void *work(void *argument)
{
	unsigned int seed = (unsigned int)(uintptr_t)argument;

	while (!stop) {
		uint64_t id = (uint64_t)rand_r(&seed) % SLOTS, words = slot_pages(id) * 1024;
		struct slot *slot = &slots[id];
		volatile uint32_t *memory;

		atomic_fetch_add(&slot->users, 1);
		memory = slot->memory;
		for (int i = 0; memory && i < 16; i++) {
			volatile uint32_t *word = memory + (uint64_t)rand_r(&seed) % words;
			bool was_revoked = slot->revoked;
			uint32_t value;
			bool done =
				i % 2 ? peek(word, &value) : poke(word, (uint32_t)rand_r(&seed));

			if (done && was_revoked)
				late++;
			if (done)
				hits++;
			else
				faults++;
		}
		atomic_fetch_sub(&slot->users, 1);
	}
	return NULL;
}

static void *suspend(void *unused)
{
	(void)unused;
	while (!stop) {
		usleep(20000);
		pthread_mutex_lock(&powered);
		vfio_set_memory(&vfio, false);
		sched_yield();
		vfio_set_memory(&vfio, true);
		pthread_mutex_unlock(&powered);
	}
	return NULL;
}

static int slot_export(uint64_t id)
{
	struct export export;
	int lease;

	export_prepare(&export, &vfio, id, slot_page(id), slot_pages(id), 0);
	if (mixed && id % 2)
		export.request.memory_type = BAR_LEASE_MEMORY_WRITE_COMBINING;
	lease = CHECK_OK(export_call(session, &export));
	export_finish(&export);
	return lease;
}

static void slot_start(uint64_t id)
{
	int lease;

	/* EAGAIN must not come in between. */
	pthread_mutex_lock(&powered);
	lease = slot_export(id);
	pthread_mutex_unlock(&powered);
	slots[id].revoked = false;
	slots[id].memory = lease_map_aligned(lease, slot_pages(id), slot_page(id) % (HUGE / PAGE),
					     PROT_READ | PROT_WRITE);
	CHECK_OK(close(lease));
}

/* Nothing of what is in the slot's memory changes any more. */
static void slot_check_still(uint64_t id)
{
	uint64_t words = slot_pages(id) * 1024, step = slot_pages(id) * 16 - 3;

	pthread_mutex_lock(&powered);
	for (uint64_t word = 0; word < words; word += step)
		*vfio_word(&vfio, slot_page(id), word) = 0xdeadbeef;
	/* Time for the others, who have the mapping still. */
	usleep(300);
	for (uint64_t word = 0; word < words; word += step)
		CHECK_EQ(*vfio_word(&vfio, slot_page(id), word), 0xdeadbeef);
	pthread_mutex_unlock(&powered);
}

static void slot_end(uint64_t id)
{
	volatile uint32_t *memory = atomic_exchange(&slots[id].memory, NULL);

	while (slots[id].users)
		sched_yield();
	CHECK_OK(munmap((void *)memory, slot_pages(id) * PAGE));
}

static void hammer(bool suspending, uint64_t seconds)
{
	pthread_t threads[WORKERS], suspender;
	unsigned long rounds = 0, revoked = 0;
	unsigned int seed = 1;
	uint64_t end;

	vfio_open_ivshmem(&vfio);
	session = session_open();
	for (uint64_t id = 0; id < SLOTS; id++)
		slot_start(id);
	for (uintptr_t i = 0; i < WORKERS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, work, (void *)(i + 1)), 0);
	if (suspending)
		CHECK_EQ(pthread_create(&suspender, NULL, suspend, NULL), 0);

	for (end = now_ns() + seconds * 1000000000ULL; now_ns() < end; rounds++) {
		uint64_t ids[SLOTS];
		uint32_t nr_ids = 0, nr_revoked;

		for (uint64_t id = 0; id < SLOTS; id++) {
			if (rand_r(&seed) % 3 == 0)
				ids[nr_ids++] = id;
		}
		if (!nr_ids)
			continue;
		CHECK_EQ(lease_revoke(session, ids, nr_ids, &nr_revoked), 0);
		for (uint32_t i = 0; i < nr_ids; i++)
			slots[ids[i]].revoked = true;
		CHECK_EQ(nr_revoked, nr_ids);
		revoked += nr_ids;

		for (uint32_t i = 0; i < nr_ids; i++)
			slot_check_still(ids[i]);
		for (uint32_t i = 0; i < nr_ids; i++)
			slot_end(ids[i]);
		for (uint32_t i = 0; i < nr_ids; i++)
			slot_start(ids[i]);
		usleep(300);
	}

	stop = true;
	for (int i = 0; i < WORKERS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	if (suspending)
		CHECK_EQ(pthread_join(suspender, NULL), 0);
	figure("hammer%s%s: %lu leases revoked in %lu calls, %lu accesses, %lu SIGBUS, %lu page "
	       "faults",
	       mixed ? " on huge and write-combining pages" : "",
	       suspending ? " with suspends" : "", revoked, rounds, hits, faults,
	       (unsigned long)lease_info(session).faults);
	CHECK_EQ(late, 0);
	CHECK(hits > 0);
	CHECK(faults > 0);
	CHECK(revoked > 0);
}

TEST(no_access_succeeds_after_a_revoke_has_returned)
{
	hammer(false, 10);
}

TEST(no_access_succeeds_after_a_revoke_has_returned_though_the_device_is_suspended_meanwhile)
{
	hammer(true, 10);
}

TEST(no_access_succeeds_after_a_revoke_of_huge_and_write_combining_pages_has_returned)
{
	mixed = true;
	hammer(true, 5);
	CHECK_EQ(lease_info(session).huge_faults > 0, huge_entries());
}
