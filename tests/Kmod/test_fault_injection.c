// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation of every call fails once, the first, the second and so on
 * until the call gets through. Takes a kernel that was built for that; others
 * have nothing to run, and it says so.
 */
#define _GNU_SOURCE
#include "check.h"
#include "leaks.h"
#include "vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define FAIL_NTH "/proc/thread-self/fail-nth"

enum {
	/* More than any call makes. */
	MOST = 2000,
};

static struct vfio vfio;
static int session, fail_nth;
static struct export export;

static void write_setting(const char *path, const char *value)
{
	int file = open(path, O_WRONLY | O_CLOEXEC);

	/* A kernel need not have each kind of failure. */
	if (file < 0)
		return;
	CHECK_EQ(write(file, value, strlen(value)), (ssize_t)strlen(value));
	CHECK_OK(close(file));
}

/* False when this kernel has no faults to inject. */
static bool prepare(void)
{
	fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (fail_nth < 0) {
		figure("skipped: this kernel has no %s", FAIL_NTH);
		return false;
	}
	/* Those that may sleep, too, which are nearly all; and not a word about it in the log. */
	write_setting("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	write_setting("/sys/kernel/debug/failslab/verbose", "0");
	write_setting("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	write_setting("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
	write_setting("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	write_setting("/sys/kernel/debug/fail_page_alloc/verbose", "0");
	write_setting("/sys/kernel/debug/fail_usercopy/verbose", "0");
	vfio_open_ivshmem(&vfio);
	session = session_open();
	export_prepare(&export, &vfio, 42, 3, 1, 0);
	return true;
}

static void arm(int nth)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", nth);

	CHECK_EQ(pwrite(fail_nth, text, (size_t)length, 0), length);
}

/*
 * Has the failure that was armed happened? Disarms it. Asking copies to and from
 * user memory, which may be what fails: then it was still to come.
 */
static bool disarm(void)
{
	char text[16] = "";

	if (pread(fail_nth, text, sizeof(text) - 1, 0) < 0) {
		CHECK_EQ(errno, EFAULT);
		return false;
	}
	if (!atoi(text))
		return true;
	if (pwrite(fail_nth, "0", 1, 0) < 0)
		CHECK_EQ(errno, EFAULT);
	return false;
}

struct trial {
	const char *name;
	/* The call: a result as libc has it. */
	int (*call)(void);
	/* Whatever has to be so after it failed, or succeeded with @result. */
	void (*failed)(void);
	void (*succeeded)(int result);
	/* The errors that it may have. */
	int errors[4];
};

static void check_error(const struct trial *trial, int nth, int error)
{
	for (const int *may = trial->errors; *may; may++) {
		if (error == *may)
			return;
	}
	FAIL("%s with failure %d: %s", trial->name, nth, strerror(error));
}

/* Returns how many failures it took to get through. */
static int run_trial(const struct trial *trial)
{
	int injected = 0, survived = 0;

	for (int nth = 1; nth < MOST; nth++) {
		bool happened;
		int result, error;

		arm(nth);
		result = trial->call();
		error = errno;
		happened = disarm();
		if (result < 0) {
			CHECK(happened);
			check_error(trial, nth, error);
			if (trial->failed)
				trial->failed();
		} else {
			trial->succeeded(result);
			/* Some failures are made up for; the call is through when none is left. */
			survived += happened;
		}
		if (!happened) {
			figure("%s: %d failures injected, %d of them made up for", trial->name,
			       injected, survived);
			return injected;
		}
		injected++;
	}
	FAIL("%s never got through", trial->name);
}

static int call_export(void)
{
	return export_call(session, &export);
}

static void nothing_is_exported(void)
{
	CHECK_EQ(lease_info(session).leases_live, 0);
}

static void end_export(int lease)
{
	CHECK_OK(close(lease));
	CHECK_EQ(lease_revoke_one(session, 42), 1);
}

TEST(every_allocation_of_export_may_fail)
{
	static const struct trial trial = {
		"EXPORT", call_export, nothing_is_exported, end_export, { ENOMEM, EFAULT, ENFILE }
	};
	struct holdings before;

	if (!prepare())
		return;
	end_export(CHECK_OK(call_export()));
	before = holdings_now();
	CHECK(run_trial(&trial) > 0);
	check_holdings(&before, 50);
}

static int call_session(void)
{
	return open("/dev/bar_lease", O_RDWR | O_CLOEXEC);
}

static void end_session(int other)
{
	CHECK_OK(close(other));
}

TEST(every_allocation_of_a_session_may_fail)
{
	static const struct trial trial = {
		"open", call_session, NULL, end_session, { ENOMEM, EFAULT, ENFILE }
	};
	struct holdings before;

	if (!prepare())
		return;
	before = holdings_now();
	CHECK(run_trial(&trial) > 0);
	check_holdings(&before, 50);
}

static int call_revoke(void)
{
	const uint64_t id = 42;

	return lease_revoke(session, &id, 1, NULL);
}

static void nothing_is_revoked(void)
{
	CHECK_EQ(lease_info(session).leases_live, 1);
	CHECK_EQ(lease_state(session, 42), BAR_LEASE_STATE_LIVE);
}

static void lease_is_revoked(int result)
{
	CHECK_EQ(result, 0);
	CHECK_EQ(lease_info(session).leases_live, 0);
	CHECK_OK(close(CHECK_OK(call_export())));
}

TEST(every_allocation_of_revoke_may_fail)
{
	static const struct trial trial = {
		"REVOKE", call_revoke, nothing_is_revoked, lease_is_revoked, { ENOMEM, EFAULT }
	};
	struct holdings before;

	if (!prepare())
		return;
	end_export(CHECK_OK(call_export()));
	before = holdings_now();
	CHECK_OK(close(CHECK_OK(call_export())));
	CHECK(run_trial(&trial) > 0);
	CHECK_EQ(lease_revoke_one(session, 42), 1);
	check_holdings(&before, 50);
}

static int call_list(void)
{
	static struct bar_lease_entry entries[2];
	static struct bar_lease_range ranges[2];
	struct bar_lease_list list = { .argsz = sizeof(list),
				       .nr_leases = 2,
				       .nr_ranges = 2,
				       .leases = (uintptr_t)entries,
				       .ranges = (uintptr_t)ranges };

	return ioctl(session, BAR_LEASE_LIST, &list) ? -1 : (int)list.nr_leases;
}

static void one_is_listed(int result)
{
	CHECK_EQ(result, 1);
}

TEST(every_allocation_of_list_may_fail)
{
	static const struct trial trial = {
		"LIST", call_list, NULL, one_is_listed, { ENOMEM, EFAULT }
	};
	struct holdings before;

	if (!prepare())
		return;
	CHECK_OK(close(CHECK_OK(call_export())));
	CHECK_EQ(call_list(), 1);
	before = holdings_now();
	CHECK(run_trial(&trial) > 0);
	check_holdings(&before, 50);
}

static int call_get_fd(void)
{
	return lease_get_fd(session, 42);
}

TEST(every_allocation_of_get_fd_may_fail)
{
	static const struct trial trial = {
		"GET_FD", call_get_fd, NULL, end_session, { ENOMEM, EFAULT, EMFILE, ENFILE }
	};
	struct holdings before;

	if (!prepare())
		return;
	CHECK_OK(close(CHECK_OK(call_export())));
	before = holdings_now();
	run_trial(&trial);
	check_holdings(&before, 50);
}

static int lease;
static char *mapping;

static int call_mmap(void)
{
	mapping = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease, 0);
	return mapping == MAP_FAILED ? -1 : 0;
}

static void end_mapping(int result)
{
	uint32_t value;

	CHECK_EQ(result, 0);
	CHECK(peek((uint32_t *)mapping, &value));
	CHECK_OK(munmap(mapping, PAGE));
}

TEST(every_allocation_of_mmap_may_fail)
{
	static const struct trial trial = { "mmap", call_mmap, NULL, end_mapping, { ENOMEM } };
	struct holdings before;

	if (!prepare())
		return;
	lease = CHECK_OK(call_export());
	before = holdings_now();
	CHECK(run_trial(&trial) > 0);
	/* The mappings that failed count for nothing: as many as ever can be made. */
	for (int i = 0; i < 1024; i++)
		CHECK_OK(call_mmap());
	CHECK_OK(close(lease));
	CHECK_EQ(lease_revoke_one(session, 42), 1);
	check_holdings(&before, 2000);
}

static void *far_away;

/* A page fault that needs page tables of its own: half a terabyte from anything else. */
static int call_fault(void)
{
	uint32_t value;

	if (!peek(far_away, &value)) {
		errno = EIO;
		return -1;
	}
	return 0;
}

static void end_fault(int result)
{
	CHECK_EQ(result, 0);
	CHECK_OK(munmap(far_away, PAGE));
	far_away = (char *)far_away + (1UL << 39);
	CHECK(mmap(far_away, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, lease, 0) ==
	      far_away);
}

TEST(every_allocation_of_a_page_fault_may_fail)
{
	/* The kernel takes a fault without memory again: no signal, but the value, late. */
	static const struct trial trial = { "page fault", call_fault, NULL, end_fault, { 0 } };

	if (!prepare())
		return;
	lease = CHECK_OK(call_export());
	far_away = (void *)(1UL << 40);
	CHECK(mmap(far_away, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, lease, 0) ==
	      far_away);
	CHECK(run_trial(&trial) > 0);
	CHECK_EQ(lease_revoke_one(session, 42), 1);
}
