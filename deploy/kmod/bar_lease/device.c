// SPDX-License-Identifier: GPL-2.0
/* Devices with leases, and whose leases these are. */
#include <linux/err.h>
#include <linux/slab.h>

#include "internal.h"

/* Protects the list, and the last put of each device on it. */
static DEFINE_MUTEX(bar_devices_lock);
static LIST_HEAD(bar_devices);

static struct workqueue_struct *bar_drop_wq;

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
	struct bar_device *device = kzalloc_obj(*device);

	if (!device)
		return NULL;

	kref_init(&device->kref);
	xa_init(&device->holders);
	init_llist_head(&device->drops);
	INIT_WORK(&device->drop_work, bar_device_drop_work);
	device->pdev = pci_dev_get(pdev);

	return device;
}

static void bar_device_free(struct bar_device *device)
{
	/* An insertion that failed may have left nodes without entries. */
	WARN_ON(xa_find(&device->holders, &(unsigned long){ 0 }, ULONG_MAX, XA_PRESENT));
	xa_destroy(&device->holders);
	pci_dev_put(device->pdev);
	kfree(device);
}

/**
 * bar_device_get - the device of a PCI function, made if it has none yet
 * @pdev: the function
 *
 * Returns a reference, or ERR_PTR(-ENOMEM).
 */
struct bar_device *bar_device_get(struct pci_dev *pdev)
{
	/* Before the lock, for which the end of leases waits. */
	struct bar_device *new = bar_device_create(pdev);
	struct bar_device *device;

	if (!new)
		return ERR_PTR(-ENOMEM);

	mutex_lock(&bar_devices_lock);
	list_for_each_entry(device, &bar_devices, node) {
		if (device->pdev == pdev) {
			kref_get(&device->kref);
			goto out_unlock;
		}
	}
	list_add(&new->node, &bar_devices);
	device = new;
	new = NULL;
out_unlock:
	mutex_unlock(&bar_devices_lock);

	if (new)
		bar_device_free(new);
	return device;
}

static void bar_device_release(struct kref *kref)
{
	struct bar_device *device = container_of(kref, struct bar_device, kref);

	lockdep_assert_held(&bar_devices_lock);

	list_del(&device->node);
	mutex_unlock(&bar_devices_lock);

	bar_device_free(device);
}

void bar_device_put(struct bar_device *device)
{
	kref_put_mutex(&device->kref, bar_device_release, &bar_devices_lock);
}

/**
 * bar_device_get_holder - who answers for a new lease
 * @device: the lease's device
 * @number: the holder's
 *
 * Returns the holder, for bar_device_put_holder(), or ERR_PTR(-ENOMEM), or
 * ERR_PTR(-EDQUOT) if it has all the leases that it may have.
 */
struct bar_holder *bar_device_get_holder(struct bar_device *device, u32 number)
{
	struct bar_holder *new = kzalloc_obj(*new, GFP_KERNEL_ACCOUNT);
	struct bar_holder *holder;

	if (!new)
		return ERR_PTR(-ENOMEM);
	new->number = number;
	bar_outer_init_holder(new);

	/* A spinlock: who puts a holder must not be kept waiting for memory. */
	xa_lock(&device->holders);
	holder = __xa_cmpxchg(&device->holders, number, NULL, new, GFP_KERNEL_ACCOUNT);
	if (!holder) {
		holder = new;
		new = NULL;
	}
	if (xa_is_err(holder))
		holder = ERR_PTR(xa_err(holder));
	else if (holder->nr_leases >= bar_max_holder_leases)
		holder = ERR_PTR(-EDQUOT);
	else
		holder->nr_leases++;
	xa_unlock(&device->holders);

	kfree(new);
	return holder;
}

/**
 * bar_device_put_holder - a lease of a holder is gone
 * @device: the lease's device
 * @holder: the holder, freed with its last lease
 */
void bar_device_put_holder(struct bar_device *device, struct bar_holder *holder)
{
	bool last;

	xa_lock(&device->holders);
	last = !--holder->nr_leases;
	if (last)
		__xa_erase(&device->holders, holder->number);
	xa_unlock(&device->holders);
	if (!last)
		return;

	WARN_ON(atomic_read(&holder->vmas));
	kfree(holder);
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
	/* A lease's DMABUF held the module until it was released: what is queued still runs. */
	destroy_workqueue(bar_drop_wq);
}
