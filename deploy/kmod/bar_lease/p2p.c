// SPDX-License-Identifier: GPL-2.0
/*
 * P2P leases: other devices' drivers attach to them and map them for DMA.
 *
 * Each importer's attachment has one to vfio-pci's DMABUF behind it, for the
 * same device, and each mapping is one of that: so VFIO knows of all of them
 * and waits for their end by itself before it takes the device away.
 *
 * The reservation of @outer is that of @inner. With two, a mapping (theirs, then
 * VFIO's) and an invalidation (VFIO's, then theirs) would take them in opposite
 * orders. It lies in @inner, which therefore stays until @outer is released.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/iommu.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/slab.h>

#include "internal.h"

/**
 * struct bar_peer - another device's attachment to a lease
 * @lease: the lease; the importer holds @outer, and so the lease, until it detaches
 * @attach: the importer's attachment to @outer
 * @inner_attach: ours to @inner, for the same device
 * @maps: mappings that the importer has; under the reservation
 */
struct bar_peer {
	struct bar_lease *lease;
	struct dma_buf_attachment *attach;
	struct dma_buf_attachment *inner_attach;
	unsigned int maps;
};

static struct workqueue_struct *bar_p2p_wq;

/*
 * VFIO takes the device away, and waits for our unmappings once all have been
 * told. It calls this when it gives it back, too: by then nothing is mapped.
 */
static void bar_peer_invalidate_mappings(struct dma_buf_attachment *inner_attach)
{
	struct bar_peer *peer = inner_attach->importer_priv;
	struct dma_buf_attachment *attach = peer->attach;

	dma_resv_assert_held(inner_attach->dmabuf->resv);

	if (peer->maps)
		attach->importer_ops->invalidate_mappings(attach);
}

static const struct dma_buf_attach_ops bar_peer_attach_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = bar_peer_invalidate_mappings,
};

/**
 * bar_p2p_attach - a driver wants its device to reach a lease
 * @outer: the lease's DMABUF
 * @attach: the driver's attachment, being made
 *
 * Returns 0, -EOPNOTSUPP (no P2P lease, or a driver that can't be made to let
 * go of it), -ENODEV (revoked or suspended) or -ENOMEM.
 */
int bar_p2p_attach(struct dma_buf *outer, struct dma_buf_attachment *attach)
{
	struct bar_lease *lease = outer->priv;
	struct bar_peer *peer;
	int ret;

	/*
	 * Without P2P the reservation of @outer guards nothing: what a client
	 * does to it (fences, poll) can't hold up VFIO or a revoke.
	 */
	if (!(lease->flags & BAR_LEASE_EXPORT_P2P))
		return -EOPNOTSUPP;
	if (!attach->peer2peer || !dma_buf_attach_revocable(attach))
		return -EOPNOTSUPP;
	if (!bar_lease_is_live(lease))
		return -ENODEV;

	peer = kzalloc_obj(*peer, GFP_KERNEL_ACCOUNT);
	if (!peer)
		return -ENOMEM;
	peer->lease = lease;
	peer->attach = attach;

	peer->inner_attach =
		dma_buf_dynamic_attach(lease->inner, attach->dev, &bar_peer_attach_ops, peer);
	if (IS_ERR(peer->inner_attach)) {
		ret = PTR_ERR(peer->inner_attach);
		goto err_free_peer;
	}

	attach->priv = peer;
	atomic64_inc(&lease->session->importers);
	return 0;

err_free_peer:
	kfree(peer);
	return ret;
}

void bar_p2p_detach(struct dma_buf *outer, struct dma_buf_attachment *attach)
{
	struct bar_lease *lease = outer->priv;
	struct bar_peer *peer = attach->priv;

	WARN_ON_ONCE(peer->maps);
	/* VFIO may still tell of an invalidation until here; @attach is freed after. */
	dma_buf_detach(lease->inner, peer->inner_attach);
	kfree(peer);
	atomic64_dec(&lease->session->importers);
}

/* As with insertions: a mapping is refused once the lease is marked, or is waited for. */
static bool bar_p2p_begin_map(struct bar_lease *lease)
{
	bool allowed;

	spin_lock(&lease->lock);
	allowed = !lease->revoked;
	if (allowed)
		lease->maps++;
	spin_unlock(&lease->lock);

	return allowed;
}

static void bar_p2p_end_map(struct bar_lease *lease)
{
	bool wake;

	spin_lock(&lease->lock);
	wake = !--lease->maps && lease->revoked;
	spin_unlock(&lease->lock);
	if (wake)
		bar_lease_wake_revokers();
}

