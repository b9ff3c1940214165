// SPDX-License-Identifier: GPL-2.0
/* The exporting side of a lease: the DMABUF that clients map. */
#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>

#include "internal.h"

static struct workqueue_struct *bar_put_wq;

static void bar_lease_outer_release(struct dma_buf *outer)
{
	struct bar_lease *lease = outer->priv;

	/*
	 * No VMA and no attachment is left: each holds the file. The lease may go,
	 * and @inner as well if its reservation was ours.
	 */
	if (lease->flags & BAR_LEASE_EXPORT_P2P)
		bar_p2p_queue_drop(lease);
	else
		bar_lease_put(lease);
}

/* Splits and moves can take a count beyond its limit: then there is no room either. */
static bool bar_vmas_inc_below(atomic_t *vmas, int limit)
{
	int count = atomic_read(vmas);

	do {
		if (count >= limit)
			return false;
	} while (!atomic_try_cmpxchg(vmas, &count, count + 1));
	return true;
}

/* False, and accounted for nothing, if a new VMA would be one too many. */
static bool bar_lease_charge_vma(struct bar_lease *lease)
{
	if (!bar_vmas_inc_below(&lease->vmas, bar_max_mappings))
		return false;
	if (bar_vmas_inc_below(&lease->holder->vmas, bar_max_holder_mappings))
		return true;

	atomic_dec(&lease->vmas);
	return false;
}

static void bar_lease_vma_open(struct vm_area_struct *vma)
{
	struct bar_lease *lease = vma->vm_private_data;

	atomic_inc(&lease->vmas);
	atomic_inc(&lease->holder->vmas);
}

static void bar_lease_vma_close(struct vm_area_struct *vma)
{
	struct bar_lease *lease = vma->vm_private_data;

	atomic_dec(&lease->vmas);
	atomic_dec(&lease->holder->vmas);
}

/* Splitting is no way past the limits, nor is forking: see ->mmap. */
static int bar_lease_vma_may_split(struct vm_area_struct *vma, unsigned long address)
{
	struct bar_lease *lease = vma->vm_private_data;

	if (atomic_read(&lease->vmas) >= (int)bar_max_mappings ||
	    atomic_read(&lease->holder->vmas) >= (int)bar_max_holder_mappings)
		return -ENOMEM;
	return 0;
}

static const struct vm_operations_struct bar_lease_vm_ops = {
	.open = bar_lease_vma_open,
	.close = bar_lease_vma_close,
	.may_split = bar_lease_vma_may_split,
	.fault = bar_lease_fault,
	.huge_fault = bar_lease_huge_fault,
};

/* VMAs don't straddle ranges: what is contiguous in a process is so in the BAR. */
static bool bar_lease_is_in_one_range(struct bar_lease *lease, u64 start, u64 length)
{
	unsigned int i;

	for (i = 0; i < lease->nr_extents; i++) {
		struct bar_extent *extent = &lease->extents[i];

		if (start >= extent->start && start - extent->start < extent->length)
			return length <= extent->length - (start - extent->start);
	}
	return false;
}

static int bar_lease_mmap(struct dma_buf *outer, struct vm_area_struct *vma)
{
	struct bar_lease *lease = outer->priv;

	/* SHARED is cleared for descriptors that can't be written, MAYSHARE isn't. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;

	/* dma-buf has compared end and size; pages, so the shift can't overflow. */
	if (!bar_lease_is_in_one_range(lease, (u64)vma->vm_pgoff << PAGE_SHIFT,
				       vma->vm_end - vma->vm_start))
		return -EINVAL;

	if (!bar_lease_is_live(lease))
		return -ENODEV;

	/* The VFS says so of a read-only descriptor; leases don't rest on that alone. */
	if (lease->flags & BAR_LEASE_EXPORT_READ_ONLY) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		vm_flags_clear(vma, VM_MAYWRITE);
	}

	if (!bar_lease_charge_vma(lease))
		return -ENOMEM;

	/*
	 * Not PFNMAP: VFIO's type 1 IOMMU driver would follow such entries and
	 * hand their addresses to a device, where no unmapping reaches them.
	 * DONTCOPY, because ->open can't refuse: each fork would double what a
	 * revoke has to visit. MADV_DOFORK doesn't take it from an IO mapping.
	 */
	vm_flags_set(vma, VM_IO | VM_MIXEDMAP | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = bar_memory_page_prot(lease->memory_type, vma->vm_page_prot);
	vma->vm_private_data = lease;
	vma->vm_ops = &bar_lease_vm_ops;
	return 0;
}

