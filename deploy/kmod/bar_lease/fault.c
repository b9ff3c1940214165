// SPDX-License-Identifier: GPL-2.0
/* Page faults of leases: where page table entries come from, and nowhere else. */
#include <linux/align.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched/signal.h>

#include "internal.h"

/**
 * struct bar_entry - a page table entry that a fault is about to insert
 * @address: in the process
 * @start: in the lease
 * @length: bytes that it maps
 * @pfn: its first page frame
 */
struct bar_entry {
	unsigned long address;
	u64 start;
	u64 length;
	unsigned long pfn;
};

/* The entry of 2^@order pages around the faulting address. False if the lease hasn't all of it. */
static bool bar_entry_init(struct bar_entry *entry, const struct vm_fault *vmf, unsigned int order)
{
	struct bar_lease *lease = vmf->vma->vm_private_data;
	unsigned int i;

	entry->length = PAGE_SIZE << order;
	entry->address = ALIGN_DOWN(vmf->address, PAGE_SIZE << order);
	entry->start = ((u64)vmf->pgoff << PAGE_SHIFT) - (vmf->address - entry->address);

	for (i = 0; i < lease->nr_extents; i++) {
		struct bar_extent *extent = &lease->extents[i];

		if (entry->start >= extent->start && entry->length <= extent->length &&
		    entry->start - extent->start <= extent->length - entry->length) {
			entry->pfn = extent->pfn + ((entry->start - extent->start) >> PAGE_SHIFT);
			return true;
		}
	}
	return false;
}

static vm_fault_t bar_entry_insert(struct bar_entry *entry, struct vm_fault *vmf,
				   unsigned int order)
{
	struct bar_lease *lease = vmf->vma->vm_private_data;
	vm_fault_t ret;

	/*
	 * Not as an entry that was written to, even if it's about to be: the
	 * kernel would WARN if it found a page table there, and another thread
	 * can put one there meanwhile by having its process turn huge pages off.
	 */
	if (order)
		ret = vmf_insert_pfn_pmd(vmf, entry->pfn, false);
	else
		ret = bar_memory_insert(lease->memory_type, vmf->vma, entry->address, entry->pfn);

	if (ret == VM_FAULT_NOPAGE) {
		atomic64_inc(&lease->session->faults);
		if (order)
			atomic64_inc(&lease->session->huge_faults);
	}
	return ret;
}

static vm_fault_t bar_fault_locked(struct bar_entry *entry, struct vm_fault *vmf,
				   unsigned int order)
{
	struct bar_lease *lease = vmf->vma->vm_private_data;
	vm_fault_t ret;
	int err;

	if (!lease->attach)
		return VM_FAULT_SIGBUS;

	err = bar_lease_probe(lease);
	if (err)
		return err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;

	/*
	 * Another thread's fault was about the same memory and has put a huge
	 * entry there while this one waited for the reservation, under which
	 * all of them insert. To look for a page's place in it would be a bug;
	 * if that entry isn't enough, the next fault splits it.
	 */
	if (!order && pmd_leaf(pmdp_get_lockless(vmf->pmd)))
		return VM_FAULT_NOPAGE;

	if (!bar_lease_begin_insert(lease))
		return VM_FAULT_SIGBUS;
	lease->entered = true;
	ret = bar_entry_insert(entry, vmf, order);
	bar_lease_end_insert(lease, entry->start, entry->length);

	return ret;
}

static vm_fault_t bar_fault(struct bar_entry *entry, struct vm_fault *vmf, unsigned int order)
{
	struct bar_lease *lease = vmf->vma->vm_private_data;
	struct dma_buf *inner;
	vm_fault_t ret;

	/* Of our own, because a revoke may drop the lease's while we wait below. */
	inner = bar_lease_get_inner(lease);
	if (!inner)
		return VM_FAULT_SIGBUS;

	/*
	 * VFIO invalidates under this lock: an entry is inserted either before,
	 * and unmapped, or after, and then the probe has said no.
	 */
	if (dma_resv_lock_interruptible(inner->resv, NULL)) {
		/* The kernel itself would fault again at once, and never see the signal. */
		ret = !(vmf->flags & FAULT_FLAG_USER) && fatal_signal_pending(current) ?
			      VM_FAULT_SIGBUS :
			      VM_FAULT_NOPAGE;
		goto out_put_inner;
	}
	ret = bar_fault_locked(entry, vmf, order);
	dma_resv_unlock(inner->resv);

out_put_inner:
	dma_buf_put(inner);
	return ret;
}

/**
 * bar_lease_fault - insert a page
 * @vmf: a fault on a VMA of a lease
 *
 * Returns VM_FAULT_NOPAGE, or VM_FAULT_SIGBUS if the lease is revoked or its
 * device can't be reached, or VM_FAULT_OOM.
 */
vm_fault_t bar_lease_fault(struct vm_fault *vmf)
{
	struct bar_entry entry;

	/* ->mmap made sure of both; inserting a page frame that has a page would BUG. */
	if (WARN_ON_ONCE(!bar_entry_init(&entry, vmf, 0)) || WARN_ON_ONCE(pfn_valid(entry.pfn)))
		return VM_FAULT_SIGBUS;

	return bar_fault(&entry, vmf, 0);
}

/*
 * Is it a write to a VMA that is to have write-protected entries? Then somebody
 * wants to know what is written to, and a huge entry would be no answer; it
 * would be inserted and split in turns, for ever.
 */
static bool bar_fault_is_tracked_write(const struct vm_fault *vmf)
{
	return (vmf->flags & FAULT_FLAG_WRITE) && !pte_write(pfn_pte(0, vmf->vma->vm_page_prot));
}

/**
 * bar_lease_huge_fault - insert an entry of a whole PMD, if there can be one
 * @vmf: a fault on a VMA of a lease
 * @order: of the entry that the kernel proposes
 *
 * There can where the mapping, the lease and the device's memory have the same
 * alignment, and all of the entry is in the VMA and in one range. Runs under
 * the VMA's lock or mmap_lock.
 *
 * Returns what bar_lease_fault() does, or VM_FAULT_FALLBACK.
 */
vm_fault_t bar_lease_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct bar_lease *lease = vmf->vma->vm_private_data;
	struct bar_entry entry;

	if (!IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP) || order != PMD_ORDER ||
	    !bar_huge_entries)
		return VM_FAULT_FALLBACK;
	/* The type of huge entries isn't ours to choose. */
	if (lease->memory_type != BAR_LEASE_MEMORY_UNCACHED)
		return VM_FAULT_FALLBACK;
	/* There is an entry, but it can't be written. The kernel splits it: now for pages. */
	if (!pmd_none(pmdp_get_lockless(vmf->pmd)))
		return VM_FAULT_FALLBACK;
	if (bar_fault_is_tracked_write(vmf))
		return VM_FAULT_FALLBACK;

	if (!bar_entry_init(&entry, vmf, order) || entry.address < vmf->vma->vm_start ||
	    entry.length > vmf->vma->vm_end - entry.address || !IS_ALIGNED(entry.pfn, 1UL << order))
		return VM_FAULT_FALLBACK;

	return bar_fault(&entry, vmf, order);
}
