// SPDX-License-Identifier: GPL-2.0
/*
 * Importers that are told to let go, by a revoke or by a suspend, and do so at
 * once, after a while or not at all; and fences, which hold up VFIO.
 */
#define _GNU_SOURCE
#include "check.h"
#include "peer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOW_MS 300
#define MS	1000000ULL

static struct vfio vfio;
static int session, lease, peer;
static const uint64_t id = 1;

static void prepare(uint32_t mode)
{
	vfio_open_ivshmem(&vfio);
	session = session_open();
	lease = lease_export(session, &vfio, id, 5, 2, BAR_LEASE_EXPORT_P2P);
	peer = peer_mapped(lease, function_edu(), mode, SLOW_MS);
}

/* A thread that suspends the device, which can take its time. */
static pthread_t suspender;
static atomic_bool suspended;

static void *suspend(void *unused)
{
	(void)unused;
	vfio_set_memory(&vfio, false);
	suspended = true;
	return NULL;
}

static void suspend_begin(void)
{
	CHECK_EQ(pthread_create(&suspender, NULL, suspend, NULL), 0);
}

static void suspend_end(void)
{
	CHECK_EQ(pthread_join(suspender, NULL), 0);
	CHECK(suspended);
}

/* -- revoke ------------------------------------------------------------- */

TEST(a_prompt_driver_has_unmapped_when_the_revoke_returns)
{
	uint64_t start, took;

	prepare(IMPORTER_PROMPT);
	start = now_ns();
	CHECK_EQ(lease_revoke_one(session, id), 1);
	took = now_ns() - start;
	CHECK_EQ(peer_state(peer).mapped, 0);
	CHECK_EQ(peer_state(peer).invalidations, 1);
	CHECK_EQ(lease_info(session).importer_maps, 0);
	CHECK_EQ(lease_state(session, id), 0);
	CHECK_ERRNO(ioctl(peer, IMPORTER_MAP), ENODEV);
	figure("REVOKE of a lease with a prompt importer: %.3f ms", (double)took / 1e6);
	CHECK(took < limit_ns(100));
}

TEST(a_revoke_returns_only_after_a_slow_driver_has_unmapped)
{
	uint64_t start, took;

	prepare(IMPORTER_SLOW);
	start = now_ns();
	CHECK_EQ(lease_revoke_one(session, id), 1);
	took = now_ns() - start;
	CHECK_EQ(peer_state(peer).mapped, 0);
	CHECK_EQ(peer_state(peer).unmaps, 1);
	figure("REVOKE of a lease whose importer takes %d ms: %.3f ms", SLOW_MS,
	       (double)took / 1e6);
	CHECK(took >= (SLOW_MS - 10) * MS && took < limit_ns(1000));
	CHECK_ERRNO(ioctl(peer, IMPORTER_MAP), ENODEV);
}

enum { OTHERS = 9 };

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x > y ? 1 : x < y ? -1 : 0;
}

/* Median time of a REVOKE, of leases @first and so on. */
static uint64_t others_revoke_ns(uint64_t first)
{
	uint64_t took[OTHERS];

	for (uint64_t i = 0; i < OTHERS; i++) {
		uint64_t start = now_ns();

		CHECK_EQ(lease_revoke_one(session, first + i), 1);
		took[i] = now_ns() - start;
	}
	qsort(took, OTHERS, sizeof(*took), compare_u64);
	return took[OTHERS / 2];
}

TEST(a_driver_that_is_stuck_makes_its_own_revoke_say_so_and_no_other)
{
	uint64_t start, took;
	struct export again;

	prepare(IMPORTER_STUCK);
	for (uint64_t other = 2; other < 2 + OTHERS; other++)
		lease_export(session, &vfio, other, 9, 1, BAR_LEASE_EXPORT_P2P);
	start = now_ns();
	CHECK_ERRNO(lease_revoke(session, &id, 1, NULL), ETIMEDOUT);
	took = now_ns() - start;
	figure("REVOKE of a lease whose importer is stuck: gave up after %.3f s",
	       (double)took / 1e9);
	CHECK(took >= 900 * MS && took < limit_ns(1500));
	CHECK_EQ(lease_state(session, id), BAR_LEASE_STATE_REVOKING);
	CHECK_EQ(lease_info(session).importer_maps, 1);
	export_prepare(&again, &vfio, id, 5, 2, 0);
	CHECK_ERRNO(export_call(session, &again), EEXIST);

	took = others_revoke_ns(2);
	figure("REVOKE of another lease meanwhile, median of %d: %.3f ms", OTHERS,
	       (double)took / 1e6);
	CHECK(took < limit_ns(10));

	CHECK_OK(ioctl(peer, IMPORTER_UNMAP));
	CHECK_EQ(lease_revoke_one(session, id), 0);
	CHECK_EQ(lease_state(session, id), 0);
	CHECK_EQ(peer_state(peer).invalidations, 1);
	CHECK_OK(export_call(session, &again));
}

