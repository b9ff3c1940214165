// SPDX-License-Identifier: GPL-2.0
/* Drivers that attach, map, unmap and leave, while their leases end and the device comes and goes.
 */
#define _GNU_SOURCE
#include "check.h"
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SECONDS	 5
#define PATIENCE 60
#define LANES	 2
#define DRIVERS	 3
/* Above all descriptors that come by themselves. */
#define LEASE_NUMBER 200

/*
 * A session with one lease at a time, and drivers that work on whatever @lease, a
 * descriptor of no other use, is then.
 */
struct lane {
	int session;
	uint64_t id;
	int lease;
	pthread_t drivers[DRIVERS];
};

static struct vfio vfio;
static struct lane lanes[LANES];
static atomic_bool over;
static atomic_ulong maps, invalidations, revokes, suspends;

static bool is_gone(int error)
{
	/* Revoked or suspended; closed. */
	return error == ENODEV || error == EBADF;
}

static void *drive(void *argument)
{
	struct lane *lane = argument;
	unsigned int random = (unsigned int)(uintptr_t)&random;

	while (!over) {
		uint32_t mode = rand_r(&random) % 2 ? IMPORTER_PROMPT : IMPORTER_SLOW;
		struct function function =
			rand_r(&random) % 2 ? function_edu() : function_itself(&vfio);
		int peer = peer_open();

		if (peer_attach(peer, lane->lease, function, IMPORTER_DYNAMIC, mode,
				rand_r(&random) % 3)) {
			CHECK(is_gone(errno));
			CHECK_OK(close(peer));
			continue;
		}
		for (unsigned int i = rand_r(&random) % 8; i; i--) {
			if (!ioctl(peer, IMPORTER_MAP))
				maps++;
			else if (errno == ENODEV)
				break;
			else
				CHECK_EQ(errno, EBUSY);
			if (rand_r(&random) % 2 && ioctl(peer, IMPORTER_UNMAP))
				CHECK_EQ(errno, ENODATA);
		}
		invalidations += peer_state(peer).invalidations;
		CHECK_OK(close(peer));
	}
	return NULL;
}

/* Exports, lets the drivers have it for a moment, revokes: then none of them has it. */
static void use_a_lease(struct lane *lane)
{
	struct export export;
	int lease;

	export_prepare(&export, &vfio, ++lane->id, (uint64_t)(lane - lanes) * 8, 4,
		       BAR_LEASE_EXPORT_P2P);
	lease = export_call(lane->session, &export);
	export_finish(&export);
	if (lease < 0) {
		CHECK_EQ(errno, EAGAIN);
		return;
	}
	CHECK_OK(dup3(lease, lane->lease, O_CLOEXEC));
	CHECK_OK(close(lease));
	usleep(3000);

	CHECK_EQ(lease_revoke_one(lane->session, lane->id), 1);
	CHECK_EQ(lease_info(lane->session).importer_maps, 0);
	CHECK_EQ(lease_state(lane->session, lane->id), 0);
	revokes++;
	CHECK_OK(close(lane->lease));
}

static void *use_leases(void *argument)
{
	struct lane *lane = argument;

	lane->session = session_open();
	lane->lease = LEASE_NUMBER + (int)(lane - lanes);
	for (int i = 0; i < DRIVERS; i++)
		CHECK_EQ(pthread_create(&lane->drivers[i], NULL, drive, lane), 0);
	while (!over)
		use_a_lease(lane);
	for (int i = 0; i < DRIVERS; i++)
		CHECK_EQ(pthread_join(lane->drivers[i], NULL), 0);
	CHECK_EQ(lease_info(lane->session).importers, 0);
	return NULL;
}

static bool has_hammered(void)
{
	return revokes > 10 && suspends > 10 && maps > 100 && invalidations > 10;
}

TEST(no_driver_has_a_mapping_after_a_revoke_has_returned)
{
	uint64_t end = now_ns() + limit_ns(SECONDS * 1000);
	uint64_t patience = now_ns() + limit_ns(PATIENCE * 1000);
	pthread_t users[LANES];

	vfio_open_ivshmem(&vfio);
	for (int i = 0; i < LANES; i++)
		CHECK_EQ(pthread_create(&users[i], NULL, use_leases, &lanes[i]), 0);
	/* However slow the machine: until all of it has happened often enough to mean something. */
	while (now_ns() < end || (!has_hammered() && now_ns() < patience)) {
		vfio_set_memory(&vfio, false);
		usleep(1000);
		vfio_set_memory(&vfio, true);
		suspends++;
		usleep(10000);
	}
	over = true;
	for (int i = 0; i < LANES; i++)
		CHECK_EQ(pthread_join(users[i], NULL), 0);

	figure("P2P hammer: %lu revokes, %lu suspends, %lu mappings, %lu invalidations", revokes,
	       suspends, maps, invalidations);
	CHECK(has_hammered());
}
