// SPDX-License-Identifier: GPL-2.0
/*
 * Ending leases: mark all, unmap, flush, then wait for what was under way.
 *
 * No lock is held while waiting, and none of VFIO's and no DMABUF's reservation
 * is taken on the way: neither another lease's trouble nor a device that hangs
 * in a reset holds up a revoke. Unmapping takes the lock of the device's address
 * space, for which mmap() and munmap() of any holder have to be waited for.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/list_sort.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "internal.h"

/**
 * struct bar_revocation - what one revoke works on
 * @extents: those of the leases that this very call marked; nobody else has
 *	them on a list, because a lease is marked once
 * @nr_revoked: how many leases that are
 * @leases: the leases to be confirmed, whoever marked them; a reference to each
 *	one's DMABUF
 * @nr_leases: entries in @leases
 */
struct bar_revocation {
	struct list_head extents;
	u32 nr_revoked;
	struct bar_lease **leases;
	u32 nr_leases;
};

static int bar_extent_compare(void *unused, const struct list_head *a, const struct list_head *b)
{
	const struct bar_extent *x = list_entry(a, struct bar_extent, node);
	const struct bar_extent *y = list_entry(b, struct bar_extent, node);

	/* By device first: any order of devices will do. */
	if (x->lease->device != y->lease->device)
		return x->lease->device > y->lease->device ? 1 : -1;
	if (x->start != y->start)
		return x->start > y->start ? 1 : -1;
	return 0;
}

/* Lets no access begin any more, and takes in what is to be unmapped if nobody has yet. */
static bool bar_revoke_mark(struct list_head *extents, struct bar_lease *lease)
{
	unsigned int i;

	if (!bar_lease_mark_revoked(lease))
		return false;

	bar_p2p_revoke(lease);
	for (i = 0; i < lease->nr_extents; i++)
		list_add_tail(&lease->extents[i].node, extents);
	return true;
}

static void bar_revoke_unmap(struct bar_session *session, struct list_head *extents)
{
	struct bar_device *device = NULL;
	u64 start = 0, end = 0;
	struct bar_extent *extent;

	list_sort(NULL, extents, bar_extent_compare);

	list_for_each_entry(extent, extents, node) {
		if (extent->lease->device == device && extent->start <= end) {
			end = max(end, extent->start + extent->length);
			continue;
		}

		if (device) {
			bar_device_unmap(device, start, end - start);
			atomic64_inc(&session->unmaps);
			cond_resched();
		}
		if (extent->lease->device != device) {
			if (device)
				bar_device_flush_writes(device);
			device = extent->lease->device;
			/* With its last lease ends whatever is mapped of it. */
			if (!atomic_read(&device->live_leases)) {
				start = 0;
				end = BAR_SPACE_END;
				continue;
			}
		}
		start = extent->start;
		end = extent->start + extent->length;
	}

	if (device) {
		bar_device_unmap(device, start, end - start);
		atomic64_inc(&session->unmaps);
		bar_device_flush_writes(device);
	}
}

/*
 * Ends every access of the CPUs through leases that this call has marked, but
 * for insertions that are under way: these take back what they inserted. Each
 * lease is confirmed from then on that has none.
 */
static void bar_revoke_end(struct bar_session *session, struct list_head *extents)
{
	struct bar_extent *extent, *next;

	bar_revoke_unmap(session, extents);

	list_for_each_entry_safe(extent, next, extents, node) {
		list_del_init(&extent->node);
		bar_lease_set_unmapped(extent->lease);
	}
	bar_lease_wake_revokers();
}

/* Takes a confirmed lease out of the table, if nobody has yet: its id is free. */
static void bar_revoke_retire(struct bar_session *session, struct bar_lease *lease)
{
	bool ours;

	mutex_lock(&session->lock);
	ours = xa_load(&session->leases, lease->id) == lease;
	if (ours) {
		xa_erase(&session->leases, lease->id);
		session->nr_leases--;
		session->nr_ranges -= lease->nr_extents;
	}
	mutex_unlock(&session->lock);
	if (!ours)
		return;

	/*
	 * Only now: until its mappings are gone, VFIO has to be able to tell us
	 * that it takes the device away.
	 */
	bar_lease_let_go(lease);
	/* The table's reference; may free the lease. */
	dma_buf_put(lease->outer);
}

/* Has every access ended, of CPUs and of other devices? Waits for it until @deadline. */
static bool bar_revoke_wait(struct bar_lease *lease, unsigned long deadline)
{
	return bar_lease_wait_ended(lease, deadline) && bar_p2p_wait_fences(lease, deadline);
}

/*
 * Retires what is confirmed, at once where it is and until @deadline where it
 * takes time. Returns whether all of it was.
 */
