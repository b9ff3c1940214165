/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libbarbroker: what a client of BAR Broker needs beside a gRPC library.
 *
 * Broker/Acquire with DELIVERY_TICKET, by any gRPC library, gives a ticket. bb_redeem() turns it
 * into the lease's descriptor, and a connection that stands for the lease. bb_map() maps the
 * descriptor. bb_mmio_init(), bb_mmio_read32() and their like access registers without dying when
 * the lease is taken away; bb_wait_end() and bb_lease_state() tell whether it was. In the end,
 * bb_unmap() and close() of both descriptors: closing the connection gives the lease back.
 *
 * Functions that can fail return a negative errno, and leave errno itself as it may be. Lengths are
 * bytes. All functions may be called from any thread at any time (bb_mmio_*() only where SIGBUS is
 * not blocked); none keeps state but for the one SIGBUS handler of bb_mmio_init(), and none
 * allocates memory. A child of fork() can use the descriptors that it inherits; mappings it does
 * not inherit.
 *
 * Signals: interrupted calls go on. Only bb_mmio_init() changes what a signal does. Who touches a
 * mapping by other means than bb_mmio_*() gets SIGBUS once the lease is over, or while the device
 * is suspended.
 */
#ifndef BARBROKER_H
#define BARBROKER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BB_API __attribute__((visibility("default")))

/* Hexadecimal digits of a ticket. */
#define BB_TICKET_LENGTH 32

/*
 * Redeems a ticket, once, at the very socket that it came from, and within the seconds that the
 * broker's answer says. socket_path is a path of at most 107 bytes, ticket the answer's secret.
 *
 * Returns the connection, and the lease's descriptor in *descriptor; both are close-on-exec, and
 * the caller's to close. The lease belongs to the connection now, and is over when that is closed
 * (by close(), or by the end of the process). A lease that the broker ends has its connection
 * closed from the other side: so the connection is what to poll (POLLIN) for the lease's end.
 * Nothing is to be sent on it.
 *
 * Otherwise a negative number, and *descriptor is -1:
 *   -EINVAL		ticket is not BB_TICKET_LENGTH hexadecimal digits in lower case
 *   -ENAMETOOLONG	socket_path is empty or longer than an address can be
 *   -EKEYREJECTED	the broker knows no such ticket: it is wrong, expired, used or
 *			another user's; or this user tried too many wrong ones in the last minute
 *   -EDQUOT		this user, or all together, have too many connections to the broker
 *   -ENODEV		the lease ended before the ticket was redeemed
 *   -EPROTO		who answers is no broker, or one that knows no tickets at this socket
 *   -ECONNRESET	the connection ended without an answer
 *   -ETIMEDOUT		no answer in ten seconds
 *   -EMFILE		this process has no descriptor left (RLIMIT_NOFILE); the lease is given back
 * and what socket(2) and connect(2) say: -ENOENT and -ECONNREFUSED (no broker), -EACCES (not in the
 * socket's group).
 */
BB_API int bb_redeem(const char *socket_path, const char *ticket, int *descriptor);

/*
 * Waits for the end of the lease that a connection of bb_redeem() stands for; timeout is in
 * milliseconds, 0 only asks, a negative one waits for ever. The kernel may have taken the memory
 * back a moment earlier. Returns 1 when the lease is over, 0 when it isn't, or poll's -errno.
 */
BB_API int bb_wait_end(int connection, int timeout);

enum bb_access {
	BB_READ_ONLY = 1,
	BB_READ_WRITE = 2,
};

/*
 * Maps all of a lease: all of its ranges, one behind the other. The descriptor may have come by
 * bb_redeem() or from somebody else, such as bar-lease (LISTEN_FDS), and may be closed afterwards.
 *
 * Returns 0, and the mapping in *address and *length; or
 *   -EINVAL		access is none of the above, or descriptor is no lease's
 *   -EACCES		the lease is read-only
 *   -ENODEV		the lease is over
 *   -ENOMEM		no address space, or mapped too often
 *   -EBADF		descriptor is not open
 */
BB_API int bb_map(int descriptor, enum bb_access access, void **address, size_t *length);

/* Removes a mapping of bb_map(), which nobody may use any more. Returns 0 or munmap's -errno. */
BB_API int bb_unmap(void *address, size_t length);

enum bb_state {
	/* The lease stands. */
	BB_LIVE = 0,
	/* It stands, but its device can't be reached for a while: try again later. */
	BB_SUSPENDED = 1,
	/* It is over, for good. */
	BB_REVOKED = 2,
};

