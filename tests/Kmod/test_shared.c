// SPDX-License-Identifier: GPL-2.0
/* Leases of different holders over the same pages: one memory, separate ends. */
#define _GNU_SOURCE
#include "check.h"
#include "vfio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct vfio vfio;
static int session;

static void prepare(void)
{
	vfio_open_ivshmem(&vfio);
	session = session_open();
}

TEST(sessions_share_pages_and_end_their_leases_separately)
{
	uint32_t value;

	prepare();
	int other_session = session_open();
	volatile uint32_t *one =
		lease_map(lease_export(session, &vfio, 1, 20, 4, 0), 4, PROT_READ | PROT_WRITE);
	volatile uint32_t *other = lease_map(lease_export(other_session, &vfio, 1, 22, 4, 0), 4,
					     PROT_READ | PROT_WRITE);

	one[2 * 1024] = 0x2200;
	CHECK_EQ(other[0], 0x2200);
	other[1024] = 0x2300;
	CHECK_EQ(one[3 * 1024], 0x2300);
	other[2 * 1024] = 0x2400;
	uint64_t faults = lease_info(other_session).faults;

	CHECK_EQ(lease_revoke_one(session, 1), 1);
	for (int page = 0; page < 4; page++)
		CHECK(!peek(one + page * 1024, &value));
	CHECK(peek(other, &value) && value == 0x2200);
	CHECK(peek(other + 1024, &value) && value == 0x2300);
	CHECK(peek(other + 2 * 1024, &value) && value == 0x2400);
	/* What they had in common was there all the time. */
	CHECK_EQ(lease_info(other_session).faults, faults);

	CHECK_EQ(lease_revoke_one(other_session, 1), 1);
	CHECK(!peek(other, &value) && !peek(other + 3 * 1024, &value));
}

TEST(closing_a_session_spares_what_others_have_of_its_pages)
{
	uint32_t value;

	prepare();
	int other_session = session_open();
	volatile uint32_t *one = lease_map(lease_export(session, &vfio, 1, 20, 1, 0), 1, PROT_READ);
	volatile uint32_t *other = lease_map(lease_export(other_session, &vfio, 1, 20, 1, 0), 1,
					     PROT_READ | PROT_WRITE);

	other[0] = 0x20;
	CHECK(peek(one, &value) && value == 0x20);
	CHECK_OK(close(session));
	CHECK(!peek(one, &value));
	CHECK(peek(other, &value) && value == 0x20);
	CHECK(poke(other, 0x21));
	CHECK_EQ(*vfio_word(&vfio, 20, 0), 0x21);
}

TEST(of_many_leases_of_a_page_each_ends_alone)
{
	enum { LEASES = 64 };
	volatile uint32_t *memory[LEASES];
	bool ended[LEASES] = { false };
	unsigned int seed = 7;
	uint32_t value;

	prepare();
	for (uint64_t id = 0; id < LEASES; id++)
		memory[id] = lease_map(lease_export(session, &vfio, id, 30, 1, 0), 1,
				       PROT_READ | PROT_WRITE);
	for (uint32_t round = 1; round <= LEASES; round++) {
		uint64_t id = (uint64_t)rand_r(&seed) % LEASES;

		while (ended[id])
			id = (id + 1) % LEASES;
		CHECK_EQ(lease_revoke_one(session, id), 1);
		ended[id] = true;
		*vfio_word(&vfio, 30, 0) = round;
		for (uint64_t i = 0; i < LEASES; i++) {
			if (ended[i])
				CHECK(!peek(memory[i], &value));
			else
				CHECK(peek(memory[i], &value) && value == round);
		}
	}
}

TEST(a_reader_sees_what_a_writer_writes_and_outlives_it)
{
	uint32_t value;

	prepare();
	volatile uint32_t *writer =
		lease_map(lease_export(session, &vfio, 1, 40, 1, 0), 1, PROT_READ | PROT_WRITE);
	volatile uint32_t *reader = lease_map(
		lease_export(session, &vfio, 2, 40, 1, BAR_LEASE_EXPORT_READ_ONLY), 1, PROT_READ);

	for (uint32_t i = 0; i < 100; i++) {
		writer[i] = ~i;
		CHECK_EQ(reader[i], ~i);
	}
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	CHECK(!poke(writer, 0));
	CHECK(peek(reader + 99, &value) && value == ~99U);
}

/* -- processes ---------------------------------------------------------- */

enum { HOLDERS = 4 };

/* A process that has a lease, and does as it's told: 't'ouch, or anything else to end. */
struct holder {
	pid_t process;
	int commands[2], answers[2];
};

static void hold(struct holder *holder, int lease, uint32_t mark)
{
	volatile uint32_t *memory = lease_map(lease, 1, PROT_READ | PROT_WRITE);
	char command;

	while (read(holder->commands[0], &command, 1) == 1 && command == 't') {
		uint32_t value = 0;
		char answer = (char)(poke(memory + mark, mark) && peek(memory, &value));

		answer = answer && value == 0x5ead;
		CHECK_EQ(write(holder->answers[1], &answer, 1), 1);
	}
	_exit(0);
}

static bool holder_reaches(struct holder *holder)
{
	char answer;

	CHECK_EQ(write(holder->commands[1], "t", 1), 1);
	CHECK_EQ(read(holder->answers[0], &answer, 1), 1);
	return answer;
}

TEST(holders_in_several_processes_share_a_page_and_lose_it_one_by_one)
{
	struct holder holders[HOLDERS];

	prepare();
	*vfio_word(&vfio, 50, 0) = 0x5ead;
	for (uint32_t i = 0; i < HOLDERS; i++) {
		int lease = lease_export(session, &vfio, i, 50, 1, 0);

		CHECK_OK(pipe(holders[i].commands));
		CHECK_OK(pipe(holders[i].answers));
		holders[i].process = CHECK_OK(fork());
		if (!holders[i].process)
			hold(&holders[i], lease, i + 1);
		CHECK_OK(close(lease));
	}
	for (int ended = 0; ended <= HOLDERS; ended++) {
		for (int i = 0; i < HOLDERS; i++) {
			*vfio_word(&vfio, 50, (uint64_t)i + 1) = 0;
			CHECK_EQ(holder_reaches(&holders[i]), i >= ended);
			CHECK_EQ(*vfio_word(&vfio, 50, (uint64_t)i + 1), i >= ended ? i + 1 : 0);
		}
		if (ended < HOLDERS)
			CHECK_EQ(lease_revoke_one(session, (uint64_t)ended), 1);
	}
	for (int i = 0; i < HOLDERS; i++) {
		int status;

		CHECK_EQ(write(holders[i].commands[1], "e", 1), 1);
		CHECK_EQ(waitpid(holders[i].process, &status, 0), holders[i].process);
		CHECK_EQ(status, 0);
	}
}
