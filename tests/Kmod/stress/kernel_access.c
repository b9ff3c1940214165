// SPDX-License-Identifier: GPL-2.0
/*
 * Accesses to a view: a thread's own, those that the kernel makes for it, and
 * tries to have the kernel keep hold of the pages.
 */
#define _GNU_SOURCE
#include "stress.h"

#include "../check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* A thread's own. */
static __thread struct {
	int memory_file, pipe[2], self_memory, disk, ring;
	/* Where another mapping of a lease goes, and nothing else. */
	char *page;
} own;

void kernel_access_prepare(void)
{
	struct io_uring_params parameters = { 0 };

	own.memory_file = CHECK_OK(memfd_create("data", MFD_CLOEXEC));
	CHECK_OK(pipe2(own.pipe, O_CLOEXEC | O_NONBLOCK));
	own.self_memory = CHECK_OK(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
	own.disk = CHECK_OK(open("/dev/vda", O_RDONLY | O_DIRECT | O_CLOEXEC));
	/* Not every kernel has it: then there is nothing to refuse. */
	own.ring = (int)syscall(SYS_io_uring_setup, 4, &parameters);
	own.page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(own.page != MAP_FAILED);
}

void touch(struct view *view, uint64_t *random)
{
	const struct instance *instance = view_instance(view);
	uint32_t page = below(random, instance->pages);
	volatile uint32_t *memory = view_memory(view) + page * PAGE_WORDS;
	uint32_t value, word, what = below(random, 4);
	struct witness witness;
	int raised;

	if (what < 2 || instance->read_only) {
		word = word_to_read(instance, random);
		witness_begin(&witness, instance);
		raised = guarded_load(memory + word, &value);
		witness_end(&witness, OP_LOAD,
			    !raised	       ? DONE
			    : raised == SIGBUS ? REFUSED
					       : UNCLEAR);
		if (!raised)
			check_read(instance, page, word, value);
		return;
	}

	word = FIRST_WRITTEN + below(random, NR_WRITTEN);
	value = written_word(device_page(instance, page), instance->slot, instance->generation);
	witness_begin(&witness, instance);
	if (what == 2)
		raised = guarded_store(memory + word, value);
	else
		raised = guarded_exchange(memory + word, &value);
	witness_end(&witness, what == 2 ? OP_STORE : OP_EXCHANGE,
		    !raised	       ? DONE
		    : raised == SIGBUS ? REFUSED
				       : UNCLEAR);
	if (!raised)
		check_read(instance, page, word, value);
}

/* -- what the kernel does with a process's memory as the process could ---- */

static enum outcome outcome_of(ssize_t result)
{
	return result >= 0 ? DONE : errno == EFAULT ? REFUSED : UNCLEAR;
}

static void write_from(const struct instance *instance, uint32_t page, uint32_t word,
		       volatile uint32_t *at)
{
	struct witness witness;
	enum outcome outcome;
	uint32_t value;

	witness_begin(&witness, instance);
	outcome = outcome_of(pwrite(own.memory_file, (void *)at, 4, 0));
	witness_end(&witness, OP_WRITE_FROM, outcome);
	if (outcome == DONE) {
		CHECK_EQ(pread(own.memory_file, &value, 4, 0), 4);
		check_read(instance, page, word, value);
	}
}

static void read_into(const struct instance *instance, uint32_t page, volatile uint32_t *at)
{
	uint32_t value =
		written_word(device_page(instance, page), instance->slot, instance->generation);
	struct witness witness;

	CHECK_EQ(pwrite(own.memory_file, &value, 4, 8), 4);
	witness_begin(&witness, instance);
	witness_end(&witness, OP_READ_INTO, outcome_of(pread(own.memory_file, (void *)at, 4, 8)));
}

/* Waits for a value that is never there, so an answer means that the kernel has looked. */
static void futex_wait(const struct instance *instance, uint32_t page, uint32_t word,
		       volatile uint32_t *at)
{
	struct timespec timeout = { .tv_nsec = 1 };
	struct witness witness;
	uint32_t expected;
	long result;

	if (instance->device)
		expected = ~shared->devices[instance->device].words[word];
	else
		expected = ~constant_word(device_page(instance, page), word);
	witness_begin(&witness, instance);
	result = syscall(SYS_futex, at, FUTEX_WAIT_PRIVATE, expected, &timeout, NULL, 0);
	witness_end(&witness, OP_FUTEX_WAIT,
		    result && errno == EAGAIN	? DONE
		    : result && errno == EFAULT ? REFUSED
						: UNCLEAR);
	if (result && errno == ETIMEDOUT)
		violate(CONTENT, "futex: page %u word %u has 0x%08x", device_page(instance, page),
			word, expected);
}

static void futex_add(const struct instance *instance, volatile uint32_t *at)
{
	static uint32_t nobody_waits;
	struct witness witness;

	witness_begin(&witness, instance);
	witness_end(&witness, OP_FUTEX_ADD,
		    outcome_of(syscall(SYS_futex, &nobody_waits, FUTEX_WAKE_OP_PRIVATE, 0, 0, at,
				       FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0))));
}

