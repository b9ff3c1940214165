// SPDX-License-Identifier: GPL-2.0
/* A holder: a process that gets lease descriptors, and threads that use them without rest. */
#define _GNU_SOURCE
#include "stress.h"

#include "../check.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	WORKERS = 2,
};

static uint64_t seeds[WORKERS];

/* The child has the descriptors, and none of the mappings. */
static void fork_and_touch(struct view *view, uint64_t *random)
{
	pid_t child = CHECK_OK(fork());
	int status;

	if (!child) {
		view_touch_as_child(view, random);
		_exit(0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	count(OP_FORK, DONE);
}

static void *work(void *seed)
{
	uint64_t random = *(uint64_t *)seed;

	kernel_access_prepare();
	while (!shared->stop) {
		uint32_t what = below(&random, 1000);
		struct view *view;

		if (what < 15) {
			view_move(&random);
			continue;
		}
		view = view_enter(&random);
		if (!view)
			continue;
		if (what < 20)
			fork_and_touch(view, &random);
		else if (what < 40)
			count(OP_PASS_ON, inbox_send((int)below(&random, INBOXES),
						     view_instance(view), view_descriptor(view))
						  ? DONE
						  : REFUSED);
		else if (what < 150)
			view_disturb(view, &random);
		else if (what < 500)
			kernel_access(view, &random);
		else
			for (int i = 0; i < 16; i++)
				touch(view, &random);
		view_leave(view);
	}
	return NULL;
}

void holder_run(int holder, uint64_t seed)
{
	pthread_t workers[WORKERS];
	struct instance instance;
	uint64_t random = seed;
	int descriptor;

	access_prepare();
	views_create(holder);
	for (int i = 0; i < WORKERS; i++) {
		seeds[i] = seed * (uint64_t)(i + 2) + 1;
		CHECK_EQ(pthread_create(&workers[i], NULL, work, &seeds[i]), 0);
	}
	while (!shared->over) {
		descriptor = inbox_receive(holder, &instance);
		if (descriptor >= 0)
			view_assign(&instance, descriptor, &random);
	}
	for (int i = 0; i < WORKERS; i++)
		CHECK_EQ(pthread_join(workers[i], NULL), 0);
	views_check_dead();
	_exit(0);
}
