/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * bar_lease: leases on ranges of a PCI function's BARs, mappable and revocable.
 *
 * An open of /dev/bar_lease is a session. It owns leases under 64-bit ids that
 * its user chooses; the last close of the session revokes all of them.
 *
 * Every struct starts with argsz (its size as the caller knows it, in bytes)
 * and flags. Later versions may add members at its end: a caller with a smaller
 * argsz has zeros in what it doesn't know, and nothing is written beyond its
 * argsz. Smaller than in the version that introduced the call is EINVAL. A
 * larger argsz than this version's struct is accepted when the bytes beyond are
 * zero and it is no more than a page, else E2BIG. The size within an ioctl's
 * number doesn't matter. Unknown flag bits are EINVAL, always. Reserved fields
 * must be zero.
 */
#ifndef _UAPI_LINUX_BAR_LEASE_H
#define _UAPI_LINUX_BAR_LEASE_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * Raised by one with each addition; nothing that a version offers is taken
 * away or changes its meaning by a later one. 2: EXPORT's holder, which had to
 * be 0 before.
 */
#define BAR_LEASE_API_VERSION	2

#define BAR_LEASE_IOC_TYPE	'b'

/* Limits of one call, reported by BAR_LEASE_GET_INFO as well. */
#define BAR_LEASE_MAX_IDS	65536

/**
 * struct bar_lease_range - a page-aligned, non-empty part of a BAR
 * @offset: bytes from the BAR's start
 * @length: bytes
 */
struct bar_lease_range {
	__aligned_u64 offset;
	__aligned_u64 length;
};

/* Memory types, as the CPU's page table entries really have them. */
#define BAR_LEASE_MEMORY_UNCACHED	1
#define BAR_LEASE_MEMORY_WRITE_COMBINING 2

/**
 * struct bar_lease_info - what the module can do, and this session's counters
 * @argsz: in: size of this struct
 * @flags: in: must be 0
 * @api_version: out: BAR_LEASE_API_VERSION of the running module
 * @max_ranges: out: ranges per lease that EXPORT accepts
 * @max_ids: out: ids per REVOKE
 * @memory_types: out: bit N set means that EXPORT accepts memory type N
 * @leases_live: out: leases of this session that are not revoked
 * @exports: out: EXPORT calls that made a lease
 * @revoke_calls: out: REVOKE calls that were carried out, however many ids each had
 * @leases_revoked: out: leases that ended, by REVOKE
 * @faults: out: page faults that inserted entries, for all leases of the session
 * @unmaps: out: leases that were taken out of all processes, by REVOKE or by a suspend
 * @huge_faults: out: those of @faults that inserted an entry of 2 MiB or more
 * @importers: out: DMA attachments to P2P leases of this session that exist now
 * @importer_maps: out: DMA mappings of P2P leases of this session that exist now
 *
 * Counters start at 0 with the session; but for leases_live, importers and
 * importer_maps they never go down.
 */
struct bar_lease_info {
	__u32 argsz;
	__u32 flags;
	__u32 api_version;
	__u32 max_ranges;
	__u32 max_ids;
	__u32 memory_types;
	__aligned_u64 leases_live;
	__aligned_u64 exports;
	__aligned_u64 revoke_calls;
	__aligned_u64 leases_revoked;
	__aligned_u64 faults;
	__aligned_u64 unmaps;
	__aligned_u64 huge_faults;
	__aligned_u64 importers;
	__aligned_u64 importer_maps;
};

/*
 * BAR_LEASE_GET_INFO: returns 0.
 */
#define BAR_LEASE_GET_INFO	_IOWR(BAR_LEASE_IOC_TYPE, 0, struct bar_lease_info)

/* The descriptor can't be mapped writable, by anybody, ever. */
#define BAR_LEASE_EXPORT_READ_ONLY	(1U << 0)
/*
 * Drivers of other devices may attach to the descriptor and have their devices
 * access the range (peer-to-peer DMA). Such a lease has one range, and can't be
 * read-only: an attachment ignores how a descriptor was opened. Whoever holds
 * the descriptor, of a revoked lease too, can also hold up a suspend of the
 * device, for as long as it likes, by a fence; leases without this flag give no
 * such hold.
 */
#define BAR_LEASE_EXPORT_P2P		(1U << 1)

/**
 * struct bar_lease_export - make a lease
 * @argsz: in: size of this struct
 * @flags: in: BAR_LEASE_EXPORT_*
 * @lease_id: in: names the lease in this session; no live lease may have it
 * @pci_domain: in: the PCI function's segment,
 * @pci_bus: in: bus,
 * @pci_devfn: in: and slot << 3 | function
 * @bar: in: base address register, 0..5
 * @dmabuf_fd: in: vfio-pci's DMABUF of exactly @ranges; the session keeps a
 *	reference of its own until the lease is revoked, the caller's fd stays
 *	the caller's
 * @memory_type: in: BAR_LEASE_MEMORY_*, 0 for uncached;
 *	out: the type that a mapping really gets: the one asked for, or the
 *	call fails
 * @nr_ranges: in: entries in @ranges, 1 to max_ranges
 * @ranges: in: pointer to struct bar_lease_range[nr_ranges], in the order in
 *	which the lease presents them as one contiguous space
 * @verified: out: 1 when the module saw that @dmabuf_fd backs exactly these bus
 *	addresses, 0 when it could only check sizes
 * @holder: in: who answers for the mappings of the lease, by a number of the
 *	caller's: a user id, say. The leases of a function with the same holder
 *	share limits, the module's max_holder_mappings and max_holder_leases
 */
