/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _BAR_LEASE_INTERNAL_H
#define _BAR_LEASE_INTERNAL_H

#include <linux/atomic.h>
#include <linux/bar_lease.h>
#include <linux/dma-direction.h>
#include <linux/jiffies.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/stddef.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

struct dma_buf;
struct dma_buf_attachment;
struct file;
struct sg_table;

/*
 * Ranges of one lease. A fault, a suspend and a revoke look at each of them, so
 * their number bounds what one lease can cost.
 */
#define BAR_MAX_RANGES 64

/* How long one REVOKE waits for what is under way, in jiffies. */
#define BAR_REVOKE_TIMEOUT msecs_to_jiffies(bar_revoke_timeout_ms)

/*
 * What each struct had in the version that introduced its call, by its last
 * member then: no caller knows less. Members that are added later come behind.
 */
#define BAR_INFO_SIZE_V1   offsetofend(struct bar_lease_info, importer_maps)
#define BAR_EXPORT_SIZE_V1 offsetofend(struct bar_lease_export, holder)
#define BAR_REVOKE_SIZE_V1 offsetofend(struct bar_lease_revoke, ids)
#define BAR_LIST_SIZE_V1   offsetofend(struct bar_lease_list, ranges)
#define BAR_GET_FD_SIZE_V1 offsetofend(struct bar_lease_get_fd, lease_id)

/**
 * struct bar_device - a PCI function with at least one lease
 * @kref: held by leases and by a pending @drop_work
 * @node: in the list of devices
 * @pdev: the function, a reference
 * @holders: struct bar_holder by number: whose leases there are
 * @combines: it has had leases whose writes are combined; never cleared
 * @drops: leases whose vfio-pci DMABUF is to be let go of
 * @drop_work: does that; letting go takes VFIO's memory_lock, which a reset can
 *	hold for long, and no caller of REVOKE should wait for it
 */
struct bar_device {
	struct kref kref;
	struct list_head node;
	struct pci_dev *pdev;
	struct xarray holders;
	bool combines;
	struct llist_head drops;
	struct work_struct drop_work;
};

/**
 * struct bar_holder - who answers for leases of a device, as EXPORT was told
 * @number: EXPORT's
 * @nr_leases: leases that point here, revoked ones that are not freed included;
 *	under the lock of the device's holders
 * @vmas: VMAs that map these leases
 * @puts: leases whose DMABUF the module holds no more
 * @put_work: puts the reference that it had
 *
 * A suspend visits all VMAs of a device, and a revoked lease whose file somebody
 * has stays in memory, so what one holder can add is bounded.
 */
struct bar_holder {
	u32 number;
	unsigned int nr_leases;
	atomic_t vmas;
	struct llist_head puts;
	struct work_struct put_work;
};

/**
 * struct bar_session - an open of /dev/bar_lease
 * @kref: held by the file and by each lease, for its counters
 * @lock: protects @leases and the two sums; no user memory is touched under it
 * @leases: struct bar_lease by id; one reference to the lease's DMABUF each
 * @nr_leases: entries in @leases, not counting reserved ones
 * @nr_ranges: their ranges in all
 *
 * The counters are what BAR_LEASE_GET_INFO reports.
 */
struct bar_session {
	struct kref kref;
	struct mutex lock; /* table and sums */
	struct xarray leases;
	u32 nr_leases;
	u32 nr_ranges;

	atomic64_t leases_live;
	atomic64_t exports;
	atomic64_t revoke_calls;
	atomic64_t leases_revoked;
	atomic64_t faults;
	atomic64_t huge_faults;
	atomic64_t unmaps;
	atomic64_t importers;
	atomic64_t importer_maps;
};

/**
 * struct bar_extent - one range of a lease
 * @start: in the lease, which presents its ranges one after the other
 * @offset: in the BAR
 * @length: bytes
 * @pfn: its first page frame
 */
struct bar_extent {
	u64 start;
	u64 offset;
	u64 length;
	unsigned long pfn;
};

