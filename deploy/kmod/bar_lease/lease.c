// SPDX-License-Identifier: GPL-2.0
/* A lease: made of checked parts, marked once, freed when nobody holds it. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/wait.h>

#include "internal.h"

#define BAR_PCI_DRIVER "vfio-pci"

/* Woken when something ends that the revoke of a lease waits for. */
static DECLARE_WAIT_QUEUE_HEAD(bar_lease_ended_wq);

static void bar_lease_release(struct kref *kref)
{
	struct bar_lease *lease = container_of(kref, struct bar_lease, kref);

	bar_device_put_holder(lease->device, lease->holder);
	bar_device_put(lease->device);
	bar_session_put(lease->session);
	kfree(lease);
}

void bar_lease_put(struct bar_lease *lease)
{
	kref_put(&lease->kref, bar_lease_release);
}

/* For two EXPORTs not to be in each other's way with a lock that they only try. */
static DEFINE_MUTEX(bar_driver_lock);

/*
 * Whatever the DMABUF proves, only a function that vfio-pci drives is leased: a
 * BAR that a kernel driver works with is nobody's to hand out.
 */
static int bar_pdev_check_driver(struct pci_dev *pdev)
{
	bool ours = false, tried;

	/*
	 * Never wait for this lock: an unbinding holds it until the caller, or
	 * whoever else has the VFIO device open, closes it.
	 */
	mutex_lock(&bar_driver_lock);
	tried = device_trylock(&pdev->dev);
	if (tried) {
		ours = pdev->dev.driver && !strcmp(pdev->dev.driver->name, BAR_PCI_DRIVER);
		device_unlock(&pdev->dev);
	}
	mutex_unlock(&bar_driver_lock);
	if (!tried)
		return -EAGAIN;

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
	unsigned int i;

	if (!(pci_resource_flags(pdev, lease->bar) & IORESOURCE_MEM))
		return -EINVAL;

	for (i = 0; i < lease->nr_extents; i++) {
		struct bar_extent *extent = &lease->extents[i];
		u64 end;

		if (!ranges[i].length || !PAGE_ALIGNED(ranges[i].offset) ||
		    !PAGE_ALIGNED(ranges[i].length) ||
		    check_add_overflow(ranges[i].offset, ranges[i].length, &end) ||
		    end > bar_length)
			return -EINVAL;

		extent->start = lease->size;
		/* A file's size is signed. */
		if (check_add_overflow(lease->size, ranges[i].length, &lease->size) ||
		    lease->size > LLONG_MAX)
			return -EINVAL;

		extent->offset = ranges[i].offset;
		extent->length = ranges[i].length;
		extent->pfn = PHYS_PFN(pci_resource_start(pdev, lease->bar) + ranges[i].offset);
		if (!bar_pfns_are_plain(extent->pfn, extent->length))
			return -EINVAL;
	}
	return 0;
}

/**
 * bar_lease_create - make a lease that nobody can see yet
 * @session: whose it will be
 * @request: EXPORT's arguments, of which flags, bar, memory_type and nr_ranges
 *	were checked
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
	bar_unmap_init_lease(lease);
	bar_p2p_init_lease(lease);
	lease->id = request->lease_id;
	lease->bar = request->bar;
	lease->flags = request->flags;
	lease->memory_type = request->memory_type;

	ret = bar_lease_set_ranges(lease, pdev, ranges);
	if (ret)
		goto err_free_lease;

	lease->device = bar_device_get(pdev);
	if (IS_ERR(lease->device)) {
		ret = PTR_ERR(lease->device);
		goto err_free_lease;
	}

	lease->holder = bar_device_get_holder(lease->device, request->holder);
	if (IS_ERR(lease->holder)) {
		ret = PTR_ERR(lease->holder);
		goto err_put_device;
	}

	if (lease->memory_type == BAR_LEASE_MEMORY_WRITE_COMBINING)
		WRITE_ONCE(lease->device->combines, true);

	kref_get(&session->kref);
	lease->session = session;

	/* From here on VFIO may invalidate at any moment. */
	ret = bar_lease_import(lease, request->dmabuf_fd);
	if (ret)
		goto err_put_session;

	/* On success the lease's one reference is the DMABUF's. */
	ret = bar_lease_export_outer(lease);
	if (ret)
		goto err_unimport;

	pci_dev_put(pdev);
	return lease;

