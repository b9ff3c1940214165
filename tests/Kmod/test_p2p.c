// SPDX-License-Identifier: GPL-2.0
/* P2P leases: who may attach, what a mapping is, and that data really arrives. */
#define _GNU_SOURCE
#include "check.h"
#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static struct vfio vfio;
static int session;

static void prepare(void)
{
	vfio_open_ivshmem(&vfio);
	session = session_open();
}

/* Where the kernel has put the BAR; on this machine bus addresses are the CPU's. */
static uint64_t bar_address(void)
{
	unsigned long long start = 0;
	char path[128], line[128];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%04x:%02x:%02x.%x/resource", vfio.domain,
		 vfio.bus, vfio.devfn >> 3, vfio.devfn & 7);
	file = fopen(path, "re");
	CHECK(file);
	for (uint32_t bar = 0; bar <= vfio.bar; bar++)
		CHECK(fgets(line, sizeof(line), file));
	CHECK_EQ(sscanf(line, "%llx", &start), 1);
	CHECK_OK(fclose(file));
	return start;
}

TEST(a_mapping_for_dma_is_the_range_and_nothing_else)
{
	struct importer_state state;

	prepare();
	int lease = lease_export(session, &vfio, 1, 5, 3, BAR_LEASE_EXPORT_P2P);
	int peer = peer_mapped(lease, function_itself(&vfio), IMPORTER_PROMPT, 0);

	state = peer_state(peer);
	CHECK_EQ(state.mapped, 1);
	CHECK_EQ(state.address, bar_address() + 5 * PAGE);
	CHECK_EQ(state.length, 3 * PAGE);
	CHECK_EQ(lease_info(session).importers, 1);
	CHECK_EQ(lease_info(session).importer_maps, 1);

	CHECK_OK(ioctl(peer, IMPORTER_UNMAP));
	CHECK_EQ(lease_info(session).importers, 1);
	CHECK_EQ(lease_info(session).importer_maps, 0);
	CHECK_OK(ioctl(peer, IMPORTER_MAP));
	CHECK_EQ(peer_state(peer).address, bar_address() + 5 * PAGE);
	CHECK_OK(close(peer));
	CHECK_EQ(lease_info(session).importers, 0);
	CHECK_EQ(lease_info(session).importer_maps, 0);
}

TEST(many_drivers_can_attach_to_one_lease)
{
	int peers[10];

	prepare();
	int lease = lease_export(session, &vfio, 1, 5, 3, BAR_LEASE_EXPORT_P2P);

	for (int i = 0; i < 10; i++) {
		peers[i] = peer_mapped(lease, i % 2 ? function_itself(&vfio) : function_edu(),
				       IMPORTER_PROMPT, 0);
		CHECK_EQ(peer_state(peers[i]).length, 3 * PAGE);
	}
	CHECK_EQ(lease_info(session).importer_maps, 10);
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK_EQ(lease_info(session).importer_maps, 0);
	CHECK_EQ(lease_info(session).importers, 10);
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(peer_state(peers[i]).invalidations, 1);
		CHECK_ERRNO(ioctl(peers[i], IMPORTER_MAP), ENODEV);
		CHECK_OK(close(peers[i]));
	}
	CHECK_EQ(lease_info(session).importers, 0);
}

TEST(drivers_that_could_not_be_made_to_let_go_are_refused)
{
	prepare();
	int lease = lease_export(session, &vfio, 1, 5, 1, BAR_LEASE_EXPORT_P2P);
	struct function function = function_itself(&vfio);

	for (uint32_t kind = IMPORTER_WITHOUT_PEER2PEER; kind <= IMPORTER_STATIC; kind++)
		CHECK_ERRNO(peer_attach(peer_open(), lease, function, kind, 0, 0), EOPNOTSUPP);
	CHECK_EQ(lease_info(session).importers, 0);
}

TEST(nobody_can_attach_to_a_lease_without_p2p)
{
	prepare();
	int lease = lease_export(session, &vfio, 1, 5, 1, 0);
	struct function function = function_itself(&vfio);

	for (uint32_t kind = IMPORTER_DYNAMIC; kind <= IMPORTER_STATIC; kind++)
		CHECK_ERRNO(peer_attach(peer_open(), lease, function, kind, 0, 0), EOPNOTSUPP);
}

TEST(nobody_can_attach_to_a_lease_that_is_revoked_or_suspended)
{
	prepare();
	int lease = lease_export(session, &vfio, 1, 5, 1, BAR_LEASE_EXPORT_P2P);
	struct function function = function_itself(&vfio);

	vfio_set_memory(&vfio, false);
	CHECK_ERRNO(peer_attach(peer_open(), lease, function, 0, 0, 0), ENODEV);
	vfio_set_memory(&vfio, true);
	CHECK_OK(peer_attach(peer_open(), lease, function, 0, 0, 0));

	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK_ERRNO(peer_attach(peer_open(), lease, function, 0, 0, 0), ENODEV);
}

