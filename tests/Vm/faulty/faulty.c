// SPDX-License-Identifier: GPL-2.0
/*
 * Makes the mistakes that the debug kernel is there to find, each harmless to
 * what runs after it: so that a run in which nothing was found means something.
 */
#include <linux/compiler.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/slab.h>

/* Some addresses survive on a stack and in the caches of the allocator; all of them don't. */
#define LEAKED_OBJECTS 64

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);

static void lock_both(struct mutex *outer, struct mutex *inner)
{
	mutex_lock(outer);
	mutex_lock(inner);
	mutex_unlock(inner);
	mutex_unlock(outer);
}

static void invert_locks(void)
{
	lock_both(&first, &second);
	lock_both(&second, &first);
}

static void sleep_in_atomic_context(void)
{
	preempt_disable();
	might_sleep();
	preempt_enable();
}

static void leak(void)
{
	for (int i = 0; i < LEAKED_OBJECTS; i++) {
		void *object = kmalloc(1000, GFP_KERNEL);

		barrier_data(object);
	}
}

static void use_after_free(void)
{
	char *object = kmalloc(64, GFP_KERNEL), *stale = object;

	OPTIMIZER_HIDE_VAR(stale);
	kfree(object);
	if (stale)
		READ_ONCE(*stale);
}

static int __init faulty_init(void)
{
	leak();
	sleep_in_atomic_context();
	invert_locks();
	use_after_free();
	return 0;
}

static void __exit faulty_exit(void)
{
}

module_init(faulty_init);
module_exit(faulty_exit);

MODULE_DESCRIPTION("Makes the mistakes that a debug kernel finds");
MODULE_LICENSE("GPL");