/**
 * struct bar_lease - a hold on ranges of a BAR, backed by one DMABUF of ours
 * @kref: held by @outer until its release, and by the drop of @inner
 * @session: the session that made it, a reference
 * @device: its device, a reference
 * @holder: who answers for its VMAs
 * @outer: the DMABUF that clients map, and whose mapping has all VMAs of the
 *	lease. Without a hold, a lease must not follow this pointer
 * @holds: of @outer by the module, the session's table first; all of them
 *	together are one reference to its file
 * @put_node: in the holder's puts
 * @drop_node: in the device's drops
 * @unmap_node: in the list of those that one revoke has marked; no other uses it,
 *	because a lease is marked once
 * @unmap_group: leases that are to be unmapped with this one, it included
 * @id: name in the session
 * @bar: base address register
 * @flags: BAR_LEASE_EXPORT_*
 * @memory_type: BAR_LEASE_MEMORY_*, which the entries really have
 * @verified: @inner was seen to back these very bus addresses
 * @vmas: VMAs that map it
 * @unmap_work: unmaps @unmap_group, which has a hold of each
 * @invalidate_work: tells importers that it is revoked; holds @outer
 * @drop_work: lets go of @inner after a P2P lease's @outer was released
 * @lock: protects @revoked to @inner
 * @revoked: no page table entry may be inserted, and nothing mapped for DMA, any
 *	more; never cleared
 * @unmapped: the revoke that set @revoked has unmapped all of it since; until
 *	then the session's table has its hold of @outer
 * @inserting: page faults between their look at @revoked and the end of their
 *	insertion
 * @maps: mappings for DMA by importers, there or being made
 * @await_fences: importers had mappings when it was marked; their devices' last
 *	accesses may have fences
 * @inner: vfio-pci's DMABUF, a reference; NULL once dropped: soon after the
 *	revoke, or when @outer has been released if that shares its reservation
 * @attach: our attachment to @inner, NULL once dropped; under inner->resv
 * @live: @inner was reachable when last asked and hasn't been invalidated
 *	since; under inner->resv
 * @entered: entries were inserted since @live was last cleared; under inner->resv
 * @size: bytes in all
 * @nr_extents: entries in @extents
 * @extents: the ranges, in the order in which @outer presents them
 */
struct bar_lease {
	struct kref kref;
	struct bar_session *session;
	struct bar_device *device;
	struct bar_holder *holder;
	struct dma_buf *outer;
	refcount_t holds;
	struct llist_node put_node;
	struct llist_node drop_node;
	struct list_head unmap_node;
	struct list_head unmap_group;
	u64 id;
	u32 bar;
	u32 flags;
	u32 memory_type;
	bool verified;
	atomic_t vmas;

	struct work_struct unmap_work;
	struct work_struct invalidate_work;
	struct work_struct drop_work;

	spinlock_t lock; /* all up to inner */
	bool revoked;
	bool unmapped;
	bool await_fences;
	unsigned int inserting;
	unsigned int maps;
	struct dma_buf *inner;

	struct dma_buf_attachment *attach;
	bool live;
	bool entered;

	u64 size;
	unsigned int nr_extents;
	struct bar_extent extents[] __counted_by(nr_extents);
};

/* main.c */
extern unsigned int bar_max_mappings;
extern unsigned int bar_max_holder_mappings;
extern unsigned int bar_max_holder_leases;
extern unsigned int bar_revoke_timeout_ms;
extern bool bar_huge_entries;

/* session.c */
struct bar_session *bar_session_create(void);
void bar_session_close(struct bar_session *session);
void bar_session_put(struct bar_session *session);
long bar_session_get_info(struct bar_session *session, void __user *arg);
long bar_session_export(struct bar_session *session, void __user *arg);
long bar_session_list(struct bar_session *session, void __user *arg);
long bar_session_get_fd(struct bar_session *session, void __user *arg);
int bar_request_copy(void *request, size_t size, size_t oldest, const void __user *arg);
int bar_request_return(void __user *arg, const void *request, size_t size);

/* revoke.c */
long bar_session_revoke(struct bar_session *session, void __user *arg);
void bar_session_revoke_all(struct bar_session *session);