err_unimport:
	bar_lease_unimport(lease);
err_put_session:
	bar_session_put(session);
	bar_device_put_holder(lease->device, lease->holder);
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

	/* Nobody can have mapped it: nothing to wait for or to unmap. */
	spin_lock(&lease->lock);
	lease->revoked = true;
	lease->unmapped = true;
	spin_unlock(&lease->lock);

	bar_lease_let_go(lease);
	dma_buf_put(outer);
}

/* Has a lease that waits in bar_lease_wait_ended() looked at again. */
void bar_lease_wake_revokers(void)
{
	wake_up_all(&bar_lease_ended_wq);
}

/**
 * bar_lease_begin_insert - may a page fault insert an entry?
 * @lease: a lease that a VMA holds
 *
 * Returns false once the lease is marked. Otherwise a revoke waits for the
 * bar_lease_end_insert() that has to follow.
 */
bool bar_lease_begin_insert(struct bar_lease *lease)
{
	bool allowed;

	spin_lock(&lease->lock);
	allowed = !lease->revoked;
	if (allowed)
		lease->inserting++;
	spin_unlock(&lease->lock);

	return allowed;
}

/**
 * bar_lease_end_insert - the page fault has inserted what it wanted, or nothing
 * @lease: the lease
 * @start: what the entry maps, in the lease
 * @length: bytes of it
 */
void bar_lease_end_insert(struct bar_lease *lease, u64 start, u64 length)
{
	bool revoked, wake;

	/* Under the lock: a mark that isn't seen here comes after the entry. */
	spin_lock(&lease->lock);
	revoked = lease->revoked;
	if (!revoked)
		lease->inserting--;
	spin_unlock(&lease->lock);
	if (!revoked)
		return;

	/*
	 * Marked meanwhile: the revoke may have unmapped too early for us. So
	 * this takes the entry away again, and has pushed out what was written
	 * through it before the revoke can see that we are done.
	 */
	bar_lease_unmap(lease, start, length);
	bar_device_flush_writes(lease->device);

	spin_lock(&lease->lock);
	wake = !--lease->inserting;
	spin_unlock(&lease->lock);
	if (wake)
		bar_lease_wake_revokers();
}

/**
 * bar_lease_unmap - take part of a lease out of every process
 * @lease: a lease whose DMABUF the caller, or a VMA, holds
 * @start: in the lease, page-aligned
 * @length: bytes, page-aligned, not 0
 *
 * Entries that a fault inserts meanwhile may survive: who needs them gone has
 * to keep faults from inserting first.
 */
void bar_lease_unmap(struct bar_lease *lease, u64 start, u64 length)
{
	unmap_mapping_pages(lease->outer->file->f_mapping, start >> PAGE_SHIFT,
			    length >> PAGE_SHIFT, true);
}

/**
 * bar_lease_get_mapped_outer - the DMABUF of a lease that may have entries
 * @lease: a lease that was published once; the caller keeps faults from inserting
 *
 * Returns a reference, or NULL when a revoke has taken all entries away.
 */
struct dma_buf *bar_lease_get_mapped_outer(struct bar_lease *lease)
{
	struct dma_buf *outer = NULL;

	spin_lock(&lease->lock);
	/* The table puts its reference after that, so there is one. */
	if (!lease->unmapped) {
		outer = lease->outer;
		get_dma_buf(outer);
	}
	spin_unlock(&lease->lock);

	return outer;
}

