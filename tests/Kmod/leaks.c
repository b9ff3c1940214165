// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include "leaks.h"

#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;

	CHECK(directory);
	while (readdir(directory))
		count++;
	CHECK_EQ(closedir(directory), 0);
	return count;
}

static int module_references(void)
{
	FILE *file = fopen("/sys/module/bar_lease/refcnt", "re");
	int count;

	CHECK(file && fscanf(file, "%d", &count) == 1);
	CHECK_EQ(fclose(file), 0);
	return count;
}

/* The kernel's own list of DMABUFs; each has a line with its exporter's name. */
static int count_dmabufs(const char *exporter)
{
	FILE *file = fopen("/sys/kernel/debug/dma_buf/bufinfo", "re");
	char line[512];
	int count = 0;

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		count += strstr(line, exporter) != NULL && line[0] != ' ';
	CHECK_EQ(fclose(file), 0);
	return count;
}

static long count_objects(void)
{
	FILE *file = fopen("/proc/slabinfo", "re");
	long count = 0, active;
	char line[512];

	if (!file)
		return -1;
	/* Kernels that look for leaks themselves keep what was freed for a while, to see who uses
	 * it. */
	if (!access("/sys/kernel/debug/kmemleak", F_OK)) {
		CHECK_EQ(fclose(file), 0);
		return -1;
	}
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "kmalloc-", 8) && sscanf(line, "%*s %ld", &active) == 1)
			count += active;
	}
	CHECK_EQ(fclose(file), 0);
	return count;
}

struct holdings holdings_now(void)
{
	return (struct holdings){
		.descriptors = count_descriptors(),
		.references = module_references(),
		.leases = count_dmabufs("\tbar_lease\t"),
		.inner = count_dmabufs("\tvfio_pci_core\t"),
		.objects = count_objects(),
	};
}

void check_holdings(const struct holdings *before, long objects_more)
{
	struct holdings now;

	for (int tries = 0; tries < 400; tries++) {
		now = holdings_now();
		if (now.descriptors <= before->descriptors &&
		    now.references <= before->references && now.leases <= before->leases &&
		    now.inner <= before->inner && now.objects <= before->objects + objects_more)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	FAIL("before and after: descriptors %d %d, module users %d %d, leases %d %d, vfio's %d %d, "
	     "objects %ld %ld",
	     before->descriptors, now.descriptors, before->references, now.references,
	     before->leases, now.leases, before->inner, now.inner, before->objects, now.objects);
}
