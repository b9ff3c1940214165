// SPDX-License-Identifier: GPL-2.0
/* Sessions: the table of leases, and the calls that make, list and hand them out. */
#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "internal.h"

struct bar_session *bar_session_create(void)
{
	struct bar_session *session = kzalloc_obj(*session, GFP_KERNEL_ACCOUNT);

	if (!session)
		return ERR_PTR(-ENOMEM);

	kref_init(&session->kref);
	mutex_init(&session->lock);
	xa_init(&session->leases);
	return session;
}

static void bar_session_release(struct kref *kref)
{
	struct bar_session *session = container_of(kref, struct bar_session, kref);

	/* An insertion that failed may have left nodes without entries. */
	WARN_ON(xa_find(&session->leases, &(unsigned long){ 0 }, ULONG_MAX, XA_PRESENT));
	xa_destroy(&session->leases);
	kfree(session);
}

void bar_session_put(struct bar_session *session)
{
	kref_put(&session->kref, bar_session_release);
}

/**
 * bar_session_close - the last close of a session's file
 * @session: the session; the file's reference is put
 *
 * Leases whose descriptors are still open or mapped keep the memory of the
 * session for its counters, not the session.
 */
void bar_session_close(struct bar_session *session)
{
	bar_session_revoke_all(session);
	bar_session_put(session);
}

/**
 * bar_request_copy - take an ioctl's argument from its caller
 * @request: where to; starts with argsz
 * @size: what this version's struct has
 * @oldest: what the struct had in the version that introduced the call
 * @arg: where from
 *
 * A caller that knows less than @size asks for zeros in the rest.
 *
 * Returns 0, -EFAULT, -EINVAL (argsz too small) or -E2BIG (it asks for
 * something that this version doesn't know, or for more than a page).
 */
int bar_request_copy(void *request, size_t size, size_t oldest, const void __user *arg)
{
	u32 argsz;
	int ret;

	if (get_user(argsz, (const u32 __user *)arg))
		return -EFAULT;
	if (argsz < oldest)
		return -EINVAL;
	if (argsz > PAGE_SIZE)
		return -E2BIG;

	ret = copy_struct_from_user(request, size, arg, argsz);
	/* The one that was checked, whatever stands there meanwhile. */
	*(u32 *)request = argsz;
	return ret;
}

/**
 * bar_request_return - give an ioctl's argument back to its caller
 * @arg: where to
 * @request: as bar_request_copy() took it, with results
 * @size: what this version's struct has
 *
 * Returns 0 or -EFAULT.
 */
int bar_request_return(void __user *arg, const void *request, size_t size)
{
	size_t known = *(const u32 *)request;

	return copy_to_user(arg, request, min(known, size)) ? -EFAULT : 0;
}

long bar_session_get_info(struct bar_session *session, void __user *arg)
{
	struct bar_lease_info info;
	int ret;

	ret = bar_request_copy(&info, sizeof(info), BAR_INFO_SIZE_V1, arg);
	if (ret)
		return ret;
	if (info.flags)
		return -EINVAL;

	info.api_version = BAR_LEASE_API_VERSION;
	info.max_ranges = BAR_MAX_RANGES;
	info.max_ids = BAR_LEASE_MAX_IDS;
	info.memory_types = bar_memory_types();
	info.leases_live = atomic64_read(&session->leases_live);
	info.exports = atomic64_read(&session->exports);
	info.revoke_calls = atomic64_read(&session->revoke_calls);
	info.leases_revoked = atomic64_read(&session->leases_revoked);
	info.faults = atomic64_read(&session->faults);
	info.huge_faults = atomic64_read(&session->huge_faults);
	info.unmaps = atomic64_read(&session->unmaps);
	info.importers = atomic64_read(&session->importers);
	info.importer_maps = atomic64_read(&session->importer_maps);

	return bar_request_return(arg, &info, sizeof(info));
}

