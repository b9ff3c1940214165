/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The stress program's own world. Processes: a supervisor; one owner, who has
 * the VFIO devices and the sessions; holders, who get lease descriptors and use
 * and misuse them; a DMA client with a device of its own. All of them report to
 * one oracle in shared memory.
 */
#ifndef BAR_LEASE_STRESS_H
#define BAR_LEASE_STRESS_H

#include "../vfio.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	/* The first is plain memory that tells its pages apart, the other has live registers. */
	DEVICES = 2,
	/* Four slots share each region of the memory, so leases overlap. */
	REGIONS = 10,
	SLOTS_PER_REGION = 4,
	MEMORY_SLOTS = REGIONS * SLOTS_PER_REGION,
	SLOTS = MEMORY_SLOTS + 2,
	MAX_RANGES = 3,
	/* Pages of the largest lease: two huge pages. */
	MAX_PAGES = 1024,
	HOLDERS = 3,
	/* The DMA client's comes after the holders'. */
	INBOXES = HOLDERS + 1,
	VIEWS = 12,
	TEXTS = 16,
	TEXT_LENGTH = 160,
};

/* What is done, and counted. */
enum op {
	OP_LOAD,
	OP_STORE,
	OP_EXCHANGE,
	OP_WRITE_FROM,
	OP_READ_INTO,
	OP_FUTEX_WAIT,
	OP_FUTEX_ADD,
	OP_MMAP,
	/* Ways to keep hold of pages: to be refused whatever the lease's state. */
	OP_SELF_MEM_READ,
	OP_SELF_MEM_WRITE,
	OP_PROCESS_VM_READ,
	OP_PROCESS_VM_WRITE,
	OP_DIRECT_IO,
	OP_VMSPLICE,
	OP_IO_URING,
	OP_MAP_DMA,
	/* What happens around. */
	OP_PUNCH,
	OP_MPROTECT,
	OP_DONTNEED,
	OP_CLEAR_REFS,
	OP_MREMAP,
	OP_FORK,
	OP_DUP,
	OP_PASS_ON,
	OP_RECEIVE,
	OP_EXPORT,
	OP_EXPORT_WC,
	OP_EXPORT_RANGES,
	OP_EXPORT_P2P,
	OP_PEER_MAP,
	OP_PEER_LET_GO,
	OP_GET_FD,
	OP_LIST,
	OP_REVOKE_CALL,
	OP_REVOKE,
	OP_REVOKE_TIMEOUT,
	OP_CLOSE_SESSION,
	OP_DECODE_OFF,
	OP_RESET,
	OP_KILL_HOLDER,
	OP_AUDIT_WORD,
	OP_AUDIT_PAGE,
	OP_SCRUB_WORD,
	OP_DMA_CONTROL,
	OPS,
};

enum outcome {
	DONE,
	REFUSED,
	/* The mapping had a hole or another protection there: says nothing. */
	UNCLEAR,
	OUTCOMES,
};

enum violation {
	/* Access through a lease after its REVOKE had returned. */
	LATE,
	/* No access though the lease was live and the device not suspended. */
	LOST,
	/* Something else was there than the page's own pattern. */
	CONTENT,
	/* A store landed where it must not. */
	STRAY,
	/* The kernel let somebody keep hold of a lease's pages. */
	PINNED,
	/* A call answered what it must not. */
	CALL,
	VIOLATIONS,
};

/* What is broken on purpose, for the oracle to find. */
enum sabotage {
	NO_SABOTAGE,
	SKIP_REVOKE,
	HIDE_SUSPEND,
	STRAY_STORE,
	MAP_MEMORY,
};

struct page_range {
	uint32_t page, pages;
};

/* One lease of a slot, as its holders learn of it. */
struct instance {
	uint32_t slot;
	uint32_t generation;
	uint32_t device;
	bool read_only;
	uint32_t nr_ranges;
	uint32_t pages;
	struct page_range ranges[MAX_RANGES];
};

/* Where a holder has mapped something, for other processes to try and read. */
struct sighting {
	atomic_int pid;
	atomic_ulong address;
};

struct shared {
	uint64_t seed;
	/* The longest time between two suspends of a device; 0: none. */
	uint32_t suspend_us;
	enum sabotage sabotage;
	/* No new work; and: every lease has been revoked. */
	atomic_bool stop, over;
	struct {
		/* Generation whose revoke has begun, and whose revoke is complete. */
		atomic_uint revoking, revoked;
	} slots[SLOTS];
	struct {
		/* Odd while the device may be unreachable. */
		atomic_uint suspends;
		/* Words that read the same always, of the device with registers. */
		uint32_t words[3];
	} devices[DEVICES];
	atomic_ulong counts[OPS][OUTCOMES];
	atomic_ulong violations[VIOLATIONS];
	/* The longest of each, in microseconds. */
	atomic_ulong slowest_revoke, slowest_suspend;
	atomic_uint nr_texts;
	char texts[TEXTS][TEXT_LENGTH];
	struct sighting sightings[HOLDERS][VIEWS];
};

