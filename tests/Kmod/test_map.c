// SPDX-License-Identifier: GPL-2.0
/* Mapping a lease: exactly its range, with exactly its access. */
#define _GNU_SOURCE
#include "check.h"
#include "vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct vfio vfio;
static int session;

static void prepare(void)
{
	vfio_open_ivshmem(&vfio);
	session = session_open();
}

static char *descriptor_path(int fd)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

TEST(a_write_through_a_lease_reaches_the_device_and_other_leases)
{
	prepare();
	volatile uint32_t *one =
		lease_map(lease_export(session, &vfio, 1, 5, 2, 0), 2, PROT_READ | PROT_WRITE);
	volatile uint32_t *other =
		lease_map(lease_export(session, &vfio, 2, 6, 1, 0), 1, PROT_READ | PROT_WRITE);

	one[0] = 0x11111111;
	one[1024] = 0x22222222;
	CHECK_EQ(*vfio_word(&vfio, 5, 0), 0x11111111);
	CHECK_EQ(*vfio_word(&vfio, 6, 0), 0x22222222);
	CHECK_EQ(other[0], 0x22222222);
	other[1023] = 0x33333333;
	CHECK_EQ(one[2047], 0x33333333);
	*vfio_word(&vfio, 5, 7) = 0x44444444;
	CHECK_EQ(one[7], 0x44444444);
}

TEST(part_of_a_lease_can_be_mapped)
{
	prepare();
	int lease = lease_export(session, &vfio, 1, 8, 4, 0);
	volatile uint32_t *third = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease, 2 * PAGE);

	CHECK(third != MAP_FAILED);
	*vfio_word(&vfio, 10, 3) = 0x0a0a0a0a;
	CHECK_EQ(third[3], 0x0a0a0a0a);
}

TEST(nothing_beyond_the_lease_can_be_mapped)
{
	prepare();
	int lease = lease_export(session, &vfio, 1, 8, 2, 0);

	const struct {
		size_t length;
		off_t offset;
	} wrong[] = {
		{ 3 * PAGE, 0 },
		{ 2 * PAGE, PAGE },
		{ PAGE, 2 * PAGE },
		{ PAGE, 1L << 56 },
		{ PAGE, (2L << 56) + 8 * PAGE },
		{ PAGE, INT64_MAX - 2 * (off_t)PAGE + 1 },
	};

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		CHECK_ERRNO(
			mmap(NULL, wrong[i].length, PROT_READ, MAP_SHARED, lease, wrong[i].offset),
			EINVAL);
}

TEST(a_mapping_cannot_grow)
{
	prepare();
	int lease = lease_export(session, &vfio, 1, 8, 2, 0);
	void *memory = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease, 0);

	CHECK(memory != MAP_FAILED);
	CHECK_ERRNO(mremap(memory, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT);
}

TEST(a_private_mapping_is_refused)
{
	prepare();
	int lease = lease_export(session, &vfio, 1, 8, 1, 0);
	int read_only = lease_export(session, &vfio, 2, 8, 1, BAR_LEASE_EXPORT_READ_ONLY);

	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, lease, 0), EINVAL);
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, lease, 0), EINVAL);
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, read_only, 0), EINVAL);
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, read_only, 0), EINVAL);
}

TEST(a_read_only_lease_can_be_read)
{
	prepare();
	int lease = lease_export(session, &vfio, 1, 8, 1, BAR_LEASE_EXPORT_READ_ONLY);
	volatile uint32_t *memory = lease_map(lease, 1, PROT_READ);

	CHECK_EQ(fcntl(lease, F_GETFL) & O_ACCMODE, O_RDONLY);
	*vfio_word(&vfio, 8, 0) = 0x12341234;
	CHECK_EQ(memory[0], 0x12341234);
}

