// SPDX-License-Identifier: GPL-2.0
/* What an exporter does: EXPORT, GET_FD, REVOKE. */
#define _GNU_SOURCE
#include "owner.h"

#include "../check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* -- REVOKE --------------------------------------------------------------- */

/* Until the kernel says that it is done, as a broker would. */
static void revoke_confirmed(int session, const uint64_t *ids, uint32_t nr_ids)
{
	uint32_t nr_revoked, ended = 0;
	int tries = 0, result;

	if (shared->sabotage == SKIP_REVOKE)
		return;
	do {
		uint64_t start = now_ns();

		result = lease_revoke(session, ids, nr_ids, &nr_revoked);
		raise_to(&shared->slowest_revoke, (now_ns() - start) / 1000);
		count(OP_REVOKE_CALL, result ? REFUSED : DONE);
		ended += nr_revoked;
		if (result && errno != ETIMEDOUT) {
			violate(CALL, "REVOKE: %s", strerror(errno));
			return;
		}
		if (result)
			count(OP_REVOKE_TIMEOUT, DONE);
	} while (result && ++tries < 30);
	if (result)
		violate(CALL, "a REVOKE was never confirmed");
	if (ended > nr_ids)
		violate(CALL, "REVOKE of %u leases ended %u", nr_ids, ended);
	for (; ended; ended--)
		count(OP_REVOKE, DONE);
}

void exporter_revoke(struct exporter *exporter, uint32_t share, uint32_t of, uint64_t *random)
{
	uint64_t ids[SLOTS];
	uint32_t nr_ids = 0;

	for (uint32_t slot = exporter->first; slot < SLOTS; slot += EXPORTERS) {
		struct slot_lease *lease = &exporter->leases[slot];

		if (!lease->exported || (random && below(random, of) >= share))
			continue;
		/* Sometimes once more. */
		if (is_revoked(&lease->instance) && (!random || below(random, 4)))
			continue;
		mark_revoking(slot, lease->instance.generation);
		ids[nr_ids++] = lease_id(&lease->instance);
	}
	if (!nr_ids)
		return;
	revoke_confirmed(exporter->session, ids, nr_ids);
	for (uint32_t i = 0; i < nr_ids; i++) {
		uint32_t slot = id_slot(ids[i]);

		mark_revoked(slot, exporter->leases[slot].instance.generation);
	}
}

void exporter_meddle(struct exporter *exporter, uint64_t *random)
{
	uint32_t slot = exporter->first + below(random, SLOTS / EXPORTERS) * EXPORTERS;
	uint32_t generation = exporter->leases[slot].published;
	uint64_t id = id_of(slot, generation);

	if (!generation)
		return;
	mark_revoking(slot, generation);
	revoke_confirmed(exporter->session, &id, 1);
	mark_revoked(slot, generation);
}

int exporter_get_for_peer(struct exporter *exporter, struct instance *instance, uint64_t *random)
{
	uint32_t slot = exporter->first + below(random, MEMORY_SLOTS / EXPORTERS) * EXPORTERS;
	uint32_t generation = exporter->leases[slot].published;

	if (!generation || !exporter->leases[slot].peer_to_peer)
		return -1;
	*instance = (struct instance){ .slot = slot, .generation = generation };
	return lease_get_fd(exporter->session, id_of(slot, generation));
}

/* -- EXPORT --------------------------------------------------------------- */

static void choose_ranges(struct instance *instance, uint32_t max_ranges, uint64_t *random)
{
	uint32_t region = instance->slot / SLOTS_PER_REGION;
	uint32_t start = region_start(region), pages = region_pages(region);

	instance->nr_ranges = 1;
	if (instance->device) {
		instance->ranges[0] = (struct page_range){ 0, 1 };
	} else if (pages > MAX_PAGES && instance->slot % SLOTS_PER_REGION == 0) {
		instance->ranges[0] = (struct page_range){
			start + below(random, 2) * 512,
			MAX_PAGES,
		};
	} else {
		if (max_ranges > 1 && below(random, 2))
			instance->nr_ranges =
				2 + below(random,
					  (max_ranges < MAX_RANGES ? max_ranges : MAX_RANGES) - 1);
		/* In any order, adjacent and overlapping as it comes. */
		for (uint32_t i = 0; i < instance->nr_ranges; i++) {
			uint32_t length = 1 + below(random, 5);

			instance->ranges[i] = (struct page_range){
				start + below(random, pages - length + 1),
				length,
			};
		}
	}
	instance->pages = 0;
	for (uint32_t i = 0; i < instance->nr_ranges; i++)
		instance->pages += instance->ranges[i].pages;
}

static void to_bytes(const struct instance *instance, struct bar_lease_range *ranges)
{
	for (uint32_t i = 0; i < instance->nr_ranges; i++)
		ranges[i] = (struct bar_lease_range){ instance->ranges[i].page * PAGE,
						      instance->ranges[i].pages * PAGE };
}

/* Only while the device is suspended, or just was. */
static bool export_refused(const struct instance *instance, unsigned int suspends)
{
	unsigned int now = shared->devices[instance->device].suspends;

	count(OP_EXPORT, REFUSED);
	if (errno != EAGAIN)
		violate(CALL, "EXPORT: %s", strerror(errno));
	else if (suspends % 2 == 0 && suspends == now)
		violate(CALL, "EXPORT says EAGAIN though the device is not suspended");
	return false;
}

