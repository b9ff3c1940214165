// SPDX-License-Identifier: Apache-2.0
/*
 * The floor under a lease: two processes that send one descriptor to and fro over a Unix socket,
 * with bare sendmsg and recvmsg. Prints `bench descriptor_ping_pong p50_us=... p99_us=...
 * calls=...`; a call is there and back.
 */
#define _GNU_SOURCE
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WARM_UP = 1000, CALLS = 20000 };

/* Aligned for cmsghdr, as CMSG_FIRSTHDR demands. */
union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static void prepare(struct msghdr *message, struct iovec *vector, char *byte,
		    union control *control)
{
	memset(control, 0, sizeof(*control));
	*vector = (struct iovec){ .iov_base = byte, .iov_len = 1 };
	*message = (struct msghdr){
		.msg_iov = vector,
		.msg_iovlen = 1,
		.msg_control = control->bytes,
		.msg_controllen = sizeof(control->bytes),
	};
}

static void send_descriptor(int socket, int descriptor)
{
	union control control;
	struct iovec vector;
	struct msghdr message;
	struct cmsghdr *header;
	char byte = 0;

	prepare(&message, &vector, &byte, &control);
	header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
	if (sendmsg(socket, &message, MSG_NOSIGNAL) != 1)
		err(1, "sendmsg");
}

/* Returns the descriptor, or -1 at the end of the stream. */
static int receive_descriptor(int socket)
{
	union control control;
	struct iovec vector;
	struct msghdr message;
	struct cmsghdr *header;
	int descriptor;
	char byte;
	ssize_t got;

	prepare(&message, &vector, &byte, &control);
	got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	if (got < 0)
		err(1, "recvmsg");
	if (got == 0)
		return -1;
	header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_type != SCM_RIGHTS)
		errx(1, "a message without a descriptor");
	memcpy(&descriptor, CMSG_DATA(header), sizeof(int));
	return descriptor;
}

static void echo(int socket)
{
	int descriptor;

	while ((descriptor = receive_descriptor(socket)) >= 0) {
		send_descriptor(socket, descriptor);
		close(descriptor);
	}
}

static int64_t nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int compare(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

	return (a > b) - (a < b);
}

int main(void)
{
	static int64_t samples[CALLS];
	int sockets[2], memory, status;
	pid_t child;

	memory = memfd_create("ping-pong", MFD_CLOEXEC);
	if (memory < 0)
		err(1, "memfd_create");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
		err(1, "socketpair");
	child = fork();
	if (child < 0)
		err(1, "fork");
	if (child == 0) {
		close(sockets[0]);
		echo(sockets[1]);
		_exit(0);
	}
	close(sockets[1]);

	for (int i = -WARM_UP; i < CALLS; i++) {
		int64_t start = nanoseconds();

		send_descriptor(sockets[0], memory);
		close(receive_descriptor(sockets[0]));
		if (i >= 0)
			samples[i] = nanoseconds() - start;
	}
	close(sockets[0]);
	if (waitpid(child, &status, 0) != child || status)
		errx(1, "the other process failed: %d", status);

	qsort(samples, CALLS, sizeof(samples[0]), compare);
	printf("bench descriptor_ping_pong p50_us=%.1f p99_us=%.1f calls=%d\n",
	       (double)samples[CALLS / 2] / 1000, (double)samples[CALLS / 100 * 99] / 1000, CALLS);
	return 0;
}
