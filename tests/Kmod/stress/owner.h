/* SPDX-License-Identifier: GPL-2.0 */
/* Exporters: threads of the owner, each with a session and every so-manieth slot. */
#ifndef BAR_LEASE_STRESS_OWNER_H
#define BAR_LEASE_STRESS_OWNER_H

#include "stress.h"

#include <pthread.h>

enum {
	EXPORTERS = 2,
};

/* What a slot has, or had: a lease and who made it. Touched by its exporter alone. */
struct slot_lease {
	struct instance instance;
	bool exported;
	/* Its pages were overwritten after its revoke. */
	bool scrubbed;
	/* For who revokes at random: the last generation that could be; 0, none yet. */
	atomic_uint published;
	/* Other devices may attach to it. */
	atomic_bool peer_to_peer;
	int descriptor;
};

struct exporter {
	int session;
	uint32_t first;
	uint64_t random;
	uint64_t exports;
	struct slot_lease leases[SLOTS];
};

extern struct exporter exporters[EXPORTERS];

static inline uint64_t id_of(uint32_t slot, uint32_t generation)
{
	/* The uppermost bit as well: ids have 64. */
	return 1ULL << 63 | (uint64_t)generation << 8 | slot;
}

static inline uint64_t lease_id(const struct instance *instance)
{
	return id_of(instance->slot, instance->generation);
}

static inline uint32_t id_slot(uint64_t id)
{
	return id & 0xff;
}

/* Held for writing by who has to be alone with all sessions. */
extern pthread_rwlock_t sessions;
/* A driver of another device, until `stop`; nothing where there is none. */
void *import_run(void *unused);

/* Ends @share of @of leases, chosen by @random (NULL: all), in one call. */
void exporter_revoke(struct exporter *exporter, uint32_t share, uint32_t of, uint64_t *random);
/* A descriptor of some lease that other devices may attach to, or -1; and its name. */
int exporter_get_for_peer(struct exporter *exporter, struct instance *instance, uint64_t *random);
void exporter_meddle(struct exporter *exporter, uint64_t *random);
/* Gives the slots that have no live lease a new one. */
void exporter_refill(struct exporter *exporter);
void exporter_hand_out(struct exporter *exporter);
void exporter_scrub(struct exporter *exporter);
void exporter_check_scrubbed(struct exporter *exporter);

#endif /* BAR_LEASE_STRESS_OWNER_H */
