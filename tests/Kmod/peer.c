// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include "peer.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/dma-buf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

struct function function_itself(const struct vfio *vfio)
{
	return (struct function){ vfio->domain, vfio->bus, vfio->devfn, 0 };
}

static const char *edu_bdf(void)
{
	const char *bdf = getenv("BAR_BROKER_VM_EDU");

	CHECK(bdf && *bdf);
	return bdf;
}

struct function function_edu(void)
{
	unsigned int domain, bus, slot, number;

	CHECK_EQ(sscanf(edu_bdf(), "%x:%x:%x.%x", &domain, &bus, &slot, &number), 4);
	/* More than its registers could take, but not more than the device looks at. */
	return (struct function){ domain, (uint16_t)bus, (uint16_t)(slot << 3 | number), 28 };
}

int peer_open(void)
{
	return CHECK_OK(open("/dev/bar_importer", O_RDWR | O_CLOEXEC));
}

int peer_attach(int peer, int lease, struct function function, uint32_t kind, uint32_t mode,
		uint32_t delay_ms)
{
	struct importer_attach request = {
		.fd = lease,
		.kind = kind,
		.mode = mode,
		/* Who is stuck is so for all of a case. */
		.delay_ms = mode == IMPORTER_STUCK ? 0 : delay_ms,
		.pci_domain = function.domain,
		.pci_bus = function.bus,
		.pci_devfn = function.devfn,
		.dma_bits = function.dma_bits,
	};

	return ioctl(peer, IMPORTER_ATTACH, &request);
}

int peer_mapped(int lease, struct function function, uint32_t mode, uint32_t delay_ms)
{
	int peer = peer_open();

	CHECK_OK(peer_attach(peer, lease, function, IMPORTER_DYNAMIC, mode, delay_ms));
	CHECK_OK(ioctl(peer, IMPORTER_MAP));
	return peer;
}

struct importer_state peer_state(int peer)
{
	struct importer_state state;

	CHECK_OK(ioctl(peer, IMPORTER_STATE, &state));
	return state;
}

void peer_await_invalidations(int peer, uint32_t invalidations)
{
	for (int tries = 0; peer_state(peer).invalidations < invalidations; tries++) {
		CHECK(tries < 10000);
		usleep(1000);
	}
}

void fence_import(int peer, int dmabuf)
{
	struct dma_buf_import_sync_file request = {
		.flags = DMA_BUF_SYNC_WRITE,
		.fd = CHECK_OK(ioctl(peer, IMPORTER_FENCE)),
	};

	CHECK_OK(ioctl(dmabuf, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &request));
	CHECK_OK(close(request.fd));
}

/* qemu's docs/specs/edu.rst. */
#define EDU_BUFFER	0x40000
#define EDU_DMA_FROM	(0x80 / 4)
#define EDU_DMA_TO	(0x88 / 4)
#define EDU_DMA_COUNT	(0x90 / 4)
#define EDU_DMA_COMMAND (0x98 / 4)
#define EDU_DMA_START	1
#define EDU_DMA_OUT	2

#define PCI_COMMAND	   4
#define PCI_COMMAND_MEMORY 2
#define PCI_COMMAND_MASTER 4

static int edu_file(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", edu_bdf(), name);
	return CHECK_OK(open(path, O_RDWR | O_CLOEXEC));
}

/* Its driver has no use for it at the moment, so nobody minds. */
static void edu_set_command(struct edu *edu, uint16_t bits, bool on)
{
	uint16_t command;

	CHECK_EQ(pread(edu->config, &command, sizeof(command), PCI_COMMAND), sizeof(command));
	command = on ? command | bits : command & ~bits;
	CHECK_EQ(pwrite(edu->config, &command, sizeof(command), PCI_COMMAND), sizeof(command));
}

void edu_open(struct edu *edu)
{
	int resource;

	edu->config = edu_file("config");
	edu_set_command(edu, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, true);
	resource = edu_file("resource0");
	edu->registers = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, resource, 0);
	CHECK(edu->registers != MAP_FAILED);
	CHECK_OK(close(resource));
	CHECK_EQ(edu->registers[0], 0x010000ed);
}

void edu_close(struct edu *edu)
{
	edu_set_command(edu, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, false);
	CHECK_OK(munmap((void *)edu->registers, PAGE));
	CHECK_OK(close(edu->config));
}

static void edu_dma(struct edu *edu, uint64_t from, uint64_t to, uint32_t direction)
{
	edu->registers[EDU_DMA_FROM] = (uint32_t)from;
	edu->registers[EDU_DMA_TO] = (uint32_t)to;
	edu->registers[EDU_DMA_COUNT] = 4;
	edu->registers[EDU_DMA_COMMAND] = EDU_DMA_START | direction;
	for (int tries = 0; edu->registers[EDU_DMA_COMMAND] & EDU_DMA_START; tries++) {
		CHECK(tries < 10000);
		usleep(1000);
	}
}

void edu_copy(struct edu *edu, uint64_t from, uint64_t to)
{
	edu_dma(edu, from, EDU_BUFFER, 0);
	edu_dma(edu, EDU_BUFFER, to, EDU_DMA_OUT);
}
