// SPDX-License-Identifier: GPL-2.0
/*
 * A test's aid: tells what stands in a process's page table. The kernel does the
 * walk, and the type is what the processor makes of the entry's bits.
 */
#include <linux/bits.h>
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>

#include <asm/msr.h>

#include "page_type.h"

/* Bits of a page table entry select one of the eight types that the PAT register has. */
static u32 page_type_of(pgprot_t prot, bool huge)
{
	unsigned long flags = pgprot_val(huge ? pgprot_large_2_4k(prot) : prot);
	unsigned int index = 0;
	u64 pat;

	if (flags & _PAGE_PWT)
		index |= BIT(0);
	if (flags & _PAGE_PCD)
		index |= BIT(1);
	if (flags & _PAGE_PAT)
		index |= BIT(2);

	rdmsrq(MSR_IA32_CR_PAT, pat);
	return pat >> (index * BITS_PER_BYTE) & 7;
}

static int page_type_walk(struct mm_struct *mm, struct page_type_query *query)
{
	struct follow_pfnmap_args args = { .address = query->address };

	mmap_assert_locked(mm);

	args.vma = vma_lookup(mm, query->address);
	if (!args.vma)
		return -EFAULT;
	if (follow_pfnmap_start(&args))
		return 0;

	query->shift = ilog2(~args.addr_mask + 1);
	query->pfn = args.pfn;
	query->writable = args.writable;
	query->type = page_type_of(args.pgprot, query->shift > PAGE_SHIFT);
	follow_pfnmap_end(&args);
	return 0;
}

static struct mm_struct *page_type_mm(pid_t number)
{
	struct task_struct *task;
	struct mm_struct *mm;
	struct pid *pid;

	if (!number) {
		mmget(current->mm);
		return current->mm;
	}

	pid = find_get_pid(number);
	task = get_pid_task(pid, PIDTYPE_PID);
	put_pid(pid);
	if (!task)
		return NULL;
	mm = get_task_mm(task);
	put_task_struct(task);
	return mm;
}

static long page_type_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct page_type_query query;
	struct mm_struct *mm;
	int ret;

	if (cmd != PAGE_TYPE_QUERY)
		return -ENOTTY;
	if (copy_from_user(&query, (void __user *)arg, sizeof(query)))
		return -EFAULT;
	query.shift = 0;

	mm = page_type_mm(query.pid);
	if (!mm)
		return -ESRCH;
	mmap_read_lock(mm);
	ret = page_type_walk(mm, &query);
	mmap_read_unlock(mm);
	mmput(mm);

	if (!ret && copy_to_user((void __user *)arg, &query, sizeof(query)))
		ret = -EFAULT;
	return ret;
}

static const struct file_operations page_type_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = page_type_ioctl,
};

static struct miscdevice page_type_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "page_type",
	.fops = &page_type_fops,
	.mode = 0600,
};

module_misc_device(page_type_misc);

MODULE_DESCRIPTION("Tells what stands in a page table, for tests");
MODULE_AUTHOR("BAR Broker contributors");
MODULE_LICENSE("GPL");
