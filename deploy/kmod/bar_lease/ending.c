// SPDX-License-Identifier: GPL-2.0
/* The end of a lease: marked once, unmapped, and waited for until nothing is under way. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/wait.h>

#include "internal.h"

/* Woken when something ends that the revoke of a lease waits for. */
static DECLARE_WAIT_QUEUE_HEAD(bar_lease_ended_wq);

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
 * bar_lease_hold_mapped_outer - hold the DMABUF of a lease that may have entries
 * @lease: a lease that was published once; the caller keeps faults from inserting
 *
 * Returns false, and has no hold, when a revoke has taken all entries away.
 */
bool bar_lease_hold_mapped_outer(struct bar_lease *lease)
{
	bool mapped;

	spin_lock(&lease->lock);
	/* The table gives up its hold after that, so there is one. */
	mapped = !lease->unmapped;
	if (mapped)
		bar_lease_hold_outer(lease);
	spin_unlock(&lease->lock);

	return mapped;
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
	if (was_live)
		lease->await_fences = lease->maps;
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

/* Nobody reaches it any more, but perhaps a device with a fence: see bar_p2p_wait_fences(). */
bool bar_lease_has_ended(struct bar_lease *lease)
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

static bool bar_lease_any_has_ended(struct bar_lease **leases, u32 nr_leases)
{
	u32 i;

	for (i = 0; i < nr_leases; i++) {
		if (bar_lease_has_ended(leases[i]))
			return true;
	}
	return false;
}

/**
 * bar_lease_wait_any_ended - wait until one of some leases has ended
 * @leases: leases that are marked revoked
 * @nr_leases: how many
 * @deadline: until when, in jiffies
 *
 * Returns whether it came to that.
 */
bool bar_lease_wait_any_ended(struct bar_lease **leases, u32 nr_leases, unsigned long deadline)
{
	long left = max(0L, (long)(deadline - jiffies));

	return wait_event_timeout(bar_lease_ended_wq, bar_lease_any_has_ended(leases, nr_leases),
				  left);
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
