// SPDX-License-Identifier: GPL-2.0
/* The device goes away from under its leases: unbound from vfio-pci, or removed altogether. */
#define _GNU_SOURCE
#include "check.h"
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct vfio vfio;
static int session;
static atomic_bool gone;

static void write_file(const char *path, const char *text)
{
	int file = open(path, O_WRONLY | O_CLOEXEC);

	if (file < 0 || write(file, text, strlen(text)) < 0)
		FAIL("%s to %s: %s", text, path, strerror(errno));
	CHECK_OK(close(file));
}

static void write_device_file(const char *bdf, const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, file);
	write_file(path, text);
}

static const char *nvme_name(void)
{
	const char *bdf = getenv("BAR_BROKER_VM_NVME");

	CHECK(bdf && *bdf);
	return bdf;
}

static void *unbind(void *unused)
{
	(void)unused;
	write_file("/sys/bus/pci/drivers/vfio-pci/unbind", nvme_name());
	gone = true;
	return NULL;
}

static void *remove_device(void *unused)
{
	(void)unused;
	write_device_file(nvme_name(), "remove", "1");
	gone = true;
	return NULL;
}

/* Back to vfio-pci, whatever has become of it. */
static void bring_back(void)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", nvme_name());
	if (access(path, F_OK))
		write_file("/sys/bus/pci/rescan", "1");
	write_device_file(nvme_name(), "driver_override", "vfio-pci");
	write_file("/sys/bus/pci/drivers_probe", nvme_name());
}

/* VFIO's word that somebody wants the device back. */
static int request_event(void)
{
	int event = CHECK_OK(eventfd(0, EFD_CLOEXEC));
	char buffer[sizeof(struct vfio_irq_set) + sizeof(int)];
	struct vfio_irq_set *set = (struct vfio_irq_set *)buffer;

	*set = (struct vfio_irq_set){
		.argsz = sizeof(buffer),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_REQ_IRQ_INDEX,
		.count = 1,
	};
	memcpy(set->data, &event, sizeof(event));
	CHECK_OK(ioctl(vfio.device, VFIO_DEVICE_SET_IRQS, set));
	return event;
}

/* A client that keeps its mapping, come what may, and says what an access gives. */
struct client {
	int socket;
	pid_t process;
};

static struct client start_client(int lease)
{
	int sockets[2];
	struct client client;
	char answer;

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	client.socket = sockets[0];
	client.process = CHECK_OK(fork());
	if (!client.process) {
		volatile uint32_t *memory;
		uint32_t value;

		/* Nothing that would keep the device open. */
		CHECK_OK(munmap((void *)vfio.memory, vfio.size));
		CHECK_OK(close(session));
		CHECK_OK(close(vfio.device));
		CHECK_OK(close(vfio.group));
		CHECK_OK(close(vfio.container));
		CHECK_OK(close(sockets[0]));
		memory = lease_map(lease, 1, PROT_READ);
		do {
			answer = peek(memory + 2, &value) ? 'y' : 'n';
			CHECK_EQ(write(sockets[1], &answer, 1), 1);
		} while (read(sockets[1], &answer, 1) == 1);
		_exit(0);
	}
	CHECK_OK(close(sockets[1]));
	CHECK_EQ(read(client.socket, &answer, 1), 1);
	CHECK_EQ(answer, 'y');
	return client;
}

static bool client_reaches(struct client client)
{
	char byte = 0;

	CHECK_EQ(write(client.socket, &byte, 1), 1);
	CHECK_EQ(read(client.socket, &byte, 1), 1);
	return byte == 'y';
}

static void end_client(struct client client)
{
	CHECK_OK(close(client.socket));
	CHECK_EQ(waitpid(client.process, NULL, 0), client.process);
}

/*
 * Somebody takes the device while a client has a mapping: that waits for VFIO's
 * last descriptor, which has to hold up neither a revoke nor other devices.
 */
static void take_away(void *(*taker)(void *), bool revoke_first)
{
	struct vfio ivshmem = { 0 };
	struct export again;
	struct client client;
	pthread_t thread;
	uint64_t requests;
	int lease, event;

	vfio_open_ivshmem(&ivshmem);
	vfio_open(&vfio, "NVME", 0);
	session = session_open();
	lease = lease_export(session, &vfio, 1, 0, 1, BAR_LEASE_EXPORT_READ_ONLY);
	/* VFIO's descriptor isn't the client's to keep: see start_client(). */
	CHECK_OK(fcntl(ivshmem.device, F_SETFD, FD_CLOEXEC));
	client = start_client(lease);
	event = request_event();

	CHECK_EQ(pthread_create(&thread, NULL, taker, NULL), 0);
	CHECK_EQ(read(event, &requests, sizeof(requests)), sizeof(requests));
	CHECK(!gone);
	/* Nothing has been taken yet. But nothing is given any more, and nobody waits to be told.
	 */
	CHECK(client_reaches(client));
	export_prepare(&again, &vfio, 2, 0, 1, 0);
	CHECK_ERRNO(export_call(session, &again), EAGAIN);
	export_finish(&again);
	check_others("another device is being taken away", &ivshmem, session);

	if (revoke_first) {
		CHECK_EQ(lease_revoke_one(session, 1), 1);
		CHECK(!client_reaches(client));
	}
	CHECK(!gone);
	vfio_close(&vfio);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(gone);
	CHECK(!client_reaches(client));
	if (!revoke_first) {
		/* Of a device that is not there any more, but whose lease is. */
		CHECK_EQ(lease_state(session, 1), BAR_LEASE_STATE_SUSPENDED);
		CHECK_EQ(lease_revoke_one(session, 1), 1);
	}
	CHECK(!client_reaches(client));
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease, 0), ENODEV);

	/* It comes back, and is another device to whoever had it. */
	bring_back();
	gone = false;
	vfio_open(&vfio, "NVME", 0);
	volatile uint32_t *fresh = lease_map(
		lease_export(session, &vfio, 1, 0, 1, BAR_LEASE_EXPORT_READ_ONLY), 1, PROT_READ);
	uint32_t value;

	CHECK(peek(fresh + 2, &value));
	CHECK_EQ(value, vfio.memory[2]);
	CHECK(!client_reaches(client));
	end_client(client);
}

TEST(a_device_is_unbound_under_a_mapping_whose_lease_is_revoked)
{
	take_away(unbind, true);
}

TEST(a_device_is_unbound_under_a_mapping_whose_lease_is_not_revoked)
{
	take_away(unbind, false);
}

TEST(a_device_is_removed_under_a_mapping_whose_lease_is_revoked)
{
	take_away(remove_device, true);
}

TEST(a_device_is_removed_under_a_mapping_whose_lease_is_not_revoked)
{
	take_away(remove_device, false);
}
