// SPDX-License-Identifier: GPL-2.0
/* The module's parameters: their bounds, and what they change. */
#define _GNU_SOURCE
#include "check.h"
#include "module.h"
#include "vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define PARAMETERS "/sys/module/bar_lease/parameters/"

static unsigned int parameter(const char *name)
{
	char path[128];
	unsigned int value;
	FILE *file;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	file = fopen(path, "re");
	CHECK(file);
	CHECK_EQ(fscanf(file, "%u", &value), 1);
	CHECK_EQ(fclose(file), 0);
	return value;
}

/* A child's verdict, because the parent must not have the module in use. */
static void check_with(const char *parameters, void (*check)(void *))
{
	module_unload_when_free("bar_lease");
	CHECK_OK(module_load("BAR_LEASE_KO", parameters));
	int result = in_child(check, NULL);

	module_unload_when_free("bar_lease");
	CHECK_OK(module_load("BAR_LEASE_KO", ""));
	CHECK_EQ(result, 0);
}

static void use_few_mappings(void *unused)
{
	struct vfio vfio;
	int lease;

	(void)unused;
	CHECK_EQ(parameter("max_mappings"), 3);
	vfio_open_ivshmem(&vfio);
	lease = lease_export(session_open(), &vfio, 1, 0, 4, 0);
	lease_map(lease, 4, PROT_READ);
	lease_map(lease, 4, PROT_READ);
	void *third = (void *)lease_map(lease, 4, PROT_READ);

	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease, 0), ENOMEM);
	CHECK_ERRNO(mprotect((char *)third + PAGE, PAGE, PROT_NONE), ENOMEM);
	CHECK_OK(munmap(third, 4 * PAGE));
	lease_map(lease, 4, PROT_READ);
}

static void map_two_leases_of_a_holder(void *unused)
{
	struct vfio vfio;
	int session, first, second, others;

	(void)unused;
	vfio_open_ivshmem(&vfio);
	session = session_open();
	first = lease_export(session, &vfio, 1, 0, 4, 0);
	second = lease_export(session, &vfio, 2, 0, 4, 0);
	others = lease_export_other(session, &vfio, 3, 0, 4);
	lease_map(first, 4, PROT_READ);
	lease_map(first, 4, PROT_READ);
	void *third = (void *)lease_map(second, 4, PROT_READ);

	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, first, 0), ENOMEM);
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, second, 0), ENOMEM);
	CHECK_ERRNO(mprotect((char *)third + PAGE, PAGE, PROT_NONE), ENOMEM);
	lease_map(others, 4, PROT_READ);
	/* A mapping of a revoked lease is still one. */
	CHECK_EQ(lease_revoke_one(session, 2), 1);
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, first, 0), ENOMEM);
	CHECK_OK(munmap(third, 4 * PAGE));
	lease_map(first, 4, PROT_READ);
}

static void lease_as_often_as_a_holder_may(void *unused)
{
	struct export export;
	struct vfio vfio;
	int session, first, tries = 0;

	(void)unused;
	vfio_open_ivshmem(&vfio);
	session = session_open();
	first = lease_export(session, &vfio, 1, 0, 1, 0);
	CHECK_OK(close(lease_export(session, &vfio, 2, 0, 1, 0)));
	CHECK_OK(close(lease_export(session, &vfio, 3, 0, 1, 0)));
	export_prepare(&export, &vfio, 4, 0, 1, 0);
	CHECK_ERRNO(export_call(session, &export), EDQUOT);
	CHECK_OK(close(lease_export_other(session, &vfio, 5, 0, 1)));
	/* Over, but somebody has its descriptor. */
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK_ERRNO(export_call(session, &export), EDQUOT);
	CHECK_OK(close(first));
	/* A worker puts the module's own reference. */
	while (export_call(session, &export) < 0) {
		CHECK_EQ(errno, EDQUOT);
		CHECK(tries++ < 500);
		usleep(10000);
	}
	export_finish(&export);
}

static void map_a_huge_page(void *unused)
{
	volatile uint32_t *memory;
	struct vfio vfio;
	int session;

	(void)unused;
	CHECK(!huge_entries());
	vfio_open_ivshmem(&vfio);
	session = session_open();
	memory = lease_map_aligned(lease_export(session, &vfio, 1, 0, HUGE / PAGE, 0), HUGE / PAGE,
				   0, PROT_READ | PROT_WRITE);
	memory[0] = 1;
	CHECK_EQ(page_at(memory).shift, 12);
	CHECK_EQ(lease_info(session).faults, 1);
	CHECK_EQ(lease_info(session).huge_faults, 0);
}

TEST(huge_entries_are_off_where_the_kernel_is_not_known_to_bear_them)
{
	struct utsname name;
	unsigned int version, patchlevel;

	CHECK_OK(uname(&name));
	CHECK_EQ(sscanf(name.release, "%u.%u", &version, &patchlevel), 2);
	CHECK_EQ(huge_entries(), version > 7 || (version == 7 && patchlevel >= 3));
}

TEST(huge_entries_can_be_turned_off)
{
	check_with("huge_entries=0", map_a_huge_page);
}

TEST(parameters_have_documented_defaults_and_stay_as_they_are)
{
	static const char *const names[] = { "max_mappings", "max_holder_mappings",
					      "max_holder_leases", "revoke_timeout_ms",
					      "huge_entries" };
	struct stat status;
	char path[128];

	CHECK_EQ(parameter("max_mappings"), 1024);
	CHECK_EQ(parameter("max_holder_mappings"), 4096);
	CHECK_EQ(parameter("max_holder_leases"), 16384);
	CHECK_EQ(parameter("revoke_timeout_ms"), 1000);
	for (int i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), PARAMETERS "%s", names[i]);
		CHECK_OK(stat(path, &status));
		CHECK_EQ(status.st_mode & 0777, 0444);
	}
}

TEST(the_module_does_not_load_with_a_parameter_out_of_bounds)
{
	static const char *const wrong[] = {
		"max_mappings=0",	   "max_mappings=65537",  "max_mappings=-1",
		"max_mappings=many",	   "max_mappings=",	  "revoke_timeout_ms=9",
		"revoke_timeout_ms=60001", "revoke_timeout_ms=0", "max_holder_mappings=0",
		"max_holder_mappings=1048577", "max_holder_leases=0", "max_holder_leases=1048577",
	};
	static const char *const right[] = {
		"max_mappings=1",
		"max_mappings=65536",
		"max_holder_mappings=1",
		"max_holder_mappings=1048576",
		"max_holder_leases=1",
		"max_holder_leases=1048576",
		"revoke_timeout_ms=10",
		"revoke_timeout_ms=60000",
	};

	module_unload_when_free("bar_lease");
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		CHECK_ERRNO(module_load("BAR_LEASE_KO", wrong[i]), EINVAL);
	for (unsigned int i = 0; i < sizeof(right) / sizeof(*right); i++) {
		CHECK_OK(module_load("BAR_LEASE_KO", right[i]));
		module_unload_when_free("bar_lease");
	}
	CHECK_OK(module_load("BAR_LEASE_KO", ""));
}

TEST(max_mappings_bounds_the_mappings_of_a_lease)
{
	check_with("max_mappings=3", use_few_mappings);
}

TEST(max_holder_leases_bounds_the_leases_of_a_holder)
{
	check_with("max_holder_leases=3", lease_as_often_as_a_holder_may);
}

TEST(max_holder_mappings_bounds_the_mappings_of_all_leases_of_a_holder)
{
	check_with("max_holder_mappings=3", map_two_leases_of_a_holder);
}
