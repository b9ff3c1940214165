// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include "vfio.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Newer than many machines' headers: include/uapi/linux/vfio.h of Linux 6.19. */
#define FEATURE_DMA_BUF 11

struct feature_dma_buf {
	uint32_t argsz;
	uint32_t feature_flags;
	uint32_t region_index;
	uint32_t open_flags;
	uint32_t flags;
	uint32_t nr_ranges;
	struct bar_lease_range ranges[];
};

#define PCI_COMMAND	   4
#define PCI_COMMAND_MEMORY 2

static int open_group(const char *bdf)
{
	char path[PATH_MAX], link[PATH_MAX];
	ssize_t length;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	length = readlink(path, link, sizeof(link) - 1);
	CHECK(length > 0);
	link[length] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", basename(link));
	return CHECK_OK(open(path, O_RDWR | O_CLOEXEC));
}

static struct vfio_region_info region_info(struct vfio *vfio, uint32_t index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	CHECK_OK(ioctl(vfio->device, VFIO_DEVICE_GET_REGION_INFO, &info));
	return info;
}

void vfio_open(struct vfio *vfio, const char *name, uint32_t bar)
{
	unsigned int domain, bus, slot, function;
	struct vfio_region_info info;
	char variable[64];
	const char *bdf;

	snprintf(variable, sizeof(variable), "BAR_BROKER_VM_%s", name);
	bdf = getenv(variable);
	if (!bdf || !*bdf)
		FAIL("the machine doesn't name the device: no %s", variable);
	CHECK_EQ(sscanf(bdf, "%x:%x:%x.%x", &domain, &bus, &slot, &function), 4);
	vfio->domain = domain;
	vfio->bus = (uint16_t)bus;
	vfio->devfn = (uint16_t)(slot << 3 | function);
	vfio->bar = bar;

	vfio->container = CHECK_OK(open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC));
	vfio->group = open_group(bdf);
	CHECK_OK(ioctl(vfio->group, VFIO_GROUP_SET_CONTAINER, &vfio->container));
	CHECK_OK(ioctl(vfio->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	vfio->device = CHECK_OK(ioctl(vfio->group, VFIO_GROUP_GET_DEVICE_FD, bdf));
	vfio->config = region_info(vfio, VFIO_PCI_CONFIG_REGION_INDEX).offset;
	vfio_set_memory(vfio, true);

	info = region_info(vfio, bar);
	vfio->size = info.size;
	vfio->memory = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, vfio->device,
			    (off_t)info.offset);
	CHECK(vfio->memory != MAP_FAILED);
}

void vfio_open_ivshmem(struct vfio *vfio)
{
	vfio_open(vfio, "IVSHMEM", 2);
}

void vfio_close(struct vfio *vfio)
{
	CHECK_OK(munmap((void *)vfio->memory, vfio->size));
	CHECK_OK(close(vfio->device));
	CHECK_OK(close(vfio->group));
	CHECK_OK(close(vfio->container));
}

void vfio_set_memory(struct vfio *vfio, bool on)
{
	uint16_t command;

	CHECK_EQ(pread(vfio->device, &command, sizeof(command), (off_t)vfio->config + PCI_COMMAND),
		 sizeof(command));
	command = on ? command | PCI_COMMAND_MEMORY : command & ~PCI_COMMAND_MEMORY;
	CHECK_EQ(pwrite(vfio->device, &command, sizeof(command), (off_t)vfio->config + PCI_COMMAND),
		 sizeof(command));
}

int vfio_dmabuf_of(struct vfio *vfio, uint32_t bar, const struct bar_lease_range *ranges,
		   uint32_t nr_ranges)
{
	size_t size = sizeof(struct feature_dma_buf) + nr_ranges * sizeof(*ranges);
	struct feature_dma_buf *feature = calloc(1, size);
	int dmabuf;

	CHECK(feature);
	feature->argsz = (uint32_t)size;
	feature->feature_flags = VFIO_DEVICE_FEATURE_GET | FEATURE_DMA_BUF;
	feature->region_index = bar;
	feature->open_flags = O_RDWR | O_CLOEXEC;
	feature->nr_ranges = nr_ranges;
	memcpy(feature->ranges, ranges, nr_ranges * sizeof(*ranges));
	dmabuf = CHECK_OK(ioctl(vfio->device, VFIO_DEVICE_FEATURE, feature));
	free(feature);
	return dmabuf;
}

int vfio_dmabuf(struct vfio *vfio, uint32_t bar, uint64_t offset, uint64_t length)
{
	return vfio_dmabuf_of(vfio, bar, &(struct bar_lease_range){ offset, length }, 1);
}

int session_open(void)
{
	return CHECK_OK(open("/dev/bar_lease", O_RDWR | O_CLOEXEC));
}

void export_prepare_of(struct export *export, struct vfio *vfio, uint64_t id,
		       const struct bar_lease_range *ranges, uint32_t nr_ranges, uint32_t flags)
{
	export->request = (struct bar_lease_export){
		.argsz = sizeof(export->request),
		.flags = flags,
		.lease_id = id,
		.pci_domain = vfio->domain,
		.pci_bus = vfio->bus,
		.pci_devfn = vfio->devfn,
		.bar = vfio->bar,
		.dmabuf_fd = vfio_dmabuf_of(vfio, vfio->bar, ranges, nr_ranges),
		.nr_ranges = nr_ranges,
		.ranges = (uintptr_t)ranges,
	};
}

