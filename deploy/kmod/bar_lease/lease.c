// SPDX-License-Identifier: GPL-2.0
/* A lease: importer of vfio-pci's DMABUF, exporter of one that can be mapped. */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "internal.h"

/* Who may export the DMABUFs that leases are made of; see README.md. */
#define BAR_INNER_EXPORTER "vfio_pci_core"
#define BAR_PCI_DRIVER	   "vfio-pci"

/* Woken when a lease that is marked revoked has no insertion under way any more. */
static DECLARE_WAIT_QUEUE_HEAD(bar_lease_idle_wq);

static void bar_lease_release(struct kref *kref)
{
	struct bar_lease *lease = container_of(kref, struct bar_lease, kref);

	bar_device_put(lease->device);
	bar_session_put(lease->session);
	kfree(lease);
}

static void bar_lease_put(struct bar_lease *lease)
{
	kref_put(&lease->kref, bar_lease_release);
}

/* -- the importing side ------------------------------------------------- */

/*
 * VFIO takes the device away (memory decode off, reset, D3, close), or gives it
 * back: called under VFIO's memory_lock with the reservation of @inner held,
 * and still "revoked" in either case, so asking again is left to the next fault.
 */
static void bar_lease_invalidate_mappings(struct dma_buf_attachment *attach)
{
	struct bar_lease *lease = attach->importer_priv;
	unsigned int i;

	dma_resv_assert_held(attach->dmabuf->resv);

	/* Faults insert under the reservation and only while live: nothing there. */
	if (!lease->live)
		return;
	WRITE_ONCE(lease->live, false);

	for (i = 0; i < lease->nr_extents; i++) {
		bar_device_unmap(lease->device, lease->extents[i].start,
				 lease->extents[i].length);
		atomic64_inc(&lease->session->unmaps);
	}
}

static const struct dma_buf_attach_ops bar_lease_attach_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = bar_lease_invalidate_mappings,
};

/*
 * Ask VFIO whether the device can be reached: a mapping that is undone at once.
 * Returns 0, -ENODEV (not now, or never again) or -ENOMEM. What else a mapping
 * may fail with concerns its route for DMA, after VFIO has looked at that.
 */
static int bar_lease_probe(struct bar_lease *lease)
{
	struct sg_table *sgt;

	dma_resv_assert_held(lease->attach->dmabuf->resv);

	if (lease->live)
		return 0;

	sgt = dma_buf_map_attachment(lease->attach, DMA_BIDIRECTIONAL);
	if (!IS_ERR(sgt))
		dma_buf_unmap_attachment(lease->attach, sgt, DMA_BIDIRECTIONAL);
	else if (PTR_ERR(sgt) == -ENODEV || PTR_ERR(sgt) == -ENOMEM)
		return PTR_ERR(sgt);

	WRITE_ONCE(lease->live, true);
	return 0;
}

/*
 * A function whose ACS capability redirects peer-to-peer requests may be given
 * IOMMU addresses even for its own BAR. Without it, and @pdev being provider
 * and client at once, a mapping consists of plain bus addresses.
 */
static bool bar_pdev_redirects(struct pci_dev *pdev)
{
	u16 control;
	u16 acs = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_ACS);

	if (!acs)
		return false;
	pci_read_config_word(pdev, acs + PCI_ACS_CTRL, &control);
	return control & (PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_EC);
}

/* Entries are runs of one range each; a range of 4 GiB or more has several. */
static bool bar_lease_backed_by(struct bar_lease *lease, struct sg_table *sgt)
{
	u64 bar_address = pci_bus_address(lease->device->pdev, lease->bar);
	u64 space = (u64)lease->bar << BAR_SPACE_SHIFT;
	struct bar_extent *extent = lease->extents;
	struct bar_extent *end = extent + lease->nr_extents;
	struct scatterlist *sg;
	u64 seen = 0;
	int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (extent == end ||
		    sg_dma_address(sg) != bar_address + (extent->start - space) + seen ||
		    sg_dma_len(sg) > extent->length - seen)
			return false;

		seen += sg_dma_len(sg);
		if (seen == extent->length) {
			extent++;
			seen = 0;
		}
	}

	return extent == end;
}

