// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "barbroker.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* As long as a ticket lives: a broker that takes longer hangs. */
#define PATIENCE_SECONDS 10

/* What a redeeming connection begins with, in place of HTTP/2's preface. */
static const char preface[] = "BARFD1 ";

/* The broker's answer: one byte. */
enum answer {
	GRANTED,
	REFUSED,
	TOO_MANY_CONNECTIONS,
	MALFORMED,
	LEASE_OVER,
};

static bool is_ticket(const char *ticket)
{
	return strspn(ticket, "0123456789abcdef") == BB_TICKET_LENGTH &&
	       ticket[BB_TICKET_LENGTH] == '\0';
}

/* What a call on the socket failed with; its own timeouts come as EAGAIN. */
static int socket_error(void)
{
	return errno == EAGAIN ? -ETIMEDOUT : -errno;
}

static int connect_to(const struct sockaddr_un *address)
{
	const struct timeval patience = { .tv_sec = PATIENCE_SECONDS };
	int result, connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connection < 0)
		return -errno;
	/* The one for sending is connect's as well. */
	setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	do {
		result = connect(connection, (const struct sockaddr *)address, sizeof(*address));
	} while (result < 0 && errno == EINTR);
	if (result < 0) {
		result = socket_error();
		close(connection);
		return result;
	}
	return connection;
}

static int send_ticket(int connection, const char *ticket)
{
	char line[sizeof(preface) + BB_TICKET_LENGTH];
	size_t sent = 0;

	memcpy(line, preface, sizeof(preface) - 1);
	memcpy(line + sizeof(preface) - 1, ticket, BB_TICKET_LENGTH);
	line[sizeof(line) - 1] = '\n';
	while (sent < sizeof(line)) {
		ssize_t count = send(connection, line + sent, sizeof(line) - sent, MSG_NOSIGNAL);

		if (count < 0 && errno != EINTR)
			return errno == EPIPE ? -ECONNRESET : socket_error();
		if (count > 0)
			sent += (size_t)count;
	}
	return 0;
}

/* Takes the one descriptor of a message; -1 if it has none. */
static int take_descriptor(struct msghdr *message)
{
	const struct cmsghdr *control = CMSG_FIRSTHDR(message);
	int descriptor = -1;

	/* There is room for one control message of one descriptor: the kernel closes more. */
	if (control && control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS &&
	    control->cmsg_len == CMSG_LEN(sizeof(descriptor)))
		memcpy(&descriptor, CMSG_DATA(control), sizeof(descriptor));
	return descriptor;
}

static int error_of(unsigned char answer)
{
	switch (answer) {
	case REFUSED:
		return -EKEYREJECTED;
	case TOO_MANY_CONNECTIONS:
		return -EDQUOT;
	case LEASE_OVER:
		return -ENODEV;
	default:
		return -EPROTO;
	}
}

static int receive_answer(int connection, int *descriptor)
{
	/* Aligned for its header. CMSG_SPACE would make room for two descriptors. */
	union {
		struct cmsghdr header;
		char bytes[CMSG_LEN(sizeof(int))];
	} control;
	unsigned char answer = MALFORMED;
	struct iovec byte = { .iov_base = &answer, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_LEN(sizeof(int)),
	};
	ssize_t count;
	int received;

	do {
		count = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
	} while (count < 0 && errno == EINTR);
	if (count < 0)
		return socket_error();
	if (count == 0)
		return -ECONNRESET;

	received = take_descriptor(&message);
	if (answer == GRANTED && received >= 0) {
		*descriptor = received;
		return 0;
	}
	if (received >= 0)
		close(received);
	if (answer != GRANTED)
		return error_of(answer);
	return message.msg_flags & MSG_CTRUNC ? -EMFILE : -EPROTO;
}

int bb_redeem(const char *socket_path, const char *ticket, int *descriptor)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(socket_path);
	int connection, error;

	*descriptor = -1;
	if (!is_ticket(ticket))
		return -EINVAL;
	if (length == 0 || length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, socket_path, length);

	connection = connect_to(&address);
	if (connection < 0)
		return connection;
	error = send_ticket(connection, ticket);
	/* A broker that refuses unread ends the connection early: its answer counts all the same.
	 */
	if (error == 0 || error == -ECONNRESET)
		error = receive_answer(connection, descriptor);
	if (error != 0) {
		close(connection);
		return error;
	}
	return connection;
}

static int64_t now_in_milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int bb_wait_end(int connection, int timeout)
{
	struct pollfd end = { .fd = connection, .events = POLLIN | POLLRDHUP };
	const int64_t deadline = now_in_milliseconds() + timeout;
	int count, left = timeout;

	while ((count = poll(&end, 1, left)) < 0 && errno == EINTR) {
		if (timeout > 0) {
			int64_t rest = deadline - now_in_milliseconds();

			left = rest > 0 ? (int)rest : 0;
		}
	}
	if (count < 0)
		return -errno;
	/* The broker says nothing more on it, so there is nothing but its end to read. */
	return end.revents & POLLNVAL ? -EBADF : count;
}