static bool export(struct exporter *exporter, struct slot_lease *lease)
{
	struct instance *instance = &lease->instance;
	struct vfio *vfio = &devices[instance->device];
	struct bar_lease_range ranges[MAX_RANGES];
	struct bar_lease_info info = lease_info(exporter->session);
	struct bar_lease_export request = {
		.argsz = sizeof(request),
		.flags = instance->read_only ? BAR_LEASE_EXPORT_READ_ONLY : 0,
		.lease_id = lease_id(instance),
		.pci_domain = vfio->domain,
		.pci_bus = vfio->bus,
		.pci_devfn = vfio->devfn,
		.bar = vfio->bar,
		.memory_type = BAR_LEASE_MEMORY_UNCACHED,
		.ranges = (uintptr_t)ranges,
	};
	unsigned int suspends;
	uint32_t type;

	choose_ranges(instance, info.max_ranges, &exporter->random);
	request.nr_ranges = instance->nr_ranges;
	if (info.memory_types & 1U << BAR_LEASE_MEMORY_WRITE_COMBINING &&
	    below(&exporter->random, 4) == 0)
		request.memory_type = BAR_LEASE_MEMORY_WRITE_COMBINING;
	/* One range, and writable: others can't be. */
	if (!instance->device && instance->nr_ranges == 1 && !instance->read_only &&
	    below(&exporter->random, 3) == 0)
		request.flags |= BAR_LEASE_EXPORT_P2P;
	type = request.memory_type;

	to_bytes(instance, ranges);
	request.dmabuf_fd = vfio_dmabuf_of(vfio, vfio->bar, ranges, instance->nr_ranges);
	suspends = shared->devices[instance->device].suspends;
	lease->descriptor = ioctl(exporter->session, BAR_LEASE_EXPORT, &request);
	if (lease->descriptor < 0)
		export_refused(instance, suspends);
	CHECK_OK(close(request.dmabuf_fd));
	if (lease->descriptor < 0)
		return false;

	if (!request.verified || request.memory_type != type)
		violate(CALL, "EXPORT: verified %u, memory type %u for %u", request.verified,
			request.memory_type, type);
	exporter->exports++;
	count(OP_EXPORT, DONE);
	if (type == BAR_LEASE_MEMORY_WRITE_COMBINING)
		count(OP_EXPORT_WC, DONE);
	if (instance->nr_ranges > 1)
		count(OP_EXPORT_RANGES, DONE);
	lease->peer_to_peer = request.flags & BAR_LEASE_EXPORT_P2P;
	if (lease->peer_to_peer)
		count(OP_EXPORT_P2P, DONE);
	return true;
}

void exporter_refill(struct exporter *exporter)
{
	for (uint32_t slot = exporter->first; slot < SLOTS; slot += EXPORTERS) {
		struct slot_lease *lease = &exporter->leases[slot];

		lease->descriptor = -1;
		if (lease->exported && !is_revoked(&lease->instance))
			continue;
		lease->scrubbed = false;
		lease->instance.slot = slot;
		lease->instance.device = slot >= MEMORY_SLOTS;
		lease->instance.read_only = slot_read_only(slot);
		lease->instance.generation++;
		lease->exported = export(exporter, lease);
		if (lease->exported)
			lease->published = lease->instance.generation;
	}
}

/* The new ones' descriptors, and now and then another of an old lease. */
void exporter_hand_out(struct exporter *exporter)
{
	for (uint32_t slot = exporter->first; slot < SLOTS; slot += EXPORTERS) {
		struct slot_lease *lease = &exporter->leases[slot];
		int descriptor = lease->descriptor;

		if (!lease->exported)
			continue;
		if (descriptor < 0) {
			if (below(&exporter->random, 4))
				continue;
			descriptor = lease_get_fd(exporter->session, lease_id(&lease->instance));
			count(OP_GET_FD, descriptor < 0 ? REFUSED : DONE);
			/* Another thread may have revoked it. */
			if (descriptor < 0) {
				unsigned int revoking = shared->slots[slot].revoking;

				if (errno != ENOENT || revoking < lease->instance.generation)
					violate(CALL, "GET_FD: %s", strerror(errno));
				continue;
			}
		}
		for (int sent = 0; sent < 2; sent++)
			inbox_send((int)below(&exporter->random, INBOXES), &lease->instance,
				   descriptor);
		CHECK_OK(close(descriptor));
	}
}

/* -- nothing is written through a revoked lease --------------------------- */

void exporter_scrub(struct exporter *exporter)
{
	for (uint32_t slot = exporter->first; slot < SLOTS; slot += EXPORTERS) {
		struct slot_lease *lease = &exporter->leases[slot];

		if (lease->exported && is_revoked(&lease->instance))
			lease->scrubbed = audit_scrub(&lease->instance);
	}
}

void exporter_check_scrubbed(struct exporter *exporter)
{
	for (uint32_t slot = exporter->first; slot < SLOTS; slot += EXPORTERS) {
		struct slot_lease *lease = &exporter->leases[slot];

		if (lease->exported && lease->scrubbed)
			audit_scrubbed(&lease->instance);
	}
}
