// SPDX-License-Identifier: GPL-2.0
/* The exporting side of a lease: the DMABUF that clients map, and their page faults. */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>

#include "internal.h"

static void bar_lease_outer_release(struct dma_buf *outer)
{
	struct bar_lease *lease = outer->priv;

	/*
	 * No VMA and no attachment is left: each holds the file. The device, and
	 * its anchor, may go; @inner as well, if its reservation was ours.
	 */
	if (lease->flags & BAR_LEASE_EXPORT_P2P)
		bar_device_queue_drop(lease->device, lease);
	else
		bar_lease_put(lease);
}

static struct bar_extent *bar_lease_find_extent(struct bar_lease *lease, u64 address)
{
	unsigned int i;

	for (i = 0; i < lease->nr_extents; i++) {
		struct bar_extent *extent = &lease->extents[i];

		if (address >= extent->start && address - extent->start < extent->length)
			return extent;
	}
	return NULL;
}

static vm_fault_t bar_lease_fault_locked(struct bar_lease *lease, struct vm_fault *vmf)
{
	u64 address = (u64)vmf->pgoff << PAGE_SHIFT;
	struct bar_extent *extent;
	unsigned long pfn;
	vm_fault_t ret;
	int err;

	if (!lease->attach)
		return VM_FAULT_SIGBUS;

	err = bar_lease_probe(lease);
	if (err)
		return err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;

	/* ->mmap made sure of both; inserting a page frame that has a page would BUG. */
	extent = bar_lease_find_extent(lease, address);
	if (WARN_ON_ONCE(!extent))
		return VM_FAULT_SIGBUS;
	pfn = extent->pfn + ((address - extent->start) >> PAGE_SHIFT);
	if (WARN_ON_ONCE(pfn_valid(pfn)))
		return VM_FAULT_SIGBUS;

	if (!bar_lease_begin_insert(lease))
		return VM_FAULT_SIGBUS;
	ret = vmf_insert_pfn(vmf->vma, vmf->address, pfn);
	if (ret == VM_FAULT_NOPAGE)
		atomic64_inc(&lease->session->faults);
	bar_lease_end_insert(lease, vmf->pgoff);

	return ret;
}

static vm_fault_t bar_lease_fault(struct vm_fault *vmf)
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
		ret = VM_FAULT_NOPAGE;
		goto out_put_inner;
	}
	ret = bar_lease_fault_locked(lease, vmf);
	dma_resv_unlock(inner->resv);

out_put_inner:
	dma_buf_put(inner);
	return ret;
}

static void bar_lease_vma_open(struct vm_area_struct *vma)
{
	struct bar_lease *lease = vma->vm_private_data;

	atomic_inc(&lease->vmas);
}

static void bar_lease_vma_close(struct vm_area_struct *vma)
{
	struct bar_lease *lease = vma->vm_private_data;

	atomic_dec(&lease->vmas);
}

/* Splitting is no way past the limit, nor is forking: see ->mmap. */
static int bar_lease_vma_may_split(struct vm_area_struct *vma, unsigned long address)
{
	struct bar_lease *lease = vma->vm_private_data;

	return atomic_read(&lease->vmas) < BAR_MAX_VMAS ? 0 : -ENOMEM;
}

static const struct vm_operations_struct bar_lease_vm_ops = {
	.open = bar_lease_vma_open,
	.close = bar_lease_vma_close,
	.may_split = bar_lease_vma_may_split,
	.fault = bar_lease_fault,
};

/*
 * Where in the device's address space do @length bytes at @offset of the lease
 * lie? They must not straddle ranges: a VMA is contiguous in that space.
 */
static int bar_lease_locate(struct bar_lease *lease, u64 offset, u64 length, u64 *address)
{
	unsigned int i;

	for (i = 0; i < lease->nr_extents; i++) {
		struct bar_extent *extent = &lease->extents[i];

		if (offset < extent->length) {
			if (length > extent->length - offset)
				return -EINVAL;
			*address = extent->start + offset;
			return 0;
		}
		offset -= extent->length;
	}
	return -EINVAL;
}

static int bar_lease_mmap(struct dma_buf *outer, struct vm_area_struct *vma)
{
	struct bar_lease *lease = outer->priv;
	u64 address;
	int ret;

	/* SHARED is cleared for descriptors that can't be written, MAYSHARE isn't. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;

	/* dma-buf has compared end and size; pages, so neither shift can overflow. */
	ret = bar_lease_locate(lease, (u64)vma->vm_pgoff << PAGE_SHIFT, vma->vm_end - vma->vm_start,
			       &address);
	if (ret)
		return ret;

	if (!bar_lease_is_live(lease))
		return -ENODEV;

	/* The VFS says so of a read-only descriptor; leases don't rest on that alone. */
	if (lease->flags & BAR_LEASE_EXPORT_READ_ONLY) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		vm_flags_clear(vma, VM_MAYWRITE);
	}

	if (!atomic_add_unless(&lease->vmas, 1, BAR_MAX_VMAS))
		return -ENOMEM;

	/*
	 * Not PFNMAP: VFIO's type 1 IOMMU driver would follow such entries and
	 * hand their addresses to a device, where no unmapping reaches them.
	 * DONTCOPY, because ->open can't refuse: each fork would double what a
	 * revoke has to visit. MADV_DOFORK doesn't take it from an IO mapping.
	 */
	vm_flags_set(vma, VM_IO | VM_MIXEDMAP | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = pgprot_decrypted(pgprot_noncached(vma->vm_page_prot));
	vma->vm_pgoff = address >> PAGE_SHIFT;
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

/**
 * bar_lease_export_outer - make the lease's own DMABUF
 * @lease: a lease that is otherwise complete; its reference passes to the DMABUF
 *
 * Sets lease->outer, a reference of the caller's. Returns 0 or -errno, and then
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

	/* Its VMAs belong to the device's address space; each of them holds this file. */
	outer->file->f_mapping = lease->device->anchor->f_mapping;
	lease->outer = outer;
	return 0;
}
