// SPDX-License-Identifier: GPL-2.0
/* EXPORT: what a lease is, and each way in which asking for one is refused. */
#define _GNU_SOURCE
#include "check.h"
#include "vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static struct vfio vfio;
static int session;
static struct export export;

/* A correct request for page 3, which each case spoils in its own way. */
static void prepare(void)
{
	vfio_open_ivshmem(&vfio);
	session = session_open();
	export_prepare(&export, &vfio, 42, 3, 1, 0);
}

/* Nothing of a refused request may stay behind: the right one still goes. */
static void still_exports(void)
{
	struct bar_lease_info info = lease_info(session);

	CHECK_EQ(info.exports, 0);
	CHECK_EQ(info.leases_live, 0);
	CHECK(lease_export(session, &vfio, 42, 3, 1, 0) >= 0);
}

#define REFUSED(expected)                                                                          \
	do {                                                                                       \
		CHECK_ERRNO(export_call(session, &export), expected);                              \
		still_exports();                                                                   \
	} while (0)

TEST(export_gives_a_descriptor_that_is_closed_on_exec)
{
	prepare();
	int lease = CHECK_OK(export_call(session, &export));

	CHECK_EQ(export.request.verified, 1);
	CHECK_EQ(export.request.memory_type, BAR_LEASE_MEMORY_UNCACHED);
	CHECK_EQ(fcntl(lease, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(lseek(lease, 0, SEEK_END), PAGE);
	CHECK_EQ(fcntl(lease, F_GETFL) & O_ACCMODE, O_RDWR);
}

TEST(export_leaves_the_callers_dmabuf_to_the_caller)
{
	prepare();
	CHECK_OK(export_call(session, &export));
	export_finish(&export);
}

TEST(export_takes_any_64_bit_id)
{
	const uint64_t ids[] = { 0, 1, UINT32_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX };

	prepare();
	for (unsigned int i = 0; i < sizeof(ids) / sizeof(*ids); i++)
		lease_export(session, &vfio, ids[i], i, 1, 0);
	for (unsigned int i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
		CHECK_EQ(lease_state(session, ids[i]), BAR_LEASE_STATE_LIVE);
		CHECK_OK(lease_get_fd(session, ids[i]));
	}
	CHECK_EQ(lease_revoke_one(session, UINT64_MAX), 1);
	CHECK_EQ(lease_info(session).leases_live, 4);
}

TEST(export_takes_the_whole_bar)
{
	prepare();
	int lease = lease_export(session, &vfio, 1, 0, vfio.size / PAGE, 0);
	volatile uint32_t *memory = lease_map(lease, vfio.size / PAGE, PROT_READ | PROT_WRITE);

	*vfio_word(&vfio, vfio.size / PAGE - 1, 1023) = 0x51515151;
	CHECK_EQ(memory[vfio.size / 4 - 1], 0x51515151);
}

TEST(export_of_an_id_that_is_live_is_refused)
{
	prepare();
	CHECK_OK(export_call(session, &export));
	CHECK_ERRNO(export_call(session, &export), EEXIST);
	CHECK_EQ(lease_info(session).leases_live, 1);
}

TEST(ids_are_each_sessions_own_and_free_again_after_a_revoke)
{
	prepare();
	int other = session_open();

	CHECK_OK(export_call(session, &export));
	CHECK_OK(export_call(other, &export));
	CHECK_EQ(lease_revoke_one(session, 42), 1);
	CHECK_OK(export_call(session, &export));
	CHECK_EQ(lease_info(other).leases_live, 1);
}

TEST(export_refuses_flags_it_does_not_know)
{
	prepare();
	for (int bit = 0; bit < 32; bit++) {
		export.request.flags = 1U << bit;
		if (export.request.flags & (BAR_LEASE_EXPORT_READ_ONLY | BAR_LEASE_EXPORT_P2P))
			continue;
		CHECK_ERRNO(export_call(session, &export), EINVAL);
	}
	still_exports();
}

TEST(a_holder_is_any_number)
{
	const uint32_t holders[] = { 0, 1, 1001, UINT32_MAX };

	prepare();
	for (int i = 0; i < 4; i++) {
		export.request.holder = holders[i];
		int lease = CHECK_OK(export_call(session, &export));

		lease_map(lease, 1, PROT_READ);
		CHECK_EQ(lease_revoke_one(session, export.request.lease_id), 1);
	}
}

TEST(export_refuses_no_ranges_and_more_than_it_reports)
{
	prepare();
	export.request.nr_ranges = 0;
	CHECK_ERRNO(export_call(session, &export), EINVAL);
	export.request.nr_ranges = lease_info(session).max_ranges + 1;
	CHECK_ERRNO(export_call(session, &export), EINVAL);
	export.request.nr_ranges = UINT32_MAX;
	REFUSED(EINVAL);
}

TEST(export_refuses_ranges_that_cannot_be_read)
{
	prepare();
	export.request.ranges = 0;
	CHECK_ERRNO(export_call(session, &export), EFAULT);
	export.request.ranges = UINT64_MAX - 7;
	REFUSED(EFAULT);
}

TEST(export_refuses_memory_types_that_it_does_not_report)
{
	prepare();
	uint32_t types = lease_info(session).memory_types;

	CHECK(types & 1U << BAR_LEASE_MEMORY_UNCACHED);
	/* 0 is no type, it asks for the default. */
	for (uint32_t type = 1; type < 32; type++) {
		if (types & 1U << type)
			continue;
		export.request.memory_type = type;
		CHECK_ERRNO(export_call(session, &export), EOPNOTSUPP);
	}
	export.request.memory_type = 32 + BAR_LEASE_MEMORY_UNCACHED;
	CHECK_ERRNO(export_call(session, &export), EOPNOTSUPP);
	export.request.memory_type = UINT32_MAX;
	REFUSED(EOPNOTSUPP);
}

TEST(export_refuses_a_range_that_is_empty_or_unaligned)
{
	const struct bar_lease_range wrong[] = {
		{ 3 * PAGE, 0 },	  { 3 * PAGE, 1 },	  { 3 * PAGE, PAGE - 1 },
		{ 3 * PAGE, PAGE + 1 },	  { 3 * PAGE + 1, PAGE }, { 3 * PAGE - 1, PAGE },
		{ 3 * PAGE + 512, PAGE },
	};

	prepare();
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		export.range = wrong[i];
		CHECK_ERRNO(export_call(session, &export), EINVAL);
	}
	still_exports();
}

TEST(export_refuses_a_range_beyond_the_bar)
{
	prepare();
	const struct bar_lease_range wrong[] = {
		{ vfio.size, PAGE },
		{ vfio.size - PAGE, 2 * PAGE },
		{ 0, vfio.size + PAGE },
		{ 1ULL << 56, PAGE },
		{ (1ULL << 56) + 3 * PAGE, PAGE },
		{ UINT64_MAX - PAGE + 1, PAGE },
		{ UINT64_MAX - PAGE + 1, 2 * PAGE },
		{ 3 * PAGE, UINT64_MAX - PAGE + 1 },
		{ 3 * PAGE, UINT64_MAX - 3 * PAGE + 1 },
	};

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		export.range = wrong[i];
		CHECK_ERRNO(export_call(session, &export), EINVAL);
	}
	still_exports();
}

