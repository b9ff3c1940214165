// SPDX-License-Identifier: GPL-2.0
/* Whoever it is that dies, at whatever moment: nothing of it stays behind. */
#define _GNU_SOURCE
#include "check.h"
#include "hostile.h"
#include "module.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct vfio vfio;

/* The same moments in every run. */
static uint32_t random_below(uint32_t limit)
{
	static uint64_t state = 0x9e3779b97f4a7c15;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % limit;
}

static void pause_us(uint32_t microseconds)
{
	nanosleep(&(struct timespec){ .tv_nsec = (long)microseconds * 1000 }, NULL);
}

static void kill_and_reap(pid_t process)
{
	CHECK_OK(kill(process, SIGKILL));
	CHECK_EQ(waitpid(process, NULL, 0), process);
}

static unsigned int references(void)
{
	int file = CHECK_OK(open("/sys/module/bar_lease/refcnt", O_RDONLY | O_CLOEXEC));
	char text[16] = "";

	CHECK(read(file, text, sizeof(text) - 1) > 0);
	CHECK_OK(close(file));
	return (unsigned int)strtoul(text, NULL, 10);
}

/* At most so many: what a worker lets go of takes a moment. */
static void await_references(unsigned int wanted)
{
	for (int tries = 0; references() > wanted; tries++) {
		CHECK(tries < 2000);
		pause_us(5000);
	}
}

/* -- the broker ------------------------------------------------------------ */

enum {
	MOMENTS = 500,
	AT_ONCE = 8,
	PAGES = 2,
};

/* Exports, hands out and revokes, one, some and all, until it's killed. */
static void be_broker(int socket)
{
	int session = session_open();
	uint64_t ids[AT_ONCE];

	for (uint64_t next = 0;; next += AT_ONCE) {
		for (uint64_t i = 0; i < AT_ONCE; i++) {
			ids[i] = next + i;
			int lease = lease_export(session, &vfio, ids[i], i * PAGES, PAGES, 0);

			send_descriptor(socket, lease);
			CHECK_OK(close(lease));
		}
		lease_revoke_one(session, ids[0]);
		CHECK_OK(lease_revoke(session, ids + 1, 3, NULL));
		CHECK_OK(lease_revoke(session, ids, AT_ONCE, NULL));
	}
}

/* What a client has got, in the order in which it came. */
struct client {
	volatile uint32_t *mappings[16];
	int count;
};

/* Takes and touches @most leases, or what comes. */
static void take_leases(struct client *client, int socket, int most)
{
	uint32_t value;
	int lease;

	while (client->count < most && (lease = receive_descriptor(socket)) >= 0) {
		void *memory =
			mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, lease, 0);

		if (memory != MAP_FAILED) {
			client->mappings[client->count++] = memory;
			(void)!peek(memory, &value);
		} else {
			CHECK_EQ(errno, ENODEV);
		}
		CHECK_OK(close(lease));
	}
}

/* How many of its leases could still be used; none may be. */
static int leave_leases(struct client *client)
{
	int reached = 0;
	uint32_t value;

	for (int i = 0; i < client->count; i++) {
		for (int page = 0; page < PAGES; page++)
			reached += peek(client->mappings[i] + page * PAGE / 4, &value);
		CHECK_OK(munmap((void *)client->mappings[i], PAGES * PAGE));
	}
	client->count = 0;
	return reached;
}

