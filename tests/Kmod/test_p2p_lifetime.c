// SPDX-License-Identifier: GPL-2.0
/* P2P leases and the ends of those who hold them: drivers, sessions, devices, modules. */
#define _GNU_SOURCE
#include "check.h"
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLOW_MS 300
#define MS	1000000ULL

static struct vfio vfio;
static int session, lease, peer;

static void prepare(uint32_t mode)
{
	vfio_open_ivshmem(&vfio);
	session = session_open();
	lease = lease_export(session, &vfio, 1, 5, 2, BAR_LEASE_EXPORT_P2P);
	peer = peer_mapped(lease, function_itself(&vfio), mode, SLOW_MS);
}

/* -- sessions and devices ----------------------------------------------- */

TEST(the_last_close_of_a_session_returns_only_after_a_driver_has_unmapped)
{
	uint64_t start;

	prepare(IMPORTER_SLOW);
	start = now_ns();
	CHECK_OK(close(session));
	CHECK(now_ns() - start >= (SLOW_MS - 10) * MS);
	CHECK_EQ(peer_state(peer).mapped, 0);
	CHECK_ERRNO(ioctl(peer, IMPORTER_MAP), ENODEV);
}

static void *let_go_later(void *unused)
{
	(void)unused;
	peer_await_invalidations(peer, 1);
	usleep(1500000);
	CHECK_OK(ioctl(peer, IMPORTER_UNMAP));
	return NULL;
}

TEST(the_last_close_of_a_session_waits_for_a_driver_longer_than_a_revoke_does)
{
	pthread_t thread;
	uint64_t start;

	prepare(IMPORTER_STUCK);
	CHECK_EQ(pthread_create(&thread, NULL, let_go_later, NULL), 0);
	start = now_ns();
	CHECK_OK(close(session));
	CHECK(now_ns() - start >= 1500 * MS);
	CHECK_EQ(peer_state(peer).mapped, 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(the_last_close_of_a_session_does_not_wait_for_ever_for_a_fence)
{
	uint64_t start;

	prepare(IMPORTER_PROMPT);
	fence_import(peer, lease);
	start = now_ns();
	CHECK_OK(close(session));
	CHECK(now_ns() - start < limit_ns(5000));
	CHECK_EQ(peer_state(peer).mapped, 0);
	CHECK_ERRNO(ioctl(peer, IMPORTER_MAP), ENODEV);
}

TEST(closing_the_vfio_device_takes_it_from_a_driver_for_good)
{
	prepare(IMPORTER_SLOW);
	vfio_close(&vfio);
	CHECK_EQ(peer_state(peer).mapped, 0);
	CHECK_ERRNO(ioctl(peer, IMPORTER_MAP), ENODEV);
	vfio_open_ivshmem(&vfio);
	CHECK_ERRNO(ioctl(peer, IMPORTER_MAP), ENODEV);
	CHECK_EQ(lease_state(session, 1), BAR_LEASE_STATE_SUSPENDED);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK_OK(close(peer));
	CHECK_EQ(lease_info(session).importers, 0);
}

TEST(a_driver_may_be_the_last_to_hold_a_revoked_lease)
{
	prepare(IMPORTER_PROMPT);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK_OK(close(lease));
	CHECK_EQ(lease_info(session).importers, 1);
	vfio_set_memory(&vfio, false);
	vfio_set_memory(&vfio, true);
	CHECK_OK(close(session));
	vfio_close(&vfio);
	CHECK_ERRNO(ioctl(peer, IMPORTER_MAP), ENODEV);
	CHECK_OK(close(peer));
}

/* Median of a suspend's time. */
static double suspend_ms(void)
{
	enum { ROUNDS = 9 };
	double took[ROUNDS];

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = now_ns();

		vfio_set_memory(&vfio, false);
		took[round] = (double)(now_ns() - start) / 1e6;
		vfio_set_memory(&vfio, true);
		/* Sorted in as they come. */
		for (int i = round; i > 0 && took[i] < took[i - 1]; i--) {
			double swap = took[i];

			took[i] = took[i - 1];
			took[i - 1] = swap;
		}
	}
	return took[ROUNDS / 2];
}

TEST(revoked_leases_that_drivers_are_attached_to_hardly_slow_a_suspend)
{
	enum { COUNT = 400 };
	double before, after;

	prepare(IMPORTER_PROMPT);
	before = suspend_ms();
	for (uint64_t id = 2; id < 2 + COUNT; id++) {
		int other = lease_export(session, &vfio, id, id, 1, BAR_LEASE_EXPORT_P2P);

		peer_mapped(other, function_itself(&vfio), IMPORTER_PROMPT, 0);
		CHECK_EQ(lease_revoke_one(session, id), 1);
		CHECK_OK(close(other));
	}
	CHECK_EQ(lease_info(session).importers, 1 + COUNT);
	after = suspend_ms();
	figure("suspend with %d revoked P2P leases still attached to: %.3f ms, without: %.3f ms",
	       COUNT, after, before);
	CHECK(after * 1e6 < (double)limit_ns(50));
}

/* -- modules ------------------------------------------------------------ */

static int unload(const char *name)
{
	return (int)syscall(SYS_delete_module, name, O_NONBLOCK);
}

static void load(const char *variable)
{
	const char *path = getenv(variable);

	CHECK(path);
	int module = CHECK_OK(open(path, O_RDONLY | O_CLOEXEC));

	CHECK_OK(syscall(SYS_finit_module, module, "", 0));
	CHECK_OK(close(module));
}

/* What its last holder left may need a moment: drops run on a worker. */
static void unload_soon(const char *name)
{
	for (int tries = 0; unload(name); tries++) {
		CHECK_EQ(errno, EWOULDBLOCK);
		CHECK(tries < 500);
		usleep(10000);
	}
}

TEST(neither_module_leaves_while_a_driver_is_attached)
{
	prepare(IMPORTER_PROMPT);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK_OK(close(session));
	CHECK_OK(close(lease));
	CHECK_ERRNO(unload("importer"), EWOULDBLOCK);
	CHECK_ERRNO(unload("bar_lease"), EWOULDBLOCK);
	CHECK_OK(close(peer));
	unload_soon("importer");
	load("IMPORTER_KO");
}

static void map_and_leave(void *mode)
{
	prepare(*(uint32_t *)mode);
	CHECK_ERRNO(unload("bar_lease"), EWOULDBLOCK);
}

TEST(drivers_of_a_process_that_ends_leave_nothing_behind)
{
	for (uint32_t mode = IMPORTER_PROMPT; mode <= IMPORTER_STUCK; mode++)
		CHECK_EQ(in_child(map_and_leave, &mode), 0);
	unload_soon("importer");
	unload_soon("bar_lease");
	load("BAR_LEASE_KO");
	load("IMPORTER_KO");
	prepare(IMPORTER_PROMPT);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
}
