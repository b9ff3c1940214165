// SPDX-License-Identifier: GPL-2.0
/* A driver of another device, which attaches to leases, maps them and lets go when told. */
#define _GNU_SOURCE
#include "owner.h"

#include "../check.h"
#include "../importer/importer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int get_lease(struct instance *instance, uint64_t *random)
{
	int lease;

	CHECK_EQ(pthread_rwlock_rdlock(&sessions), 0);
	lease = exporter_get_for_peer(&exporters[below(random, EXPORTERS)], instance, random);
	pthread_rwlock_unlock(&sessions);
	return lease;
}

/* It may have a mapping only while the lease is live. */
static void map_and_wait(int driver, const struct instance *instance, uint64_t *random)
{
	struct witness witness;
	bool kept;
	int result;

	witness_begin(&witness, instance);
	result = ioctl(driver, IMPORTER_MAP);
	witness_end(&witness, OP_PEER_MAP, !result ? DONE : errno == ENODEV ? REFUSED : UNCLEAR);
	/* Busy: with what it has had since the time before. */
	if (result && errno != EBUSY)
		return;
	/* Long enough for the lease to end meanwhile now and then. */
	pause_up_to(random, 40000 * slowness());
	if (!is_revoked(instance))
		return;
	/*
	 * It takes the reservation for this, under which it lets go, so it knows:
	 * busy means that it still has the mapping.
	 */
	result = ioctl(driver, IMPORTER_MAP);
	kept = !result || errno != ENODEV;
	count(OP_PEER_LET_GO, kept ? REFUSED : DONE);
	if (kept)
		violate(LATE, "another device has slot %u generation %u mapped", instance->slot,
			instance->generation);
}

static void import(int lease, const struct instance *instance, uint64_t *random)
{
	int driver = CHECK_OK(open("/dev/bar_importer", O_RDWR | O_CLOEXEC));
	struct importer_attach attach = {
		.fd = lease,
		.kind = IMPORTER_DYNAMIC,
		.mode = below(random, 2) ? IMPORTER_PROMPT : IMPORTER_SLOW,
		.delay_ms = 1 + below(random, 5),
		.pci_domain = devices[0].domain,
		.pci_bus = devices[0].bus,
		.pci_devfn = devices[0].devfn,
	};

	if (!ioctl(driver, IMPORTER_ATTACH, &attach)) {
		/* More than once: it may be told, and map again. */
		for (uint32_t times = 1 + below(random, 3); times; times--)
			map_and_wait(driver, instance, random);
	}
	CHECK_OK(close(driver));
}

void *import_run(void *unused)
{
	uint64_t random = shared->seed ^ 0x1390127;
	struct instance instance;
	int lease;

	(void)unused;
	while (!shared->stop && !access("/dev/bar_importer", F_OK)) {
		lease = get_lease(&instance, &random);
		if (lease >= 0) {
			import(lease, &instance, &random);
			CHECK_OK(close(lease));
		}
		pause_up_to(&random, 10000);
	}
	return NULL;
}
