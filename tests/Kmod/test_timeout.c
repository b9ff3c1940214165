// SPDX-License-Identifier: GPL-2.0
/*
 * ETIMEDOUT: a page fault that is kept from ending, by a module that holds its
 * thread (hold_fault), before or after it has inserted its entry.
 */
#define _GNU_SOURCE
#include "check.h"
#include "module.h"
#include "vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PARAMETERS "/sys/module/hold_fault/parameters/"

static struct vfio vfio;
static int session;
static volatile uint32_t *memory, *other;
static int lease;
static pthread_t faulter;
static atomic_int faulter_id;
static sem_t faulter_ready, fault_wanted;
static bool reached;

static const uint64_t ids[] = { 1, 2 };

/* Revokes the first @revoke_count of @ids when told to. */
static pthread_t revoker;
static uint32_t revoke_count;
static sem_t revoke_wanted, revoke_begun;
static int revoke_result;
static uint64_t revoke_took;

static void write_parameter(const char *path, int value)
{
	int file = CHECK_OK(open(path, O_WRONLY | O_CLOEXEC));

	CHECK(dprintf(file, "%d", value) > 0);
	CHECK_OK(close(file));
}

static bool is_held(void)
{
	int file = CHECK_OK(open(PARAMETERS "held", O_RDONLY | O_CLOEXEC));
	char value;

	CHECK_EQ(read(file, &value, 1), 1);
	CHECK_OK(close(file));
	return value == 'Y';
}

static void *fault(void *unused)
{
	uint32_t value;

	(void)unused;
	faulter_id = gettid();
	sem_post(&faulter_ready);
	sem_wait(&fault_wanted);
	reached = peek(memory, &value);
	return NULL;
}

static void *revoke_some(void *unused)
{
	uint64_t start;

	(void)unused;
	CHECK_OK(sem_wait(&revoke_wanted));
	start = now_ns();
	CHECK_OK(sem_post(&revoke_begun));
	revoke_result = lease_revoke(session, ids, revoke_count, NULL) ? errno : 0;
	revoke_took = now_ns() - start;
	return NULL;
}

/* What kind of entry the fault inserts that is being held. */
enum kind { OF_A_PAGE, OF_A_HUGE_PAGE, WRITE_COMBINING };

static int export_kind(enum kind kind)
{
	struct export export;
	int lease;

	export_prepare(&export, &vfio, 1, 0, kind == OF_A_HUGE_PAGE ? HUGE / PAGE : 1, 0);
	if (kind == WRITE_COMBINING)
		export.request.memory_type = BAR_LEASE_MEMORY_WRITE_COMBINING;
	lease = CHECK_OK(export_call(session, &export));
	export_finish(&export);
	return lease;
}

/*
 * Leases 1, of a page or a huge page from page 0 on, and 2, of the page behind;
 * the first page fault of 1 is being held. It holds mmap_lock or the mapping's
 * own lock for reading, so until let_go() this process can fault, but not map
 * anything.
 */
static void hold_a_fault(enum kind kind, bool after_insertion)
{
	/* There still, if a case failed before this one. */
	CHECK_OK(module_load("HOLD_FAULT_KO", ""));

	vfio_open_ivshmem(&vfio);
	*vfio_word(&vfio, 0, 0) = 66;
	session = session_open();
	lease = export_kind(kind);
	memory = kind == OF_A_HUGE_PAGE ? lease_map_aligned(lease, HUGE / PAGE, 0, PROT_READ)
					: lease_map(lease, 1, PROT_READ);
	other = lease_map(lease_export(session, &vfio, 2, HUGE / PAGE, 1, 0), 1, PROT_READ);
	/* Has the heap grown as far as it has to, and it stays so. */
	CHECK(mallopt(M_MMAP_MAX, 0) && mallopt(M_TRIM_THRESHOLD, INT_MAX));
	CHECK_EQ(lease_state(session, 1), BAR_LEASE_STATE_LIVE);

	CHECK_OK(sem_init(&faulter_ready, 0, 0));
	CHECK_OK(sem_init(&fault_wanted, 0, 0));
	CHECK_OK(sem_init(&revoke_wanted, 0, 0));
	CHECK_OK(sem_init(&revoke_begun, 0, 0));
	CHECK_EQ(pthread_create(&revoker, NULL, revoke_some, NULL), 0);
	CHECK_EQ(pthread_create(&faulter, NULL, fault, NULL), 0);
	CHECK_OK(sem_wait(&faulter_ready));
	write_parameter(PARAMETERS "after", after_insertion);
	write_parameter(PARAMETERS "thread", faulter_id);
	sem_post(&fault_wanted);
	for (int tries = 0; !is_held(); tries++) {
		CHECK(tries < 10000);
		usleep(1000);
	}
}

/* The fault ends. It takes what it inserted away again by itself, and then there is nothing. */
static void let_go(void)
{
	write_parameter(PARAMETERS "thread", 0);
	CHECK_EQ(pthread_join(faulter, NULL), 0);
	CHECK(!reached);
	CHECK_OK(module_unload("hold_fault"));
}

