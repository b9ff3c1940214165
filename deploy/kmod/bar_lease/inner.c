// SPDX-License-Identifier: GPL-2.0
/* The importing side of a lease: vfio-pci's DMABUF, what it backs and whether it can be reached. */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/minmax.h>
#include <linux/scatterlist.h>
#include <linux/string.h>

#include "internal.h"

/* Who may export the DMABUFs that leases are made of; see README.md. */
#define BAR_INNER_EXPORTER "vfio_pci_core"

/*
 * VFIO takes the device away (memory decode off, reset, D3, close), or gives it
 * back: called under VFIO's memory_lock with the reservation of @inner held,
 * and still "revoked" in either case, so asking again is left to the next fault.
 */
static void bar_lease_invalidate_mappings(struct dma_buf_attachment *attach)
{
	struct bar_lease *lease = attach->importer_priv;

	dma_resv_assert_held(attach->dmabuf->resv);

	/* Faults insert under the reservation and only while live: nothing there. */
	if (!lease->live)
		return;
	WRITE_ONCE(lease->live, false);
	if (!lease->entered)
		return;
	lease->entered = false;

	if (!bar_lease_hold_mapped_outer(lease))
		return;
	bar_lease_unmap(lease, 0, lease->size);
	atomic64_inc(&lease->session->unmaps);
	if (lease->memory_type == BAR_LEASE_MEMORY_WRITE_COMBINING)
		bar_memory_drain();
	bar_lease_put_outer(lease);
}

static const struct dma_buf_attach_ops bar_lease_attach_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = bar_lease_invalidate_mappings,
};

/**
 * bar_lease_get_inner - vfio-pci's DMABUF of a lease
 * @lease: the lease
 *
 * Returns a reference, or NULL when the lease is revoked.
 */
struct dma_buf *bar_lease_get_inner(struct bar_lease *lease)
{
	struct dma_buf *inner = NULL;

	spin_lock(&lease->lock);
	/* Dropped after the mark only, so there is one. */
	if (!lease->revoked) {
		inner = lease->inner;
		get_dma_buf(inner);
	}
	spin_unlock(&lease->lock);

	return inner;
}

/**
 * bar_inner_unmap - undo dma_buf_map_attachment() of vfio-pci's DMABUF
 * @attach: the attachment; the caller holds the reservation of its DMABUF
 * @sgt: what it gave
 * @direction: that it was given for
 *
 * The table that vfio-pci gives says that it has no CPU entries by an orig_nents
 * of 0, and the kernel's own helper then frees that many: none, and a process
 * that makes leases and ends them eats up the memory (seen with 7.3). All of its
 * entries were allocated at once, so this says so; a kernel that counts rightly
 * finds what it expects.
 */
void bar_inner_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
		     enum dma_data_direction direction)
{
	sgt->orig_nents = sgt->nents;
	dma_buf_unmap_attachment(attach, sgt, direction);
}

/**
 * bar_lease_probe - can the device be reached?
 * @lease: a lease with an attachment; the caller holds the reservation of @inner
 *
 * Asks VFIO, if need be, by a mapping that is undone at once. What that may fail
 * with beside the errors below concerns the route for DMA, which VFIO looks at
 * when the device can be reached.
 *
 * Returns 0, -ENODEV (not now, or never again) or -ENOMEM.
 */
int bar_lease_probe(struct bar_lease *lease)
{
	struct sg_table *sgt;

	dma_resv_assert_held(lease->attach->dmabuf->resv);

	if (lease->live)
		return 0;

	sgt = dma_buf_map_attachment(lease->attach, DMA_BIDIRECTIONAL);
	if (!IS_ERR(sgt))
		bar_inner_unmap(lease->attach, sgt, DMA_BIDIRECTIONAL);
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

/*
 * The ranges one after the other, cut into entries in any way: VFIO begins a new
 * entry with each range and before 4 GiB, but owes nobody either.
 */
static bool bar_lease_backed_by(struct bar_lease *lease, struct sg_table *sgt)
{
	u64 bar_address = pci_bus_address(lease->device->pdev, lease->bar);
	struct bar_extent *extent = lease->extents;
	struct bar_extent *end = extent + lease->nr_extents;
	struct scatterlist *sg;
	u64 seen = 0;
	int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		u64 address = sg_dma_address(sg);
		u64 left = sg_dma_len(sg);

		while (left) {
			u64 run;

			if (extent == end ||
			    address != bar_address + extent->offset + seen)
				return false;

			run = min(left, extent->length - seen);
			address += run;
			left -= run;
			seen += run;
			if (seen == extent->length) {
				extent++;
				seen = 0;
			}
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
		bar_inner_unmap(lease->attach, sgt, DMA_BIDIRECTIONAL);
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
 * bar_lease_import - take vfio-pci's DMABUF and see that it is what it should be
 * @lease: a lease with its device, ranges and session
 * @fd: the caller's descriptor of the DMABUF
 *
 * Sets @inner, @attach, @live and @verified. Returns 0 or one of EXPORT's errors.
 */
int bar_lease_import(struct bar_lease *lease, int fd)
{
	int ret;

	lease->inner = dma_buf_get(fd);
	if (IS_ERR(lease->inner))
		return PTR_ERR(lease->inner);

	/* Before any call into its operations: VFIO's are known, others are not. */
	if (strcmp(lease->inner->exp_name, BAR_INNER_EXPORTER) ||
	    lease->inner->size != lease->size) {
		ret = -EINVAL;
		goto err_put_inner;
	}

	lease->attach = dma_buf_dynamic_attach(lease->inner, &lease->device->pdev->dev,
					       &bar_lease_attach_ops, lease);
	if (IS_ERR(lease->attach)) {
		ret = PTR_ERR(lease->attach);
		if (ret == -ENODEV)
			ret = -EAGAIN;
		goto err_put_inner;
	}

	ret = bar_lease_verify(lease);
	if (ret)
		goto err_detach;
	return 0;

err_detach:
	dma_buf_detach(lease->inner, lease->attach);
err_put_inner:
	dma_buf_put(lease->inner);
	return ret;
}

/**
 * bar_lease_unimport - undo bar_lease_import()
 * @lease: a lease that was never exported
 */
void bar_lease_unimport(struct bar_lease *lease)
{
	dma_buf_detach(lease->inner, lease->attach);
	dma_buf_put(lease->inner);
}

/**
 * bar_lease_let_go - a revoked lease needs vfio-pci's DMABUF no more
 * @lease: the lease
 *
 * A P2P lease goes on using its reservation, until its own DMABUF is released.
 */
void bar_lease_let_go(struct bar_lease *lease)
{
	if (lease->flags & BAR_LEASE_EXPORT_P2P)
		return;

	kref_get(&lease->kref);
	bar_device_queue_drop(lease->device, lease);
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

/**
 * bar_lease_state - for a listing
 * @lease: a published lease; the caller holds the session's lock
 *
 * Returns one of BAR_LEASE_STATE_*.
 */
u32 bar_lease_state(struct bar_lease *lease)
{
	struct dma_buf *inner;
	int err = -ENODEV;

	lockdep_assert_held(&lease->session->lock);

	inner = bar_lease_get_inner(lease);
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