struct bar_lease_export {
	__u32 argsz;
	__u32 flags;
	__aligned_u64 lease_id;
	__u32 pci_domain;
	__u16 pci_bus;
	__u16 pci_devfn;
	__u32 bar;
	__s32 dmabuf_fd;
	__u32 memory_type;
	__u32 nr_ranges;
	__aligned_u64 ranges;
	__u32 verified;
	__u32 holder;
};

/*
 * BAR_LEASE_EXPORT: returns a new DMABUF fd of the lease (O_CLOEXEC), owned by
 * the caller, >= 0.
 *
 * EAGAIN	the device is suspended (memory decode off, in reset, D3), closed, or
 *		about to lose its driver; try later
 * EBADF	dmabuf_fd is no open descriptor
 * EDQUOT	the holder has max_holder_leases of the function, of which some may be
 *		revoked and kept in memory by whoever has their descriptors
 * EEXIST	lease_id is live in this session, or revoked and not confirmed
 * EFAULT	a pointer can't be read or written
 * EINVAL	a size, flag, range, BAR or descriptor that can't be right
 * EMFILE, ENFILE, ENOMEM
 * ENODEV	there is no such PCI function, or vfio-pci doesn't drive it
 * EOPNOTSUPP	the memory type can't be had
 */
#define BAR_LEASE_EXPORT	_IOWR(BAR_LEASE_IOC_TYPE, 1, struct bar_lease_export)

/**
 * struct bar_lease_revoke - end leases for good
 * @argsz: in: size of this struct
 * @flags: in: must be 0
 * @nr_ids: in: entries in @ids, 1 to max_ids
 * @nr_revoked: out: how many of them this very call ended
 * @ids: in: pointer to __u64[nr_ids]
 */
struct bar_lease_revoke {
	__u32 argsz;
	__u32 flags;
	__u32 nr_ids;
	__u32 nr_revoked;
	__aligned_u64 ids;
};

/*
 * BAR_LEASE_REVOKE: returns 0. From then on nobody reaches the device through
 * any of these leases: mappings fault with SIGBUS, a new mmap() of their
 * descriptors is ENODEV, other devices' drivers have unmapped them and get
 * ENODEV as well, and posted writes have been pushed out. Ids that are
 * not live (revoked before, never exported) are no error: the call is
 * idempotent, and nr_revoked tells.
 *
 * EFAULT, EINVAL, ENOMEM	nothing was revoked
 * ETIMEDOUT	the leases are marked revoked (nr_revoked is set), but it could
 *		not be confirmed in bounded time that every access has ended:
 *		don't lease these ranges again until a repeated call returns 0
 */
#define BAR_LEASE_REVOKE	_IOWR(BAR_LEASE_IOC_TYPE, 2, struct bar_lease_revoke)

/* States of a lease in a listing. */
#define BAR_LEASE_STATE_LIVE		1	/* accesses reach the device */
#define BAR_LEASE_STATE_SUSPENDED	2	/* accesses fault until the device is back */
#define BAR_LEASE_STATE_REVOKING	3	/* marked revoked, not confirmed (ETIMEDOUT) */

/**
 * struct bar_lease_entry - one lease of a listing
 * @lease_id: as given to EXPORT
 * @pci_domain: as given to EXPORT, like the next three
 * @pci_bus: PCI bus
 * @pci_devfn: slot << 3 | function
 * @bar: base address register
 * @flags: BAR_LEASE_EXPORT_* of the lease
 * @memory_type: BAR_LEASE_MEMORY_*
 * @state: BAR_LEASE_STATE_*
 * @first_range: index of its first range in the listing's ranges
 * @nr_ranges: how many
 */
struct bar_lease_entry {
	__aligned_u64 lease_id;
	__u32 pci_domain;
	__u16 pci_bus;
	__u16 pci_devfn;
	__u32 bar;
	__u32 flags;
	__u32 memory_type;
	__u32 state;
	__u32 first_range;
	__u32 nr_ranges;
};

/**
 * struct bar_lease_list - the session's leases, in order of their ids
 * @argsz: in: size of this struct
 * @flags: in: must be 0
 * @nr_leases: in: room in @leases; out: how many leases there are
 * @nr_ranges: in: room in @ranges; out: how many ranges they have in all
 * @leases: in: pointer to struct bar_lease_entry[nr_leases]
 * @ranges: in: pointer to struct bar_lease_range[nr_ranges]
 */
struct bar_lease_list {
	__u32 argsz;
	__u32 flags;
	__u32 nr_leases;
	__u32 nr_ranges;
	__aligned_u64 leases;
	__aligned_u64 ranges;
};

/*
 * BAR_LEASE_LIST: returns 0.
 *
 * EFAULT, EINVAL, ENOMEM
 * ENOSPC	not enough room: nr_leases and nr_ranges say how much it takes,
 *		nothing was written to the arrays
 */
#define BAR_LEASE_LIST		_IOWR(BAR_LEASE_IOC_TYPE, 3, struct bar_lease_list)

/**
 * struct bar_lease_get_fd - another descriptor of a lease
 * @argsz: in: size of this struct
 * @flags: in: must be 0
 * @lease_id: in: a live lease of this session
 */
struct bar_lease_get_fd {
	__u32 argsz;
	__u32 flags;
	__aligned_u64 lease_id;
};

/*
 * BAR_LEASE_GET_FD: returns a new descriptor of the lease's DMABUF (same inode,
 * O_CLOEXEC), owned by the caller, >= 0.
 *
 * EFAULT, EINVAL
 * EMFILE, ENFILE, ENOMEM
 * ENOENT	lease_id isn't live in this session
 */
#define BAR_LEASE_GET_FD	_IOWR(BAR_LEASE_IOC_TYPE, 4, struct bar_lease_get_fd)

#endif /* _UAPI_LINUX_BAR_LEASE_H */
