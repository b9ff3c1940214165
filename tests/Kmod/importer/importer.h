/* SPDX-License-Identifier: GPL-2.0 */
/* What the importer module is told. Each open of /dev/bar_importer is a driver with one device. */
#ifndef BAR_LEASE_TEST_IMPORTER_H
#define BAR_LEASE_TEST_IMPORTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* How it attaches. */
#define IMPORTER_DYNAMIC	    0 /* as a driver has to */
#define IMPORTER_WITHOUT_PEER2PEER  1
#define IMPORTER_WITHOUT_INVALIDATE 2
#define IMPORTER_STATIC		    3

/* What it does when it is told to let go of a mapping. */
#define IMPORTER_PROMPT 0 /* unmaps before it returns */
#define IMPORTER_SLOW	1 /* unmaps on a worker, after a while */
#define IMPORTER_STUCK	2 /* nothing, until IMPORTER_UNMAP */

/**
 * struct importer_attach - attach to a DMABUF
 * @fd: the DMABUF's
 * @kind: IMPORTER_DYNAMIC and so on
 * @mode: IMPORTER_PROMPT and so on
 * @delay_ms: of IMPORTER_SLOW; of IMPORTER_STUCK after which it unmaps all the same, 0 for a minute
 * @pci_domain: the function it acts for: segment,
 * @pci_bus: bus,
 * @pci_devfn: and slot << 3 | function
 * @dma_bits: width of that function's DMA addresses, 0 to leave it as it is
 */
struct importer_attach {
	__s32 fd;
	__u32 kind;
	__u32 mode;
	__u32 delay_ms;
	__u32 pci_domain;
	__u16 pci_bus;
	__u16 pci_devfn;
	__u32 dma_bits;
};

/**
 * struct importer_state - what it has, and what it was told
 * @address: DMA address of the mapping's first segment
 * @length: bytes of all segments, which follow each other
 * @mapped: there is a mapping now
 * @invalidations: times that it was told to let go
 * @unmaps: mappings that it has let go of
 */
struct importer_state {
	__aligned_u64 address;
	__aligned_u64 length;
	__u32 mapped;
	__u32 invalidations;
	__u32 unmaps;
	__u32 reserved;
};

#define IMPORTER_ATTACH _IOW('i', 0, struct importer_attach)
/* Maps for both directions; EBUSY if it is mapped. */
#define IMPORTER_MAP _IO('i', 1)
/* ENODATA if it is not mapped. */
#define IMPORTER_UNMAP _IO('i', 2)
#define IMPORTER_STATE _IOR('i', 3, struct importer_state)
/* A sync file's descriptor, whose fence IMPORTER_SIGNAL or the last close signals. One at a time.
 */
#define IMPORTER_FENCE	_IO('i', 4)
#define IMPORTER_SIGNAL _IO('i', 5)

#endif /* BAR_LEASE_TEST_IMPORTER_H */