/*
 * Does the DMABUF back what the caller says it does? Called once, before the
 * lease can be seen by anybody but VFIO.
 */
static int bar_lease_verify(struct bar_lease *lease)
{
	bool strict = !bar_pdev_redirects(lease->device->pdev);
	struct sg_table *sgt;
	int ret = 0;

	dma_resv_lock(lease->inner->resv, NULL);
	sgt = dma_buf_map_attachment(lease->attach, DMA_BIDIRECTIONAL);
	if (!IS_ERR(sgt)) {
		lease->verified = bar_lease_backed_by(lease, sgt);
		dma_buf_unmap_attachment(lease->attach, sgt, DMA_BIDIRECTIONAL);
	} else if (PTR_ERR(sgt) == -ENODEV) {
		ret = -EAGAIN;
		goto out_unlock;
	} else if (PTR_ERR(sgt) == -ENOMEM) {
		ret = -ENOMEM;
		goto out_unlock;
	}

	if (strict && !lease->verified) {
		ret = -EINVAL;
		goto out_unlock;
	}
	WRITE_ONCE(lease->live, true);
out_unlock:
	dma_resv_unlock(lease->inner->resv);
	return ret;
}

/**
 * bar_lease_drop_inner - let go of vfio-pci's DMABUF
 * @lease: a revoked lease; the queue's reference is put
 *
 * Runs on a worker: the reservation and, for the last reference, VFIO's
 * memory_lock can take as long as a device reset. Synchronous, because a put
 * from a worker would otherwise go to the system's one queue of deferred puts
 * and make all of them wait that long.
 */
void bar_lease_drop_inner(struct bar_lease *lease)
{
	struct dma_buf *inner = lease->inner;
	struct dma_buf_attachment *attach;

	/* A fault that holds a reference of its own finds no attachment. */
	dma_resv_lock(inner->resv, NULL);
	attach = lease->attach;
	lease->attach = NULL;
	dma_resv_unlock(inner->resv);
	dma_buf_detach(inner, attach);

	spin_lock(&lease->lock);
	lease->inner = NULL;
	spin_unlock(&lease->lock);
	__fput_sync(inner->file);

	bar_lease_put(lease);
}

/* -- the exporting side ------------------------------------------------- */

/*
 * A P2P importer would need unmapping of its own; these leases are for CPUs.
 * With this refused, the reservation of @outer guards nothing: what a client
 * does to it (fences, poll) can't hold up VFIO or a revoke.
 */
static int bar_lease_attach(struct dma_buf *outer, struct dma_buf_attachment *attach)
{
	return -EOPNOTSUPP;
}

/* Never called without an attachment, but a DMABUF can't be made without them. */
static struct sg_table *bar_lease_map_dma_buf(struct dma_buf_attachment *attach,
					      enum dma_data_direction direction)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static void bar_lease_unmap_dma_buf(struct dma_buf_attachment *attach, struct sg_table *sgt,
				    enum dma_data_direction direction)
{
}

static void bar_lease_outer_release(struct dma_buf *outer)
{
	/* No VMA is left: each holds the file. The device, and its anchor, may go. */
	bar_lease_put(outer->priv);
}

static bool bar_lease_begin_insert(struct bar_lease *lease)
{
	bool allowed;

	spin_lock(&lease->lock);
	allowed = !lease->revoked;
	if (allowed)
		lease->inserting++;
	spin_unlock(&lease->lock);

	return allowed;
}

