// SPDX-License-Identifier: GPL-2.0
/* What every call has in common: argsz, flags, memory that can't be read or written. */
#define _GNU_SOURCE
#include "check.h"
#include "vfio.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static const struct call {
	const char *name;
	unsigned int number;
	uint32_t size;
} calls[] = {
	{ "GET_INFO", BAR_LEASE_GET_INFO, sizeof(struct bar_lease_info) },
	{ "EXPORT", BAR_LEASE_EXPORT, sizeof(struct bar_lease_export) },
	{ "REVOKE", BAR_LEASE_REVOKE, sizeof(struct bar_lease_revoke) },
	{ "LIST", BAR_LEASE_LIST, sizeof(struct bar_lease_list) },
	{ "GET_FD", BAR_LEASE_GET_FD, sizeof(struct bar_lease_get_fd) },
};

#define EACH_CALL(call)                                                                            \
	for (const struct call *call = calls; call < calls + sizeof(calls) / sizeof(*calls); call++)

static struct vfio vfio;
static int session;

/* At the end of mapped memory, so that whatever is read too far faults. */
static unsigned char *memory;

static void prepare(void)
{
	vfio_open_ivshmem(&vfio);
	session = session_open();
	memory = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	CHECK_OK(mprotect(memory + 2 * PAGE, PAGE, PROT_NONE));
}

/* Writes a request that succeeds to @at and returns what the call then gave. */
static int call_valid(const struct call *call, void *at, uint32_t argsz, unsigned int number)
{
	static struct bar_lease_entry entries[64];
	static struct bar_lease_range ranges[64];
	static const uint64_t unknown = UINT64_MAX;
	static uint64_t id = 1;
	struct export export;
	int result;

	memset(at, 0, call->size);
	switch (call->number) {
	case BAR_LEASE_EXPORT:
		export_prepare(&export, &vfio, ++id, 0, 1, 0);
		memcpy(at, &export.request, sizeof(export.request));
		break;
	case BAR_LEASE_REVOKE:
		((struct bar_lease_revoke *)at)->nr_ids = 1;
		((struct bar_lease_revoke *)at)->ids = (uintptr_t)&unknown;
		break;
	case BAR_LEASE_LIST:
		((struct bar_lease_list *)at)->nr_leases = 64;
		((struct bar_lease_list *)at)->nr_ranges = 64;
		((struct bar_lease_list *)at)->leases = (uintptr_t)entries;
		((struct bar_lease_list *)at)->ranges = (uintptr_t)ranges;
		break;
	case BAR_LEASE_GET_FD:
		lease_export(session, &vfio, ++id, 0, 1, 0);
		((struct bar_lease_get_fd *)at)->lease_id = id;
		break;
	}
	memcpy(at, &argsz, sizeof(argsz));
	result = ioctl(session, number, at);
	if (call->number == BAR_LEASE_EXPORT) {
		int error = errno;

		export_finish(&export);
		errno = error;
	}
	return result;
}

TEST(every_call_takes_exactly_its_own_struct)
{
	prepare();
	EACH_CALL(call) {
		if (call_valid(call, memory + 2 * PAGE - call->size, call->size, call->number) < 0)
			FAIL("%s: %s", call->name, strerror(errno));
	}
}

TEST(every_call_refuses_a_smaller_struct)
{
	prepare();
	EACH_CALL(call) {
		for (uint32_t argsz = 0; argsz < call->size; argsz++) {
			if (call_valid(call, memory, argsz, call->number) != -1 || errno != EINVAL)
				FAIL("%s with argsz %u: %s", call->name, argsz, strerror(errno));
		}
	}
}

TEST(every_call_takes_a_larger_struct_whose_rest_is_zero)
{
	prepare();
	EACH_CALL(call) {
		const uint32_t sizes[] = { call->size + 1, call->size + 8, PAGE };

		for (int i = 0; i < 3; i++) {
			memset(memory, 0, PAGE);
			if (call_valid(call, memory, sizes[i], call->number) < 0)
				FAIL("%s with argsz %u: %s", call->name, sizes[i], strerror(errno));
		}
	}
}

TEST(every_call_refuses_a_larger_struct_that_asks_for_more)
{
	prepare();
	EACH_CALL(call) {
		const uint32_t sizes[] = { call->size + 1, call->size + 8, PAGE };

		for (int i = 0; i < 3; i++) {
			memset(memory, 0, PAGE);
			memory[sizes[i] - 1] = 1;
			if (call_valid(call, memory, sizes[i], call->number) != -1 ||
			    errno != E2BIG)
				FAIL("%s with argsz %u: %s", call->name, sizes[i], strerror(errno));
		}
	}
}