TEST(export_refuses_a_bar_that_is_not_there)
{
	prepare();
	for (uint32_t bar = 3; bar < 8; bar++) {
		export.request.bar = bar;
		CHECK_ERRNO(export_call(session, &export), EINVAL);
	}
	export.request.bar = UINT32_MAX;
	REFUSED(EINVAL);
}

TEST(export_refuses_another_bar_than_the_dmabufs)
{
	prepare();
	export.request.bar = 0;
	REFUSED(EINVAL);
}

TEST(export_refuses_another_offset_than_the_dmabufs)
{
	prepare();
	export.range.offset += PAGE;
	CHECK_ERRNO(export_call(session, &export), EINVAL);
	export.range.offset -= 2 * PAGE;
	REFUSED(EINVAL);
}

TEST(export_refuses_another_length_than_the_dmabufs)
{
	prepare();
	export.range.length = 2 * PAGE;
	REFUSED(EINVAL);
}

TEST(export_refuses_a_function_that_does_not_exist)
{
	prepare();
	const struct bar_lease_export right = export.request;

	export.request.pci_devfn = 0xff;
	CHECK_ERRNO(export_call(session, &export), ENODEV);
	export.request.pci_devfn = right.pci_devfn | 0x100;
	CHECK_ERRNO(export_call(session, &export), ENODEV);
	export.request = right;
	export.request.pci_bus = 0x100;
	CHECK_ERRNO(export_call(session, &export), ENODEV);
	export.request = right;
	export.request.pci_domain = 1;
	CHECK_ERRNO(export_call(session, &export), ENODEV);
	export.request.pci_domain = UINT32_MAX;
	REFUSED(ENODEV);
}