/*
 * What became of a lease, by the kernel's word: what to ask after -EFAULT.
 *
 * Whether a device is suspended shows only when one of its registers is read. harmless is where
 * that may be done: an aligned 32-bit register, in a mapping of this lease, reading which has no
 * effect. It is read as bb_mmio_read32() does, so bb_mmio_init() must have returned 0 before, or a
 * suspended device ends the process. With NULL nothing is read: the answer is BB_REVOKED or
 * BB_LIVE, and the latter after -EFAULT means that the device was suspended at that moment.
 *
 * Returns an enum bb_state, or a negative number when the kernel can't answer: -EBADF, -ENOMEM, or
 * -EINVAL when descriptor is no lease's.
 */
BB_API int bb_lease_state(int descriptor, const volatile void *harmless);

/*
 * Access to registers that may be taken away at any moment.
 *
 * A lease's mapping stays in place when the lease is revoked; touching it then raises SIGBUS. These
 * functions turn exactly that signal, raised by exactly their own loads and stores, into a return
 * value. Every other SIGBUS goes to the handler that was there before, or ends the process as it
 * would have without this library.
 *
 * Every access is one load or store instruction of exactly the stated width. Addresses are
 * naturally aligned; the caller checks that, and that the whole access lies inside a mapping: an
 * address where nothing is mapped raises SIGSEGV, which is not handled here.
 *
 * Ordering is that of the Linux kernel's readl() and writel(): a write is seen by the device after
 * the memory writes before it; memory reads after a read are made after it. Mappings of the type
 * "write-combining" have no order of their own: that takes the fences below.
 *
 * They need bb_mmio_init() to have returned 0 before.
 */

/*
 * A thread that uses them must not block SIGBUS: the kernel ends a process that blocks a signal
 * which its own access has raised, whatever handler there is. A daemon that blocks all signals in
 * its workers, or takes them by signalfd(2), leaves this one out of the set (sigdelset).
 *
 * Installs the SIGBUS handler. Further calls do nothing and return what the first one returned.
 * Call it after whatever else in the process handles SIGBUS has been set up (the .NET runtime, a
 * crash reporter): those are passed what isn't ours, but one that comes later and doesn't pass
 * signals on in its turn leaves the functions below unprotected.
 *
 * The handler runs on the stack of the thread that faults (it has no SA_ONSTACK), as the .NET
 * runtime demands. A runtime whose threads have small stacks, and that demands the opposite, must
 * not call this: in Go, use debug.SetPanicOnFault in place of bb_mmio_*().
 *
 * Returns 0, -EEXIST if another copy of this library in the process has installed its handler, or
 * sigaction's -errno.
 */
BB_API int bb_mmio_init(void);

/* One load. Returns 0, or -EFAULT if the memory is gone; *value is not written then. */
BB_API int bb_mmio_read8(const volatile void *address, uint8_t *value);
BB_API int bb_mmio_read16(const volatile void *address, uint16_t *value);
BB_API int bb_mmio_read32(const volatile void *address, uint32_t *value);
BB_API int bb_mmio_read64(const volatile void *address, uint64_t *value);

/* One store. Returns 0, or -EFAULT if the memory is gone. */
BB_API int bb_mmio_write8(volatile void *address, uint8_t value);
BB_API int bb_mmio_write16(volatile void *address, uint16_t value);
BB_API int bb_mmio_write32(volatile void *address, uint32_t value);
BB_API int bb_mmio_write64(volatile void *address, uint64_t value);

/*
 * Copies count elements in ascending order, each by one load or store of its width on the device's
 * side. The other side is ordinary memory. Returns how many elements were copied: fewer than count
 * if the memory went away in between.
 */
BB_API size_t bb_mmio_read_block8(const volatile void *from, uint8_t *to, size_t count);
BB_API size_t bb_mmio_read_block16(const volatile void *from, uint16_t *to, size_t count);
BB_API size_t bb_mmio_read_block32(const volatile void *from, uint32_t *to, size_t count);
BB_API size_t bb_mmio_read_block64(const volatile void *from, uint64_t *to, size_t count);

BB_API size_t bb_mmio_write_block8(volatile void *to, const uint8_t *from, size_t count);
BB_API size_t bb_mmio_write_block16(volatile void *to, const uint16_t *from, size_t count);
BB_API size_t bb_mmio_write_block32(volatile void *to, const uint32_t *from, size_t count);
BB_API size_t bb_mmio_write_block64(volatile void *to, const uint64_t *from, size_t count);

/*
 * Stores before it, to memory of any type, are made before stores after it. Sends on its way what
 * the processor gathered of stores to write-combining memory.
 */
BB_API void bb_mmio_write_fence(void);

/* The same for loads and stores. */
BB_API void bb_mmio_fence(void);

#ifdef __cplusplus
}
#endif

#endif
