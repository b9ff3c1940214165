// SPDX-License-Identifier: GPL-2.0
/* The device's memory as VFIO has it: only what may stand in it does. */
#define _GNU_SOURCE
#include "stress.h"

#include "../check.h"

static volatile uint32_t *word_at(uint32_t page, uint32_t word)
{
	return devices[0].memory + page * PAGE_WORDS + word;
}

void audit_fill(void)
{
	for (uint32_t page = 0; page < arena_pages(); page++) {
		for (uint32_t word = 0; word < PAGE_WORDS; word++)
			*word_at(page, word) = is_written(word) ? written_word(page, TAG_FIRST, 0)
								: constant_word(page, word);
	}
}

static void judge(uint32_t page, uint32_t word, uint32_t value)
{
	if (!word_plausible(page, word, value))
		violate(STRAY, "page %u word %u has 0x%08x", page, word, value);
}

static void audit_word(uint32_t page, uint32_t word)
{
	uint32_t value;

	/* Suspended: nothing to be seen. */
	if (guarded_load(word_at(page, word), &value)) {
		count(OP_AUDIT_WORD, REFUSED);
		return;
	}
	count(OP_AUDIT_WORD, DONE);
	judge(page, word, value);
}

/* With nobody left who could suspend the device. */
void audit_all(void)
{
	for (uint32_t page = 0; page < arena_pages(); page++) {
		for (uint32_t word = 0; word < PAGE_WORDS; word++)
			judge(page, word, *word_at(page, word));
		count(OP_AUDIT_PAGE, DONE);
	}
}

void *audit_run(void *unused)
{
	uint64_t random = shared->seed ^ 0xa0d17;

	(void)unused;
	while (!shared->stop) {
		uint32_t page = below(&random, arena_pages());

		if (shared->sabotage == STRAY_STORE)
			(void)!guarded_store(word_at(page, 7), written_word(page, 1, 1));
		audit_word(page, below(&random, PAGE_WORDS));
		for (uint32_t word = 0; word < NR_WRITTEN; word++)
			audit_word(page, FIRST_WRITTEN + word);
		pause_up_to(&random, 2000);
	}
	return NULL;
}

/* Of large leases the first and the last pages. */
static uint32_t nr_scrubbed(const struct instance *instance)
{
	return instance->pages < 8 ? instance->pages : 8;
}

static uint32_t scrubbed_page(const struct instance *instance, uint32_t i)
{
	return device_page(instance, i % 2 ? instance->pages - 1 - i / 2 : i / 2);
}

bool audit_scrub(const struct instance *instance)
{
	if (instance->device || instance->read_only)
		return false;
	for (uint32_t i = 0; i < nr_scrubbed(instance); i++) {
		uint32_t page = scrubbed_page(instance, i);

		for (uint32_t word = FIRST_WRITTEN; word < FIRST_WRITTEN + NR_WRITTEN; word++) {
			if (guarded_store(word_at(page, word), written_word(page, TAG_SCRUB, 0)))
				return false;
		}
	}
	return true;
}

void audit_scrubbed(const struct instance *instance)
{
	for (uint32_t i = 0; i < nr_scrubbed(instance); i++) {
		uint32_t page = scrubbed_page(instance, i), value;

		for (uint32_t word = FIRST_WRITTEN; word < FIRST_WRITTEN + NR_WRITTEN; word++) {
			if (guarded_load(word_at(page, word), &value)) {
				count(OP_SCRUB_WORD, REFUSED);
				continue;
			}
			count(OP_SCRUB_WORD, DONE);
			if (written_by(value, instance->slot, instance->generation))
				violate(LATE, "a store to page %u word %u by slot %u generation %u",
					page, word, instance->slot, instance->generation);
		}
	}
}
