/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/* /dev/page_type: what stands in a process's page table, as the kernel finds it. */
#ifndef PAGE_TYPE_H
#define PAGE_TYPE_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Memory types, as the processor numbers them in its PAT. */
#define PAGE_TYPE_UC	   0
#define PAGE_TYPE_WC	   1
#define PAGE_TYPE_WT	   4
#define PAGE_TYPE_WP	   5
#define PAGE_TYPE_WB	   6
#define PAGE_TYPE_UC_MINUS 7

/**
 * struct page_type_query - an entry of a page table
 * @address: in: in a mapping of device memory
 * @pid: in: of the process, 0 for the caller's
 * @shift: out: the entry maps 1 << shift bytes; 0 when there is none
 * @pfn: out: the page frame at @address
 * @type: out: PAGE_TYPE_*
 * @writable: out: 1 if it can be written through
 */
struct page_type_query {
	__aligned_u64 address;
	__s32 pid;
	__u32 shift;
	__aligned_u64 pfn;
	__u32 type;
	__u32 writable;
};

#define PAGE_TYPE_QUERY _IOWR('p', 0x70, struct page_type_query)

#endif /* PAGE_TYPE_H */
