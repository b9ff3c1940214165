// SPDX-License-Identifier: GPL-2.0
/* A lease: made of checked parts, freed when nobody holds it. */

#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"

#define BAR_PCI_DRIVER "vfio-pci"

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
