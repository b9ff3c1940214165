// SPDX-License-Identifier: GPL-2.0
/* Memory types: which there are, and page table entries that have them. */
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/smp.h>

#include "internal.h"

#ifdef CONFIG_X86

/* Without PAT the kernel makes it uncached, and doesn't say so. */
static bool bar_has_write_combining(void)
{
	return pgprot_val(pgprot_writecombine(PAGE_SHARED)) !=
	       pgprot_val(pgprot_noncached(PAGE_SHARED));
}

/**
 * struct bar_special - a page table entry to be set
 * @vma: for its protection and its process
 * @pfn: the page frame
 */
struct bar_special {
	struct vm_area_struct *vma;
	unsigned long pfn;
};

/* Called with the page table locked. */
static int bar_set_special(pte_t *pte, unsigned long address, void *data)
{
	struct bar_special *special = data;
	pte_t entry = pfn_pte(special->pfn, special->vma->vm_page_prot);

	/* Another thread was faster. */
	if (!pte_none(ptep_get(pte)))
		return 0;

	set_pte_at(special->vma->vm_mm, address, pte, pte_mkspecial(entry));
	return 0;
}

/*
 * vmf_insert_pfn() would give the page the type in which the kernel has it mapped
 * elsewhere, and VFIO has: uncached. What this writes is otherwise the same entry,
 * and the kernel finds and removes it in the same way.
 */
static vm_fault_t bar_insert_write_combining(struct vm_area_struct *vma, unsigned long address,
					     unsigned long pfn)
{
	struct bar_special special = { .vma = vma, .pfn = pfn };

	/* Not with the VMA's own lock alone: page tables may have to be allocated. */
	mmap_assert_locked(vma->vm_mm);

	if (apply_to_page_range(vma->vm_mm, address, PAGE_SIZE, bar_set_special, &special))
		return VM_FAULT_OOM;
	return VM_FAULT_NOPAGE;
}

#else

static bool bar_has_write_combining(void)
{
	return false;
}

static vm_fault_t bar_insert_write_combining(struct vm_area_struct *vma, unsigned long address,
					     unsigned long pfn)
{
	return VM_FAULT_SIGBUS;
}

#endif /* CONFIG_X86 */

/**
 * bar_memory_types - which memory types can be had
 *
 * Returns a bit for each: BIT(BAR_LEASE_MEMORY_*).
 */
u32 bar_memory_types(void)
{
	u32 types = BIT(BAR_LEASE_MEMORY_UNCACHED);

	if (bar_has_write_combining())
		types |= BIT(BAR_LEASE_MEMORY_WRITE_COMBINING);
	return types;
}

/**
 * bar_memory_page_prot - what the entries of a VMA are to be like
 * @type: one that can be had
 * @prot: the VMA's, as made from its access
 */
pgprot_t bar_memory_page_prot(u32 type, pgprot_t prot)
{
	if (type == BAR_LEASE_MEMORY_WRITE_COMBINING)
		return pgprot_decrypted(pgprot_writecombine(prot));
	return pgprot_decrypted(pgprot_noncached(prot));
}

/**
 * bar_memory_insert - insert one page's entry, unless there is one
 * @type: the lease's memory type
 * @vma: a VMA that bar_memory_page_prot() was asked about; its process's
 *	mmap_lock is held
 * @address: of the page, in the VMA
 * @pfn: the page frame
 *
 * Returns VM_FAULT_NOPAGE, VM_FAULT_OOM or VM_FAULT_SIGBUS.
 */
vm_fault_t bar_memory_insert(u32 type, struct vm_area_struct *vma, unsigned long address,
			     unsigned long pfn)
{
	if (type == BAR_LEASE_MEMORY_WRITE_COMBINING)
		return bar_insert_write_combining(vma, address, pfn);
	return vmf_insert_pfn(vma, address, pfn);
}

static void bar_memory_drain_this(void *unused)
{
	/* For nothing that comes behind: it empties the write-combining buffers. */
	wmb();
}

/**
 * bar_memory_drain - have every processor write out what it has combined
 *
 * Unmapping alone may not: some processors flush each other's TLBs without an
 * interrupt, which is what would empty their buffers otherwise. May sleep.
 */
void bar_memory_drain(void)
{
	on_each_cpu(bar_memory_drain_this, NULL, 1);
}
