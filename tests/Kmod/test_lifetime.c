// SPDX-License-Identifier: GPL-2.0
/* Who holds a lease, who ends it: forks, closes, deaths, suspends, the VFIO device's end. */
#define _GNU_SOURCE
#include "check.h"
#include "hostile.h"
#include "module.h"
#include "vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct vfio vfio;
static int session;
static volatile uint32_t *memory;

static void prepare(void)
{
	vfio_open_ivshmem(&vfio);
	session = session_open();
	memory = lease_map(lease_export(session, &vfio, 1, 6, 1, 0), 1, PROT_READ | PROT_WRITE);
	memory[0] = 66;
}

/* -- processes and descriptors ------------------------------------------ */

TEST(a_child_inherits_no_mapping)
{
	int status;
	pid_t child;

	prepare();
	CHECK_ERRNO(madvise((void *)memory, PAGE, MADV_DOFORK), EINVAL);
	child = CHECK_OK(fork());
	if (!child) {
		CHECK_ERRNO(madvise((void *)memory, PAGE, MADV_NORMAL), ENOMEM);
		_exit(0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
}

TEST(what_a_child_maps_of_an_inherited_descriptor_is_revoked_too)
{
	int to_child[2], to_parent[2], status, lease;
	uint32_t value;
	char byte = 0;
	pid_t child;

	prepare();
	lease = CHECK_OK(lease_get_fd(session, 1));
	CHECK_OK(pipe(to_child));
	CHECK_OK(pipe(to_parent));
	child = CHECK_OK(fork());
	if (!child) {
		memory = lease_map(lease, 1, PROT_READ);
		CHECK(peek(memory, &value) && value == 66);
		CHECK_EQ(write(to_parent[1], &byte, 1), 1);
		CHECK_EQ(read(to_child[0], &byte, 1), 1);
		CHECK(!peek(memory, &value));
		_exit(0);
	}
	CHECK_EQ(read(to_parent[0], &byte, 1), 1);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK_EQ(write(to_child[1], &byte, 1), 1);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	CHECK(!peek(memory, &value));
}

TEST(the_last_close_of_a_session_revokes_its_leases)
{
	uint32_t value;

	prepare();
	int lease = CHECK_OK(lease_get_fd(session, 1));
	int copy = CHECK_OK(dup(session));

	CHECK_OK(close(session));
	CHECK(peek(memory, &value) && value == 66);
	CHECK_EQ(lease_info(copy).leases_live, 1);

	CHECK_OK(close(copy));
	CHECK(!peek(memory, &value));
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease, 0), ENODEV);
}

TEST(a_session_ends_when_its_mappings_outlive_it_in_another_process)
{
	uint32_t value;
	int status;

	prepare();
	pid_t child = CHECK_OK(fork());

	if (!child) {
		/* Still a holder of the session, until this. */
		memory = lease_map(CHECK_OK(lease_get_fd(session, 1)), 1, PROT_READ);
		CHECK_OK(close(session));
		CHECK(peek(memory, &value));
		_exit(0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	CHECK(peek(memory, &value));
	CHECK_OK(close(session));
	CHECK(!peek(memory, &value));
}

TEST(a_broker_that_is_killed_revokes_everything_it_leased)
{
	int sockets[2], lease;
	uint32_t value;
	pid_t broker;

	vfio_open_ivshmem(&vfio);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	broker = CHECK_OK(fork());
	if (!broker) {
		send_descriptor(sockets[1], lease_export(session_open(), &vfio, 1, 6, 1, 0));
		pause();
	}
	lease = receive_descriptor(sockets[0]);
	memory = lease_map(lease, 1, PROT_READ | PROT_WRITE);
	CHECK(peek(memory, &value));

	CHECK_OK(kill(broker, SIGKILL));
	CHECK_EQ(waitpid(broker, NULL, 0), broker);
	CHECK(!peek(memory, &value));
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease, 0), ENODEV);
	/* And the range is free for the next broker. */
	lease_export(session_open(), &vfio, 1, 6, 1, 0);
}

TEST(a_session_survives_its_process_with_somebody_who_keeps_its_descriptor)
{
	int sockets[2];
	uint32_t value;
	pid_t broker;

	vfio_open_ivshmem(&vfio);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	broker = CHECK_OK(fork());
	if (!broker) {
		session = session_open();
		lease_export(session, &vfio, 1, 6, 1, 0);
		send_descriptor(sockets[1], session);
		_exit(0);
	}
	session = receive_descriptor(sockets[0]);
	CHECK_EQ(waitpid(broker, NULL, 0), broker);
	CHECK_EQ(lease_state(session, 1), BAR_LEASE_STATE_LIVE);
	memory = lease_map(CHECK_OK(lease_get_fd(session, 1)), 1, PROT_READ);
	CHECK(peek(memory, &value));
}

/* -- the device --------------------------------------------------------- */

