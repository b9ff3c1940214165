// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "barbroker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "access.h"

/* The bounds of the table; the linker makes these for every section whose name is a C identifier.
 */
extern const struct fault_entry __start_bb_fault_table[] __attribute__((visibility("hidden")));
extern const struct fault_entry __stop_bb_fault_table[] __attribute__((visibility("hidden")));

/*
 * The copy of this library whose handler is installed. A "unique" symbol is one and the same in
 * every copy that the dynamic linker loads into a process, however it was loaded.
 */
extern const void *bb_mmio_owner __attribute__((visibility("default")));
__asm__(".pushsection .data.bb_mmio_owner, \"aw\"\n\t"
	".globl bb_mmio_owner\n\t"
	".type bb_mmio_owner, %gnu_unique_object\n\t"
	".size bb_mmio_owner, 8\n\t"
	".balign 8\n"
	"bb_mmio_owner:\n\t"
	".quad 0\n\t"
	".popsection");

static struct sigaction
	previous_action; /* written before the handler is installed, then only read */
static pthread_once_t init_once = PTHREAD_ONCE_INIT;
static int init_result;

static uintptr_t entry_address(const int32_t *field)
{
	return (uintptr_t)field + (uintptr_t)(intptr_t)*field;
}

/* Repairs the context if one of our own accesses has faulted. */
static bool repair_own_fault(const siginfo_t *info, ucontext_t *context)
{
	const struct fault_entry *entry;
	uintptr_t instruction;

	/*
	 * Only what the kernel raises for the access itself: not kill(), and not a memory failure
	 * (BUS_MCEERR_*), of which the process had better hear.
	 */
	if (info->si_code != BUS_ADRERR && info->si_code != BUS_OBJERR &&
	    info->si_code != BUS_ADRALN)
		return false;

	/* A handful of entries, and a fault costs a trip through the kernel: not worth sorting. */
	instruction = fault_instruction(context);
	for (entry = __start_bb_fault_table; entry < __stop_bb_fault_table; entry++) {
		if (entry_address(&entry->instruction) == instruction) {
			fault_resume(context, entry_address(&entry->resume));
			return true;
		}
	}
	return false;
}

/*
 * Whether it does not come again by itself when the handler returns: somebody sent it, or the
 * kernel tells of a memory failure that nobody has run into yet.
 */
static bool was_sent(const siginfo_t *info)
{
	return info->si_code <= 0 || info->si_code == BUS_MCEERR_AO;
}

/* What would have happened without a handler: the process ends, and its core shows the place of the
 * fault. */
static void take_default_action(int signal_number, siginfo_t *info)
{
	const struct sigaction default_action = { .sa_handler = SIG_DFL };

	sigaction(signal_number, &default_action, NULL);

	/*
	 * A fault comes again by itself when the instruction is retried. A signal that somebody
	 * sent does not: send it on, as it was. It is delivered when this handler returns, since a
	 * signal is blocked in its own handler.
	 */
	if (was_sent(info))
		syscall(SYS_rt_tgsigqueueinfo, getpid(), (pid_t)syscall(SYS_gettid), signal_number,
			info);
}

static void pass_on(int signal_number, siginfo_t *info, void *context)
{
	if (previous_action.sa_flags & SA_SIGINFO) {
		previous_action.sa_sigaction(signal_number, info, context);
	} else if (previous_action.sa_handler == SIG_DFL) {
		take_default_action(signal_number, info);
	} else if (previous_action.sa_handler == SIG_IGN) {
		/* A fault can't be ignored: the kernel ends a process that tries. */
		if (!was_sent(info))
			take_default_action(signal_number, info);
	} else {
		previous_action.sa_handler(signal_number);
	}
}

static void handle_bus_error(int signal_number, siginfo_t *info, void *context)
{
	int saved_errno;

	if (repair_own_fault(info, context))
		return;

	saved_errno = errno;
	pass_on(signal_number, info, context);
	errno = saved_errno;
}

