// SPDX-License-Identifier: Apache-2.0
/*
 * The floor under a lease: two processes that send one descriptor to and fro over a Unix socket,
 * with bare sendmsg and recvmsg. Takes lines `latency CALLS`, and answers each with the
 * nanoseconds of so many calls; a call is there and back.
 */
#define _GNU_SOURCE
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

static void measure(int socket, int memory, int calls)
{
	for (int i = 0; i < calls; i++) {
		int64_t start = nanoseconds();

		send_descriptor(socket, memory);
		close(receive_descriptor(socket));
		printf("%lld ", (long long)(nanoseconds() - start));
	}
	puts("");
	fflush(stdout);
}

int main(void)
{
	int sockets[2], memory, status, calls;
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

	while (scanf(" latency %d", &calls) == 1)
		measure(sockets[0], memory, calls);
	if (!feof(stdin))
		errx(2, "a line that is not `latency CALLS`");
	close(sockets[0]);
	if (waitpid(child, &status, 0) != child || status)
		errx(1, "the other process failed: %d", status);
	return 0;
}
