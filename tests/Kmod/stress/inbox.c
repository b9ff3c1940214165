// SPDX-License-Identifier: GPL-2.0
/* Lease descriptors on their way between processes. */
#define _GNU_SOURCE
#include "stress.h"

#include "../check.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int inboxes[INBOXES][2];

union control {
	char buffer[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

void inboxes_create(void)
{
	for (int i = 0; i < INBOXES; i++)
		CHECK_OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, inboxes[i]));
}

void inboxes_close(void)
{
	for (int i = 0; i < INBOXES; i++) {
		CHECK_OK(close(inboxes[i][0]));
		CHECK_OK(close(inboxes[i][1]));
	}
}

bool inbox_send(int inbox, const struct instance *instance, int descriptor)
{
	union control control = { .align = { 0 } };
	struct iovec iov = { (void *)instance, sizeof(*instance) };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.buffer),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
	/* A full inbox loses the message, as it should: nobody waits for a slow holder. */
	return sendmsg(inboxes[inbox][1], &message, MSG_DONTWAIT | MSG_NOSIGNAL) ==
	       sizeof(*instance);
}

int inbox_receive(int inbox, struct instance *instance)
{
	struct pollfd wait = { .fd = inboxes[inbox][0], .events = POLLIN };
	union control control;
	struct iovec iov = { instance, sizeof(*instance) };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.buffer),
	};
	int descriptor;

	if (poll(&wait, 1, 50) != 1)
		return -1;
	if (recvmsg(inboxes[inbox][0], &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) !=
	    sizeof(*instance))
		return -1;
	CHECK(CMSG_FIRSTHDR(&message));
	memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	count(OP_RECEIVE, DONE);
	return descriptor;
}