/* unmap.c */
void bar_unmap_init_lease(struct bar_lease *lease);
void bar_unmap_queue(struct list_head *leases);
int bar_unmap_init(void);
void bar_unmap_exit(void);

/* lease.c */
struct bar_lease *bar_lease_create(struct bar_session *session,
				   const struct bar_lease_export *request,
				   const struct bar_lease_range *ranges);
void bar_lease_discard(struct bar_lease *lease);
void bar_lease_put(struct bar_lease *lease);

/* ending.c */
bool bar_lease_begin_insert(struct bar_lease *lease);
void bar_lease_end_insert(struct bar_lease *lease, u64 start, u64 length);
void bar_lease_unmap(struct bar_lease *lease, u64 start, u64 length);
bool bar_lease_hold_mapped_outer(struct bar_lease *lease);
bool bar_lease_is_live(struct bar_lease *lease);
bool bar_lease_mark_revoked(struct bar_lease *lease);
void bar_lease_set_unmapped(struct bar_lease *lease);
bool bar_lease_has_ended(struct bar_lease *lease);
bool bar_lease_wait_ended(struct bar_lease *lease, unsigned long deadline);
bool bar_lease_wait_any_ended(struct bar_lease **leases, u32 nr_leases, unsigned long deadline);
void bar_lease_wait_unmapped(struct bar_lease *lease);
void bar_lease_wake_revokers(void);

/* inner.c */
int bar_lease_import(struct bar_lease *lease, int fd);
void bar_lease_unimport(struct bar_lease *lease);
struct dma_buf *bar_lease_get_inner(struct bar_lease *lease);
void bar_inner_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
		     enum dma_data_direction direction);
int bar_lease_probe(struct bar_lease *lease);
u32 bar_lease_state(struct bar_lease *lease);
void bar_lease_let_go(struct bar_lease *lease);
void bar_lease_drop_inner(struct bar_lease *lease);

/* outer.c */
int bar_lease_export_outer(struct bar_lease *lease);
void bar_lease_hold_outer(struct bar_lease *lease);
void bar_lease_put_outer(struct bar_lease *lease);
void bar_outer_init_holder(struct bar_holder *holder);
int bar_outer_init(void);
void bar_outer_exit(void);

/* fault.c */
vm_fault_t bar_lease_fault(struct vm_fault *vmf);
vm_fault_t bar_lease_huge_fault(struct vm_fault *vmf, unsigned int order);

/* memory.c */
u32 bar_memory_types(void);
pgprot_t bar_memory_page_prot(u32 type, pgprot_t prot);
vm_fault_t bar_memory_insert(u32 type, struct vm_area_struct *vma, unsigned long address,
			     unsigned long pfn);
void bar_memory_drain(void);

/* p2p.c */
int bar_p2p_attach(struct dma_buf *outer, struct dma_buf_attachment *attach);
void bar_p2p_detach(struct dma_buf *outer, struct dma_buf_attachment *attach);
struct sg_table *bar_p2p_map(struct dma_buf_attachment *attach, enum dma_data_direction direction);
void bar_p2p_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
		   enum dma_data_direction direction);
void bar_p2p_init_lease(struct bar_lease *lease);
void bar_p2p_revoke(struct bar_lease *lease);
void bar_p2p_queue_drop(struct bar_lease *lease);
bool bar_p2p_wait_fences(struct bar_lease *lease, unsigned long deadline);
int bar_p2p_init(void);
void bar_p2p_exit(void);

/* device.c */
struct bar_device *bar_device_get(struct pci_dev *pdev);
void bar_device_put(struct bar_device *device);
struct bar_holder *bar_device_get_holder(struct bar_device *device, u32 number);
void bar_device_put_holder(struct bar_device *device, struct bar_holder *holder);
void bar_device_flush_writes(struct bar_device *device);
void bar_device_queue_drop(struct bar_device *device, struct bar_lease *lease);
int bar_device_init(void);
void bar_device_exit(void);

#endif /* _BAR_LEASE_INTERNAL_H */