extern struct shared *shared;
/* Read end and write end; everybody may write. */
extern int inboxes[INBOXES][2];

/* -- oracle.c: what was done, and whether it may have been -------------- */

void oracle_create(uint64_t seed, uint32_t suspend_us, enum sabotage sabotage);
void count(enum op op, enum outcome outcome);
void violate(enum violation kind, const char *format, ...) __attribute__((format(printf, 2, 3)));
void raise_to(atomic_ulong *maximum, unsigned long value);
unsigned long violations_total(void);
void oracle_print(void);

/* What was so before an access, without which its outcome can't be judged. */
struct witness {
	const struct instance *instance;
	unsigned int suspends;
	bool revoked;
};

void witness_begin(struct witness *witness, const struct instance *instance);
/* Judges and counts. */
void witness_end(const struct witness *witness, enum op op, enum outcome outcome);
bool is_revoked(const struct instance *instance);
void mark_revoking(uint32_t slot, uint32_t generation);
void mark_revoked(uint32_t slot, uint32_t generation);

/* -- pattern.c: what a page holds --------------------------------------- */

/* Words of a page that are written; all others are the page's own for ever. */
#define FIRST_WRITTEN 512
#define NR_WRITTEN    64
#define PAGE_WORDS    1024
/* Tags of no lease: what was there first, what an exporter left. */
#define TAG_FIRST 62
#define TAG_SCRUB 63

uint32_t region_start(uint32_t region);
/* Pages of a region that may be leased; those behind, up to the next, never are. */
uint32_t region_pages(uint32_t region);
/* All of it. */
uint32_t arena_pages(void);
bool slot_read_only(uint32_t slot);

static inline bool is_written(uint32_t word)
{
	return word - FIRST_WRITTEN < NR_WRITTEN;
}

uint32_t constant_word(uint32_t page, uint32_t word);
uint32_t written_word(uint32_t page, uint32_t tag, uint32_t generation);
bool written_by(uint32_t value, uint32_t slot, uint32_t generation);
/* May this page have this value there? */
bool word_plausible(uint32_t page, uint32_t word, uint32_t value);
/* For a lease: its page @page counted from its start; a wrong value is a violation. */
uint32_t device_page(const struct instance *instance, uint32_t page);
uint32_t word_to_read(const struct instance *instance, uint64_t *random);
void check_read(const struct instance *instance, uint32_t page, uint32_t word, uint32_t value);

/* -- access.c: one access, guarded -------------------------------------- */

void access_prepare(void);
/* 0, or the signal that it raised. */
int guarded_load(const volatile uint32_t *address, uint32_t *value);
int guarded_store(volatile uint32_t *address, uint32_t value);
int guarded_exchange(volatile uint32_t *address, uint32_t *value);

uint64_t next_random(uint64_t *state);
static inline uint32_t below(uint64_t *state, uint32_t limit)
{
	return (uint32_t)(next_random(state) >> 33) % limit;
}
void pause_up_to(uint64_t *state, uint32_t microseconds);

/* -- view.c: what a holder has mapped of one lease ---------------------- */

struct view;

void views_create(int holder);
/* Any view that has something; its accesses and changes until view_leave(). NULL: none now. */
struct view *view_enter(uint64_t *random);
void view_leave(struct view *view);
const struct instance *view_instance(struct view *view);
volatile uint32_t *view_memory(struct view *view);
int view_descriptor(struct view *view);
/* Nobody punches holes into it. */
bool view_steady(struct view *view);
/* Puts a lease in the place of what some view had. Takes the descriptor. */
void view_assign(const struct instance *instance, int descriptor, uint64_t *random);
void view_disturb(struct view *view, uint64_t *random);
void view_move(uint64_t *random);
/* Everything, once more, after the last revoke. */
void views_check_dead(void);
/* In a child of the holder: maps and touches what it inherited. */
void view_touch_as_child(struct view *view, uint64_t *random);

/* -- kernel_access.c: accesses that the kernel makes for a process ------- */

void kernel_access_prepare(void);
void kernel_access(struct view *view, uint64_t *random);
void touch(struct view *view, uint64_t *random);

/* -- processes ----------------------------------------------------------- */

void inboxes_create(void);
void inboxes_close(void);
bool inbox_send(int inbox, const struct instance *instance, int descriptor);
/* Waits a moment: the descriptor, or -1. */
int inbox_receive(int inbox, struct instance *instance);

/* Closes @ready when all is set up. */
_Noreturn void owner_run(int ready);
_Noreturn void holder_run(int holder, uint64_t seed);
_Noreturn void dma_run(void);

/* The owner's devices, by number. */
extern struct vfio devices[DEVICES];
/* Threads of the owner, until `stop`. */
void *suspend_run(void *device);
void *audit_run(void *unused);
void audit_fill(void);
void audit_all(void);
/* After a revoke: overwrites what was written through it, if it can; and has anybody since? */
bool audit_scrub(const struct instance *instance);
void audit_scrubbed(const struct instance *instance);

#endif /* BAR_LEASE_STRESS_H */
