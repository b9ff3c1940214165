// SPDX-License-Identifier: GPL-2.0
/* A hostile holder that makes the last put of a lease's file sleep. */
#define _GNU_SOURCE
#include "check.h"
#include "hostile.h"
#include "module.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A page that is there when somebody says so, or -1 where the kernel has no such thing. */
static int absent_page(void **page)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fault = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fault < 0) {
		CHECK_EQ(errno, ENOSYS);
		return -1;
	}
	CHECK_OK(ioctl(fault, UFFDIO_API, &api));
	*page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(*page != MAP_FAILED);
	range.range.start = (uintptr_t)*page;
	range.range.len = PAGE;
	CHECK_OK(ioctl(fault, UFFDIO_REGISTER, &range));
	return fault;
}

static int epoll;
static void *events;

/* Sleeps in the delivery of an event, with the epoll's lock. */
static void *wait_for_event(void *unused)
{
	(void)unused;
	CHECK_EQ(epoll_wait(epoll, events, 1, -1), 1);
	return NULL;
}

TEST(an_epoll_that_sleeps_holds_up_no_revoke)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct uffd_msg message;
	pthread_t waiter;
	struct vfio vfio;
	int fault = absent_page(&events);

	if (fault < 0) {
		figure("skipped: this kernel has no userfaultfd");
		return;
	}
	vfio_open_ivshmem(&vfio);
	int session = session_open();
	int lease = lease_export(session, &vfio, 1, 0, 1, 0);
	int other = lease_export_other(session, &vfio, 2, 0, 1);
	int ready = CHECK_OK(eventfd(1, EFD_CLOEXEC));

	epoll = CHECK_OK(epoll_create1(EPOLL_CLOEXEC));
	CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, lease, &(struct epoll_event){ 0 }));
	CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, other, &(struct epoll_event){ 0 }));
	CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, ready, &event));
	CHECK_OK(close(lease));
	CHECK_OK(close(other));
	CHECK_EQ(pthread_create(&waiter, NULL, wait_for_event, NULL), 0);
	/* It is in its page fault. */
	CHECK_EQ(read(fault, &message, sizeof(message)), sizeof(message));

	uint64_t start = now_ns();

	CHECK_EQ(lease_revoke_one(session, 1), 1);
	check_others("an epoll sleeps", &vfio, session);
	CHECK_OK(close(session));
	CHECK(now_ns() - start < limit_ns(20000));
	/* Revoked, but there. */
	CHECK_EQ(module_unload("bar_lease"), -1);
	CHECK_EQ(errno, EWOULDBLOCK);

	struct uffdio_zeropage zero = { .range = { (uintptr_t)events, PAGE } };

	CHECK_OK(ioctl(fault, UFFDIO_ZEROPAGE, &zero));
	CHECK_EQ(pthread_join(waiter, NULL), 0);
	/* And gone, once the epoll is awake. */
	module_unload_when_free("bar_lease");
	CHECK_OK(module_load("BAR_LEASE_KO", ""));
}
