// SPDX-License-Identifier: GPL-2.0
/*
 * A test's aid: keeps one thread in the middle of a page fault that inserts a
 * page frame, before or after the insertion, until it's told to let go. For
 * anybody else nothing changes.
 */
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
		msleep(1);
	WRITE_ONCE(held, false);
}

/* Runs instead of vmf_insert_pfn(), which is but this call with a default. */
static vm_fault_t hold_fault_insert_pfn(struct vm_area_struct *vma, unsigned long address,
					unsigned long pfn)
{
	bool hold_after = READ_ONCE(after);
	vm_fault_t ret;

	if (!hold_after)
		hold_fault_wait();
	ret = vmf_insert_pfn_prot(vma, address, pfn, vma->vm_page_prot);
	if (hold_after)
		hold_fault_wait();
	return ret;
}

static int hold_fault_pre_handler(struct kprobe *probe, struct pt_regs *regs)
{
	if (current->pid != READ_ONCE(thread))
		return 0;

	/* At the function's start: its arguments and return address are in place. */
	instruction_pointer_set(regs, (unsigned long)hold_fault_insert_pfn);
	return 1;
}

/* Kprobes may change where a function goes only if they have one. */
static void hold_fault_post_handler(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

static struct kprobe hold_fault_probe = {
	.symbol_name = "vmf_insert_pfn",
	.pre_handler = hold_fault_pre_handler,
	.post_handler = hold_fault_post_handler,
};

static int __init hold_fault_init(void)
{
	return register_kprobe(&hold_fault_probe);
}

static void __exit hold_fault_exit(void)
{
	unregister_kprobe(&hold_fault_probe);
}

module_init(hold_fault_init);
module_exit(hold_fault_exit);

MODULE_DESCRIPTION("Holds a thread in a page fault, for tests");
MODULE_AUTHOR("BAR Broker contributors");
MODULE_LICENSE("GPL");