static const struct dma_buf_ops bar_lease_dmabuf_ops = {
	.attach = bar_p2p_attach,
	.detach = bar_p2p_detach,
	.map_dma_buf = bar_p2p_map,
	.unmap_dma_buf = bar_p2p_unmap,
	.release = bar_lease_outer_release,
	.mmap = bar_lease_mmap,
};

/*
 * On a worker for each holder, because the last put of a file that clients have
 * can take as long as one of them likes: an epoll that knows the file has its
 * lock taken, and its owner can sleep with that for ever. Synchronous, since a
 * deferred put from a worker would make all of the system's wait along.
 */
static void bar_outer_put_work(struct work_struct *work)
{
	struct bar_holder *holder = container_of(work, struct bar_holder, put_work);
	struct bar_lease *lease, *next;

	/* With the last of them the holder may go, and this work with it. */
	llist_for_each_entry_safe(lease, next, llist_del_all(&holder->puts), put_node)
		__fput_sync(lease->outer->file);
}

/**
 * bar_outer_init_holder - what a holder has for this
 * @holder: a holder that has no lease yet
 */
void bar_outer_init_holder(struct bar_holder *holder)
{
	init_llist_head(&holder->puts);
	INIT_WORK(&holder->put_work, bar_outer_put_work);
}

/**
 * bar_lease_export_outer - make the lease's own DMABUF
 * @lease: a lease that is otherwise complete; its reference passes to the DMABUF
 *
 * Sets lease->outer, and the caller has the one hold. Returns 0 or -errno, and then
 * the lease's reference is still the caller's.
 */
int bar_lease_export_outer(struct bar_lease *lease)
{
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	struct dma_buf *outer;

	exp_info.ops = &bar_lease_dmabuf_ops;
	exp_info.size = lease->size;
	exp_info.flags = lease->flags & BAR_LEASE_EXPORT_READ_ONLY ? O_RDONLY : O_RDWR;
	exp_info.priv = lease;
	if (lease->flags & BAR_LEASE_EXPORT_P2P)
		exp_info.resv = lease->inner->resv;

	outer = dma_buf_export(&exp_info);
	if (IS_ERR(outer))
		return PTR_ERR(outer);

	lease->outer = outer;
	refcount_set(&lease->holds, 1);
	return 0;
}

/**
 * bar_lease_hold_outer - keep a lease's DMABUF
 * @lease: a lease that somebody holds in this way
 */
void bar_lease_hold_outer(struct bar_lease *lease)
{
	refcount_inc(&lease->holds);
}

/**
 * bar_lease_put_outer - end a hold of a lease's DMABUF
 * @lease: the lease; the caller knows nothing of it any more
 */
void bar_lease_put_outer(struct bar_lease *lease)
{
	struct bar_holder *holder = lease->holder;

	/* Whoever finds the list empty starts the work, which takes all there is. */
	if (refcount_dec_and_test(&lease->holds) && llist_add(&lease->put_node, &holder->puts))
		queue_work(bar_put_wq, &holder->put_work);
}

int __init bar_outer_init(void)
{
	bar_put_wq = alloc_workqueue("bar_lease_put", WQ_UNBOUND, WQ_MAX_ACTIVE);
	return bar_put_wq ? 0 : -ENOMEM;
}

void bar_outer_exit(void)
{
	destroy_workqueue(bar_put_wq);
}
