// SPDX-License-Identifier: GPL-2.0
/*
 * What the device's memory holds. Every word tells which page it belongs to;
 * the few that leases write tell which lease wrote them as well:
 *
 *	page (14 bits) | slot (6) | generation's lower 12 bits
 *
 * Regions one after the other; four slots lease parts of each. The first is
 * large enough for huge pages.
 */
#include "stress.h"

enum {
	BIG_REGIONS = 1,
	BIG_STRIDE = 2048,
	BIG_PAGES = 1536,
	STRIDE = 40,
	PAGES = 36,
	GENERATION_BITS = 12,
	TAG_BITS = 18,
};

uint32_t region_start(uint32_t region)
{
	if (region < BIG_REGIONS)
		return region * BIG_STRIDE;
	return BIG_REGIONS * BIG_STRIDE + (region - BIG_REGIONS) * STRIDE;
}

uint32_t region_pages(uint32_t region)
{
	return region < BIG_REGIONS ? BIG_PAGES : PAGES;
}

uint32_t arena_pages(void)
{
	return region_start(REGIONS);
}

/* Never leased: nothing but what was there first may stand in it. */
static bool is_guard(uint32_t page, uint32_t *region)
{
	uint32_t last = BIG_REGIONS * BIG_STRIDE;

	*region = page < last ? page / BIG_STRIDE : BIG_REGIONS + (page - last) / STRIDE;
	return page - region_start(*region) >= region_pages(*region);
}

bool slot_read_only(uint32_t slot)
{
	return slot >= MEMORY_SLOTS || slot % SLOTS_PER_REGION == SLOTS_PER_REGION - 1;
}

uint32_t constant_word(uint32_t page, uint32_t word)
{
	uint32_t value = page * PAGE_WORDS + word + 1;

	value *= 0x9e3779b1;
	value ^= value >> 15;
	return value * 0x85ebca77;
}

uint32_t written_word(uint32_t page, uint32_t tag, uint32_t generation)
{
	return page << TAG_BITS | tag << GENERATION_BITS |
	       (generation & ((1U << GENERATION_BITS) - 1));
}

bool written_by(uint32_t value, uint32_t slot, uint32_t generation)
{
	return (value ^ written_word(0, slot, generation)) << (32 - TAG_BITS) == 0;
}

bool word_plausible(uint32_t page, uint32_t word, uint32_t value)
{
	uint32_t region, tag = value >> GENERATION_BITS & 63;
	bool guard = is_guard(page, &region);

	if (!is_written(word))
		return value == constant_word(page, word);
	if (value >> TAG_BITS != page)
		return false;
	if (tag == TAG_FIRST)
		return true;
	if (guard)
		return false;
	return tag == TAG_SCRUB || (tag / SLOTS_PER_REGION == region && !slot_read_only(tag));
}

uint32_t device_page(const struct instance *instance, uint32_t page)
{
	const struct page_range *range = instance->ranges;

	while (page >= range->pages) {
		page -= range->pages;
		range++;
	}
	return range->page + page;
}

uint32_t word_to_read(const struct instance *instance, uint64_t *random)
{
	if (instance->device)
		return below(random, 3);
	return below(random, 2) ? FIRST_WRITTEN + below(random, NR_WRITTEN)
				: below(random, PAGE_WORDS);
}

void check_read(const struct instance *instance, uint32_t page, uint32_t word, uint32_t value)
{
	uint32_t real = device_page(instance, page);
	bool right;

	if (instance->device)
		right = value == shared->devices[instance->device].words[word];
	else
		right = word_plausible(real, word, value);
	if (!right)
		violate(CONTENT, "slot %u generation %u: page %u word %u reads 0x%08x",
			instance->slot, instance->generation, real, word, value);
}