TEST(every_call_refuses_more_than_a_page)
{
	prepare();
	EACH_CALL(call) {
		memset(memory, 0, 2 * PAGE);
		if (call_valid(call, memory, PAGE + 1, call->number) != -1 || errno != E2BIG)
			FAIL("%s: %s", call->name, strerror(errno));
		if (call_valid(call, memory, UINT32_MAX, call->number) != -1 || errno != E2BIG)
			FAIL("%s: %s", call->name, strerror(errno));
	}
}

TEST(every_call_goes_by_argsz_not_by_the_size_in_its_number)
{
	prepare();
	EACH_CALL(call) {
		unsigned int later = _IOC(_IOC_READ | _IOC_WRITE, BAR_LEASE_IOC_TYPE,
					  _IOC_NR(call->number), call->size + 64);

		memset(memory, 0, PAGE);
		if (call_valid(call, memory, call->size + 64, later) < 0)
			FAIL("%s: %s", call->name, strerror(errno));
	}
}

TEST(every_call_refuses_memory_that_it_cannot_read)
{
	prepare();
	EACH_CALL(call) {
		if (ioctl(session, call->number, NULL) != -1 || errno != EFAULT)
			FAIL("%s of NULL: %s", call->name, strerror(errno));
		if (ioctl(session, call->number, memory + 2 * PAGE) != -1 || errno != EFAULT)
			FAIL("%s of memory without access: %s", call->name, strerror(errno));

		/* Readable as far as argsz only. */
		uint32_t argsz = call->size;

		memcpy(memory + 2 * PAGE - 4, &argsz, 4);
		if (ioctl(session, call->number, memory + 2 * PAGE - 4) != -1 || errno != EFAULT)
			FAIL("%s of memory that ends: %s", call->name, strerror(errno));
	}
}

TEST(calls_refuse_memory_that_they_cannot_write_and_do_nothing)
{
	struct export export;

	prepare();
	lease_export(session, &vfio, 1, 1, 1, 0);

	struct bar_lease_info *info = (void *)memory;
	struct bar_lease_revoke *revoke = (void *)(memory + PAGE);

	export_prepare(&export, &vfio, 2, 2, 1, 0);
	*info = (struct bar_lease_info){ .argsz = sizeof(*info) };
	*revoke = (struct bar_lease_revoke){ .argsz = sizeof(*revoke),
					     .nr_ids = 1,
					     .ids = (uintptr_t) & (uint64_t){ 1 } };
	memcpy(memory + 1024, &export.request, sizeof(export.request));
	CHECK_OK(mprotect(memory, 2 * PAGE, PROT_READ));

	CHECK_ERRNO(ioctl(session, BAR_LEASE_GET_INFO, info), EFAULT);
	CHECK_ERRNO(ioctl(session, BAR_LEASE_REVOKE, revoke), EFAULT);
	CHECK_ERRNO(ioctl(session, BAR_LEASE_EXPORT, memory + 1024), EFAULT);
	CHECK_EQ(lease_info(session).leases_live, 1);
	CHECK_EQ(lease_info(session).exports, 1);
	CHECK_EQ(lease_info(session).revoke_calls, 0);
	CHECK_EQ(lease_state(session, 1), BAR_LEASE_STATE_LIVE);
	lease_export(session, &vfio, 2, 2, 1, 0);
}

TEST(every_call_but_export_refuses_any_flag)
{
	prepare();
	EACH_CALL(call) {
		for (int bit = 0; bit < 32 && call->number != BAR_LEASE_EXPORT; bit++) {
			uint32_t head[2] = { call->size, 1U << bit };

			memset(memory, 0, PAGE);
			memcpy(memory, head, sizeof(head));
			if (ioctl(session, call->number, memory) != -1 || errno != EINVAL)
				FAIL("%s, bit %d: %s", call->name, bit, strerror(errno));
		}
	}
}

TEST(unknown_calls_are_refused)
{
	prepare();
	CHECK_ERRNO(ioctl(session, _IOWR(BAR_LEASE_IOC_TYPE, 5, struct bar_lease_info), memory),
		    ENOTTY);
	CHECK_ERRNO(ioctl(session, _IOWR(BAR_LEASE_IOC_TYPE, 255, struct bar_lease_info), memory),
		    ENOTTY);
	CHECK_ERRNO(ioctl(session, _IO(BAR_LEASE_IOC_TYPE, 0), memory), ENOTTY);
	CHECK_ERRNO(ioctl(session, _IOWR('B', 0, struct bar_lease_info), memory), ENOTTY);
}

TEST(info_says_what_the_module_can_do)
{
	prepare();
	struct bar_lease_info info = lease_info(session);

	CHECK_EQ(info.api_version, BAR_LEASE_API_VERSION);
	CHECK_EQ(info.max_ids, BAR_LEASE_MAX_IDS);
	CHECK(info.max_ranges >= 1);
	CHECK(info.memory_types & 1U << BAR_LEASE_MEMORY_UNCACHED);
}
