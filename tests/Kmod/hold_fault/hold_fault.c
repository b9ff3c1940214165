// SPDX-License-Identifier: GPL-2.0
/*
 * A test's aid: keeps one thread in the middle of a page fault that inserts page
 * frames (one, a huge entry's, or one with a page table entry of the module's own
 * making), before or after the insertion, until it's told to let go. For anybody
 * else nothing changes.
 */
#include <linux/array_size.h>
#include <linux/container_of.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>

/* A test that dies must not leave a thread behind for ever. */
#define HOLD_TIMEOUT (60 * HZ)

static int thread;
module_param(thread, int, 0600);
MODULE_PARM_DESC(thread, "id of the thread to hold; 0 lets go");

static bool after;
module_param(after, bool, 0600);
MODULE_PARM_DESC(after, "hold it once the entry is there, not before");

static bool held;
module_param(held, bool, 0400);
MODULE_PARM_DESC(held, "the thread is there");

static void hold_fault_wait(void)
{
	unsigned long deadline = jiffies + HOLD_TIMEOUT;

	WRITE_ONCE(held, true);
	while (READ_ONCE(thread) && time_before(jiffies, deadline))
		usleep_range(1000, 2000);
	WRITE_ONCE(held, false);
}

/* The thread is in one of the functions below, and not to be sent there again. */
static bool inside;

static bool hold_begin(void)
{
	bool late = READ_ONCE(after);

	if (!late)
		hold_fault_wait();
	inside = true;
	return late;
}

static void hold_end(bool late)
{
	inside = false;
	if (late)
		hold_fault_wait();
}

/* Each of these runs instead of a function that inserts entries, which it calls. */
static vm_fault_t hold_insert_pfn(struct vm_area_struct *vma, unsigned long address,
				  unsigned long pfn)
{
	bool late = hold_begin();
	vm_fault_t ret = vmf_insert_pfn(vma, address, pfn);

	hold_end(late);
	return ret;
}

static vm_fault_t hold_insert_pfn_pmd(struct vm_fault *vmf, unsigned long pfn, bool write)
{
	bool late = hold_begin();
	vm_fault_t ret = vmf_insert_pfn_pmd(vmf, pfn, write);

	hold_end(late);
	return ret;
}

static int hold_apply(struct mm_struct *mm, unsigned long address, unsigned long size, pte_fn_t fn,
		      void *data)
{
	bool late = hold_begin();
	int ret = apply_to_page_range(mm, address, size, fn, data);

	hold_end(late);
	return ret;
}

/**
 * struct hold_target - a function that inserts entries
 * @probe: where it begins
 * @instead: what a held thread runs instead
 */
struct hold_target {
	struct kprobe probe;
	void *instead;
};

static struct hold_target hold_targets[] = {
	{ .probe.symbol_name = "vmf_insert_pfn", .instead = hold_insert_pfn },
	{ .probe.symbol_name = "vmf_insert_pfn_pmd", .instead = hold_insert_pfn_pmd },
	{ .probe.symbol_name = "apply_to_page_range", .instead = hold_apply },
};

static int hold_fault_pre_handler(struct kprobe *probe, struct pt_regs *regs)
{
	struct hold_target *target = container_of(probe, struct hold_target, probe);

	if (current->pid != READ_ONCE(thread) || inside)
		return 0;

	/* At the function's start: its arguments and return address are in place. */
	instruction_pointer_set(regs, (unsigned long)target->instead);
	return 1;
}

/* Kprobes may change where a function goes only if they have one. */
static void hold_fault_post_handler(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

static int __init hold_fault_init(void)
{
	unsigned int i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(hold_targets); i++) {
		hold_targets[i].probe.pre_handler = hold_fault_pre_handler;
		hold_targets[i].probe.post_handler = hold_fault_post_handler;
		ret = register_kprobe(&hold_targets[i].probe);
		if (ret)
			goto err_unregister;
	}
	return 0;

err_unregister:
	while (i--)
		unregister_kprobe(&hold_targets[i].probe);
	return ret;
}

static void __exit hold_fault_exit(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hold_targets); i++)
		unregister_kprobe(&hold_targets[i].probe);
}

module_init(hold_fault_init);
module_exit(hold_fault_exit);

MODULE_DESCRIPTION("Holds a thread in a page fault, for tests");
MODULE_AUTHOR("BAR Broker contributors");
MODULE_LICENSE("GPL");
