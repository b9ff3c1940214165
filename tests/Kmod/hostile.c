// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include "hostile.h"

#include "check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	REVOKES = 50,
	SUSPENDS = 20,
	REVOKE_LIMIT_US = 10000,
	SUSPEND_LIMIT_US = 50000,
};

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x > y ? 1 : x < y ? -1 : 0;
}

static uint64_t print_and_median(const char *what, const char *situation, uint64_t *took, int count)
{
	qsort(took, (size_t)count, sizeof(*took), compare_u64);
	figure("%s, %s: median %llu us, p90 %llu us, worst %llu us", what, situation,
	       (unsigned long long)took[count / 2] / 1000,
	       (unsigned long long)took[count * 9 / 10] / 1000,
	       (unsigned long long)took[count - 1] / 1000);
	return took[count / 2] / 1000;
}

static void check_revokes(const char *situation, struct vfio *vfio, int session, uint64_t first)
{
	uint64_t took[REVOKES];
	uint32_t value;

	for (uint64_t i = 0; i < REVOKES; i++) {
		int lease = lease_export_other(session, vfio, OTHERS_IDS + i, first + i, 1);
		volatile uint32_t *memory = lease_map(lease, 1, PROT_READ | PROT_WRITE);
		uint64_t start;

		memory[0] = (uint32_t)i;
		start = now_ns();
		CHECK_EQ(lease_revoke_one(session, OTHERS_IDS + i), 1);
		took[i] = now_ns() - start;
		CHECK(!peek(memory, &value));
		CHECK_OK(munmap((void *)memory, PAGE));
		CHECK_OK(close(lease));
	}
	CHECK(print_and_median("REVOKE of another lease", situation, took, REVOKES) <
	      REVOKE_LIMIT_US * slowness());
}

void check_suspend_times(const char *situation, uint64_t *took, int count)
{
	CHECK(print_and_median("suspend", situation, took, count) < SUSPEND_LIMIT_US * slowness());
}

static void check_suspends(const char *situation, struct vfio *vfio, int session)
{
	int lease = lease_export_other(session, vfio, OTHERS_IDS, OTHERS_FIRST, 1);
	volatile uint32_t *memory = lease_map(lease, 1, PROT_READ);
	uint64_t took[SUSPENDS];
	uint32_t value;

	for (int i = 0; i < SUSPENDS; i++) {
		uint64_t start;

		CHECK(peek(memory, &value));
		start = now_ns();
		vfio_set_memory(vfio, false);
		took[i] = now_ns() - start;
		CHECK(!peek(memory, &value));
		vfio_set_memory(vfio, true);
	}
	CHECK(peek(memory, &value));
	CHECK_EQ(lease_revoke_one(session, OTHERS_IDS), 1);
	CHECK_OK(munmap((void *)memory, PAGE));
	CHECK_OK(close(lease));
	check_suspend_times(situation, took, SUSPENDS);
}

void check_others(const char *situation, struct vfio *vfio, int session)
{
	check_revokes(situation, vfio, session, OTHERS_FIRST);
	check_suspends(situation, vfio, session);
}

void check_sharers(const char *situation, struct vfio *vfio, int session)
{
	check_revokes(situation, vfio, session, 0);
}

void send_descriptor(int socket, int descriptor)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
	CHECK_EQ(sendmsg(socket, &message, MSG_NOSIGNAL), 1);
}

int receive_descriptor(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	int descriptor;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&message))
		return -1;
	memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return descriptor;
}
