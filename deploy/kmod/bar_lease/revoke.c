// SPDX-License-Identifier: GPL-2.0
/*
 * Ending leases: mark all, wait for insertions under way, unmap, flush.
 *
 * Neither VFIO's locks nor the reservation of any DMABUF are taken on the way,
 * so a device that hangs in a reset doesn't hold up a revoke.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/list_sort.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "internal.h"

/**
 * struct bar_revocation - what one revoke works on; under the session's revoke_lock
 * @leases: the leases, all marked revoked
 * @extents: their extents
 */
struct bar_revocation {
	struct list_head leases;
	struct list_head extents;
};

static void bar_revocation_init(struct bar_revocation *revocation)
{
	INIT_LIST_HEAD(&revocation->leases);
	INIT_LIST_HEAD(&revocation->extents);
}

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

/* Marks a lease and takes it in. Returns whether this very call ended it. */
static bool bar_revoke_collect(struct bar_revocation *revocation, struct bar_lease *lease)
{
	unsigned int i;

	lockdep_assert_held(&lease->session->revoke_lock);

	/* Named twice in one call. */
	if (!list_empty(&lease->revoke_node))
		return false;

	list_add_tail(&lease->revoke_node, &revocation->leases);
	for (i = 0; i < lease->nr_extents; i++)
		list_add_tail(&lease->extents[i].node, &revocation->extents);
	return bar_lease_mark_revoked(lease);
}

static void bar_revoke_unmap(struct bar_session *session, struct bar_revocation *revocation)
{
	struct bar_device *device = NULL;
	u64 start = 0, end = 0;
	struct bar_extent *extent;

	list_sort(NULL, &revocation->extents, bar_extent_compare);

	list_for_each_entry(extent, &revocation->extents, node) {
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
 * Ends every access through the leases. Returns false when an insertion could
 * not be waited for. Even then all is unmapped, and what is still being
 * inserted unmaps itself: it will end, but can't be promised to have ended.
 */
static bool bar_revoke(struct bar_session *session, struct bar_revocation *revocation)
{
	unsigned long deadline = jiffies + BAR_REVOKE_TIMEOUT;
	struct bar_lease *lease;
	bool confirmed = true;

	lockdep_assert_held(&session->revoke_lock);

	list_for_each_entry(lease, &revocation->leases, revoke_node) {
		lease->confirmed = bar_lease_wait_idle(lease, deadline);
		confirmed &= lease->confirmed;
	}

	bar_revoke_unmap(session, revocation);

	/*
	 * Only now: until its mappings are gone, VFIO has to be able to tell us
	 * that it takes the device away.
	 */
	list_for_each_entry(lease, &revocation->leases, revoke_node) {
		if (lease->dropping)
			continue;
		lease->dropping = true;
		kref_get(&lease->kref);
		bar_device_queue_drop(lease->device, lease);
	}
	return confirmed;
}

/* Takes the leases that are confirmed, or all with @force, out of the table: their ids are free. */
static void bar_revoke_retire(struct bar_session *session, struct bar_revocation *revocation,
			      bool force)
{
	struct bar_lease *lease, *next;

	list_for_each_entry_safe(lease, next, &revocation->leases, revoke_node) {
		list_del_init(&lease->revoke_node);
		if (!force && !lease->confirmed)
			continue;

		mutex_lock(&session->lock);
		xa_erase(&session->leases, lease->id);
		session->nr_leases--;
		session->nr_ranges -= lease->nr_extents;
		mutex_unlock(&session->lock);
		/* The table's reference; may free the lease, and its extents with it. */
		dma_buf_put(lease->outer);
		cond_resched();
	}
}

static u32 bar_revoke_collect_ids(struct bar_session *session, struct bar_revocation *revocation,
				  const u64 *ids, u32 nr_ids)
{
	struct bar_lease *lease;
	u32 i, nr_revoked = 0;

	mutex_lock(&session->lock);
	for (i = 0; i < nr_ids; i++) {
		lease = xa_load(&session->leases, ids[i]);
		if (lease && bar_revoke_collect(revocation, lease))
			nr_revoked++;
		cond_resched();
	}
	mutex_unlock(&session->lock);

	return nr_revoked;
}

long bar_session_revoke(struct bar_session *session, void __user *arg)
{
	struct bar_lease_revoke request;
	struct bar_revocation revocation;
	bool confirmed;
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

	/* An EFAULT must mean that nothing was revoked: find out first. */
	request.nr_revoked = 0;
	ret = bar_request_return(arg, &request, sizeof(request));
	if (ret)
		goto out_free_ids;

	bar_revocation_init(&revocation);
	mutex_lock(&session->revoke_lock);
	request.nr_revoked = bar_revoke_collect_ids(session, &revocation, ids, request.nr_ids);
	atomic64_inc(&session->revoke_calls);
	atomic64_add(request.nr_revoked, &session->leases_revoked);

	confirmed = bar_revoke(session, &revocation);
	bar_revoke_retire(session, &revocation, false);
	mutex_unlock(&session->revoke_lock);

	ret = confirmed ? 0 : -ETIMEDOUT;
	/* Could be written a moment ago; a caller who unmaps it meanwhile won't know. */
	if (bar_request_return(arg, &request, sizeof(request)))
		pr_debug("nr_revoked could not be reported\n");

out_free_ids:
	kvfree(ids);
	return ret;
}

/**
 * bar_session_revoke_all - end every lease of a session that is being closed
 * @session: the session, which nobody can call any more
 */
void bar_session_revoke_all(struct bar_session *session)
{
	struct bar_revocation revocation;
	struct bar_lease *lease;
	unsigned long id;

	bar_revocation_init(&revocation);
	mutex_lock(&session->revoke_lock);
	mutex_lock(&session->lock);
	xa_for_each(&session->leases, id, lease) {
		bar_revoke_collect(&revocation, lease);
		cond_resched();
	}
	mutex_unlock(&session->lock);

	if (!bar_revoke(session, &revocation))
		pr_warn_ratelimited("closed a session while a page fault was still ending\n");
	bar_revoke_retire(session, &revocation, true);
	mutex_unlock(&session->revoke_lock);
}
