// SPDX-License-Identifier: GPL-2.0
/* A device that goes away and comes back: memory decode off, resets. */
#define _GNU_SOURCE
#include "stress.h"

#include "../check.h"

#include <errno.h>
#include <linux/vfio.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>

static bool can_reset(struct vfio *vfio)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	CHECK_OK(ioctl(vfio->device, VFIO_DEVICE_GET_INFO, &info));
	return info.flags & VFIO_DEVICE_FLAGS_RESET;
}

/* An EXPORT has the function's lock for a moment, and VFIO only tries it. */
static void reset(struct vfio *vfio)
{
	for (int tries = 0; ioctl(vfio->device, VFIO_DEVICE_RESET); tries++) {
		CHECK_EQ(errno, EAGAIN);
		CHECK(tries < 1000);
		sched_yield();
	}
}

void *suspend_run(void *device)
{
	struct vfio *vfio = device;
	atomic_uint *suspends = &shared->devices[vfio - devices].suspends;
	uint64_t random = shared->seed + 77 * (uint64_t)(vfio - devices + 1);
	bool resets = can_reset(vfio), announced = shared->sabotage != HIDE_SUSPEND;

	while (!shared->stop && shared->suspend_us) {
		pause_up_to(&random, shared->suspend_us);
		if (shared->stop)
			break;
		if (announced)
			atomic_fetch_add(suspends, 1);
		if (resets && below(&random, 3) == 0) {
			reset(vfio);
			count(OP_RESET, DONE);
		} else {
			uint64_t start = now_ns();

			vfio_set_memory(vfio, false);
			raise_to(&shared->slowest_suspend, (now_ns() - start) / 1000);
			pause_up_to(&random, 3000);
			vfio_set_memory(vfio, true);
			count(OP_DECODE_OFF, DONE);
		}
		if (announced)
			atomic_fetch_add(suspends, 1);
	}
	return NULL;
}
