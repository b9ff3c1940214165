// SPDX-License-Identifier: GPL-2.0
/*
 * Taking revoked leases out of every process that maps them.
 *
 * Unmapping a lease takes the lock of its mapping, which mmap() and munmap() of
 * its holders take as well, and nobody knows how long the scheduler keeps a
 * holder from giving it back. So it is done on a worker, which REVOKE waits for
 * as long as it waits for anything; and each lease has a mapping of its own, so
 * its holders are in nobody else's way.
 */
#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/list_sort.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "internal.h"

static struct workqueue_struct *bar_unmap_wq;

/* May somebody keep us waiting just now? */
static bool bar_unmap_is_contended(struct bar_lease *lease)
{
	struct address_space *mapping = lease->outer->file->f_mapping;

	if (!i_mmap_trylock_read(mapping))
		return true;
	i_mmap_unlock_read(mapping);
	return false;
}

static void bar_unmap_one(struct bar_lease *lease)
{
	bar_lease_unmap(lease, 0, lease->size);
	atomic64_inc(&lease->session->unmaps);
	cond_resched();
}

static int bar_unmap_compare(void *unused, const struct list_head *a, const struct list_head *b)
{
	const struct bar_lease *x = list_entry(a, struct bar_lease, unmap_node);
	const struct bar_lease *y = list_entry(b, struct bar_lease, unmap_node);

	/* Any order of devices will do. */
	return x->device > y->device;
}

/* Flushes each device once, and lets go of the leases: they are confirmed from here on. */
static void bar_unmap_finish(struct list_head *leases)
{
	struct bar_device *device = NULL;
	struct bar_lease *lease, *next;

	list_sort(NULL, leases, bar_unmap_compare);
	list_for_each_entry(lease, leases, unmap_node) {
		if (lease->device != device)
			bar_device_flush_writes(lease->device);
		device = lease->device;
	}

	list_for_each_entry(lease, leases, unmap_node)
		bar_lease_set_unmapped(lease);
	bar_lease_wake_revokers();

	/* Synchronous, as every put on a worker here: the lease may go with it. */
	list_for_each_entry_safe(lease, next, leases, unmap_node)
		__fput_sync(lease->outer->file);
}

/**
 * bar_unmap_now - unmap leases, however long it takes
 * @leases: leases that the caller has marked, by @unmap_node, and a reference
 *	to the DMABUF of each, which is put
 */
void bar_unmap_now(struct list_head *leases)
{
	struct bar_lease *lease;

	list_for_each_entry(lease, leases, unmap_node)
		bar_unmap_one(lease);
	bar_unmap_finish(leases);
}

static void bar_unmap_lease_work(struct work_struct *work)
{
	struct bar_lease *lease = container_of(work, struct bar_lease, unmap_work);
	LIST_HEAD(leases);

	list_add(&lease->unmap_node, &leases);
	bar_unmap_now(&leases);
}

/* No lease waits for another's holders, but for the moment between a look and the lock. */
static void bar_unmapping_work(struct work_struct *work)
{
	struct bar_unmapping *unmapping = container_of(work, struct bar_unmapping, work);
	struct bar_lease *lease, *next;

	list_for_each_entry_safe(lease, next, &unmapping->leases, unmap_node) {
		if (bar_unmap_is_contended(lease)) {
			list_del(&lease->unmap_node);
			queue_work(bar_unmap_wq, &lease->unmap_work);
		} else {
			bar_unmap_one(lease);
		}
	}
	bar_unmap_finish(&unmapping->leases);
	complete(&unmapping->done);
	bar_unmapping_put(unmapping);
}

/**
 * bar_unmapping_create - prepare to unmap leases on a worker
 *
 * Returns an unmapping without leases, for the caller to fill and to put, or NULL
 * when there is no memory.
 */
struct bar_unmapping *bar_unmapping_create(void)
{
	struct bar_unmapping *unmapping = kzalloc_obj(*unmapping);

	if (unmapping) {
		kref_init(&unmapping->kref);
		init_completion(&unmapping->done);
		INIT_LIST_HEAD(&unmapping->leases);
		INIT_WORK(&unmapping->work, bar_unmapping_work);
	}
	return unmapping;
}

static void bar_unmapping_release(struct kref *kref)
{
	kfree(container_of(kref, struct bar_unmapping, kref));
}

void bar_unmapping_put(struct bar_unmapping *unmapping)
{
	kref_put(&unmapping->kref, bar_unmapping_release);
}

/**
 * bar_unmapping_run - unmap leases on a worker
 * @unmapping: an unmapping, whose leases are the worker's from here on
 * @deadline: until when to wait for it, in jiffies
 *
 * Leases for which somebody else has to be waited for come later, and all do
 * if the deadline is over: bar_lease_wait_ended() of each tells.
 */
void bar_unmapping_run(struct bar_unmapping *unmapping, unsigned long deadline)
{
	if (list_empty(&unmapping->leases))
		return;

	kref_get(&unmapping->kref);
	queue_work(bar_unmap_wq, &unmapping->work);
	wait_for_completion_timeout(&unmapping->done, max(0L, (long)(deadline - jiffies)));
}

/**
 * bar_unmap_init_lease - what a lease has for this
 * @lease: a lease that nobody can see yet
 */
void bar_unmap_init_lease(struct bar_lease *lease)
{
	INIT_WORK(&lease->unmap_work, bar_unmap_lease_work);
}

int __init bar_unmap_init(void)
{
	/*
	 * Ahead of whatever the processors are busy with, and however short
	 * memory is: who revokes a lease may do so because of its holder.
	 */
	bar_unmap_wq = alloc_workqueue("bar_lease_unmap", WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM,
				       WQ_MAX_ACTIVE);
	return bar_unmap_wq ? 0 : -ENOMEM;
}

void bar_unmap_exit(void)
{
	destroy_workqueue(bar_unmap_wq);
}