/**
 * bar_p2p_map - map a lease for an importer's device
 * @attach: the importer's attachment; it holds the reservation
 * @direction: of the DMA
 *
 * Returns addresses for the device: those of the bus, or the IOMMU's. -ENODEV
 * when the lease is revoked, or the device suspended; what else there is comes
 * from the PCI core, which knows no route (-EINVAL), or from the IOMMU.
 */
struct sg_table *bar_p2p_map(struct dma_buf_attachment *attach, enum dma_data_direction direction)
{
	struct bar_peer *peer = attach->priv;
	struct bar_lease *lease = peer->lease;
	struct sg_table *sgt;

	if (!bar_p2p_begin_map(lease))
		return ERR_PTR(-ENODEV);

	sgt = dma_buf_map_attachment(peer->inner_attach, direction);
	if (IS_ERR(sgt)) {
		bar_p2p_end_map(lease);
		return sgt;
	}

	peer->maps++;
	atomic64_inc(&lease->session->importer_maps);
	return sgt;
}

/*
 * Where the IOMMU's caches are flushed lazily, which is the default of many
 * machines, the device could use the addresses for some milliseconds more.
 */
static void bar_peer_flush_iotlb(struct device *dev)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	if (domain && domain->type == IOMMU_DOMAIN_DMA_FQ)
		iommu_flush_iotlb_all(domain);
}

void bar_p2p_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
		   enum dma_data_direction direction)
{
	struct bar_peer *peer = attach->priv;
	struct bar_lease *lease = peer->lease;

	bar_inner_unmap(peer->inner_attach, sgt, direction);
	bar_peer_flush_iotlb(attach->dev);
	peer->maps--;
	atomic64_dec(&lease->session->importer_maps);
	bar_p2p_end_map(lease);
}

static void bar_p2p_invalidate_work(struct work_struct *work)
{
	struct bar_lease *lease = container_of(work, struct bar_lease, invalidate_work);
	struct dma_buf *outer = lease->outer;

	dma_resv_lock(outer->resv, NULL);
	dma_buf_invalidate_mappings(outer);
	dma_resv_unlock(outer->resv);

	bar_lease_put_outer(lease);
}

static void bar_p2p_drop_work(struct work_struct *work)
{
	bar_lease_drop_inner(container_of(work, struct bar_lease, drop_work));
}

/**
 * bar_p2p_init_lease - what a P2P lease has beyond others
 * @lease: a lease that nobody can see yet
 */
void bar_p2p_init_lease(struct bar_lease *lease)
{
	INIT_WORK(&lease->invalidate_work, bar_p2p_invalidate_work);
	INIT_WORK(&lease->drop_work, bar_p2p_drop_work);
}

/**
 * bar_p2p_queue_drop - let go of vfio-pci's DMABUF, soon
 * @lease: a lease whose own DMABUF is being released; that reference passes to the work
 *
 * Not with the device's other drops: VFIO may be holding the reservation until
 * somebody's fence is signalled, and these would wait along.
 */
void bar_p2p_queue_drop(struct bar_lease *lease)
{
	queue_work(bar_p2p_wq, &lease->drop_work);
}

/**
 * bar_p2p_revoke - tell a lease's importers that it ends
 * @lease: a lease that its caller has just marked, and holds
 *
 * On a worker, because it takes the reservation. VFIO holds that for as long as
 * a fence takes which any holder of the lease can have put there; and nothing is
 * known of how long importers think about it.
 */
void bar_p2p_revoke(struct bar_lease *lease)
{
	/* Nothing was mapped when it was marked: who is attached finds out when it maps. */
	if (!lease->await_fences)
		return;

	/* The work's. */
	bar_lease_hold_outer(lease);
	queue_work(bar_p2p_wq, &lease->invalidate_work);
}

/**
 * bar_p2p_wait_fences - wait for what devices were still doing when importers unmapped
 * @lease: a lease that bar_lease_wait_ended() has waited for; the caller holds
 *	its DMABUF
 * @deadline: until when, in jiffies
 *
 * An importer that unmaps has either stopped its device or left a fence. There
 * may be others' fences as well, and they can't be told apart.
 *
 * Returns whether all were signalled.
 */
bool bar_p2p_wait_fences(struct bar_lease *lease, unsigned long deadline)
{
	long left = max(0L, (long)(deadline - jiffies));

	if (!lease->await_fences)
		return true;
	return dma_resv_wait_timeout(lease->inner->resv, DMA_RESV_USAGE_BOOKKEEP, false, left) > 0;
}

int __init bar_p2p_init(void)
{
	/* Each work can take long, and must not keep another lease's from its own. */
	bar_p2p_wq = alloc_workqueue("bar_lease_p2p", WQ_UNBOUND, WQ_MAX_ACTIVE);
	return bar_p2p_wq ? 0 : -ENOMEM;
}

void bar_p2p_exit(void)
{
	destroy_workqueue(bar_p2p_wq);
}
