/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loads and stores, and how a fault in one of them is recognised and repaired. What a new
 * architecture has to add.
 *
 * Each access is one instruction between two labels. Its addresses go into a table (ELF section
 * bb_fault_table), as self-relative offsets so that the library needs no relocations. The signal
 * handler looks the faulting instruction up there; if it is listed, it sets the fault register and
 * continues behind the instruction.
 */
#ifndef BARBROKER_ACCESS_H
#define BARBROKER_ACCESS_H

#include <stdint.h>
#include <ucontext.h>

/* One line of the table, as BB_FAULT_ENTRY writes it. */
struct fault_entry {
	int32_t instruction; /* from this field's own address */
	int32_t resume; /* likewise */
};

#define BB_FAULT_ENTRY                                                                             \
	"2:\n\t"                                                                                   \
	".pushsection bb_fault_table, \"a\"\n\t"                                                   \
	".balign 4\n\t"                                                                            \
	".long 1b - .\n\t"                                                                         \
	".long 2b - .\n\t"                                                                         \
	".popsection"

/*
 * One access. The fault register is a fixed one, so that the handler knows it; the handler writes
 * all of it. The memory operand is a bare base register: a plain access that a hypervisor can
 * emulate, too.
 */
#define BB_LOAD(code, addr, val, flt)                                                              \
	do {                                                                                       \
		register uint64_t fault_register __asm__(BB_FAULT_REGISTER) = (flt);               \
		__asm__ volatile("1:\t" code "\n" BB_FAULT_ENTRY                                   \
				 : [value] "=r"(val), "+r"(fault_register)                         \
				 : [address] "r"(addr)                                             \
				 : "memory");                                                      \
		(flt) = fault_register;                                                            \
	} while (0)

#define BB_STORE(code, addr, val, flt)                                                             \
	do {                                                                                       \
		register uint64_t fault_register __asm__(BB_FAULT_REGISTER) = (flt);               \
		__asm__ volatile("1:\t" code "\n" BB_FAULT_ENTRY                                   \
				 : "+r"(fault_register)                                            \
				 : [value] "r"(val), [address] "r"(addr)                           \
				 : "memory");                                                      \
		(flt) = fault_register;                                                            \
	} while (0)

#if defined(__x86_64__)

#define BB_FAULT_REGISTER "rdx"
#define BB_LOAD8	  "movzbl (%[address]), %k[value]"
#define BB_LOAD16	  "movzwl (%[address]), %k[value]"
#define BB_LOAD32	  "movl (%[address]), %k[value]"
#define BB_LOAD64	  "movq (%[address]), %q[value]"
#define BB_STORE8	  "movb %b[value], (%[address])"
#define BB_STORE16	  "movw %w[value], (%[address])"
#define BB_STORE32	  "movl %k[value], (%[address])"
#define BB_STORE64	  "movq %q[value], (%[address])"

/* The processor keeps the order; the "memory" clobber makes the compiler keep it. */
#define BB_BEFORE_STORE() ((void)0)
#define BB_AFTER_LOAD()	  ((void)0)

/* But not that of stores to write-combining memory. */
#define BB_WRITE_FENCE() __asm__ volatile("sfence" ::: "memory")
#define BB_FENCE()	 __asm__ volatile("mfence" ::: "memory")

static inline uintptr_t fault_instruction(const ucontext_t *context)
{
	return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
}

static inline void fault_resume(ucontext_t *context, uintptr_t resume)
{
	context->uc_mcontext.gregs[REG_RDX] = 1;
	context->uc_mcontext.gregs[REG_RIP] = (greg_t)resume;
}

#elif defined(__aarch64__)

#define BB_FAULT_REGISTER "x2"
#define BB_LOAD8	  "ldrb %w[value], [%[address]]"
#define BB_LOAD16	  "ldrh %w[value], [%[address]]"
#define BB_LOAD32	  "ldr %w[value], [%[address]]"
#define BB_LOAD64	  "ldr %x[value], [%[address]]"
#define BB_STORE8	  "strb %w[value], [%[address]]"
#define BB_STORE16	  "strh %w[value], [%[address]]"
#define BB_STORE32	  "str %w[value], [%[address]]"
#define BB_STORE64	  "str %x[value], [%[address]]"

/* Outer shareable: the device, not only the other processors. */
#define BB_BEFORE_STORE() __asm__ volatile("dmb oshst" ::: "memory")
#define BB_AFTER_LOAD()	  __asm__ volatile("dmb oshld" ::: "memory")

/* Completion, not only order: gathered stores are to leave the processor. */
#define BB_WRITE_FENCE()  __asm__ volatile("dsb st" ::: "memory")
#define BB_FENCE()	  __asm__ volatile("dsb sy" ::: "memory")

static inline uintptr_t fault_instruction(const ucontext_t *context)
{
	return (uintptr_t)context->uc_mcontext.pc;
}

static inline void fault_resume(ucontext_t *context, uintptr_t resume)
{
	context->uc_mcontext.regs[2] = 1;
	context->uc_mcontext.pc = resume;
}

#else
#error "Only x86-64 and aarch64 are known: add this architecture's accesses and fault repair here."
#endif

#endif
