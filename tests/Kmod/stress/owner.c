// SPDX-License-Identifier: GPL-2.0
/*
 * The owner: has the devices, exports leases, hands them out, revokes them. Ids
 * are never used twice, so that a revoke by one thread can't mean the lease that
 * another is just making.
 */
#define _GNU_SOURCE
#include "owner.h"

#include "../check.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct vfio devices[DEVICES];
struct exporter exporters[EXPORTERS];

pthread_rwlock_t sessions = PTHREAD_RWLOCK_INITIALIZER;

static void open_session(struct exporter *exporter)
{
	exporter->session = session_open();
	exporter->exports = 0;
}

/* The counters agree with what was done; the caller is alone. */
static void check_counters(struct exporter *exporter)
{
	struct bar_lease_info info = lease_info(exporter->session);
	uint64_t live = 0;

	for (uint32_t slot = exporter->first; slot < SLOTS; slot += EXPORTERS)
		live += exporter->leases[slot].exported &&
			!is_revoked(&exporter->leases[slot].instance);
	if (shared->sabotage == SKIP_REVOKE)
		return;
	if (info.exports != exporter->exports || info.leases_live != live ||
	    info.leases_revoked != exporter->exports - live)
		violate(CALL, "counters: %llu exports (%llu), %llu live (%llu), %llu revoked",
			(unsigned long long)info.exports, (unsigned long long)exporter->exports,
			(unsigned long long)info.leases_live, (unsigned long long)live,
			(unsigned long long)info.leases_revoked);
}

static void check_list(struct exporter *exporter)
{
	struct bar_lease_entry *entries;
	struct bar_lease_range *ranges;
	uint32_t nr_leases = lease_list(exporter->session, &entries, &ranges);
	uint64_t live = lease_info(exporter->session).leases_live;

	if (nr_leases != live)
		violate(CALL, "LIST has %u leases, %llu are live", nr_leases,
			(unsigned long long)live);
	for (uint32_t i = 0; i < nr_leases; i++) {
		const struct instance *instance =
			&exporter->leases[id_slot(entries[i].lease_id)].instance;
		uint64_t length = 0;

		for (uint32_t j = 0; j < entries[i].nr_ranges; j++)
			length += ranges[entries[i].first_range + j].length;
		if (entries[i].lease_id != lease_id(instance) ||
		    entries[i].nr_ranges != instance->nr_ranges || length != instance->pages * PAGE)
			violate(CALL, "LIST: lease %llx is not what it was exported as",
				(unsigned long long)entries[i].lease_id);
	}
	free(entries);
	free(ranges);
	count(OP_LIST, DONE);
}

/* Everything of everybody: the last call finds no live lease left on any device. */
static void revoke_everything(void)
{
	for (int i = 0; i < EXPORTERS; i++)
		exporter_revoke(&exporters[i], 1, 1, NULL);
}

static void close_session(struct exporter *exporter)
{
	check_counters(exporter);
	for (uint32_t slot = exporter->first; slot < SLOTS; slot += EXPORTERS) {
		if (exporter->leases[slot].exported)
			mark_revoking(slot, exporter->leases[slot].instance.generation);
	}
	CHECK_OK(close(exporter->session));
	for (uint32_t slot = exporter->first; slot < SLOTS; slot += EXPORTERS) {
		if (exporter->leases[slot].exported)
			mark_revoked(slot, exporter->leases[slot].instance.generation);
	}
	count(OP_CLOSE_SESSION, DONE);
	open_session(exporter);
}

/* What is done alone. */
static void round_alone(struct exporter *exporter)
{
	CHECK_EQ(pthread_rwlock_wrlock(&sessions), 0);
	switch (below(&exporter->random, 3)) {
	case 0:
		revoke_everything();
		break;
	case 1:
		if (shared->sabotage != SKIP_REVOKE)
			close_session(exporter);
		break;
	default:
		check_counters(exporter);
		if (shared->sabotage != SKIP_REVOKE)
			check_list(exporter);
	}
	pthread_rwlock_unlock(&sessions);
}

static void round_together(struct exporter *exporter)
{
	CHECK_EQ(pthread_rwlock_rdlock(&sessions), 0);
	/* One in 1 is all; few, most often. */
	exporter_revoke(exporter, 1, 1 + below(&exporter->random, 16), &exporter->random);
	pthread_rwlock_unlock(&sessions);
}

static void *export_and_revoke(void *argument)
{
	struct exporter *exporter = argument;

	while (!shared->stop) {
		if (below(&exporter->random, 6) == 0)
			round_alone(exporter);
		else
			round_together(exporter);
		exporter_scrub(exporter);
		pause_up_to(&exporter->random, 8000);
		exporter_check_scrubbed(exporter);

		CHECK_EQ(pthread_rwlock_rdlock(&sessions), 0);
		exporter_refill(exporter);
		exporter_hand_out(exporter);
		pthread_rwlock_unlock(&sessions);
		pause_up_to(&exporter->random, 30000);
	}
	return NULL;
}

/* Revokes what others are revoking, too: no call may return early for that. */
static void *meddle(void *unused)
{
	uint64_t random = shared->seed ^ 0x3edd1e;

	(void)unused;
	while (!shared->stop) {
		CHECK_EQ(pthread_rwlock_rdlock(&sessions), 0);
		exporter_meddle(&exporters[below(&random, EXPORTERS)], &random);
		pthread_rwlock_unlock(&sessions);
		pause_up_to(&random, 40000);
	}
	return NULL;
}

static void open_devices(void)
{
	vfio_open_ivshmem(&devices[0]);
	vfio_open(&devices[1], "NVME", 0);
	/* Capabilities and version: the controller's, whatever state it is in. */
	for (int word = 0; word < 3; word++)
		shared->devices[1].words[word] = devices[1].memory[word];
	audit_fill();
}

void owner_run(int ready)
{
	pthread_t threads[EXPORTERS], suspenders[DEVICES], auditor, meddler, importer;

	access_prepare();
	open_devices();
	CHECK_OK(close(ready));
	for (uint32_t i = 0; i < EXPORTERS; i++) {
		exporters[i].first = i;
		exporters[i].random = shared->seed * (i + 3) + 5;
		open_session(&exporters[i]);
		CHECK_EQ(pthread_create(&threads[i], NULL, export_and_revoke, &exporters[i]), 0);
	}
	for (int i = 0; i < DEVICES; i++)
		CHECK_EQ(pthread_create(&suspenders[i], NULL, suspend_run, &devices[i]), 0);
	CHECK_EQ(pthread_create(&auditor, NULL, audit_run, NULL), 0);
	CHECK_EQ(pthread_create(&meddler, NULL, meddle, NULL), 0);
	CHECK_EQ(pthread_create(&importer, NULL, import_run, NULL), 0);

	for (int i = 0; i < EXPORTERS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	for (int i = 0; i < DEVICES; i++)
		CHECK_EQ(pthread_join(suspenders[i], NULL), 0);
	CHECK_EQ(pthread_join(auditor, NULL), 0);
	CHECK_EQ(pthread_join(meddler, NULL), 0);
	CHECK_EQ(pthread_join(importer, NULL), 0);

	revoke_everything();
	for (int i = 0; i < EXPORTERS; i++)
		check_counters(&exporters[i]);
	shared->over = true;
	audit_all();
	_exit(0);
}
