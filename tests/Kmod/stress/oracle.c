// SPDX-License-Identifier: GPL-2.0
/* What was done and came of it; and which of it must not have been. */
#define _GNU_SOURCE
#include "stress.h"

#include "../check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct shared *shared;

static const char *const op_names[OPS] = {
	[OP_LOAD] = "load",
	[OP_STORE] = "store",
	[OP_EXCHANGE] = "locked exchange",
	[OP_WRITE_FROM] = "write() from it",
	[OP_READ_INTO] = "read() into it",
	[OP_FUTEX_WAIT] = "futex wait",
	[OP_FUTEX_ADD] = "futex wake-op",
	[OP_MMAP] = "mmap again",
	[OP_SELF_MEM_READ] = "read /proc/self/mem",
	[OP_SELF_MEM_WRITE] = "write /proc/self/mem",
	[OP_PROCESS_VM_READ] = "process_vm_readv",
	[OP_PROCESS_VM_WRITE] = "process_vm_writev",
	[OP_DIRECT_IO] = "O_DIRECT read into it",
	[OP_VMSPLICE] = "vmsplice",
	[OP_IO_URING] = "io_uring buffer",
	[OP_MAP_DMA] = "VFIO_IOMMU_MAP_DMA",
	[OP_PUNCH] = "hole and mmap",
	[OP_MPROTECT] = "mprotect",
	[OP_DONTNEED] = "madvise DONTNEED",
	[OP_CLEAR_REFS] = "soft-dirty cleared",
	[OP_MREMAP] = "mremap",
	[OP_FORK] = "fork",
	[OP_DUP] = "dup",
	[OP_PASS_ON] = "descriptor passed on",
	[OP_RECEIVE] = "descriptor received",
	[OP_EXPORT] = "EXPORT",
	[OP_EXPORT_WC] = "  write-combining",
	[OP_EXPORT_RANGES] = "  of several ranges",
	[OP_EXPORT_P2P] = "  peer-to-peer",
	[OP_PEER_MAP] = "another device's mapping",
	[OP_PEER_LET_GO] = "  had let go of it",
	[OP_GET_FD] = "GET_FD",
	[OP_LIST] = "LIST",
	[OP_REVOKE_CALL] = "REVOKE",
	[OP_REVOKE] = "  leases ended",
	[OP_REVOKE_TIMEOUT] = "  ETIMEDOUT",
	[OP_CLOSE_SESSION] = "session closed",
	[OP_DECODE_OFF] = "memory decode off",
	[OP_RESET] = "VFIO_DEVICE_RESET",
	[OP_KILL_HOLDER] = "holder killed",
	[OP_AUDIT_WORD] = "words audited",
	[OP_AUDIT_PAGE] = "pages, at the end",
	[OP_SCRUB_WORD] = "words watched",
	[OP_DMA_CONTROL] = "DMA, own memory",
};

static const char *const violation_names[VIOLATIONS] = {
	[LATE] = "access after a revoke",      [LOST] = "no access to a live lease",
	[CONTENT] = "content of another page", [STRAY] = "store outside of a lease",
	[PINNED] = "pages that could be kept", [CALL] = "wrong answer of a call",
};

void oracle_create(uint64_t seed, uint32_t suspend_us, enum sabotage sabotage)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	CHECK(shared != MAP_FAILED);
	shared->seed = seed;
	shared->suspend_us = suspend_us;
	shared->sabotage = sabotage;
}

void count(enum op op, enum outcome outcome)
{
	atomic_fetch_add_explicit(&shared->counts[op][outcome], 1, memory_order_relaxed);
}

void violate(enum violation kind, const char *format, ...)
{
	unsigned int text;
	va_list arguments;

	atomic_fetch_add(&shared->violations[kind], 1);
	text = atomic_fetch_add(&shared->nr_texts, 1);
	if (text >= TEXTS)
		return;
	va_start(arguments, format);
	vsnprintf(shared->texts[text], TEXT_LENGTH, format, arguments);
	va_end(arguments);
}

void raise_to(atomic_ulong *maximum, unsigned long value)
{
	unsigned long seen = *maximum;

	while (seen < value && !atomic_compare_exchange_weak(maximum, &seen, value))
		;
}

static void raise_generation(atomic_uint *generation, uint32_t value)
{
	unsigned int seen = *generation;

	while (seen < value && !atomic_compare_exchange_weak(generation, &seen, value))
		;
}

void mark_revoking(uint32_t slot, uint32_t generation)
{
	raise_generation(&shared->slots[slot].revoking, generation);
}

void mark_revoked(uint32_t slot, uint32_t generation)
{
	raise_generation(&shared->slots[slot].revoked, generation);
}

bool is_revoked(const struct instance *instance)
{
	return shared->slots[instance->slot].revoked >= instance->generation;
}

void witness_begin(struct witness *witness, const struct instance *instance)
{
	witness->instance = instance;
	witness->suspends = shared->devices[instance->device].suspends;
	witness->revoked = is_revoked(instance);
}

void witness_end(const struct witness *witness, enum op op, enum outcome outcome)
{
	const struct instance *instance = witness->instance;

	count(op, outcome);
	if (outcome == DONE && witness->revoked) {
		violate(LATE, "%s: slot %u generation %u was revoked", op_names[op], instance->slot,
			instance->generation);
		return;
	}
	if (outcome != REFUSED || shared->slots[instance->slot].revoking >= instance->generation ||
	    witness->suspends % 2 ||
	    witness->suspends != shared->devices[instance->device].suspends)
		return;
	violate(LOST, "%s: slot %u generation %u is live (errno %d)", op_names[op], instance->slot,
		instance->generation, errno);
}

unsigned long violations_total(void)
{
	unsigned long total = 0;

	for (int kind = 0; kind < VIOLATIONS; kind++)
		total += shared->violations[kind];
	return total;
}

void oracle_print(void)
{
	for (int op = 0; op < OPS; op++) {
		atomic_ulong *counts = shared->counts[op];

		printf("count: %-24s %10lu done %9lu refused %8lu unclear\n", op_names[op],
		       counts[DONE], counts[REFUSED], counts[UNCLEAR]);
	}
	printf("count: slowest REVOKE %lu us, slowest memory decode off %lu us\n",
	       shared->slowest_revoke, shared->slowest_suspend);
	for (unsigned int i = 0; i < shared->nr_texts && i < TEXTS; i++)
		printf("violation: %s\n", shared->texts[i]);
	for (int kind = 0; kind < VIOLATIONS; kind++)
		printf("count: %-26s %lu\n", violation_names[kind], shared->violations[kind]);
}
