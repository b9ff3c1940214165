/* SPDX-License-Identifier: GPL-2.0 */
/* A PCI function through VFIO, and the leases of the module under test. */
#ifndef BAR_LEASE_TEST_VFIO_H
#define BAR_LEASE_TEST_VFIO_H

#include <linux/bar_lease.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PAGE 4096UL
#define HUGE (2UL << 20)

/**
 * struct vfio - an open VFIO device
 * @memory: BAR @bar, mapped by way of VFIO itself: what is really in there
 */
struct vfio {
	int container, group, device;
	uint32_t domain;
	uint16_t bus, devfn;
	uint64_t config;
	uint32_t bar;
	uint64_t size;
	volatile uint32_t *memory;
};

/* The function named by environment variable BAR_BROKER_VM_@name; maps @bar. */
void vfio_open(struct vfio *vfio, const char *name, uint32_t bar);
/* The 64 MiB of plain memory, BAR 2. */
void vfio_open_ivshmem(struct vfio *vfio);
void vfio_close(struct vfio *vfio);
/* Memory decode on or off, by way of VFIO's configuration space. */
void vfio_set_memory(struct vfio *vfio, bool on);
int vfio_dmabuf(struct vfio *vfio, uint32_t bar, uint64_t offset, uint64_t length);
int vfio_dmabuf_of(struct vfio *vfio, uint32_t bar, const struct bar_lease_range *ranges,
		   uint32_t nr_ranges);

/* Word @index of page @page of the device's memory, as VFIO has it. */
static inline volatile uint32_t *vfio_word(struct vfio *vfio, uint64_t page, uint64_t index)
{
	return vfio->memory + page * PAGE / 4 + index;
}

int session_open(void);

/* EXPORT's arguments for one range of the device's BAR, and that range's DMABUF. */
struct export
{
	struct bar_lease_export request;
	struct bar_lease_range range;
};

void export_prepare(struct export *export, struct vfio *vfio, uint64_t id, uint64_t page,
		    uint64_t pages, uint32_t flags);
/* For several ranges of @vfio->bar; they stay the caller's, and @export->range is not used. */
void export_prepare_of(struct export *export, struct vfio *vfio, uint64_t id,
		       const struct bar_lease_range *ranges, uint32_t nr_ranges, uint32_t flags);
/* The call itself: a descriptor, or -1 and errno. */
int export_call(int session, struct export *export);
/* Closes the DMABUF that export_prepare() made. */
void export_finish(struct export *export);

/* A whole export that has to succeed. */
int lease_export(int session, struct vfio *vfio, uint64_t id, uint64_t page, uint64_t pages,
		 uint32_t flags);
/* The same, of the device's second holder, who shares no limit with the first. */
int lease_export_other(int session, struct vfio *vfio, uint64_t id, uint64_t page, uint64_t pages);
int lease_export_of(int session, struct vfio *vfio, uint64_t id,
		    const struct bar_lease_range *ranges, uint32_t nr_ranges, uint32_t flags);
/* A mapping of all of a lease that has to succeed; read-only leases map readable. */
volatile uint32_t *lease_map(int lease, uint64_t pages, int protection);
/*
 * The same, at an address @skew pages behind one that is aligned to HUGE, and
 * with the wish for huge entries.
 */
volatile uint32_t *lease_map_aligned(int lease, uint64_t pages, uint64_t skew, int protection);
/* REVOKE: its result, and how many it says it ended. */
int lease_revoke(int session, const uint64_t *ids, uint32_t nr_ids, uint32_t *nr_revoked);
/* A revoke of one lease that has to succeed; returns nr_revoked. */
uint32_t lease_revoke_one(int session, uint64_t id);
int lease_get_fd(int session, uint64_t id);
struct bar_lease_info lease_info(int session);
/* LIST with room for everything; returns how many, frees nothing. */
uint32_t lease_list(int session, struct bar_lease_entry **entries, struct bar_lease_range **ranges);
/* State of a lease in the listing, or 0. */
uint32_t lease_state(int session, uint64_t id);

ino_t inode_of(int fd);

#endif /* BAR_LEASE_TEST_VFIO_H */
