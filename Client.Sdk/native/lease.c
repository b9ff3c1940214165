// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "barbroker.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Bytes of a lease. 0 if it is over, as far as the length tells: the simulated device takes memory
 * back by cutting it off, and the kernel would go on mapping nothing but its absence. The kernel
 * module says ENODEV when a lease that is over is mapped.
 */
static int length_of(int descriptor, size_t *length)
{
	struct stat status;
	mode_t type;

	if (fstat(descriptor, &status) != 0)
		return -errno;
	/* A DMABUF has no type, a memfd is a regular file. Mapping anything else may be ENODEV,
	 * too. */
	type = status.st_mode & S_IFMT;
	if (type != 0 && type != S_IFREG)
		return -EINVAL;
	*length = (size_t)status.st_size;
	return 0;
}

int bb_map(int descriptor, enum bb_access access, void **address, size_t *length)
{
	int error, protection = access == BB_READ_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
	size_t bytes;
	void *start;

	if (access != BB_READ_ONLY && access != BB_READ_WRITE)
		return -EINVAL;
	error = length_of(descriptor, &bytes);
	if (error != 0)
		return error;
	if (bytes == 0)
		return -ENODEV;
	start = mmap(NULL, bytes, protection, MAP_SHARED, descriptor, 0);
	if (start == MAP_FAILED)
		return -errno;
	*address = start;
	*length = bytes;
	return 0;
}

int bb_unmap(void *address, size_t length)
{
	return munmap(address, length) == 0 ? 0 : -errno;
}

/* BB_LIVE or BB_REVOKED, or -errno: whether a page of it can be mapped once more. */
static int ask_kernel(int descriptor)
{
	size_t length, page = (size_t)sysconf(_SC_PAGESIZE);
	int error = length_of(descriptor, &length);
	void *start;

	if (error != 0)
		return error;
	if (length == 0)
		return BB_REVOKED;
	start = mmap(NULL, page, PROT_READ, MAP_SHARED, descriptor, 0);
	if (start == MAP_FAILED)
		return errno == ENODEV ? BB_REVOKED : -errno;
	munmap(start, page);
	return BB_LIVE;
}

int bb_lease_state(int descriptor, const volatile void *harmless)
{
	int state = ask_kernel(descriptor);
	uint32_t value;

	if (state != BB_LIVE || harmless == NULL || bb_mmio_read32(harmless, &value) == 0)
		return state;
	/* It may have ended between the two. */
	state = ask_kernel(descriptor);
	return state == BB_LIVE ? BB_SUSPENDED : state;
}