/* Nothing is at @id until bar_session_publish(), and nobody else can take it. */
static int bar_session_reserve(struct bar_session *session, u64 id)
{
	/* Not under the session's lock, for which a revoke waits: memory can take its time. */
	int ret = xa_insert(&session->leases, id, NULL, GFP_KERNEL_ACCOUNT);

	return ret == -EBUSY ? -EEXIST : ret;
}

static void bar_session_unreserve(struct bar_session *session, u64 id)
{
	xa_release(&session->leases, id);
}

/* From here on the reference to lease->outer is the table's. */
static void bar_session_publish(struct bar_session *session, struct bar_lease *lease)
{
	mutex_lock(&session->lock);
	/* In a reserved place: no memory is needed, so this can't fail. */
	xa_store(&session->leases, lease->id, lease, GFP_KERNEL_ACCOUNT);
	session->nr_leases++;
	session->nr_ranges += lease->nr_extents;
	atomic64_inc(&session->leases_live);
	atomic64_inc(&session->exports);
	mutex_unlock(&session->lock);
}

static int bar_export_check(const struct bar_lease_export *request)
{
	if (request->flags & ~(BAR_LEASE_EXPORT_READ_ONLY | BAR_LEASE_EXPORT_P2P))
		return -EINVAL;
	if (request->flags & BAR_LEASE_EXPORT_P2P &&
	    (request->flags & BAR_LEASE_EXPORT_READ_ONLY || request->nr_ranges != 1))
		return -EINVAL;
	if (request->bar >= PCI_STD_NUM_BARS)
		return -EINVAL;
	if (!request->nr_ranges || request->nr_ranges > BAR_MAX_RANGES)
		return -EINVAL;
	if (request->memory_type > BAR_LEASE_MEMORY_WRITE_COMBINING ||
	    !(bar_memory_types() & BIT(request->memory_type)))
		return -EOPNOTSUPP;
	return 0;
}

long bar_session_export(struct bar_session *session, void __user *arg)
{
	struct bar_lease_export request;
	struct bar_lease_range *ranges;
	struct bar_lease *lease;
	struct dma_buf *outer;
	int ret, fd;

	ret = bar_request_copy(&request, sizeof(request), BAR_EXPORT_SIZE_V1, arg);
	if (ret)
		return ret;
	if (!request.memory_type)
		request.memory_type = BAR_LEASE_MEMORY_UNCACHED;
	ret = bar_export_check(&request);
	if (ret)
		return ret;
	ranges = memdup_array_user(u64_to_user_ptr(request.ranges), request.nr_ranges,
				   sizeof(*ranges));
	if (IS_ERR(ranges))
		return PTR_ERR(ranges);

	ret = bar_session_reserve(session, request.lease_id);
	if (ret)
		goto err_free_ranges;

	lease = bar_lease_create(session, &request, ranges);
	if (IS_ERR(lease)) {
		ret = PTR_ERR(lease);
		goto err_unreserve;
	}

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		ret = fd;
		goto err_discard;
	}

	request.verified = lease->verified;
	ret = bar_request_return(arg, &request, sizeof(request));
	if (ret)
		goto err_put_fd;

	/*
	 * Nothing can fail any more. Once published, another thread may revoke
	 * the lease at any moment and leave no other reference than the
	 * descriptor's. Published first, so that no descriptor can be used that
	 * a revoke wouldn't end.
	 */
	outer = lease->outer;
	get_dma_buf(outer);
	bar_session_publish(session, lease);
	fd_install(fd, outer->file);
	kfree(ranges);
	return fd;

err_put_fd:
	put_unused_fd(fd);
err_discard:
	bar_lease_discard(lease);
err_unreserve:
	bar_session_unreserve(session, request.lease_id);
err_free_ranges:
	kfree(ranges);
	return ret;
}

/* Fill in what fits; false when the table has grown beyond that. */
static bool bar_session_snapshot(struct bar_session *session, struct bar_lease_entry *entries,
				 u32 max_entries, struct bar_lease_range *ranges, u32 max_ranges,
				 struct bar_lease_list *sums)
{
	u32 nr_leases = 0, nr_ranges = 0;
	struct bar_lease *lease;
	unsigned long id;
	unsigned int i;

