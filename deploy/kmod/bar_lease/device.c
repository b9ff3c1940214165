// SPDX-License-Identifier: GPL-2.0
/* Devices with leases: their address space, and what is done to all of it. */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "internal.h"

/* Protects the list, and the last put of each device on it. */
static DEFINE_MUTEX(bar_devices_lock);
static LIST_HEAD(bar_devices);

static struct workqueue_struct *bar_drop_wq;

/*
 * The owner makes the anchor hold the module, so that the address space is
 * gone before the code is.
 */
static const struct file_operations bar_anchor_fops = {
	.owner = THIS_MODULE,
};

static void bar_device_drop_work(struct work_struct *work)
{
	struct bar_device *device = container_of(work, struct bar_device, drop_work);
	struct bar_lease *lease, *next;

	llist_for_each_entry_safe(lease, next, llist_del_all(&device->drops), drop_node)
		bar_lease_drop_inner(lease);

	/* Pairs with bar_device_queue_drop(); frees the device and this work with it. */
	bar_device_put(device);
}

static struct bar_device *bar_device_create(struct pci_dev *pdev)
{
	struct bar_device *device;
	int ret;

	lockdep_assert_held(&bar_devices_lock);

	device = kzalloc_obj(*device);
	if (!device)
		return ERR_PTR(-ENOMEM);

	/*
	 * An inode of its own: the one that most anonymous files share has a
	 * mapping that everybody else's VMAs are in.
	 */
	device->anchor =
		anon_inode_create_getfile("[bar_lease]", &bar_anchor_fops, NULL, O_RDWR, NULL);
	if (IS_ERR(device->anchor)) {
		ret = PTR_ERR(device->anchor);
		goto err_free_device;
	}

	kref_init(&device->kref);
	init_llist_head(&device->drops);
	INIT_WORK(&device->drop_work, bar_device_drop_work);
	device->pdev = pci_dev_get(pdev);
	list_add(&device->node, &bar_devices);

	return device;

err_free_device:
	kfree(device);
	return ERR_PTR(ret);
}

/**
 * bar_device_get - the device of a PCI function, made if it has none yet
 * @pdev: the function
 *
 * Returns a reference, or ERR_PTR(-ENOMEM and what else a new file can fail with).
 */
struct bar_device *bar_device_get(struct pci_dev *pdev)
{
	struct bar_device *device;

	mutex_lock(&bar_devices_lock);
	list_for_each_entry(device, &bar_devices, node) {
		if (device->pdev == pdev) {
			kref_get(&device->kref);
			goto out_unlock;
		}
	}
	device = bar_device_create(pdev);
out_unlock:
	mutex_unlock(&bar_devices_lock);
	return device;
}

static void bar_device_release(struct kref *kref)
{
	struct bar_device *device = container_of(kref, struct bar_device, kref);

	lockdep_assert_held(&bar_devices_lock);

	list_del(&device->node);
	mutex_unlock(&bar_devices_lock);

	WARN_ON(atomic_read(&device->live_leases));
	pci_dev_put(device->pdev);
	/*
	 * At once: a deferred put would keep the module busy for a moment after
	 * its last lease is gone, and make "stop the broker, rmmod" a gamble.
	 */
	__fput_sync(device->anchor);
	kfree(device);
}

void bar_device_put(struct bar_device *device)
{
	kref_put_mutex(&device->kref, bar_device_release, &bar_devices_lock);
}

/**
 * bar_device_unmap - take part of the address space out of every process
 * @device: the device
 * @start: in its address space, page-aligned
 * @length: bytes, page-aligned, not 0
 *
 * Entries that a fault inserts meanwhile may survive: who needs them gone has
 * to keep faults from inserting first.
 */
void bar_device_unmap(struct bar_device *device, u64 start, u64 length)
{
	unmap_mapping_pages(device->anchor->f_mapping, start >> PAGE_SHIFT, length >> PAGE_SHIFT,
			    true);
}

/**
 * bar_device_flush_writes - have the device receive what was written to it
 * @device: the device
 *
 * No read request overtakes posted writes on the same path. The vendor id is
 * the one register that a device in reset or gone answers without retries.
 */
void bar_device_flush_writes(struct bar_device *device)
{
	u16 vendor;

	if (READ_ONCE(device->combines))
		bar_memory_drain();

	pci_read_config_word(device->pdev, PCI_VENDOR_ID, &vendor);
}

/**
 * bar_device_queue_drop - let go of a revoked lease's vfio-pci DMABUF, soon
 * @device: the lease's device
 * @lease: the lease; its reference for this passes to the work
 */
void bar_device_queue_drop(struct bar_device *device, struct bar_lease *lease)
{
	/* Whoever finds the list empty starts the work, which takes all there is. */
	if (llist_add(&lease->drop_node, &device->drops)) {
		kref_get(&device->kref);
		queue_work(bar_drop_wq, &device->drop_work);
	}
}

int __init bar_device_init(void)
{
	bar_drop_wq = alloc_workqueue("bar_lease", WQ_UNBOUND, 0);
	return bar_drop_wq ? 0 : -ENOMEM;
}

void bar_device_exit(void)
{
	/* Each device holds the module: none is left, only a work's last lines. */
	destroy_workqueue(bar_drop_wq);
}