void export_prepare(struct export *export, struct vfio *vfio, uint64_t id, uint64_t page,
		    uint64_t pages, uint32_t flags)
{
	export->range = (struct bar_lease_range){ page * PAGE, pages * PAGE };
	export_prepare_of(export, vfio, id, &export->range, 1, flags);
}

int export_call(int session, struct export *export)
{
	return ioctl(session, BAR_LEASE_EXPORT, &export->request);
}

void export_finish(struct export *export)
{
	CHECK_OK(close(export->request.dmabuf_fd));
}

/* An export that has to succeed; closes what was prepared. */
static int export_finally(int session, struct export *export)
{
	int lease = CHECK_OK(export_call(session, export));

	CHECK_EQ(export->request.verified, 1);
	CHECK_EQ(export->request.memory_type, BAR_LEASE_MEMORY_UNCACHED);
	export_finish(export);
	return lease;
}

int lease_export_of(int session, struct vfio *vfio, uint64_t id,
		    const struct bar_lease_range *ranges, uint32_t nr_ranges, uint32_t flags)
{
	struct export export;

	export_prepare_of(&export, vfio, id, ranges, nr_ranges, flags);
	return export_finally(session, &export);
}

int lease_export_other(int session, struct vfio *vfio, uint64_t id, uint64_t page, uint64_t pages)
{
	struct export export;

	export_prepare(&export, vfio, id, page, pages, 0);
	export.request.holder = 1;
	return export_finally(session, &export);
}

int lease_export(int session, struct vfio *vfio, uint64_t id, uint64_t page, uint64_t pages,
		 uint32_t flags)
{
	const struct bar_lease_range range = { page * PAGE, pages * PAGE };

	return lease_export_of(session, vfio, id, &range, 1, flags);
}

volatile uint32_t *lease_map(int lease, uint64_t pages, int protection)
{
	void *memory = mmap(NULL, pages * PAGE, protection, MAP_SHARED, lease, 0);

	if (memory == MAP_FAILED)
		FAIL("mmap of a lease: %s", strerror(errno));
	return memory;
}

volatile uint32_t *lease_map_aligned(int lease, uint64_t pages, uint64_t skew, int protection)
{
	char *room =
		mmap(NULL, pages * PAGE + 2 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *place;
	void *memory;

	CHECK(room != MAP_FAILED);
	place = (char *)(((uintptr_t)room + HUGE - 1) & ~(HUGE - 1)) + skew * PAGE;
	memory = mmap(place, pages * PAGE, protection, MAP_SHARED | MAP_FIXED, lease, 0);
	CHECK(memory == place);
	CHECK_OK(madvise(memory, pages * PAGE, MADV_HUGEPAGE));
	return memory;
}

int lease_revoke(int session, const uint64_t *ids, uint32_t nr_ids, uint32_t *nr_revoked)
{
	struct bar_lease_revoke request = {
		.argsz = sizeof(request),
		.nr_ids = nr_ids,
		.nr_revoked = UINT32_MAX,
		.ids = (uintptr_t)ids,
	};
	int result = ioctl(session, BAR_LEASE_REVOKE, &request);

	if (nr_revoked)
		*nr_revoked = request.nr_revoked;
	return result;
}

uint32_t lease_revoke_one(int session, uint64_t id)
{
	uint32_t nr_revoked;

	CHECK_OK(lease_revoke(session, &id, 1, &nr_revoked));
	return nr_revoked;
}

int lease_get_fd(int session, uint64_t id)
{
	struct bar_lease_get_fd request = { .argsz = sizeof(request), .lease_id = id };

	return ioctl(session, BAR_LEASE_GET_FD, &request);
}

struct bar_lease_info lease_info(int session)
{
	struct bar_lease_info info = { .argsz = sizeof(info) };

	CHECK_OK(ioctl(session, BAR_LEASE_GET_INFO, &info));
	return info;
}

uint32_t lease_list(int session, struct bar_lease_entry **entries, struct bar_lease_range **ranges)
{
	enum { ROOM = 4096 };
	struct bar_lease_list request = {
		.argsz = sizeof(request),
		.nr_leases = ROOM,
		.nr_ranges = ROOM,
	};

	*entries = calloc(ROOM, sizeof(**entries));
	*ranges = calloc(ROOM, sizeof(**ranges));
	request.leases = (uintptr_t)*entries;
	request.ranges = (uintptr_t)*ranges;
	CHECK_OK(ioctl(session, BAR_LEASE_LIST, &request));
	return request.nr_leases;
}

uint32_t lease_state(int session, uint64_t id)
{
	struct bar_lease_entry *entries;
	struct bar_lease_range *ranges;
	uint32_t nr_leases = lease_list(session, &entries, &ranges);
	uint32_t state = 0;

	for (uint32_t i = 0; i < nr_leases; i++) {
		if (entries[i].lease_id == id)
			state = entries[i].state;
	}
	free(entries);
	free(ranges);
	return state;
}

ino_t inode_of(int fd)
{
	struct stat status;

	CHECK_OK(fstat(fd, &status));
	return status.st_ino;
}
