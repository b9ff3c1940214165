// SPDX-License-Identifier: GPL-2.0
/* A hostile holder of lease descriptors: what it does with them as descriptors. */
#define _GNU_SOURCE
#include "check.h"
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct vfio vfio;
static int session;

static void prepare(void)
{
	struct rlimit limit;

	vfio_open_ivshmem(&vfio);
	session = session_open();
	CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max;
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
}

/* -- reopening by path ----------------------------------------------------- */

static int path_of(int descriptor)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", descriptor);
	return CHECK_OK(open(path, O_PATH | O_CLOEXEC));
}

/* What a path gives is no way to the memory, in whatever way it is opened. */
static void check_path_is_useless(int path)
{
	static const int ways[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_NONBLOCK };
	char name[64];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", path);
	for (unsigned int i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		CHECK_ERRNO(open(name, ways[i]), ENXIO);
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, path, 0), EBADF);
}

TEST(paths_to_leases_whose_descriptors_are_closed_are_harmless_across_suspend_and_revoke)
{
	enum { LEASES = 200 };
	static int paths[LEASES];
	uint64_t ids[LEASES];

	prepare();
	for (uint64_t id = 0; id < LEASES; id++) {
		int lease = lease_export(session, &vfio, id, id, 1, 0);

		ids[id] = id;
		paths[id] = path_of(lease);
		CHECK_OK(close(lease));
	}
	/* The session's reference is the only one that counts: all still live. */
	CHECK_EQ(lease_info(session).leases_live, LEASES);
	check_others("200 leases held by path", &vfio, session);
	for (int i = 0; i < LEASES; i += 20)
		check_path_is_useless(paths[i]);

	/* Nothing but the path is left of them. */
	CHECK_OK(lease_revoke(session, ids, LEASES, NULL));
	check_others("200 revoked leases held by path", &vfio, session);
	CHECK_OK(close(session));
	for (int i = 0; i < LEASES; i += 20)
		check_path_is_useless(paths[i]);
	vfio_close(&vfio);
	for (int i = 0; i < LEASES; i++)
		CHECK_OK(close(paths[i]));
}

TEST(paths_to_leases_are_harmless_across_a_reset_of_the_function)
{
	struct vfio nvme = { 0 };
	uint32_t value;
	int path, lease;

	session = session_open();
	vfio_open(&nvme, "NVME", 0);
	lease = lease_export(session, &nvme, 1, 0, 1, BAR_LEASE_EXPORT_READ_ONLY);
	volatile uint32_t *memory = lease_map(lease, 1, PROT_READ);
	uint32_t version = memory[2];

	for (int i = 0; i < 5; i++) {
		path = path_of(lease);
		CHECK_OK(close(lease));
		CHECK_OK(ioctl(nvme.device, VFIO_DEVICE_RESET));
		CHECK(peek(memory + 2, &value));
		CHECK_EQ(value, version);
		check_path_is_useless(path);
		lease = CHECK_OK(lease_get_fd(session, 1));
		CHECK_OK(close(path));
	}
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK_OK(ioctl(nvme.device, VFIO_DEVICE_RESET));
	CHECK(!peek(memory, &value));
}

/* -- hoarding -------------------------------------------------------------- */

TEST(hoarded_descriptors_of_revoked_leases_cost_nobody_anything)
{
	enum { BATCH = 500, TOTAL = 16000 };
	static int hoard[TOTAL];
	uint64_t ids[BATCH];

	prepare();
	for (uint64_t done = 0; done < TOTAL; done += BATCH) {
		for (uint64_t i = 0; i < BATCH; i++) {
			ids[i] = done + i;
			hoard[done + i] = lease_export(session, &vfio, ids[i], ids[i] % 4000, 1, 0);
		}
		CHECK_OK(lease_revoke(session, ids, BATCH, NULL));
	}
	CHECK_EQ(lease_info(session).leases_live, 0);
	check_others("16,000 descriptors of revoked leases are kept", &vfio, session);
	for (uint64_t i = 0; i < TOTAL; i += TOTAL / 16)
		CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, hoard[i], 0), ENODEV);
	for (int i = 0; i < TOTAL; i++)
		CHECK_OK(close(hoard[i]));
}

/* -- passing on ------------------------------------------------------------ */

enum {
	RING = 4,
	IN_FLIGHT = 32,
};

/* Maps what comes by, reads it, and sends it on, until the ring is closed. */
static void pass_on(int from, int to)
{
	uint32_t value;
	int lease;

	while ((lease = receive_descriptor(from)) >= 0) {
		void *memory = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease, 0);

		if (memory != MAP_FAILED) {
			(void)!peek(memory, &value);
			CHECK_OK(munmap(memory, PAGE));
		}
		send_descriptor(to, lease);
		CHECK_OK(close(lease));
	}
	_exit(0);
}

TEST(descriptors_that_are_passed_on_for_ever_end_with_their_lease)
{
	int ring[RING][2], last;
	pid_t children[RING];

	prepare();
	for (int i = 0; i < RING; i++)
		CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ring[i]));
	for (int i = 0; i < RING; i++) {
		children[i] = CHECK_OK(fork());
		if (!children[i]) {
			CHECK_OK(close(session));
			CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGKILL));
			pass_on(ring[i][0], ring[(i + 1) % RING][1]);
		}
	}
	for (uint64_t id = 0; id < IN_FLIGHT; id++) {
		int lease = lease_export(session, &vfio, id, id, 1, 0);

		send_descriptor(ring[id % RING][1], lease);
		CHECK_OK(close(lease));
	}
	check_others("4 processes pass 32 leases on", &vfio, session);

	for (uint64_t id = 0; id < IN_FLIGHT; id++)
		CHECK_EQ(lease_revoke_one(session, id), 1);
	for (int i = 0; i < RING; i++) {
		CHECK_OK(kill(children[i], SIGKILL));
		CHECK_EQ(waitpid(children[i], NULL, 0), children[i]);
	}
	/* Wherever they were just then: each that is still there is dead. */
	for (int i = 0; i < RING; i++) {
		CHECK_OK(shutdown(ring[i][1], SHUT_WR));
		while ((last = receive_descriptor(ring[i][0])) >= 0) {
			CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, last, 0), ENODEV);
			CHECK_OK(close(last));
		}
	}
}

TEST(a_descriptor_that_nobody_has_received_yet_ends_with_its_lease)
{
	int sockets[2];

	prepare();
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	/* In the socket's queue, and the socket in its own. */
	send_descriptor(sockets[0], lease_export(session, &vfio, 1, 1, 1, 0));
	send_descriptor(sockets[0], sockets[1]);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	int lease = receive_descriptor(sockets[1]);

	CHECK(lease >= 0);
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease, 0), ENODEV);
	check_others("a socket is in its own queue", &vfio, session);
}
