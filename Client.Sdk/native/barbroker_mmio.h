/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access to device memory that may be taken away at any moment.
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
 * All functions may be called from any thread at any time after bb_mmio_init() has returned 0.
 */
#ifndef BARBROKER_MMIO_H
#define BARBROKER_MMIO_H

#include <stddef.h>
#include <stdint.h>

#define BB_MMIO_API __attribute__((visibility("default")))

/*
 * Installs the SIGBUS handler. Further calls do nothing and return what the first one returned.
 * Call it after whatever else in the process handles SIGBUS has been set up (the .NET runtime, a
 * crash reporter): those are passed what isn't ours, but one that comes later and doesn't pass
 * signals on in its turn leaves the functions below unprotected.
 *
 * Returns 0, -EEXIST if another copy of this library in the process has installed its handler, or
 * sigaction's -errno.
 */
BB_MMIO_API int bb_mmio_init(void);

/* One load. Returns 0, or -EFAULT if the memory is gone; *value is not written then. */
BB_MMIO_API int bb_mmio_read8(const volatile void *address, uint8_t *value);
BB_MMIO_API int bb_mmio_read16(const volatile void *address, uint16_t *value);
BB_MMIO_API int bb_mmio_read32(const volatile void *address, uint32_t *value);
BB_MMIO_API int bb_mmio_read64(const volatile void *address, uint64_t *value);

/* One store. Returns 0, or -EFAULT if the memory is gone. */
BB_MMIO_API int bb_mmio_write8(volatile void *address, uint8_t value);
BB_MMIO_API int bb_mmio_write16(volatile void *address, uint16_t value);
BB_MMIO_API int bb_mmio_write32(volatile void *address, uint32_t value);
BB_MMIO_API int bb_mmio_write64(volatile void *address, uint64_t value);

/*
 * Copies count elements in ascending order, each by one load or store of its width on the device's
 * side. The other side is ordinary memory. Returns how many elements were copied: fewer than count
 * if the memory went away in between.
 */
BB_MMIO_API size_t bb_mmio_read_block8(const volatile void *from, uint8_t *to, size_t count);
BB_MMIO_API size_t bb_mmio_read_block16(const volatile void *from, uint16_t *to, size_t count);
BB_MMIO_API size_t bb_mmio_read_block32(const volatile void *from, uint32_t *to, size_t count);
BB_MMIO_API size_t bb_mmio_read_block64(const volatile void *from, uint64_t *to, size_t count);

BB_MMIO_API size_t bb_mmio_write_block8(volatile void *to, const uint8_t *from, size_t count);
BB_MMIO_API size_t bb_mmio_write_block16(volatile void *to, const uint16_t *from, size_t count);
BB_MMIO_API size_t bb_mmio_write_block32(volatile void *to, const uint32_t *from, size_t count);
BB_MMIO_API size_t bb_mmio_write_block64(volatile void *to, const uint64_t *from, size_t count);

/*
 * Stores before it, to memory of any type, are made before stores after it. Sends on its way what
 * the processor gathered of stores to write-combining memory.
 */
BB_MMIO_API void bb_mmio_write_fence(void);

/* The same for loads and stores. */
BB_MMIO_API void bb_mmio_fence(void);

#endif