TEST(a_suspended_device_faults_and_the_same_mapping_works_again_after)
{
	uint32_t value;

	prepare();
	int lease = CHECK_OK(lease_get_fd(session, 1));
	uint64_t unmaps = lease_info(session).unmaps;

	vfio_set_memory(&vfio, false);
	CHECK_EQ(lease_info(session).unmaps, unmaps + 1);
	CHECK_EQ(lease_state(session, 1), BAR_LEASE_STATE_SUSPENDED);
	CHECK(!peek(memory, &value));
	CHECK(!poke(memory, 1));
	/* How a client tells it from a revoke: it may map, and waits. */
	volatile uint32_t *second = lease_map(lease, 1, PROT_READ);

	CHECK(!peek(second, &value));

	vfio_set_memory(&vfio, true);
	CHECK_EQ(lease_state(session, 1), BAR_LEASE_STATE_LIVE);
	CHECK(peek(memory, &value) && value == 66);
	CHECK(peek(second, &value) && value == 66);
	memory[0] = 67;
	CHECK_EQ(*vfio_word(&vfio, 6, 0), 67);

	/* And again, to see that nothing wears out. */
	for (int i = 0; i < 10; i++) {
		vfio_set_memory(&vfio, false);
		CHECK(!peek(memory, &value));
		vfio_set_memory(&vfio, true);
		CHECK(peek(memory, &value) && value == 67);
	}
}

TEST(a_lease_can_be_revoked_while_the_device_is_suspended)
{
	uint32_t value;

	prepare();
	vfio_set_memory(&vfio, false);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	vfio_set_memory(&vfio, true);
	CHECK(!peek(memory, &value));
	CHECK_EQ(lease_info(session).leases_live, 0);
}

TEST(closing_the_vfio_device_ends_every_access_and_its_leases_can_still_be_revoked)
{
	uint32_t value;

	prepare();
	for (uint64_t id = 2; id < 50; id++)
		CHECK_OK(close(lease_export(session, &vfio, id, id + 10, 1, 0)));
	vfio_close(&vfio);

	CHECK(!peek(memory, &value));
	CHECK_EQ(lease_info(session).leases_live, 49);
	CHECK_EQ(lease_state(session, 1), BAR_LEASE_STATE_SUSPENDED);
	for (uint64_t id = 1; id < 25; id++)
		CHECK_EQ(lease_revoke_one(session, id), 1);
	CHECK_OK(close(session));

	/* Opened again it is another device to the old mapping, and leases anew. */
	prepare();
	CHECK(peek(memory, &value) && value == 66);
}

TEST(leases_of_a_vfio_device_that_was_closed_do_not_come_back_with_it)
{
	volatile uint32_t *old;
	uint32_t value;

	prepare();
	old = memory;
	vfio_close(&vfio);
	vfio_open_ivshmem(&vfio);
	CHECK(!peek(old, &value));
	CHECK_EQ(lease_state(session, 1), BAR_LEASE_STATE_SUSPENDED);
	volatile uint32_t *fresh =
		lease_map(lease_export(session, &vfio, 2, 6, 1, 0), 1, PROT_READ);

	CHECK(peek(fresh, &value));
	CHECK(!peek(old, &value));
}

TEST(two_devices_are_two_address_spaces)
{
	struct vfio edu = { 0 };
	uint32_t value;

	prepare();
	vfio_open(&edu, "EDU", 0);
	volatile uint32_t *identity =
		lease_map(lease_export(session, &edu, 2, 0, 1, 0), 1, PROT_READ);

	CHECK_EQ(identity[0], 0x010000ed);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK(!peek(memory, &value));
	CHECK(peek(identity, &value) && value == 0x010000ed);
	CHECK_EQ(lease_info(session).faults, 2);

	vfio_set_memory(&edu, false);
	CHECK(!peek(identity, &value));
	vfio_set_memory(&edu, true);
	CHECK(peek(identity, &value) && value == 0x010000ed);
	CHECK_EQ(lease_revoke_one(session, 2), 1);
	CHECK(!peek(identity, &value));
}

/* -- the module --------------------------------------------------------- */

TEST(the_module_stays_while_anybody_holds_a_session_or_a_lease)
{
	uint32_t value;

	prepare();
	int lease = CHECK_OK(lease_get_fd(session, 1));

	CHECK_ERRNO(module_unload("bar_lease"), EWOULDBLOCK);
	CHECK_OK(close(session));
	/* Revoked, but its code is needed: the first descriptor, this one, the mapping. */
	CHECK_ERRNO(module_unload("bar_lease"), EWOULDBLOCK);
	CHECK_OK(close(lease));
	CHECK(!peek(memory, &value));
	CHECK_ERRNO(module_unload("bar_lease"), EWOULDBLOCK);
}

static void hold_and_leave(void *unused)
{
	(void)unused;
	prepare();
	CHECK_ERRNO(module_unload("bar_lease"), EWOULDBLOCK);
}

TEST(the_module_leaves_cleanly_and_can_be_loaded_again)
{
	/* Anything of the case before may need a moment to end: its drops run on a worker. */
	CHECK_EQ(in_child(hold_and_leave, NULL), 0);
	module_unload_when_free("bar_lease");
	CHECK_ERRNO(open("/dev/bar_lease", O_RDWR), ENOENT);
	CHECK_OK(module_load("BAR_LEASE_KO", ""));
	prepare();
	CHECK_EQ(memory[0], 66);
}