static void bar_lease_end_insert(struct bar_lease *lease, pgoff_t pgoff)
{
	bool wake;

	/*
	 * Marked meanwhile. A revoke waits for us before it unmaps, but not for
	 * ever: if it has given up, this is what takes the entry away again.
	 */
	if (READ_ONCE(lease->revoked))
		bar_device_unmap(lease->device, (u64)pgoff << PAGE_SHIFT, PAGE_SIZE);

	spin_lock(&lease->lock);
	wake = !--lease->inserting && lease->revoked;
	spin_unlock(&lease->lock);
	if (wake)
		wake_up_all(&bar_lease_idle_wq);
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
	struct dma_buf *inner = NULL;
	vm_fault_t ret;

	/* Of our own, because a revoke may drop the lease's while we wait below. */
	spin_lock(&lease->lock);
	if (!lease->revoked) {
		inner = lease->inner;
		get_dma_buf(inner);
	}
	spin_unlock(&lease->lock);
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

/* One process can't split its way past the limit; forking can't be refused here. */
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
	ret = bar_lease_locate(lease, (u64)vma->vm_pgoff << PAGE_SHIFT,
			       vma->vm_end - vma->vm_start, &address);
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
	 */
	vm_flags_set(vma, VM_IO | VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = pgprot_decrypted(pgprot_noncached(vma->vm_page_prot));
	vma->vm_pgoff = address >> PAGE_SHIFT;
	vma->vm_private_data = lease;
	vma->vm_ops = &bar_lease_vm_ops;
	return 0;
}

static const struct dma_buf_ops bar_lease_dmabuf_ops = {
	.attach = bar_lease_attach,
	.map_dma_buf = bar_lease_map_dma_buf,
	.unmap_dma_buf = bar_lease_unmap_dma_buf,
	.release = bar_lease_outer_release,
	.mmap = bar_lease_mmap,
};

/* -- making one --------------------------------------------------------- */

/*
 * Whatever the DMABUF proves, only a function that vfio-pci drives is leased: a
 * BAR that a kernel driver works with is nobody's to hand out.
 */
static int bar_pdev_check_driver(struct pci_dev *pdev)
{
	bool ours;

	/*
	 * Never wait for this lock: an unbinding holds it until the caller, or
	 * whoever else has the VFIO device open, closes it.
	 */
	if (!device_trylock(&pdev->dev))
		return -EAGAIN;
	ours = pdev->dev.driver && !strcmp(pdev->dev.driver->name, BAR_PCI_DRIVER);
	device_unlock(&pdev->dev);

	return ours ? 0 : -ENODEV;
}

static struct pci_dev *bar_pdev_get(const struct bar_lease_export *request)
{
	struct pci_dev *pdev;
	int ret;

	if (request->pci_domain > INT_MAX)
		return ERR_PTR(-ENODEV);
	pdev = pci_get_domain_bus_and_slot(request->pci_domain, request->pci_bus,
					   request->pci_devfn);
	if (!pdev)
		return ERR_PTR(-ENODEV);

	ret = bar_pdev_check_driver(pdev);
	if (ret) {
		pci_dev_put(pdev);
		return ERR_PTR(ret);
	}
	return pdev;
}

/* Memory that has struct pages is RAM or claimed for P2P DMA: never a lease. */
static bool bar_pfns_are_plain(unsigned long pfn, u64 length)
{
	unsigned long end = pfn + (length >> PAGE_SHIFT);

	/* Pages come and go by subsections where memory is sparse. */
	while (pfn < end) {
		if (pfn_valid(pfn))
			return false;
#ifdef CONFIG_SPARSEMEM
		pfn = ALIGN_DOWN(pfn + PAGES_PER_SUBSECTION, PAGES_PER_SUBSECTION);
#else
		pfn++;
#endif
	}
	return true;
}

static int bar_lease_set_ranges(struct bar_lease *lease, struct pci_dev *pdev,
				const struct bar_lease_range *ranges)
{
	u64 bar_length = pci_resource_len(pdev, lease->bar);
	u64 space = (u64)lease->bar << BAR_SPACE_SHIFT;
	unsigned int i;

	if (!(pci_resource_flags(pdev, lease->bar) & IORESOURCE_MEM) ||
	    bar_length > 1ULL << BAR_SPACE_SHIFT)
		return -EINVAL;

	for (i = 0; i < lease->nr_extents; i++) {
		struct bar_extent *extent = &lease->extents[i];
		u64 end;

		if (!ranges[i].length || !PAGE_ALIGNED(ranges[i].offset) ||
		    !PAGE_ALIGNED(ranges[i].length) ||
		    check_add_overflow(ranges[i].offset, ranges[i].length, &end) ||
		    end > bar_length ||
		    check_add_overflow(lease->size, ranges[i].length, &lease->size))
			return -EINVAL;

		extent->lease = lease;
		INIT_LIST_HEAD(&extent->node);
		extent->start = space + ranges[i].offset;
		extent->length = ranges[i].length;
		extent->pfn = PHYS_PFN(pci_resource_start(pdev, lease->bar) + ranges[i].offset);
		if (!bar_pfns_are_plain(extent->pfn, extent->length))
			return -EINVAL;
	}
	return 0;
}

static struct dma_buf *bar_lease_export_outer(struct bar_lease *lease)
{
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	struct dma_buf *outer;

	exp_info.ops = &bar_lease_dmabuf_ops;
	exp_info.size = lease->size;
	exp_info.flags = lease->flags & BAR_LEASE_EXPORT_READ_ONLY ? O_RDONLY : O_RDWR;
	exp_info.priv = lease;

	outer = dma_buf_export(&exp_info);
	if (!IS_ERR(outer))
		outer->file->f_mapping = lease->device->anchor->f_mapping;
	return outer;
}

/**
 * bar_lease_create - make a lease that nobody can see yet
 * @session: whose it will be
 * @request: EXPORT's arguments, of which flags, bar and nr_ranges were checked
 * @ranges: request->nr_ranges of them, unchecked
 *
 * Returns a lease with one reference to its DMABUF, lease->outer, which is the
 * caller's and keeps the lease. A lease that is not wanted after all goes to
 * bar_lease_discard(). Fails with what BAR_LEASE_EXPORT documents.
 */
struct bar_lease *bar_lease_create(struct bar_session *session,
				   const struct bar_lease_export *request,
				   const struct bar_lease_range *ranges)
{
	struct bar_lease *lease;
	struct pci_dev *pdev;
	int ret;

	pdev = bar_pdev_get(request);
	if (IS_ERR(pdev))
		return ERR_CAST(pdev);

	lease = kzalloc_flex(*lease, extents, request->nr_ranges, GFP_KERNEL_ACCOUNT);
	if (!lease) {
		ret = -ENOMEM;
		goto err_put_pdev;
	}
	lease->nr_extents = request->nr_ranges;
	kref_init(&lease->kref);
	spin_lock_init(&lease->lock);
	lease->id = request->lease_id;
	lease->bar = request->bar;
	lease->flags = request->flags;

	ret = bar_lease_set_ranges(lease, pdev, ranges);
	if (ret)
		goto err_free_lease;

	lease->device = bar_device_get(pdev);
	if (IS_ERR(lease->device)) {
		ret = PTR_ERR(lease->device);
		goto err_free_lease;
	}

	lease->inner = dma_buf_get(request->dmabuf_fd);
	if (IS_ERR(lease->inner)) {
		ret = PTR_ERR(lease->inner);
		goto err_put_device;
	}

	/* Before any call into its operations: VFIO's are known, others are not. */
	if (strcmp(lease->inner->exp_name, BAR_INNER_EXPORTER) ||
	    lease->inner->size != lease->size) {
		ret = -EINVAL;
		goto err_put_inner;
	}

	lease->attach = dma_buf_dynamic_attach(lease->inner, &pdev->dev, &bar_lease_attach_ops,
					       lease);
	if (IS_ERR(lease->attach)) {
		ret = PTR_ERR(lease->attach);
		if (ret == -ENODEV)
			ret = -EAGAIN;
		goto err_put_inner;
	}

	/* Invalidations count on the session's behalf from here on. */
	kref_get(&session->kref);
	lease->session = session;

	ret = bar_lease_verify(lease);
	if (ret)
		goto err_detach;

	lease->outer = bar_lease_export_outer(lease);
	if (IS_ERR(lease->outer)) {
		ret = PTR_ERR(lease->outer);
		goto err_detach;
	}
	/* The lease's one reference is the DMABUF's now. */

	pci_dev_put(pdev);
	return lease;

err_detach:
	dma_buf_detach(lease->inner, lease->attach);
	bar_session_put(session);
err_put_inner:
	dma_buf_put(lease->inner);
err_put_device:
	bar_device_put(lease->device);
err_free_lease:
	kfree(lease);
err_put_pdev:
	pci_dev_put(pdev);
	return ERR_PTR(ret);
}

/**
 * bar_lease_discard - undo bar_lease_create()
 * @lease: a lease that was never published
 */
void bar_lease_discard(struct bar_lease *lease)
{
	struct dma_buf *outer = lease->outer;

	kref_get(&lease->kref);
	bar_device_queue_drop(lease->device, lease);
	dma_buf_put(outer);
}

/* -- ending one --------------------------------------------------------- */

bool bar_lease_is_live(struct bar_lease *lease)
{
	return !READ_ONCE(lease->revoked);
}

/**
 * bar_lease_mark_revoked - let no further page fault insert anything
 * @lease: a published lease
 *
 * Returns false when it was marked already. Insertions that are under way are
 * bar_lease_wait_idle()'s subject.
 */
bool bar_lease_mark_revoked(struct bar_lease *lease)
{
	bool was_live;

	spin_lock(&lease->lock);
	was_live = !lease->revoked;
	WRITE_ONCE(lease->revoked, true);
	spin_unlock(&lease->lock);

	if (was_live) {
		atomic_dec(&lease->device->live_leases);
		atomic64_dec(&lease->session->leases_live);
	}
	return was_live;
}

bool bar_lease_is_idle(struct bar_lease *lease)
{
	bool idle;

	spin_lock(&lease->lock);
	idle = !lease->inserting;
	spin_unlock(&lease->lock);
	return idle;
}

/**
 * bar_lease_wait_idle - wait until no page fault is inserting
 * @lease: a lease that is marked revoked
 * @deadline: until when, in jiffies
 *
 * Returns whether it came to that.
 */
bool bar_lease_wait_idle(struct bar_lease *lease, unsigned long deadline)
{
	long left = max(0L, (long)(deadline - jiffies));

	return wait_event_timeout(bar_lease_idle_wq, bar_lease_is_idle(lease), left);
}

/**
 * bar_lease_state - for a listing
 * @lease: a published lease; the caller holds the session's lock
 *
 * Returns one of BAR_LEASE_STATE_*.
 */
u32 bar_lease_state(struct bar_lease *lease)
{
	struct dma_buf *inner = NULL;
	int err = -ENODEV;

	lockdep_assert_held(&lease->session->lock);

	spin_lock(&lease->lock);
	if (!lease->revoked) {
		inner = lease->inner;
		get_dma_buf(inner);
	}
	spin_unlock(&lease->lock);
	if (!inner)
		return BAR_LEASE_STATE_REVOKING;

	/*
	 * A resume isn't told in a way that could be noted, so ask. Whoever has
	 * the reservation is inserting a page, or suspending or resuming the
	 * device; the flag is good enough for either, and waiting isn't good.
	 */
	if (dma_resv_trylock(inner->resv)) {
		if (lease->attach)
			err = bar_lease_probe(lease);
		dma_resv_unlock(inner->resv);
	} else if (READ_ONCE(lease->live)) {
		err = 0;
	}
	dma_buf_put(inner);

	return err ? BAR_LEASE_STATE_SUSPENDED : BAR_LEASE_STATE_LIVE;
}
