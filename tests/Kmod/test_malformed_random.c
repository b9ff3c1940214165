// SPDX-License-Identifier: GPL-2.0
/*
 * Requests that are spoilt at random, in one field or several: at, below and
 * above every limit. Each is refused with one of the errors that the header
 * names, or does what it says.
 */
#define _GNU_SOURCE
#include "check.h"
#include "leaks.h"
#include "vfio.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	ROUNDS = 20000,
};

static struct vfio vfio;
static int session;
static uint64_t state = 0x2545f4914f6cdd1d;

static uint32_t below(uint32_t limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % limit;
}

/* Near what matters: 0, 1, pages, sizes of BARs, limits of types and of calls. */
static uint64_t odd_value(void)
{
	static const uint64_t around[] = {
		0,
		1,
		6,
		64,
		PAGE,
		3 * PAGE,
		BAR_LEASE_MAX_IDS,
		64ULL << 20,
		1ULL << 31,
		1ULL << 32,
		1ULL << 56,
		1ULL << 63,
	};
	uint64_t value = around[below(sizeof(around) / sizeof(*around))];

	switch (below(4)) {
	case 0:
		return value - 1;
	case 1:
		return value + 1;
	case 2:
		return ~value;
	default:
		return value;
	}
}

/* One of the fields of @size bytes each that the struct is made of. */
static void spoil(void *request, size_t size, size_t first)
{
	uint32_t field = (uint32_t)first + below((uint32_t)(size - first) / 4);
	uint64_t value = odd_value();

	memcpy((char *)request + 4 * field, &value, 4 * field + 8 <= size && below(2) ? 8 : 4);
}

static void check_error(const char *call, const int *documented)
{
	for (; *documented; documented++) {
		if (errno == *documented)
			return;
	}
	FAIL("%s: %s is no error that it may have", call, strerror(errno));
}

TEST(spoilt_exports_are_refused_as_documented_or_export_what_they_say)
{
	static const int documented[] = { EAGAIN, EBADF,  EEXIST, EFAULT,     EINVAL,
					  E2BIG,  ENODEV, ENOMEM, EOPNOTSUPP, 0 };
	unsigned int exported = 0, refused = 0;
	struct export valid, export;
	struct holdings before;

	vfio_open_ivshmem(&vfio);
	session = session_open();
	export_prepare(&valid, &vfio, 42, 3, 1, 0);
	before = holdings_now();
	for (int i = 0; i < ROUNDS; i++) {
		int lease;

		export.request = valid.request;
		export.range = valid.range;
		export.request.ranges = (uintptr_t) & export.range;
		for (uint32_t fields = 1 + below(3); fields; fields--)
			spoil(&export.request, sizeof(export.request), 0);
		if (below(2))
			spoil(&export.range, sizeof(export.range), 0);
		lease = export_call(session, &export);
		if (lease < 0) {
			refused++;
			check_error("EXPORT", documented);
			continue;
		}
		/* What was right after all: its own page, and no other. */
		exported++;
		CHECK_EQ(export.request.verified, 1);
		CHECK_EQ(lseek(lease, 0, SEEK_END), PAGE);
		CHECK_EQ(lease_revoke_one(session, export.request.lease_id), 1);
		CHECK_OK(close(lease));
	}
	CHECK_EQ(lease_info(session).leases_live, 0);
	CHECK(exported && refused);
	check_holdings(&before, ROUNDS / 10);
	figure("%u spoilt EXPORTs refused, %u right after all", refused, exported);
}

TEST(spoilt_requests_of_the_other_calls_are_refused_as_documented)
{
	static const int documented[] = { EFAULT, EINVAL, E2BIG, ENOENT, ENOMEM, ENOSPC, 0 };
	static struct bar_lease_entry entries[4];
	static struct bar_lease_range ranges[4];
	/* As many as a REVOKE can name, whatever becomes of their number. */
	static const uint64_t never[BAR_LEASE_MAX_IDS];
	const uint64_t live = 0x5eed0001beef0001;
	unsigned int done = 0, refused = 0;
	struct holdings before;

	vfio_open_ivshmem(&vfio);
	session = session_open();
	lease_export(session, &vfio, live, 0, 1, 0);
	before = holdings_now();
	for (int i = 0; i < ROUNDS; i++) {
		struct bar_lease_info info = { .argsz = sizeof(info) };
		struct bar_lease_get_fd get = { .argsz = sizeof(get), .lease_id = live };
		struct bar_lease_revoke revoke = { .argsz = sizeof(revoke),
						   .nr_ids = 1,
						   .ids = (uintptr_t)never };
		struct bar_lease_list list = { .argsz = sizeof(list),
					       .nr_leases = 4,
					       .nr_ranges = 4,
					       .leases = (uintptr_t)entries,
					       .ranges = (uintptr_t)ranges };
		const struct {
			unsigned int number;
			void *request;
			/* In words; of LIST not the pointers, or it would write there. */
			size_t size, fields;
		} calls[] = {
			{ BAR_LEASE_GET_INFO, &info, sizeof(info), sizeof(info) },
			{ BAR_LEASE_GET_FD, &get, sizeof(get), sizeof(get) },
			{ BAR_LEASE_REVOKE, &revoke, sizeof(revoke), 16 },
			{ BAR_LEASE_LIST, &list, sizeof(list), 16 },
		};
		uint32_t call = below(4);
		unsigned char room[PAGE + 64] = { 0 };
		int result;

		spoil(calls[call].request, calls[call].fields, 0);
		/* What a larger argsz makes it read is zeros, and then the end of the page. */
		memcpy(room, calls[call].request, calls[call].size);
		result = ioctl(session, calls[call].number, room);
		if (result < 0) {
			refused++;
			check_error("a call", documented);
			continue;
		}
		done++;
		if (calls[call].number == BAR_LEASE_GET_FD)
			CHECK_OK(close(result));
	}
	CHECK_EQ(lease_info(session).leases_live, 1);
	CHECK(done && refused);
	check_holdings(&before, ROUNDS / 10);
	figure("%u spoilt requests of other calls refused, %u right after all", refused, done);
}
