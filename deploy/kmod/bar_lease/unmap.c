// SPDX-License-Identifier: GPL-2.0
/*
 * Taking revoked leases out of every process that maps them.
 *
 * That takes the lock of the lease's mapping, which mmap() and munmap() of its
 * holders take as well, and nobody knows how long the scheduler keeps a holder
 * from giving it back; and it visits all that a holder has mapped. So it is done
 * on workers, one for each holder: REVOKE waits for them no longer than it waits
 * for anything, and no holder for another.
 */
#include <linux/errno.h>
#include <linux/list_sort.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "internal.h"

static struct workqueue_struct *bar_unmap_wq;

/* By holder, of which each device has its own. */
static int bar_unmap_compare(void *unused, const struct list_head *a, const struct list_head *b)
{
	const struct bar_lease *x = list_entry(a, struct bar_lease, unmap_node);
	const struct bar_lease *y = list_entry(b, struct bar_lease, unmap_node);

	/* Any order will do. */
	return x->holder > y->holder;
}

/*
 * Ends every access of the CPUs through the leases of a group, but for insertions
 * that are under way: these take back what they inserted.
 */
static void bar_unmap_group_work(struct work_struct *work)
{
	struct bar_lease *leader = container_of(work, struct bar_lease, unmap_work);
	struct bar_lease *lease, *next;
	LIST_HEAD(group);

	/* The leader may be gone before the last of them is. */
	list_replace(&leader->unmap_group, &group);

	list_for_each_entry(lease, &group, unmap_node) {
		bar_lease_unmap(lease, 0, lease->size);
		atomic64_inc(&lease->session->unmaps);
		cond_resched();
	}
	bar_device_flush_writes(leader->device);

	list_for_each_entry(lease, &group, unmap_node) {
		bar_lease_set_unmapped(lease);
		cond_resched();
	}
	bar_lease_wake_revokers();

	list_for_each_entry_safe(lease, next, &group, unmap_node) {
		bar_lease_put_outer(lease);
		cond_resched();
	}
}

/**
 * bar_unmap_queue - have leases unmapped
 * @leases: leases that the caller has marked, by @unmap_node, and a hold of the
 *	DMABUF of each: the workers' from here on, and no list any more
 *
 * bar_lease_has_ended() of each tells when it's done.
 */
void bar_unmap_queue(struct list_head *leases)
{
	struct bar_lease *leader, *lease, *next;

	list_sort(NULL, leases, bar_unmap_compare);

	while (!list_empty(leases)) {
		leader = list_first_entry(leases, struct bar_lease, unmap_node);
		INIT_LIST_HEAD(&leader->unmap_group);
		list_for_each_entry_safe(lease, next, leases, unmap_node) {
			if (lease->holder != leader->holder)
				break;
			list_move_tail(&lease->unmap_node, &leader->unmap_group);
		}
		queue_work(bar_unmap_wq, &leader->unmap_work);
		cond_resched();
	}
}

/**
 * bar_unmap_init_lease - what a lease has for this
 * @lease: a lease that nobody can see yet
 */
void bar_unmap_init_lease(struct bar_lease *lease)
{
	INIT_WORK(&lease->unmap_work, bar_unmap_group_work);
}

int __init bar_unmap_init(void)
{
	/*
	 * Ahead of whatever the processors are busy with, and with a worker in
	 * reserve where memory is short: who revokes a lease may do so because of
	 * its holder.
	 */
	bar_unmap_wq = alloc_workqueue("bar_lease_unmap", WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM,
				       WQ_MAX_ACTIVE);
	return bar_unmap_wq ? 0 : -ENOMEM;
}

void bar_unmap_exit(void)
{
	destroy_workqueue(bar_unmap_wq);
}