static void revoke_while_held(enum kind kind, bool after_insertion)
{
	uint32_t nr_revoked, value;
	struct export again;
	uint64_t start;

	hold_a_fault(kind, after_insertion);
	CHECK(peek(other, &value));
	if (after_insertion)
		CHECK(peek(memory, &value) && value == 66);

	start = now_ns();
	CHECK_ERRNO(lease_revoke(session, ids, 2, &nr_revoked), ETIMEDOUT);
	figure("gave up after %.3f s", (double)(now_ns() - start) / 1e9);
	CHECK_EQ(nr_revoked, 2);
	CHECK(!peek(memory, &value));
	CHECK(!peek(other, &value));

	/* Not live, but not confirmed: it is listed, and its id isn't free. The other is gone. */
	CHECK_EQ(lease_state(session, 1), BAR_LEASE_STATE_REVOKING);
	CHECK_EQ(lease_state(session, 2), 0);
	CHECK_EQ(lease_info(session).leases_live, 0);
	CHECK_ERRNO(lease_get_fd(session, 1), ENOENT);
	export_prepare(&again, &vfio, 1, 0, 1, 0);
	CHECK_ERRNO(export_call(session, &again), EEXIST);

	/* Still not. */
	CHECK_ERRNO(lease_revoke(session, ids, 2, &nr_revoked), ETIMEDOUT);
	CHECK_EQ(nr_revoked, 0);
	CHECK_EQ(lease_state(session, 1), BAR_LEASE_STATE_REVOKING);

	let_go();
	CHECK(!peek(memory, &value));
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease, 0), ENODEV);
	CHECK_OK(lease_revoke(session, ids, 2, &nr_revoked));
	CHECK_EQ(nr_revoked, 0);
	CHECK_EQ(lease_state(session, 1), 0);
	CHECK_OK(export_call(session, &again));
	CHECK(!peek(memory, &value));
}

TEST(a_revoke_that_cannot_be_confirmed_says_so_and_a_repeat_confirms_it)
{
	revoke_while_held(OF_A_PAGE, false);
}

TEST(a_revoke_ends_the_access_of_a_fault_that_it_cannot_wait_for)
{
	revoke_while_held(OF_A_PAGE, true);
}

TEST(a_revoke_does_so_for_huge_entries)
{
	revoke_while_held(OF_A_HUGE_PAGE, true);
}

TEST(a_revoke_does_so_for_write_combining_entries)
{
	revoke_while_held(WRITE_COMBINING, true);
}

static void await_state(uint64_t id, uint32_t state)
{
	for (int tries = 0; lease_state(session, id) != state; tries++) {
		CHECK(tries < 1000);
		usleep(100);
	}
}

/* Until the other thread's REVOKE has marked lease 1, and waits. */
static void revoke_in_the_background(uint32_t count)
{
	revoke_count = count;
	CHECK_OK(sem_post(&revoke_wanted));
	CHECK_OK(sem_wait(&revoke_begun));
	await_state(1, BAR_LEASE_STATE_REVOKING);
}

TEST(a_revoke_that_waits_holds_up_no_other)
{
	uint64_t start, took;
	uint32_t value;

	hold_a_fault(OF_A_PAGE, false);
	CHECK(peek(other, &value));
	revoke_in_the_background(1);

	start = now_ns();
	CHECK_EQ(lease_revoke_one(session, 2), 1);
	took = now_ns() - start;
	figure("REVOKE while another waits for a page fault: %.3f ms", (double)took / 1e6);
	CHECK(took < limit_ns(100));
	CHECK(!peek(other, &value));
	CHECK_EQ(lease_state(session, 1), BAR_LEASE_STATE_REVOKING);

	CHECK_EQ(pthread_join(revoker, NULL), 0);
	CHECK_EQ(revoke_result, ETIMEDOUT);
	CHECK(revoke_took >= 900000000);
	let_go();
	CHECK_EQ(lease_revoke_one(session, 1), 0);
}

TEST(of_two_revokes_of_a_lease_neither_returns_before_its_access_has_ended)
{
	hold_a_fault(OF_A_PAGE, true);
	revoke_in_the_background(1);
	write_parameter(PARAMETERS "thread", 0);
	/* It ended nothing itself, but it may not say so before the first has. */
	CHECK_EQ(lease_revoke_one(session, 1), 0);
	CHECK(!peek(memory, &(uint32_t){ 0 }));
	CHECK_EQ(lease_state(session, 1), 0);
	CHECK_EQ(pthread_join(revoker, NULL), 0);
	CHECK_EQ(revoke_result, 0);
	let_go();
}

TEST(what_a_revoke_can_confirm_it_confirms_before_it_waits_for_the_rest)
{
	uint32_t value;

	hold_a_fault(OF_A_PAGE, false);
	CHECK(peek(other, &value));
	revoke_in_the_background(2);
	await_state(2, 0);
	CHECK(!peek(other, &value));
	CHECK_EQ(lease_state(session, 1), BAR_LEASE_STATE_REVOKING);

	/* So the other's id is free while that call waits. */
	CHECK_EQ(lease_revoke_one(session, 2), 0);
	CHECK_EQ(lease_state(session, 1), BAR_LEASE_STATE_REVOKING);
	CHECK_EQ(pthread_join(revoker, NULL), 0);
	CHECK_EQ(revoke_result, ETIMEDOUT);
	CHECK(revoke_took >= 900000000);
	let_go();
	CHECK_EQ(lease_revoke(session, ids, 2, NULL), 0);
}

TEST(closing_a_session_does_not_wait_for_ever_for_a_page_fault)
{
	uint32_t value;
	uint64_t start;

	hold_a_fault(OF_A_PAGE, false);
	start = now_ns();
	CHECK_OK(close(session));
	CHECK(now_ns() - start < limit_ns(5000));
	CHECK(!peek(memory, &value));
	let_go();
	CHECK(!peek(memory, &value));
}
