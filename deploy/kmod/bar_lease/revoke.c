// SPDX-License-Identifier: GPL-2.0
/*
 * Ending leases: mark all, have them unmapped and flushed, then wait for that and
 * for what was under way.
 *
 * No lock is held while waiting, and none of VFIO's, no DMABUF's reservation and
 * no mapping's lock is taken on the way: neither another lease's trouble nor a
 * device that hangs in a reset nor a holder who was kept off the processor in
 * mmap() holds up a revoke beyond its bound.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "internal.h"

/**
 * struct bar_revocation - what one revoke works on
 * @unmapping: the leases that this very call marked
 * @nr_revoked: how many that are
 * @leases: the leases to be confirmed, whoever marked them; a reference to each
 *	one's DMABUF
 * @nr_leases: entries in @leases
 */
struct bar_revocation {
	struct bar_unmapping *unmapping;
	u32 nr_revoked;
	struct bar_lease **leases;
	u32 nr_leases;
};

/*
 * Lets no access begin any more, and adds the lease, with a reference, to those
 * to be unmapped if nobody has done so yet.
 */
static bool bar_revoke_mark(struct list_head *unmapping, struct bar_lease *lease)
{
	if (!bar_lease_mark_revoked(lease))
		return false;

	bar_p2p_revoke(lease);
	get_dma_buf(lease->outer);
	list_add_tail(&lease->unmap_node, unmapping);
	return true;
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
 * Has what was marked unmapped, and retires what is confirmed: at once where it
 * is, and in the end where it takes time. Returns whether all of it was.
 */
static bool bar_revoke_confirm(struct bar_session *session, struct bar_revocation *revocation)
{
	unsigned long deadline = jiffies + BAR_REVOKE_TIMEOUT;
	struct bar_lease *lease;
	u32 i, nr_stuck = 0;
	bool confirmed = true;

	bar_unmapping_run(revocation->unmapping, deadline);

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
			if (bar_revoke_mark(&revocation->unmapping->leases, lease))
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

	revocation.leases = kvmalloc_objs(*revocation.leases, request.nr_ids, GFP_KERNEL_ACCOUNT);
	if (!revocation.leases) {
		ret = -ENOMEM;
		goto out_free_ids;
	}

	revocation.unmapping = bar_unmapping_create();
	if (!revocation.unmapping) {
		ret = -ENOMEM;
		goto out_free_leases;
	}

	/* An EFAULT must mean that nothing was revoked: find out first. */
	request.nr_revoked = 0;
	ret = bar_request_return(arg, &request, sizeof(request));
	if (ret)
		goto out_free_unmapping;

	bar_revoke_collect(session, &revocation, ids, request.nr_ids);
	atomic64_inc(&session->revoke_calls);
	atomic64_add(revocation.nr_revoked, &session->leases_revoked);

	ret = bar_revoke_confirm(session, &revocation) ? 0 : -ETIMEDOUT;

	/* Could be written a moment ago; a caller who unmaps it meanwhile won't know. */
	request.nr_revoked = revocation.nr_revoked;
	if (bar_request_return(arg, &request, sizeof(request)))
		pr_debug("nr_revoked could not be reported\n");

out_free_unmapping:
	bar_unmapping_put(revocation.unmapping);
out_free_leases:
	kvfree(revocation.leases);
out_free_ids:
	kvfree(ids);
	return ret;
}

/*
 * There is nobody who could ask again. So unmapping and importers are waited for
 * without end, as VFIO does when its device is closed: an address in another
 * device's hands is an access. A page fault ends what it inserted by itself, and
 * fences are no more than a word about a device whose mappings are gone.
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
	LIST_HEAD(unmapping);
	unsigned long id;

	mutex_lock(&session->lock);
	xa_for_each(&session->leases, id, lease) {
		bar_revoke_mark(&unmapping, lease);
		cond_resched();
	}
	mutex_unlock(&session->lock);
	bar_unmap_now(&unmapping);

	deadline = jiffies + BAR_REVOKE_TIMEOUT;
	xa_for_each(&session->leases, id, lease) {
		bar_revoke_wait_close(lease, deadline);
		bar_revoke_retire(session, lease);
		cond_resched();
	}
}