TEST(a_broker_that_is_killed_at_500_moments_leaves_no_access_and_no_lease)
{
	unsigned int before, leases = 0, empty = 0;
	struct client client = { 0 };
	int reached = 0;

	vfio_open_ivshmem(&vfio);
	before = references();
	for (int moment = 0; moment < MOMENTS; moment++) {
		int sockets[2];
		pid_t broker;

		CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
		broker = CHECK_OK(fork());
		if (!broker) {
			CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGKILL));
			be_broker(sockets[1]);
		}
		CHECK_OK(close(sockets[1]));
		/* Every other time while a client is taking what it gives. */
		if (moment % 2) {
			struct timeval wait = { .tv_usec = 1 + (int)random_below(6000) };

			CHECK_OK(setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &wait,
					    sizeof(wait)));
			client.count = 0;
			take_leases(&client, sockets[0], 1 + (int)random_below(16));
		} else {
			pause_us(random_below(6000));
		}
		kill_and_reap(broker);
		/* From its death on, at once. Of what it sent, nothing can be mapped any more. */
		empty += client.count == 0;
		leases += (unsigned int)client.count;
		reached += leave_leases(&client);
		take_leases(&client, sockets[0], 16);
		CHECK_EQ(client.count, 0);
		CHECK_OK(close(sockets[0]));
	}
	CHECK_EQ(reached, 0);
	CHECK(leases > 0);
	await_references(before);
	figure("a broker killed at %d moments: %u mappings ended, at %u moments there was none",
	       MOMENTS, leases, empty);

	/* And the next one begins anew. */
	lease_export(session_open(), &vfio, 0, 0, PAGES, 0);
}

/* -- a client -------------------------------------------------------------- */

static void fault_for_ever(int lease)
{
	char *memory = (char *)lease_map(lease, PAGES, PROT_READ | PROT_WRITE);
	uint32_t value;

	for (;;) {
		(void)!peek((uint32_t *)memory, &value);
		(void)!poke((uint32_t *)(memory + PAGE), 1);
		CHECK_OK(madvise(memory, PAGES * PAGE, MADV_DONTNEED));
	}
}

TEST(a_client_that_is_killed_while_it_faults_holds_up_nothing_and_leaves_nothing)
{
	enum { ROUNDS = 100, CLIENTS = 2 };
	uint64_t start, slowest = 0;
	unsigned int before;
	int session;

	vfio_open_ivshmem(&vfio);
	before = references();
	session = session_open();
	for (uint64_t round = 0; round < ROUNDS; round++) {
		int lease = lease_export(session, &vfio, round, 0, PAGES, 0);
		pid_t clients[CLIENTS];

		for (int i = 0; i < CLIENTS; i++) {
			clients[i] = CHECK_OK(fork());
			if (!clients[i]) {
				CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGKILL));
				fault_for_ever(lease);
			}
		}
		CHECK_OK(close(lease));
		pause_us(random_below(10000));
		/* Before, between and after their deaths. */
		if (round % 3 == 0)
			kill_and_reap(clients[0]);
		CHECK_OK(kill(clients[1], SIGKILL));
		start = now_ns();
		CHECK_EQ(lease_revoke_one(session, round), 1);
		if (now_ns() - start > slowest)
			slowest = now_ns() - start;
		CHECK_EQ(waitpid(clients[1], NULL, 0), clients[1]);
		if (round % 3)
			kill_and_reap(clients[0]);
	}
	figure("REVOKE while a client is killed in its page faults: worst %llu us",
	       (unsigned long long)slowest / 1000);
	CHECK_EQ(lease_info(session).leases_live, 0);
	CHECK_OK(close(session));
	await_references(before);
}

/* -- the module ------------------------------------------------------------ */

TEST(the_module_leaves_right_after_its_users_have_died)
{
	enum { ROUNDS = 20 };
	unsigned int refused = 0;

	for (int round = 0; round < ROUNDS; round++) {
		int sockets[2];
		pid_t broker;

		CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
		broker = CHECK_OK(fork());
		if (!broker) {
			CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGKILL));
			vfio_open_ivshmem(&vfio);
			be_broker(sockets[1]);
		}
		CHECK_OK(close(sockets[1]));
		/* It is at work. The other descriptors that it sends are never received. */
		CHECK_OK(close(receive_descriptor(sockets[0])));
		CHECK_ERRNO(module_unload("bar_lease"), EWOULDBLOCK);
		pause_us(random_below(10000));
		kill_and_reap(broker);
		CHECK_OK(close(sockets[0]));
		/* The last of it is let go of on a worker. */
		for (int tries = 0; module_unload("bar_lease"); tries++) {
			CHECK_EQ(errno, EWOULDBLOCK);
			CHECK(tries < 1000);
			refused++;
			pause_us(5000);
		}
		CHECK_OK(module_load("BAR_LEASE_KO", ""));
	}
	figure("the module left and came back %d times, refused %u times before", ROUNDS, refused);
}
