// SPDX-License-Identifier: GPL-2.0
/*
 * ETIMEDOUT: a page fault that is kept from ending. A real-time thread preempts
 * another in the middle of its fault and lets nobody else run, so that the
 * revoke can't be confirmed. Whether the fault is at the right place then is a
 * matter of luck, so it's tried often.
 */
#define _GNU_SOURCE
#include "check.h"
#include "vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	SECONDS = 60,
	/* Far enough apart that each page is in a page table of its own. */
	STRIDE = 512,
	PAGES = 8 * STRIDE,
};

static struct vfio vfio;
static int session;
static atomic_int lease = -1;
static atomic_bool hog_on, stop, ended;
static atomic_uint laps, late;
static sem_t hog_wanted;

/* Faults all the time, each time in need of a page table. */
static void *fault(void *unused)
{
	uint32_t value;

	(void)unused;
	for (; !stop; laps++) {
		volatile uint32_t *memory =
			mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, lease, 0);

		if (memory == MAP_FAILED)
			continue;
		for (uint64_t page = 0; page < PAGES; page += STRIDE) {
			if (peek(memory + page * PAGE / 4, &value) && ended)
				late++;
		}
		CHECK_OK(munmap((void *)memory, PAGES * PAGE));
	}
	return NULL;
}

/* Longer than a revoke waits; not for ever, as it may stop somebody else who is needed. */
static void *hog(void *unused)
{
	(void)unused;
	for (;;) {
		sem_wait(&hog_wanted);
		for (uint64_t end = now_ns() + 4000000000; hog_on && now_ns() < end;)
			;
		if (stop)
			return NULL;
	}
}

static void start(pthread_t *thread, void *(*run)(void *), int priority)
{
	struct sched_param parameters = { .sched_priority = priority };
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attributes, priority ? SCHED_FIFO : SCHED_OTHER);
	pthread_attr_setschedparam(&attributes, &parameters);
	CHECK_EQ(pthread_create(thread, &attributes, run, NULL), 0);
}

static void write_file(const char *path, const char *text)
{
	int file = CHECK_OK(open(path, O_WRONLY));

	CHECK_EQ(write(file, text, strlen(text)), strlen(text));
	CHECK_OK(close(file));
}

TEST(a_revoke_that_cannot_be_confirmed_says_so_and_a_repeat_confirms_it)
{
	struct sched_param parameters = { .sched_priority = 20 };
	const uint64_t id = 1;
	pthread_t faulter, hogger;
	uint32_t nr_revoked;
	cpu_set_t one_cpu;
	int tries = 0, result;
	struct export again;
	uint64_t end;

	vfio_open_ivshmem(&vfio);
	session = session_open();
	export_prepare(&again, &vfio, id, 0, 1, 0);
	/* What is meant to rescue threads from such a hog. */
	write_file("/proc/sys/kernel/sched_rt_runtime_us", "-1");
	write_file("/sys/kernel/debug/sched/fair_server/cpu0/runtime", "0");
	CPU_ZERO(&one_cpu);
	CPU_SET(0, &one_cpu);
	CHECK_OK(sched_setaffinity(0, sizeof(one_cpu), &one_cpu));
	CHECK_OK(sched_setscheduler(0, SCHED_FIFO, &parameters));
	CHECK_OK(sem_init(&hog_wanted, 0, 0));
	start(&faulter, fault, 0);
	start(&hogger, hog, 10);

	end = now_ns() + SECONDS * 1000000000ULL;
	do {
		tries++;
		lease = lease_export(session, &vfio, id, 0, PAGES, 0);
		usleep((useconds_t)(200 + tries * 7 % 1000));

		hog_on = true;
		sem_post(&hog_wanted);
		errno = 0;
		result = lease_revoke(session, &id, 1, &nr_revoked);
		CHECK_EQ(nr_revoked, 1);
		if (result)
			break;
		hog_on = false;
		CHECK_OK(close(lease));
	} while (now_ns() < end);

	if (!result) {
		figure("%d tries", tries);
		skip("no page fault was caught where it would have to be");
	}
	figure("caught a page fault in its insertion at try %d", tries);
	CHECK_EQ(errno, ETIMEDOUT);
	ended = true;

	/* Not live, but not confirmed: it is listed, and its id isn't free. */
	CHECK_EQ(lease_state(session, id), BAR_LEASE_STATE_REVOKING);
	CHECK_EQ(lease_info(session).leases_live, 0);
	CHECK_ERRNO(lease_get_fd(session, id), ENOENT);
	CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, lease, 0), ENODEV);
	CHECK_ERRNO(export_call(session, &again), EEXIST);

	/* Let the fault end. It takes what it inserted away again by itself. */
	hog_on = false;
	usleep(100000);
	CHECK_EQ(late, 0);
	CHECK_OK(lease_revoke(session, &id, 1, &nr_revoked));
	CHECK_EQ(nr_revoked, 0);
	CHECK_EQ(lease_state(session, id), 0);
	CHECK_OK(export_call(session, &again));

	stop = true;
	sem_post(&hog_wanted);
}