static bool bar_revoke_confirm(struct bar_session *session, struct bar_revocation *revocation)
{
	unsigned long deadline = jiffies + BAR_REVOKE_TIMEOUT;
	struct bar_lease *lease;
	u32 i, nr_stuck = 0;
	bool confirmed = true;

	for (i = 0; i < revocation->nr_leases; i++) {
		lease = revocation->leases[i];
		if (bar_revoke_wait(lease, jiffies)) {
			bar_revoke_retire(session, lease);
			dma_buf_put(lease->outer);
		} else {
			revocation->leases[nr_stuck++] = lease;
		}
		cond_resched();
	}

	for (i = 0; i < nr_stuck; i++) {
		lease = revocation->leases[i];
		if (bar_revoke_wait(lease, deadline))
			bar_revoke_retire(session, lease);
		else
			confirmed = false;
		dma_buf_put(lease->outer);
	}
	return confirmed;
}

static void bar_revoke_collect(struct bar_session *session, struct bar_revocation *revocation,
			       const u64 *ids, u32 nr_ids)
{
	struct bar_lease *lease;
	u32 i;

	mutex_lock(&session->lock);
	for (i = 0; i < nr_ids; i++) {
		lease = xa_load(&session->leases, ids[i]);
		if (lease) {
			if (bar_revoke_mark(&revocation->extents, lease))
				revocation->nr_revoked++;
			get_dma_buf(lease->outer);
			revocation->leases[revocation->nr_leases++] = lease;
		}
		cond_resched();
	}
	mutex_unlock(&session->lock);
}

long bar_session_revoke(struct bar_session *session, void __user *arg)
{
	struct bar_lease_revoke request;
	struct bar_revocation revocation = {};
	u64 *ids;
	int ret;

	ret = bar_request_copy(&request, sizeof(request), BAR_REVOKE_SIZE_V1, arg);
	if (ret)
		return ret;
	if (request.flags || !request.nr_ids || request.nr_ids > BAR_LEASE_MAX_IDS)
		return -EINVAL;

	ids = vmemdup_array_user(u64_to_user_ptr(request.ids), request.nr_ids, sizeof(*ids));
	if (IS_ERR(ids))
		return PTR_ERR(ids);

	INIT_LIST_HEAD(&revocation.extents);
	revocation.leases = kvmalloc_objs(*revocation.leases, request.nr_ids, GFP_KERNEL_ACCOUNT);
	if (!revocation.leases) {
		ret = -ENOMEM;
		goto out_free_ids;
	}

	/* An EFAULT must mean that nothing was revoked: find out first. */
	request.nr_revoked = 0;
	ret = bar_request_return(arg, &request, sizeof(request));
	if (ret)
		goto out_free_leases;

	bar_revoke_collect(session, &revocation, ids, request.nr_ids);
	atomic64_inc(&session->revoke_calls);
	atomic64_add(revocation.nr_revoked, &session->leases_revoked);

	bar_revoke_end(session, &revocation.extents);
	ret = bar_revoke_confirm(session, &revocation) ? 0 : -ETIMEDOUT;

	/* Could be written a moment ago; a caller who unmaps it meanwhile won't know. */
	request.nr_revoked = revocation.nr_revoked;
	if (bar_request_return(arg, &request, sizeof(request)))
		pr_debug("nr_revoked could not be reported\n");

out_free_leases:
	kvfree(revocation.leases);
out_free_ids:
	kvfree(ids);
	return ret;
}

/*
 * There is nobody who could ask again. So importers are waited for without end,
 * as VFIO does when its device is closed: an address in another device's hands
 * is an access. A page fault ends what it inserted by itself, and fences are no
 * more than a word about a device whose mappings are gone.
 */
static void bar_revoke_wait_close(struct bar_lease *lease, unsigned long deadline)
{
	bar_lease_wait_unmapped(lease);
	if (!bar_lease_wait_ended(lease, deadline))
		pr_warn_ratelimited("closed a session during a page fault\n");
	if (!bar_p2p_wait_fences(lease, deadline))
		pr_warn_ratelimited("closed a session with fences on a lease\n");
}

/**
 * bar_session_revoke_all - end every lease of a session that is being closed
 * @session: the session, which nobody can call any more
 */
void bar_session_revoke_all(struct bar_session *session)
{
	unsigned long deadline;
	struct bar_lease *lease;
	LIST_HEAD(extents);
	unsigned long id;

	mutex_lock(&session->lock);
	xa_for_each(&session->leases, id, lease) {
		bar_revoke_mark(&extents, lease);
		cond_resched();
	}
	mutex_unlock(&session->lock);
	bar_revoke_end(session, &extents);

	deadline = jiffies + BAR_REVOKE_TIMEOUT;
	xa_for_each(&session->leases, id, lease) {
		bar_revoke_wait_close(lease, deadline);
		bar_revoke_retire(session, lease);
		cond_resched();
	}
}
