/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel modules that a test loads: the one under test, and its aids. */
#ifndef BAR_LEASE_TEST_MODULE_H
#define BAR_LEASE_TEST_MODULE_H

#include <stdbool.h>
#include <stdint.h>

#include "page_type/page_type.h"

/*
 * Loads the module whose file the environment's @variable names; no error if it
 * is there already. @parameters as in `insmod`. Returns 0 or -1 and errno.
 */
int module_load(const char *variable, const char *parameters);
/* Unloads it; -1 and errno, EWOULDBLOCK when it's in use. */
int module_unload(const char *name);
/* The same, as soon as nobody uses it any more, which may take a moment. */
void module_unload_when_free(const char *name);

/* Whether the module makes huge entries, by its parameter; and what an entry for 2 MiB is then. */
bool huge_entries(void);
uint32_t huge_shift(void);

/* What the kernel finds in this process's page table; shift 0 for nothing. */
struct page_type_query page_at(const volatile void *address);

#endif /* BAR_LEASE_TEST_MODULE_H */
