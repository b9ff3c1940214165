// SPDX-License-Identifier: GPL-2.0
/* LIST and GET_FD: what a broker that starts again finds out. */
#define _GNU_SOURCE
#include "check.h"
#include "vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static struct vfio vfio;
static int session;

static void prepare(void)
{
	vfio_open_ivshmem(&vfio);
	session = session_open();
}

TEST(an_empty_session_lists_nothing)
{
	prepare();
	struct bar_lease_list request = { .argsz = sizeof(request) };

	CHECK_OK(ioctl(session, BAR_LEASE_LIST, &request));
	CHECK_EQ(request.nr_leases, 0);
	CHECK_EQ(request.nr_ranges, 0);
}

TEST(list_tells_the_geometry_of_each_lease_in_order_of_ids)
{
	struct bar_lease_entry *entries;
	struct bar_lease_range *ranges;

	prepare();
	lease_export(session, &vfio, UINT64_MAX, 0, 1, 0);
	lease_export(session, &vfio, 7, 16, 4, BAR_LEASE_EXPORT_READ_ONLY);
	lease_export(session, &vfio, 0, 32, 2, 0);
	CHECK_EQ(lease_list(session, &entries, &ranges), 3);

	const struct {
		uint64_t id, offset, length;
		uint32_t flags;
	} expected[] = {
		{ 0, 32 * PAGE, 2 * PAGE, 0 },
		{ 7, 16 * PAGE, 4 * PAGE, BAR_LEASE_EXPORT_READ_ONLY },
		{ UINT64_MAX, 0, PAGE, 0 },
	};

	for (uint32_t i = 0; i < 3; i++) {
		CHECK_EQ(entries[i].lease_id, expected[i].id);
		CHECK_EQ(entries[i].pci_domain, vfio.domain);
		CHECK_EQ(entries[i].pci_bus, vfio.bus);
		CHECK_EQ(entries[i].pci_devfn, vfio.devfn);
		CHECK_EQ(entries[i].bar, 2);
		CHECK_EQ(entries[i].flags, expected[i].flags);
		CHECK_EQ(entries[i].memory_type, BAR_LEASE_MEMORY_UNCACHED);
		CHECK_EQ(entries[i].state, BAR_LEASE_STATE_LIVE);
		CHECK_EQ(entries[i].first_range, i);
		CHECK_EQ(entries[i].nr_ranges, 1);
		CHECK_EQ(ranges[i].offset, expected[i].offset);
		CHECK_EQ(ranges[i].length, expected[i].length);
	}
}

TEST(list_names_no_lease_that_is_revoked)
{
	struct bar_lease_entry *entries;
	struct bar_lease_range *ranges;

	prepare();
	lease_export(session, &vfio, 1, 0, 1, 0);
	lease_export(session, &vfio, 2, 1, 1, 0);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK_EQ(lease_list(session, &entries, &ranges), 1);
	CHECK_EQ(entries[0].lease_id, 2);
	CHECK_EQ(ranges[0].offset, PAGE);
}

TEST(list_without_enough_room_says_how_much_it_takes_and_writes_nothing)
{
	struct bar_lease_entry entries[4];
	struct bar_lease_range ranges[4];
	const uint32_t rooms[][2] = { { 0, 0 }, { 2, 3 }, { 3, 2 }, { 0, 3 }, { 3, 0 } };

	prepare();
	for (uint64_t id = 1; id <= 3; id++)
		lease_export(session, &vfio, id, id, 1, 0);

	for (unsigned int i = 0; i < sizeof(rooms) / sizeof(*rooms); i++) {
		struct bar_lease_list request = {
			.argsz = sizeof(request),
			.nr_leases = rooms[i][0],
			.nr_ranges = rooms[i][1],
			.leases = (uintptr_t)entries,
			.ranges = (uintptr_t)ranges,
		};

		memset(entries, 0xaa, sizeof(entries));
		memset(ranges, 0xaa, sizeof(ranges));
		CHECK_ERRNO(ioctl(session, BAR_LEASE_LIST, &request), ENOSPC);
		CHECK_EQ(request.nr_leases, 3);
		CHECK_EQ(request.nr_ranges, 3);
		for (unsigned int byte = 0; byte < sizeof(entries); byte++)
			CHECK_EQ(((unsigned char *)entries)[byte], 0xaa);
		for (unsigned int byte = 0; byte < sizeof(ranges); byte++)
			CHECK_EQ(((unsigned char *)ranges)[byte], 0xaa);

		/* As much as it said is enough, and no more is written. */
		CHECK_OK(ioctl(session, BAR_LEASE_LIST, &request));
		CHECK_EQ(entries[2].lease_id, 3);
		CHECK_EQ(((unsigned char *)&entries[3])[0], 0xaa);
		CHECK_EQ(((unsigned char *)&ranges[3])[0], 0xaa);
	}
}

TEST(list_refuses_arrays_that_cannot_be_written)
{
	struct bar_lease_entry entries[1];
	struct bar_lease_range ranges[1];

	prepare();
	lease_export(session, &vfio, 1, 0, 1, 0);
	struct bar_lease_list request = { .argsz = sizeof(request),
					  .nr_leases = 1,
					  .nr_ranges = 1,
					  .ranges = (uintptr_t)ranges };

	CHECK_ERRNO(ioctl(session, BAR_LEASE_LIST, &request), EFAULT);
	request.leases = (uintptr_t)entries;
	request.ranges = 0;
	CHECK_ERRNO(ioctl(session, BAR_LEASE_LIST, &request), EFAULT);
}

TEST(get_fd_gives_another_descriptor_of_the_same_lease)
{
	prepare();
	int lease = lease_export(session, &vfio, 1, 3, 1, 0);
	int other = lease_export(session, &vfio, 2, 3, 1, 0);
	int again = CHECK_OK(lease_get_fd(session, 1));

	CHECK(again != lease);
	CHECK_EQ(inode_of(again), inode_of(lease));
	CHECK(inode_of(other) != inode_of(lease));
	CHECK_EQ(fcntl(again, F_GETFD), FD_CLOEXEC);
	lease_map(again, 1, PROT_READ | PROT_WRITE)[5] = 555;
	CHECK_EQ(*vfio_word(&vfio, 3, 5), 555);
}

TEST(a_lease_lives_on_without_a_descriptor)
{
	prepare();
	int lease = lease_export(session, &vfio, 1, 3, 1, 0);
	ino_t inode = inode_of(lease);

	CHECK_OK(close(lease));
	CHECK_EQ(lease_info(session).leases_live, 1);
	lease = CHECK_OK(lease_get_fd(session, 1));
	CHECK_EQ(inode_of(lease), inode);
	lease_map(lease, 1, PROT_READ)[0];
}

TEST(get_fd_of_an_id_that_is_not_live_is_refused)
{
	prepare();
	lease_export(session, &vfio, 1, 3, 1, 0);
	CHECK_ERRNO(lease_get_fd(session, 2), ENOENT);
	CHECK_ERRNO(lease_get_fd(session_open(), 1), ENOENT);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK_ERRNO(lease_get_fd(session, 1), ENOENT);
}
