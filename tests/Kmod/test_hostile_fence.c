// SPDX-License-Identifier: GPL-2.0
/* A hostile holder that puts a fence into a lease's reservation and never signals it. */
#define _GNU_SOURCE
#include "check.h"
#include "fence.h"
#include "hostile.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct vfio vfio;
static int session;

/* Is it one that nobody signals, really? */
static bool is_pending(int sync_file)
{
	struct pollfd wait = { .fd = sync_file, .events = POLLIN };

	return poll(&wait, 1, 0) == 0;
}

TEST(a_fence_in_a_lease_holds_up_neither_its_revoke_nor_a_suspend)
{
	enum { LEASES = 8 };
	volatile uint32_t *memory[LEASES];
	int fence = unsignalled_sync_file(), leases[LEASES];
	uint32_t value;
	uint64_t start;

	if (fence < 0) {
		figure("skipped: this kernel has neither sw_sync nor vgem to make a fence with");
		return;
	}
	vfio_open_ivshmem(&vfio);
	session = session_open();
	for (uint64_t id = 0; id < LEASES; id++) {
		/* A descriptor of a read-only lease is as good for this. */
		leases[id] = lease_export(session, &vfio, id, id, 1,
					  id % 2 ? BAR_LEASE_EXPORT_READ_ONLY : 0);
		CHECK_OK(import_sync_file(leases[id], fence));
		memory[id] = lease_map(leases[id], 1, PROT_READ);
		CHECK(peek(memory[id], &value));
	}
	check_others("8 leases hold a fence", &vfio, session);

	start = now_ns();
	for (uint64_t id = 0; id < LEASES; id++) {
		CHECK_EQ(lease_revoke_one(session, id), 1);
		CHECK(!peek(memory[id], &value));
	}
	figure("REVOKE of 8 leases that hold a fence: %llu us",
	       (unsigned long long)(now_ns() - start) / 1000);
	CHECK(now_ns() - start < LEASES * 10000000ULL);
	/* After, as well. */
	for (int i = 0; i < LEASES; i++)
		CHECK_OK(import_sync_file(leases[i], fence));
	check_others("8 revoked leases hold a fence", &vfio, session);
	CHECK(is_pending(fence));
	vfio_close(&vfio);
}