static void *let_go_later(void *unused)
{
	(void)unused;
	peer_await_invalidations(peer, 1);
	CHECK_OK(ioctl(peer, IMPORTER_UNMAP));
	return NULL;
}

TEST(a_revoke_that_waits_for_a_driver_returns_as_soon_as_it_lets_go)
{
	pthread_t thread;

	prepare(IMPORTER_STUCK);
	CHECK_EQ(pthread_create(&thread, NULL, let_go_later, NULL), 0);
	CHECK_EQ(lease_revoke_one(session, id), 1);
	CHECK_EQ(lease_info(session).importer_maps, 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(one_stuck_driver_among_many_leases_costs_the_others_nothing)
{
	enum { COUNT = 50 };
	uint64_t ids[COUNT];
	uint32_t nr_revoked, value;

	prepare(IMPORTER_STUCK);
	volatile uint32_t *stuck = lease_map(lease, 2, PROT_READ);

	CHECK(peek(stuck, &value));
	ids[0] = id;
	for (uint32_t i = 1; i < COUNT; i++) {
		ids[i] = id + i;
		lease_export(session, &vfio, ids[i], 10 + i, 1, BAR_LEASE_EXPORT_P2P);
	}
	CHECK_ERRNO(lease_revoke(session, ids, COUNT, &nr_revoked), ETIMEDOUT);
	CHECK_EQ(nr_revoked, COUNT);
	CHECK_EQ(lease_state(session, id), BAR_LEASE_STATE_REVOKING);
	for (uint32_t i = 1; i < COUNT; i++)
		CHECK_EQ(lease_state(session, ids[i]), 0);
	/* Processors are kept out all the same. */
	CHECK(!peek(stuck, &value));
	CHECK_OK(ioctl(peer, IMPORTER_UNMAP));
	CHECK_EQ(lease_revoke_one(session, id), 0);
}

/* -- suspend ------------------------------------------------------------ */

TEST(a_suspend_reaches_a_prompt_driver_before_it_returns)
{
	prepare(IMPORTER_PROMPT);
	vfio_set_memory(&vfio, false);
	CHECK_EQ(peer_state(peer).mapped, 0);
	CHECK_EQ(peer_state(peer).invalidations, 1);
	CHECK_EQ(lease_state(session, id), BAR_LEASE_STATE_SUSPENDED);
	CHECK_ERRNO(ioctl(peer, IMPORTER_MAP), ENODEV);

	vfio_set_memory(&vfio, true);
	CHECK_EQ(peer_state(peer).invalidations, 1);
	CHECK_OK(ioctl(peer, IMPORTER_MAP));
	CHECK_EQ(lease_state(session, id), BAR_LEASE_STATE_LIVE);
	/* And again, to see that nothing wears out. */
	for (uint32_t i = 2; i < 12; i++) {
		vfio_set_memory(&vfio, false);
		CHECK_EQ(peer_state(peer).mapped, 0);
		CHECK_EQ(peer_state(peer).invalidations, i);
		vfio_set_memory(&vfio, true);
		CHECK_OK(ioctl(peer, IMPORTER_MAP));
	}
	CHECK_EQ(lease_revoke_one(session, id), 1);
}

TEST(a_suspend_waits_for_a_slow_driver)
{
	uint64_t start, took;

	prepare(IMPORTER_SLOW);
	start = now_ns();
	vfio_set_memory(&vfio, false);
	took = now_ns() - start;
	CHECK_EQ(peer_state(peer).mapped, 0);
	CHECK_EQ(peer_state(peer).unmaps, 1);
	CHECK(took >= (SLOW_MS - 10) * MS);
	vfio_set_memory(&vfio, true);
	CHECK_OK(ioctl(peer, IMPORTER_MAP));
}

TEST(a_revoke_during_a_suspend_that_waits_for_a_driver_is_bounded)
{
	uint64_t start;

	prepare(IMPORTER_STUCK);
	lease_export(session, &vfio, 2, 9, 1, 0);
	suspend_begin();
	peer_await_invalidations(peer, 1);

	start = now_ns();
	CHECK_EQ(lease_revoke_one(session, 2), 1);
	CHECK(now_ns() - start < limit_ns(100));
	start = now_ns();
	CHECK_ERRNO(lease_revoke(session, &id, 1, NULL), ETIMEDOUT);
	CHECK(now_ns() - start < limit_ns(1500));
	CHECK(!suspended);

	CHECK_OK(ioctl(peer, IMPORTER_UNMAP));
	suspend_end();
	CHECK_EQ(lease_revoke_one(session, id), 0);
	vfio_set_memory(&vfio, true);
	CHECK_ERRNO(ioctl(peer, IMPORTER_MAP), ENODEV);
}

/* -- fences ------------------------------------------------------------- */

TEST(a_fence_on_an_ordinary_lease_holds_up_nothing)
{
	uint64_t start, took;

	vfio_open_ivshmem(&vfio);
	session = session_open();
	lease = lease_export(session, &vfio, id, 5, 2, 0);
	peer = peer_open();
	fence_import(peer, lease);

	start = now_ns();
	vfio_set_memory(&vfio, false);
	vfio_set_memory(&vfio, true);
	took = now_ns() - start;
	figure("suspend and resume with a fence on an ordinary lease: %.3f ms", (double)took / 1e6);
	CHECK(took < limit_ns(50));
	start = now_ns();
	CHECK_EQ(lease_revoke_one(session, id), 1);
	CHECK(now_ns() - start < limit_ns(100));
}

TEST(a_fence_on_a_p2p_lease_that_no_device_has_mapped_holds_up_no_revoke)
{
	uint64_t start;

	prepare(IMPORTER_PROMPT);
	CHECK_OK(ioctl(peer, IMPORTER_UNMAP));
	fence_import(peer, lease);
	start = now_ns();
	CHECK_EQ(lease_revoke_one(session, id), 1);
	CHECK(now_ns() - start < limit_ns(100));
}

TEST(a_fence_on_a_p2p_lease_that_a_device_has_mapped_keeps_a_revoke_unconfirmed)
{
	uint64_t start, took;

	prepare(IMPORTER_PROMPT);
	fence_import(peer, lease);
	start = now_ns();
	CHECK_ERRNO(lease_revoke(session, &id, 1, NULL), ETIMEDOUT);
	took = now_ns() - start;
	CHECK(took >= 900 * MS && took < limit_ns(1500));
	CHECK_EQ(peer_state(peer).mapped, 0);
	CHECK_EQ(lease_state(session, id), BAR_LEASE_STATE_REVOKING);

	CHECK_OK(ioctl(peer, IMPORTER_SIGNAL));
	CHECK_EQ(lease_revoke_one(session, id), 0);
	CHECK_EQ(lease_state(session, id), 0);
}

/* VFIO waits with the reservation held: the worst that a holder can do to a revoke. */
TEST(a_revoke_is_bounded_while_a_fence_holds_up_a_suspend)
{
	uint64_t start, took;
	uint32_t value;

	prepare(IMPORTER_STUCK);
	volatile uint32_t *memory = lease_map(lease, 2, PROT_READ);

	CHECK(peek(memory, &value));
	lease_export(session, &vfio, 2, 9, 1, 0);
	fence_import(peer, lease);
	suspend_begin();
	peer_await_invalidations(peer, 1);

	start = now_ns();
	CHECK_ERRNO(lease_revoke(session, &id, 1, NULL), ETIMEDOUT);
	took = now_ns() - start;
	figure("REVOKE while VFIO waits for a fence: gave up after %.3f s", (double)took / 1e9);
	CHECK(took < limit_ns(1500));
	CHECK(!peek(memory, &value));
	CHECK_EQ(lease_state(session, id), BAR_LEASE_STATE_REVOKING);
	CHECK(!suspended);
	start = now_ns();
	CHECK_EQ(lease_revoke_one(session, 2), 1);
	CHECK(now_ns() - start < limit_ns(100));

	CHECK_OK(ioctl(peer, IMPORTER_SIGNAL));
	CHECK_OK(ioctl(peer, IMPORTER_UNMAP));
	suspend_end();
	CHECK_EQ(lease_revoke_one(session, id), 0);
}