/* Of a revoked lease ENODEV, and no other answer of a live one than a mapping. */
static void map_again(struct view *view, uint32_t page)
{
	const struct instance *instance = view_instance(view);
	struct witness witness;
	uint32_t value;
	char *mapped;

	witness_begin(&witness, instance);
	mapped = mmap(own.page, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, view_descriptor(view),
		      (off_t)(page * PAGE));
	witness_end(&witness, OP_MMAP,
		    mapped == own.page ? DONE
		    : errno == ENODEV  ? REFUSED
				       : UNCLEAR);
	if (mapped == own.page && !guarded_load((uint32_t *)mapped, &value))
		check_read(instance, page, 0, value);
	CHECK(mmap(own.page, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	      own.page);
}

/* -- pages that the kernel holds are out of a revoke's reach ------------- */

static void refused(enum op op, const struct instance *instance, bool done)
{
	count(op, done ? DONE : errno == EFAULT || errno == EIO ? REFUSED : UNCLEAR);
	if (done)
		violate(PINNED, "way %d to keep pages: slot %u generation %u", op, instance->slot,
			instance->generation);
}

/* Forces its way through protections: only where there are no holes, which it would fill. */
static void self_memory(struct view *view, volatile uint32_t *at, bool write)
{
	uint32_t value = 0;

	if (!view_steady(view))
		return;
	if (write)
		refused(OP_SELF_MEM_WRITE, view_instance(view),
			pwrite(own.self_memory, &value, 4, (off_t)(uintptr_t)at) > 0);
	else
		refused(OP_SELF_MEM_READ, view_instance(view),
			pread(own.self_memory, &value, 4, (off_t)(uintptr_t)at) > 0);
}

static void other_process(struct view *view, uint64_t *random, bool write)
{
	struct sighting *sighting =
		&shared->sightings[below(random, HOLDERS)][below(random, VIEWS)];
	int pid = sighting->pid;
	uint32_t value = 0;
	struct iovec local = { &value, 4 };
	struct iovec remote = { (void *)sighting->address, 4 };

	if (!remote.iov_base || pid != sighting->pid)
		return;
	/* Whatever it has there now, it's a lease or nothing. */
	if (write)
		refused(OP_PROCESS_VM_WRITE, view_instance(view),
			process_vm_writev(pid, &local, 1, &remote, 1, 0) > 0);
	else
		refused(OP_PROCESS_VM_READ, view_instance(view),
			process_vm_readv(pid, &local, 1, &remote, 1, 0) > 0);
}

static void gift(const struct instance *instance, volatile uint32_t *at)
{
	struct iovec iov = { (void *)at, 4 };
	bool done = vmsplice(own.pipe[1], &iov, 1, SPLICE_F_NONBLOCK) > 0;
	uint32_t value;

	refused(OP_VMSPLICE, instance, done);
	if (done)
		(void)!read(own.pipe[0], &value, sizeof(value));
}

static void ring(const struct instance *instance, volatile uint32_t *page)
{
	struct iovec iov = { (void *)page, PAGE };
	bool done = own.ring >= 0 &&
		    !syscall(SYS_io_uring_register, own.ring, IORING_REGISTER_BUFFERS, &iov, 1);

	refused(OP_IO_URING, instance, done);
	if (done)
		syscall(SYS_io_uring_register, own.ring, IORING_UNREGISTER_BUFFERS, NULL, 0);
}

void kernel_access(struct view *view, uint64_t *random)
{
	const struct instance *instance = view_instance(view);
	uint32_t page = below(random, instance->pages);
	uint32_t word = instance->device ? below(random, 3) : below(random, FIRST_WRITTEN);
	volatile uint32_t *start = view_memory(view) + page * PAGE_WORDS;
	uint32_t what = below(random, 12);

	/* These can't tell a hole from a lease that is gone. */
	if (what < 4 && !view_steady(view))
		return;
	if (what % 2 && what < 4 && instance->read_only)
		return;

	switch (what) {
	case 0:
		return write_from(instance, page, word, start + word);
	case 1:
		return read_into(instance, page, start + FIRST_WRITTEN + word % NR_WRITTEN);
	case 2:
		return futex_wait(instance, page, word, start + word);
	case 3:
		return futex_add(instance, start + FIRST_WRITTEN + word % NR_WRITTEN);
	case 4:
		return map_again(view, page);
	case 5:
	case 6:
		return self_memory(view, start + word, what == 6);
	case 7:
	case 8:
		return other_process(view, random, what == 8);
	case 9:
		return refused(OP_DIRECT_IO, instance, pread(own.disk, (void *)start, PAGE, 0) > 0);
	case 10:
		return gift(instance, start + word);
	default:
		return ring(instance, start);
	}
}
