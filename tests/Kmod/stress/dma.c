// SPDX-License-Identifier: GPL-2.0
/*
 * A holder with a VFIO device of its own, which tries to have that device reach
 * what it leases. No kernel may let it: what an IOMMU maps, no revoke unmaps.
 */
#define _GNU_SOURCE
#include "stress.h"

#include "../check.h"

#include <errno.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PCI_COMMAND	   4
#define PCI_COMMAND_MASTER 4

/* The educational device's registers, and the memory of its own that it copies to and from. */
#define DMA_SOURCE	0x80
#define DMA_DESTINATION 0x88
#define DMA_COUNT	0x90
#define DMA_COMMAND	0x98
#define DMA_START	1
#define DMA_TO_MEMORY	2
#define EDU_MEMORY	0x40000

enum {
	KEPT = 4,
};

#define OWN_IOVA   0x100000UL
#define LEASE_IOVA 0x200000UL

static struct vfio edu;
static volatile uint32_t *buffer;

static volatile uint64_t *edu_register(unsigned int offset)
{
	return (volatile uint64_t *)((volatile char *)edu.memory + offset);
}

static void edu_copy(uint64_t source, uint64_t destination, uint64_t command)
{
	*edu_register(DMA_SOURCE) = source;
	*edu_register(DMA_DESTINATION) = destination;
	*edu_register(DMA_COUNT) = 4;
	*edu_register(DMA_COMMAND) = command | DMA_START;
	/* The device has no other way to say so but an interrupt. */
	while (*edu_register(DMA_COMMAND) & DMA_START)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* What the device reads there; @otherwise when it reads nothing. */
static uint32_t read_by_dma(uint64_t iova, uint32_t otherwise)
{
	buffer[0] = otherwise;
	edu_copy(OWN_IOVA, EDU_MEMORY, 0);
	edu_copy(iova, EDU_MEMORY, 0);
	edu_copy(EDU_MEMORY, OWN_IOVA + 4, DMA_TO_MEMORY);
	return buffer[1];
}

static bool map_dma(volatile void *memory, uint64_t iova, uint64_t bytes)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)memory,
		.iova = iova,
		.size = bytes,
	};

	return !ioctl(edu.container, VFIO_IOMMU_MAP_DMA, &map);
}

static void unmap_dma(uint64_t iova, uint64_t bytes)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = bytes,
	};

	CHECK_OK(ioctl(edu.container, VFIO_IOMMU_UNMAP_DMA, &unmap));
}

static void prepare(void)
{
	uint16_t command;

	vfio_open(&edu, "EDU", 0);
	CHECK_EQ(pread(edu.device, &command, 2, (off_t)edu.config + PCI_COMMAND), 2);
	command |= PCI_COMMAND_MASTER;
	CHECK_EQ(pwrite(edu.device, &command, 2, (off_t)edu.config + PCI_COMMAND), 2);

	buffer = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(buffer != MAP_FAILED);
	buffer[0] = 0;
	CHECK(map_dma(buffer, OWN_IOVA, PAGE));
	/* The device does read memory that it may reach: else what follows would prove nothing. */
	buffer[16] = 0x0dd0beef;
	count(OP_DMA_CONTROL,
	      read_by_dma(OWN_IOVA + 64, 0x5a5a5a5a) == 0x0dd0beef ? DONE : REFUSED);
}

struct kept {
	struct instance instance;
	volatile uint32_t *memory;
	size_t bytes;
};

/* A lease before and after its revoke, its pages present or not. */
static void try(struct kept *kept)
{
	bool mapped = map_dma(kept->memory, LEASE_IOVA, kept->bytes);
	const uint32_t otherwise = 0x5a5a5a5a;
	uint32_t value;

	count(OP_MAP_DMA, mapped ? DONE : errno == EFAULT ? REFUSED : UNCLEAR);
	if (!mapped) {
		if (errno != EFAULT)
			violate(CALL, "VFIO_IOMMU_MAP_DMA: %s", strerror(errno));
		return;
	}
	violate(PINNED, "a device can be given slot %u generation %u", kept->instance.slot,
		kept->instance.generation);
	while (!is_revoked(&kept->instance) && !shared->over)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	value = read_by_dma(LEASE_IOVA, otherwise);
	if (value != otherwise && value != UINT32_MAX)
		violate(LATE, "DMA reads 0x%08x of slot %u generation %u", value,
			kept->instance.slot, kept->instance.generation);
	unmap_dma(LEASE_IOVA, kept->bytes);
}

static void keep(struct kept *kept, const struct instance *instance, int descriptor)
{
	int flags = shared->sabotage == MAP_MEMORY ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
	uint32_t value;
	void *memory;

	if (kept->memory)
		CHECK_OK(munmap((void *)kept->memory, kept->bytes));
	*kept = (struct kept){ .instance = *instance };
	kept->bytes = instance->ranges[0].pages * PAGE;
	memory = mmap(NULL, kept->bytes, PROT_READ | PROT_WRITE, flags, descriptor, 0);
	if (memory != MAP_FAILED)
		kept->memory = memory;
	CHECK_OK(close(descriptor));
	/* Half of them have a page table entry when they are tried. */
	if (kept->memory && instance->generation % 2)
		(void)!guarded_load(kept->memory, &value);
}

void dma_run(void)
{
	static struct kept kept[KEPT];
	struct instance instance;
	int next = 0, descriptor;

	access_prepare();
	prepare();
	while (!shared->over) {
		descriptor = inbox_receive(HOLDERS, &instance);
		if (descriptor >= 0)
			keep(&kept[next++ % KEPT], &instance, descriptor);
		for (int i = 0; i < KEPT; i++) {
			if (kept[i].memory)
				try(&kept[i]);
		}
	}
	_exit(0);
}