	lockdep_assert_held(&session->lock);

	if (session->nr_leases > max_entries || session->nr_ranges > max_ranges)
		return false;

	xa_for_each(&session->leases, id, lease) {
		struct pci_dev *pdev = lease->device->pdev;

		entries[nr_leases++] = (struct bar_lease_entry){
			.lease_id = lease->id,
			.pci_domain = pci_domain_nr(pdev->bus),
			.pci_bus = pdev->bus->number,
			.pci_devfn = pdev->devfn,
			.bar = lease->bar,
			.flags = lease->flags,
			.memory_type = lease->memory_type,
			.state = bar_lease_state(lease),
			.first_range = nr_ranges,
			.nr_ranges = lease->nr_extents,
		};
		for (i = 0; i < lease->nr_extents; i++)
			ranges[nr_ranges++] = (struct bar_lease_range){
				.offset = lease->extents[i].offset,
				.length = lease->extents[i].length,
			};
		cond_resched();
	}

	sums->nr_leases = nr_leases;
	sums->nr_ranges = nr_ranges;
	return true;
}

long bar_session_list(struct bar_session *session, void __user *arg)
{
	struct bar_lease_entry *entries;
	struct bar_lease_range *ranges;
	struct bar_lease_list request;
	u32 nr_leases, nr_ranges;
	bool done;
	int ret;

	ret = bar_request_copy(&request, sizeof(request), BAR_LIST_SIZE_V1, arg);
	if (ret)
		return ret;
	if (request.flags)
		return -EINVAL;

	do {
		mutex_lock(&session->lock);
		nr_leases = session->nr_leases;
		nr_ranges = session->nr_ranges;
		mutex_unlock(&session->lock);

		if (nr_leases > request.nr_leases || nr_ranges > request.nr_ranges) {
			request.nr_leases = nr_leases;
			request.nr_ranges = nr_ranges;
			ret = bar_request_return(arg, &request, sizeof(request));
			return ret ? ret : -ENOSPC;
		}

		entries = kvcalloc(nr_leases, sizeof(*entries), GFP_KERNEL_ACCOUNT);
		ranges = kvcalloc(nr_ranges, sizeof(*ranges), GFP_KERNEL_ACCOUNT);
		if (!entries || !ranges) {
			ret = -ENOMEM;
			goto out_free;
		}

		mutex_lock(&session->lock);
		done = bar_session_snapshot(session, entries, nr_leases, ranges, nr_ranges,
					    &request);
		mutex_unlock(&session->lock);
		if (!done) {
			kvfree(ranges);
			kvfree(entries);
		}
	} while (!done);

	if (copy_to_user(u64_to_user_ptr(request.leases), entries,
			 array_size(request.nr_leases, sizeof(*entries))) ||
	    copy_to_user(u64_to_user_ptr(request.ranges), ranges,
			 array_size(request.nr_ranges, sizeof(*ranges))) ||
	    bar_request_return(arg, &request, sizeof(request)))
		ret = -EFAULT;

out_free:
	kvfree(ranges);
	kvfree(entries);
	return ret;
}

long bar_session_get_fd(struct bar_session *session, void __user *arg)
{
	struct bar_lease_get_fd request;
	struct bar_lease *lease;
	int ret, fd;

	ret = bar_request_copy(&request, sizeof(request), BAR_GET_FD_SIZE_V1, arg);
	if (ret)
		return ret;
	if (request.flags)
		return -EINVAL;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;

	mutex_lock(&session->lock);
	lease = xa_load(&session->leases, request.lease_id);
	if (lease && bar_lease_is_live(lease)) {
		get_dma_buf(lease->outer);
		fd_install(fd, lease->outer->file);
	} else {
		put_unused_fd(fd);
		fd = -ENOENT;
	}
	mutex_unlock(&session->lock);

	return fd;
}