static int install_handler(void)
{
	struct sigaction action = { .sa_sigaction = handle_bus_error };

	if (sigaction(SIGBUS, NULL, &previous_action) != 0)
		return -errno;

	/*
	 * On the thread's own stack (no SA_ONSTACK), where the runtime expects to see its frames
	 * when it is passed a fault. The mask and the restarting of system calls are the previous
	 * handler's choice, as it may be what runs.
	 */
	action.sa_mask = previous_action.sa_mask;
	action.sa_flags = SA_SIGINFO | (previous_action.sa_flags & SA_RESTART);
	return sigaction(SIGBUS, &action, NULL) == 0 ? 0 : -errno;
}

static void init(void)
{
	const void *none = NULL;

	if (!__atomic_compare_exchange_n(&bb_mmio_owner, &none, &init_result, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		init_result = -EEXIST;
		return;
	}

	init_result = install_handler();
	if (init_result != 0)
		__atomic_store_n(&bb_mmio_owner, NULL, __ATOMIC_SEQ_CST);
}

int bb_mmio_init(void)
{
	int error = pthread_once(&init_once, init);

	return error != 0 ? -error : init_result;
}

void bb_mmio_write_fence(void)
{
	BB_WRITE_FENCE();
}

void bb_mmio_fence(void)
{
	BB_FENCE();
}

/* The functions of one width. The fault flag is 64 bits wide because the handler writes the whole
 * register. */
#define DEFINE_ACCESS(bits)                                                                        \
	int bb_mmio_read##bits(const volatile void *address, uint##bits##_t *value)                \
	{                                                                                          \
		uint64_t fault = 0;                                                                \
		uint64_t loaded;                                                                   \
                                                                                                   \
		BB_LOAD(BB_LOAD##bits, address, loaded, fault);                                    \
		BB_AFTER_LOAD();                                                                   \
		if (fault)                                                                         \
			return -EFAULT;                                                            \
		*value = (uint##bits##_t)loaded;                                                   \
		return 0;                                                                          \
	}                                                                                          \
                                                                                                   \
	int bb_mmio_write##bits(volatile void *address, uint##bits##_t value)                      \
	{                                                                                          \
		uint64_t fault = 0;                                                                \
		uint64_t stored = value;                                                           \
                                                                                                   \
		BB_BEFORE_STORE();                                                                 \
		BB_STORE(BB_STORE##bits, address, stored, fault);                                  \
		return fault ? -EFAULT : 0;                                                        \
	}                                                                                          \
                                                                                                   \
	size_t bb_mmio_read_block##bits(const volatile void *from, uint##bits##_t *to,             \
					size_t count)                                              \
	{                                                                                          \
		const volatile uint##bits##_t *source = from;                                      \
		uint64_t fault = 0;                                                                \
		uint64_t loaded;                                                                   \
		size_t done;                                                                       \
                                                                                                   \
		for (done = 0; done < count; done++) {                                             \
			BB_LOAD(BB_LOAD##bits, source + done, loaded, fault);                      \
			if (fault)                                                                 \
				break;                                                             \
			to[done] = (uint##bits##_t)loaded;                                         \
		}                                                                                  \
		BB_AFTER_LOAD();                                                                   \
		return done;                                                                       \
	}                                                                                          \
                                                                                                   \
	size_t bb_mmio_write_block##bits(volatile void *to, const uint##bits##_t *from,            \
					 size_t count)                                             \
	{                                                                                          \
		volatile uint##bits##_t *target = to;                                              \
		uint64_t fault = 0;                                                                \
		uint64_t stored;                                                                   \
		size_t done;                                                                       \
                                                                                                   \
		BB_BEFORE_STORE();                                                                 \
		for (done = 0; done < count; done++) {                                             \
			stored = from[done];                                                       \
			BB_STORE(BB_STORE##bits, target + done, stored, fault);                    \
			if (fault)                                                                 \
				break;                                                             \
		}                                                                                  \
		return done;                                                                       \
	}

DEFINE_ACCESS(8)
DEFINE_ACCESS(16)
DEFINE_ACCESS(32)
DEFINE_ACCESS(64)