TEST(a_p2p_lease_is_never_read_only_and_has_one_range)
{
	struct export export;

	prepare();
	export_prepare(&export, &vfio, 1, 5, 1, BAR_LEASE_EXPORT_P2P | BAR_LEASE_EXPORT_READ_ONLY);
	CHECK_ERRNO(export_call(session, &export), EINVAL);
	export_finish(&export);

	struct bar_lease_range ranges[] = { { 5 * PAGE, PAGE }, { 7 * PAGE, PAGE } };

	export_prepare(&export, &vfio, 1, 5, 2, BAR_LEASE_EXPORT_P2P);
	export.request.nr_ranges = 2;
	export.request.ranges = (uintptr_t)ranges;
	CHECK_ERRNO(export_call(session, &export), EINVAL);
	export_finish(&export);
}

TEST(a_p2p_lease_is_listed_as_one)
{
	struct bar_lease_entry *entries;
	struct bar_lease_range *ranges;

	prepare();
	lease_export(session, &vfio, 1, 5, 1, BAR_LEASE_EXPORT_P2P);
	CHECK_EQ(lease_list(session, &entries, &ranges), 1);
	CHECK_EQ(entries[0].flags, BAR_LEASE_EXPORT_P2P);
	CHECK_EQ(entries[0].state, BAR_LEASE_STATE_LIVE);
}

TEST(a_processor_maps_a_p2p_lease_like_any_other)
{
	uint32_t value;

	prepare();
	int lease = lease_export(session, &vfio, 1, 5, 1, BAR_LEASE_EXPORT_P2P);
	int peer = peer_mapped(lease, function_itself(&vfio), IMPORTER_PROMPT, 0);
	volatile uint32_t *memory = lease_map(lease, 1, PROT_READ | PROT_WRITE);

	memory[0] = 55;
	CHECK_EQ(*vfio_word(&vfio, 5, 0), 55);
	vfio_set_memory(&vfio, false);
	CHECK(!peek(memory, &value));
	vfio_set_memory(&vfio, true);
	CHECK(peek(memory, &value) && value == 55);
	/* What a driver does concerns no processor. */
	CHECK_OK(ioctl(peer, IMPORTER_MAP));
	CHECK_OK(ioctl(peer, IMPORTER_UNMAP));
	CHECK(peek(memory, &value) && value == 55);

	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK(!peek(memory, &value));
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease, 0), ENODEV);
}

TEST(dma_by_another_device_arrives_until_the_revoke_and_not_after_it)
{
	struct importer_state state;
	struct edu edu;

	prepare();
	int lease = lease_export(session, &vfio, 1, 5, 2, BAR_LEASE_EXPORT_P2P);
	int peer = peer_mapped(lease, function_edu(), IMPORTER_PROMPT, 0);

	edu_open(&edu);
	state = peer_state(peer);
	*vfio_word(&vfio, 5, 0) = 0x11111111;
	*vfio_word(&vfio, 6, 1) = 0;
	edu_copy(&edu, state.address, state.address + PAGE + 4);
	CHECK_EQ(*vfio_word(&vfio, 6, 1), 0x11111111);

	CHECK_EQ(lease_revoke_one(session, 1), 1);
	*vfio_word(&vfio, 5, 0) = 0x22222222;
	*vfio_word(&vfio, 6, 1) = 0;
	edu_copy(&edu, state.address, state.address + PAGE + 4);
	CHECK_EQ(*vfio_word(&vfio, 6, 1), 0);
	edu_close(&edu);
}

TEST(dma_by_another_device_arrives_as_long_as_a_revoke_is_not_confirmed)
{
	struct importer_state state;
	const uint64_t id = 1;
	struct edu edu;

	prepare();
	int lease = lease_export(session, &vfio, 1, 5, 2, BAR_LEASE_EXPORT_P2P);
	int peer = peer_mapped(lease, function_edu(), IMPORTER_STUCK, 0);

	edu_open(&edu);
	state = peer_state(peer);
	*vfio_word(&vfio, 5, 0) = 0x33333333;
	*vfio_word(&vfio, 6, 1) = 0;
	CHECK_ERRNO(lease_revoke(session, &id, 1, NULL), ETIMEDOUT);
	edu_copy(&edu, state.address, state.address + PAGE + 4);
	CHECK_EQ(*vfio_word(&vfio, 6, 1), 0x33333333);

	CHECK_OK(ioctl(peer, IMPORTER_UNMAP));
	CHECK_EQ(lease_revoke_one(session, 1), 0);
	*vfio_word(&vfio, 5, 0) = 0x44444444;
	edu_copy(&edu, state.address, state.address + PAGE + 4);
	CHECK_EQ(*vfio_word(&vfio, 6, 1), 0x33333333);
	edu_close(&edu);
}