TEST(export_refuses_a_function_that_vfio_does_not_drive)
{
	prepare();
	/* The host bridge: it is always there. */
	export.request.pci_bus = 0;
	export.request.pci_devfn = 0;
	REFUSED(ENODEV);
}

TEST(export_refuses_another_functions_dmabuf)
{
	struct vfio edu = { 0 };

	prepare();
	vfio_open(&edu, "EDU", 0);
	export.request.dmabuf_fd = vfio_dmabuf(&edu, 0, 3 * PAGE, PAGE);
	REFUSED(EINVAL);
}

TEST(export_refuses_a_dmabuf_under_another_functions_name)
{
	struct vfio edu = { 0 };

	prepare();
	vfio_open(&edu, "EDU", 0);
	export.request.pci_bus = edu.bus;
	export.request.pci_devfn = edu.devfn;
	export.request.bar = 0;
	REFUSED(EINVAL);
}

TEST(export_refuses_what_is_no_open_descriptor)
{
	prepare();
	export.request.dmabuf_fd = -1;
	CHECK_ERRNO(export_call(session, &export), EBADF);
	export.request.dmabuf_fd = INT32_MAX;
	CHECK_ERRNO(export_call(session, &export), EBADF);
	export.request.dmabuf_fd = CHECK_OK(open("/", O_PATH));
	REFUSED(EBADF);
}

TEST(export_refuses_what_is_no_dmabuf)
{
	prepare();
	const int wrong[] = {
		CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0)),
		CHECK_OK(memfd_create("memory", 0)),
		CHECK_OK(open("/dev/null", O_RDWR)),
		vfio.device,
		session,
	};

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		export.request.dmabuf_fd = wrong[i];
		CHECK_ERRNO(export_call(session, &export), EINVAL);
	}
	still_exports();
}

TEST(export_refuses_a_lease_of_a_lease)
{
	prepare();
	int other = session_open();

	export.request.dmabuf_fd = lease_export(other, &vfio, 42, 3, 1, 0);
	REFUSED(EINVAL);
}

TEST(export_while_the_device_is_suspended_says_try_again)
{
	prepare();
	vfio_set_memory(&vfio, false);
	/* A DMABUF from before, and one from now. */
	CHECK_ERRNO(export_call(session, &export), EAGAIN);
	export_finish(&export);
	export_prepare(&export, &vfio, 42, 3, 1, 0);
	CHECK_ERRNO(export_call(session, &export), EAGAIN);
	vfio_set_memory(&vfio, true);
	still_exports();
}

TEST(export_without_a_free_descriptor_leaves_nothing_behind)
{
	prepare();
	int highest = CHECK_OK(dup(session)), fd;

	do
		fd = dup(session);
	while (fd >= 0);
	CHECK_EQ(errno, EMFILE);
	CHECK_ERRNO(export_call(session, &export), EMFILE);
	CHECK_ERRNO(lease_get_fd(session, 42), EMFILE);
	for (fd = highest; fd < highest + 8; fd++)
		close(fd);
	still_exports();
}
