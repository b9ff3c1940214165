/* SPDX-License-Identifier: GPL-2.0 */
/* What a process and the kernel hold, to see that it is the same as before. */
#ifndef BAR_LEASE_LEAKS_H
#define BAR_LEASE_LEAKS_H

#include <stdint.h>

struct holdings {
	/* Descriptors of this process; the module's users. */
	int descriptors, references;
	/* DMABUFs in the whole kernel, this module's and vfio-pci's; -1: it doesn't tell. */
	int leases, inner;
	/* Live objects of all kmalloc caches; -1: it doesn't tell. */
	long objects;
};

struct holdings holdings_now(void);
/*
 * Fails when there are more than @before, which what a worker lets go of has a
 * while to end. Of the unnamed objects, which others allocate too, at most
 * @objects_more.
 */
void check_holdings(const struct holdings *before, long objects_more);

#endif /* BAR_LEASE_LEAKS_H */
