// SPDX-License-Identifier: GPL-2.0
/* A hostile holder that puts a fence into a lease's reservation and never signals it. */
#define _GNU_SOURCE
#include "check.h"
#include "hostile.h"
#include "peer.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static struct vfio vfio;
static int session;

TEST(a_fence_in_a_lease_holds_up_neither_its_revoke_nor_a_suspend)
{
	enum { LEASES = 8 };
	volatile uint32_t *memory[LEASES];
	int leases[LEASES], peers[LEASES];
	uint32_t value;
	uint64_t start;

	vfio_open_ivshmem(&vfio);
	session = session_open();
	for (uint64_t id = 0; id < LEASES; id++) {
		/* A descriptor of a read-only lease is as good for this. */
		leases[id] = lease_export(session, &vfio, id, id, 1,
					  id % 2 ? BAR_LEASE_EXPORT_READ_ONLY : 0);
		peers[id] = peer_open();
		fence_import(peers[id], leases[id]);
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
	CHECK(now_ns() - start < LEASES * slowness() * 10000000ULL);
	check_others("8 revoked leases hold a fence", &vfio, session);
	vfio_close(&vfio);
	for (int i = 0; i < LEASES; i++) {
		CHECK_OK(ioctl(peers[i], IMPORTER_SIGNAL));
		CHECK_OK(close(peers[i]));
	}
}