/**
 * bar_lease_charge_vma - account for a new VMA
 * @lease: the lease that it maps
 *
 * Returns false, and accounts for none, if that would be one too many.
 */
bool bar_lease_charge_vma(struct bar_lease *lease)
{
	if (!atomic_add_unless(&lease->vmas, 1, bar_max_mappings))
		return false;
	if (atomic_add_unless(&lease->holder->vmas, 1, bar_max_holder_mappings))
		return true;

	atomic_dec(&lease->vmas);
	return false;
}

/* Would bar_lease_charge_vma() succeed just now? */
bool bar_lease_may_add_vma(struct bar_lease *lease)
{
	return atomic_read(&lease->vmas) < bar_max_mappings &&
	       atomic_read(&lease->holder->vmas) < bar_max_holder_mappings;
}

/* Of a VMA that came about without being asked about: see bar_lease_may_add_vma(). */
void bar_lease_add_vma(struct bar_lease *lease)
{
	atomic_inc(&lease->vmas);
	atomic_inc(&lease->holder->vmas);
}

void bar_lease_drop_vma(struct bar_lease *lease)
{
	atomic_dec(&lease->vmas);
	atomic_dec(&lease->holder->vmas);
}

bool bar_lease_is_live(struct bar_lease *lease)
{
	return !READ_ONCE(lease->revoked);
}

/**
 * bar_lease_mark_revoked - let nobody insert or map anything any more
 * @lease: a published lease
 *
 * Returns false when it was marked already. Otherwise the caller has to unmap
 * the lease and say so with bar_lease_set_unmapped().
 */
bool bar_lease_mark_revoked(struct bar_lease *lease)
{
	bool was_live;

	spin_lock(&lease->lock);
	was_live = !lease->revoked;
	WRITE_ONCE(lease->revoked, true);
	spin_unlock(&lease->lock);

	if (was_live)
		atomic64_dec(&lease->session->leases_live);
	return was_live;
}

/**
 * bar_lease_set_unmapped - whoever marked a lease has unmapped it
 * @lease: the lease
 *
 * Posted writes have been flushed as well. bar_lease_wake_revokers() has to follow.
 */
void bar_lease_set_unmapped(struct bar_lease *lease)
{
	spin_lock(&lease->lock);
	lease->unmapped = true;
	spin_unlock(&lease->lock);
}

static bool bar_lease_has_ended(struct bar_lease *lease)
{
	bool ended;

	spin_lock(&lease->lock);
	ended = lease->unmapped && !lease->inserting && !lease->maps;
	spin_unlock(&lease->lock);
	return ended;
}

/**
 * bar_lease_wait_ended - wait until no access can be made through a lease
 * @lease: a lease that is marked revoked, by the caller or somebody else
 * @deadline: until when, in jiffies
 *
 * Returns whether it came to that.
 */
bool bar_lease_wait_ended(struct bar_lease *lease, unsigned long deadline)
{
	long left = max(0L, (long)(deadline - jiffies));

	return wait_event_timeout(bar_lease_ended_wq, bar_lease_has_ended(lease), left);
}

static bool bar_lease_is_mapped(struct bar_lease *lease)
{
	bool mapped;

	spin_lock(&lease->lock);
	mapped = !lease->unmapped || lease->maps;
	spin_unlock(&lease->lock);
	return mapped;
}

/**
 * bar_lease_wait_unmapped - wait until nobody has it mapped, however long that takes
 * @lease: a lease that is marked revoked
 */
void bar_lease_wait_unmapped(struct bar_lease *lease)
{
	if (wait_event_timeout(bar_lease_ended_wq, !bar_lease_is_mapped(lease), BAR_REVOKE_TIMEOUT))
		return;

	pr_warn_ratelimited("closing a session waits for whoever has a lease mapped\n");
	wait_event(bar_lease_ended_wq, !bar_lease_is_mapped(lease));
}
