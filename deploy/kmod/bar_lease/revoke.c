// SPDX-License-Identifier: GPL-2.0
/*
 * Ending leases: mark all, have them unmapped and flushed, then wait for that and
 * for what was under way.
 *
 * No lock is held while waiting; none of VFIO's, no DMABUF's reservation and no
 * mapping's lock is taken on the way, and no file that clients have is put: not
 * another lease's trouble, nor a device that hangs in a reset, nor what a holder
 * thinks of holds up a revoke beyond its bound.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "internal.h"

/**
 * struct bar_revocation - what one revoke works on
 * @marked: the leases that this very call marked
 * @nr_revoked: how many that are
 * @leases: the leases that have not ended, whoever marked them; a hold of each
 *	one's DMABUF
 * @nr_leases: entries in @leases
 * @fenced: those that have, but for what fences say; holds as well
 * @nr_fenced: entries in @fenced
 */
struct bar_revocation {
	struct list_head marked;
	u32 nr_revoked;
	struct bar_lease **leases;
	u32 nr_leases;
	struct bar_lease **fenced;
	u32 nr_fenced;
};

/*
 * Lets no access begin any more, and adds the lease, with a hold, to those to be
 * unmapped if nobody has done so yet.
 */
static bool bar_revoke_mark(struct list_head *marked, struct bar_lease *lease)
{
	if (!bar_lease_mark_revoked(lease))
		return false;

	bar_p2p_revoke(lease);
	bar_lease_hold_outer(lease);
	list_add_tail(&lease->unmap_node, marked);
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
	/* The table's; may free the lease. */
	bar_lease_put_outer(lease);
}

/* Retires what has ended; what has left fences is put aside. */
static void bar_revoke_retire_ended(struct bar_session *session, struct bar_revocation *revocation)
{
	u32 i, nr_left = 0;
	struct bar_lease *lease;

	for (i = 0; i < revocation->nr_leases; i++) {
		lease = revocation->leases[i];
		if (!bar_lease_has_ended(lease)) {
			revocation->leases[nr_left++] = lease;
		} else if (bar_p2p_wait_fences(lease, jiffies)) {
			bar_revoke_retire(session, lease);
			bar_lease_put_outer(lease);
		} else {
			revocation->fenced[revocation->nr_fenced++] = lease;
		}
		cond_resched();
	}
	revocation->nr_leases = nr_left;
}

/*
 * Retires leases as they are confirmed, until all are or @deadline is over: none
 * waits for another. Returns whether all were.
 */
static bool bar_revoke_confirm(struct bar_session *session, struct bar_revocation *revocation,
			       unsigned long deadline)
{
	struct bar_lease *lease;
	bool confirmed;
	u32 i;

	bar_revoke_retire_ended(session, revocation);
	while (revocation->nr_leases &&
	       bar_lease_wait_any_ended(revocation->leases, revocation->nr_leases, deadline))
		bar_revoke_retire_ended(session, revocation);

	confirmed = !revocation->nr_leases;
	for (i = 0; i < revocation->nr_leases; i++)
		bar_lease_put_outer(revocation->leases[i]);

	for (i = 0; i < revocation->nr_fenced; i++) {
		lease = revocation->fenced[i];
		if (bar_p2p_wait_fences(lease, deadline))
			bar_revoke_retire(session, lease);
		else
			confirmed = false;
		bar_lease_put_outer(lease);
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
			if (bar_revoke_mark(&revocation->marked, lease))
				revocation->nr_revoked++;
			bar_lease_hold_outer(lease);
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
	unsigned long deadline;
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

	INIT_LIST_HEAD(&revocation.marked);
	revocation.leases =
		kvmalloc_objs(*revocation.leases, 2 * request.nr_ids, GFP_KERNEL_ACCOUNT);
	if (!revocation.leases) {
		ret = -ENOMEM;
		goto out_free_ids;
	}

	revocation.fenced = revocation.leases + request.nr_ids;

	/* An EFAULT must mean that nothing was revoked: find out first. */
	request.nr_revoked = 0;
	ret = bar_request_return(arg, &request, sizeof(request));
	if (ret)
		goto out_free_leases;

	bar_revoke_collect(session, &revocation, ids, request.nr_ids);
	atomic64_inc(&session->revoke_calls);
	atomic64_add(revocation.nr_revoked, &session->leases_revoked);

	deadline = jiffies + BAR_REVOKE_TIMEOUT;
	bar_unmap_queue(&revocation.marked);
	ret = bar_revoke_confirm(session, &revocation, deadline) ? 0 : -ETIMEDOUT;

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
	LIST_HEAD(marked);
	unsigned long id;

	mutex_lock(&session->lock);
	xa_for_each(&session->leases, id, lease) {
		bar_revoke_mark(&marked, lease);
		cond_resched();
	}
	mutex_unlock(&session->lock);
	bar_unmap_queue(&marked);

	deadline = jiffies + BAR_REVOKE_TIMEOUT;
	xa_for_each(&session->leases, id, lease) {
		bar_revoke_wait_close(lease, deadline);
		bar_revoke_retire(session, lease);
		cond_resched();
	}
}