TEST(a_read_only_lease_cannot_be_mapped_writable)
{
	prepare();
	int lease = lease_export(session, &vfio, 1, 8, 1, BAR_LEASE_EXPORT_READ_ONLY);
	void *memory = (void *)lease_map(lease, 1, PROT_READ);

	CHECK_ERRNO(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, lease, 0), EACCES);
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, lease, 0), EACCES);
	CHECK_ERRNO(mprotect(memory, PAGE, PROT_READ | PROT_WRITE), EACCES);
	CHECK_ERRNO(mprotect(memory, PAGE, PROT_WRITE), EACCES);
}

TEST(a_read_only_lease_stays_read_only_by_every_other_descriptor)
{
	prepare();
	int lease = lease_export(session, &vfio, 1, 8, 1, BAR_LEASE_EXPORT_READ_ONLY);
	int other = CHECK_OK(lease_get_fd(session, 1));
	int copy = CHECK_OK(dup(lease));

	CHECK_ERRNO(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, other, 0), EACCES);
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, copy, 0), EACCES);
	CHECK_OK(fcntl(copy, F_SETFL, O_RDWR));
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, copy, 0), EACCES);
}

TEST(a_lease_cannot_be_opened_again)
{
	prepare();
	int lease = lease_export(session, &vfio, 1, 8, 1, BAR_LEASE_EXPORT_READ_ONLY);
	int path;

	/* Even root, even after making the inode as permissive as it gets. */
	(void)!fchmod(lease, 0666);
	CHECK_ERRNO(open(descriptor_path(lease), O_RDWR), ENXIO);
	CHECK_ERRNO(open(descriptor_path(lease), O_WRONLY), ENXIO);
	CHECK_ERRNO(open(descriptor_path(lease), O_RDONLY), ENXIO);

	path = CHECK_OK(open(descriptor_path(lease), O_PATH));
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, path, 0), EBADF);
	CHECK_ERRNO(open(descriptor_path(path), O_RDWR), ENXIO);
	CHECK_OK(close(lease));
	CHECK_ERRNO(open(descriptor_path(path), O_RDWR), ENXIO);
}

TEST(a_mapping_cannot_be_handed_to_an_iommu)
{
	prepare();
	volatile uint32_t *memory =
		lease_map(lease_export(session, &vfio, 1, 8, 1, 0), 1, PROT_READ | PROT_WRITE);
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)memory,
		.iova = 0x100000,
		.size = PAGE,
	};

	CHECK_ERRNO(ioctl(vfio.container, VFIO_IOMMU_MAP_DMA, &map), EFAULT);
	memory[0] = 1;
	CHECK_ERRNO(ioctl(vfio.container, VFIO_IOMMU_MAP_DMA, &map), EFAULT);
}

TEST(the_kernel_cannot_pin_pages_of_a_mapping)
{
	prepare();
	volatile uint32_t *memory =
		lease_map(lease_export(session, &vfio, 1, 8, 1, 0), 1, PROT_READ | PROT_WRITE);
	int self = CHECK_OK(open("/proc/self/mem", O_RDWR));
	char byte = 1;

	memory[0] = 0;
	CHECK_ERRNO(pwrite(self, &byte, 1, (off_t)(uintptr_t)memory), EIO);
	CHECK_EQ(memory[0], 0);
}

TEST(one_lease_has_a_bounded_number_of_mappings)
{
	enum { LIMIT = 1024 };
	static void *mappings[LIMIT];

	prepare();
	int lease = lease_export(session, &vfio, 1, 8, 3, 0);

	for (int i = 0; i < LIMIT; i++)
		mappings[i] = (void *)lease_map(lease, 3, PROT_READ);
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease, 0), ENOMEM);
	/* Nor by making two of one. */
	CHECK_ERRNO(munmap((char *)mappings[0] + PAGE, PAGE), ENOMEM);

	CHECK_OK(munmap(mappings[0], 3 * PAGE));
	mappings[0] = (void *)lease_map(lease, 3, PROT_READ);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
}
