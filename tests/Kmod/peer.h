/* SPDX-License-Identifier: GPL-2.0 */
/* Another device's driver (the importer module), and the edu device as one that does DMA. */
#ifndef BAR_LEASE_TEST_PEER_H
#define BAR_LEASE_TEST_PEER_H

#include "importer/importer.h"
#include "vfio.h"

/* The function that an importer acts for. */
struct function {
	uint32_t domain;
	uint16_t bus, devfn;
	uint32_t dma_bits;
};

/* The leased device itself: the one client that gets bus addresses on any machine. */
struct function function_itself(const struct vfio *vfio);
/* edu, which reaches the other device's BAR through the host bridge and the IOMMU. */
struct function function_edu(void);

int peer_open(void);
/* Attaches; 0, or -1 and errno. */
int peer_attach(int peer, int lease, struct function function, uint32_t kind, uint32_t mode,
		uint32_t delay_ms);
/* A driver that has attached and mapped, which has to succeed. */
int peer_mapped(int lease, struct function function, uint32_t mode, uint32_t delay_ms);
struct importer_state peer_state(int peer);
/* Until it has been told @invalidations times to let go. */
void peer_await_invalidations(int peer, uint32_t invalidations);

/* Adds a fence of @peer's to a DMABUF's reservation, as a write; IMPORTER_SIGNAL ends it. */
void fence_import(int peer, int dmabuf);

/**
 * struct edu - a device that copies between its own 4 KiB and DMA addresses
 * @registers: its BAR 0
 * @config: its configuration space in sysfs
 */
struct edu {
	volatile uint32_t *registers;
	int config;
};

void edu_open(struct edu *edu);
void edu_close(struct edu *edu);
/* 4 bytes from the DMA address into the device and back out to the other one. */
void edu_copy(struct edu *edu, uint64_t from, uint64_t to);

#endif /* BAR_LEASE_TEST_PEER_H */
