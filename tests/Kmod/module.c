// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include "module.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int module_load(const char *variable, const char *parameters)
{
	const char *path = getenv(variable);
	int file, result, error;

	if (!path)
		FAIL("no file of the module: %s is not set", variable);
	file = CHECK_OK(open(path, O_RDONLY | O_CLOEXEC));
	result = (int)syscall(SYS_finit_module, file, parameters, 0);
	error = errno;
	CHECK_OK(close(file));
	if (result && error == EEXIST)
		return 0;
	errno = error;
	return result;
}

int module_unload(const char *name)
{
	return (int)syscall(SYS_delete_module, name, O_NONBLOCK);
}

void module_unload_when_free(const char *name)
{
	for (int tries = 0; module_unload(name); tries++) {
		CHECK_EQ(errno, EWOULDBLOCK);
		CHECK(tries < 500);
		usleep(10000);
	}
}

bool huge_entries(void)
{
	int file = CHECK_OK(
		open("/sys/module/bar_lease/parameters/huge_entries", O_RDONLY | O_CLOEXEC));
	char value;

	CHECK_EQ(read(file, &value, 1), 1);
	CHECK_OK(close(file));
	return value == 'Y';
}

uint32_t huge_shift(void)
{
	return huge_entries() ? 21 : 12;
}

struct page_type_query page_at(const volatile void *address)
{
	static int device = -1;
	struct page_type_query query = { .address = (uintptr_t)address };

	if (device < 0) {
		CHECK_OK(module_load("PAGE_TYPE_KO", ""));
		device = CHECK_OK(open("/dev/page_type", O_RDWR | O_CLOEXEC));
	}
	CHECK_OK(ioctl(device, PAGE_TYPE_QUERY, &query));
	return query;
}
