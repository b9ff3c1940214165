// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const int passed_on[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };

#define PASSED_ON_COUNT (sizeof(passed_on) / sizeof(passed_on[0]))

/* The first descriptor that a program is given, as sd_listen_fds(3) has it. */
#define FIRST_DESCRIPTOR 3

/* The program: by a descriptor, since its number may be another's once it has ended. -1: not
 * started. */
static int program_process = -1;
static pid_t program_number;
/* Signals that came before it was there; bit n - 1 is signal n. */
static uint64_t waiting_signals;

static uint64_t bit_of(int signal_number)
{
	return (uint64_t)1 << (signal_number - 1);
}

int program_signal(int number)
{
	int process = __atomic_load_n(&program_process, __ATOMIC_SEQ_CST);

	return syscall(SYS_pidfd_send_signal, process, number, NULL, 0) == 0 ? 0 : -errno;
}

/* Whoever takes a signal out of those that wait sends it: a handler, or who has started the
 * program. */
static void pass_waiting_signals(void)
{
	uint64_t signals;
	size_t i;

	if (__atomic_load_n(&program_process, __ATOMIC_SEQ_CST) < 0)
		return;
	signals = __atomic_exchange_n(&waiting_signals, 0, __ATOMIC_SEQ_CST);
	for (i = 0; i < PASSED_ON_COUNT; i++)
		if (signals & bit_of(passed_on[i]))
			program_signal(passed_on[i]);
}

static void handle_signal(int signal_number, siginfo_t *info, void *context)
{
	int saved_errno = errno;

	(void)context;
	/* The terminal's go to its whole foreground group, of which the program is. */
	if (info->si_code != SI_KERNEL) {
		__atomic_fetch_or(&waiting_signals, bit_of(signal_number), __ATOMIC_SEQ_CST);
		pass_waiting_signals();
	}
	errno = saved_errno;
}

static void take_signals(uint64_t ignored)
{
	struct sigaction pass = { .sa_sigaction = handle_signal };
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	const struct sigaction default_action = { .sa_handler = SIG_DFL };
	size_t i;

	pass.sa_flags = SA_SIGINFO | SA_RESTART;
	sigfillset(&pass.sa_mask);
	for (i = 0; i < PASSED_ON_COUNT; i++)
		sigaction(passed_on[i], ignored & bit_of(passed_on[i]) ? &ignore : &pass, NULL);
	/* Ignoring it, as we may have been told to, would leave nothing to wait for. */
	sigaction(SIGCHLD, &default_action, NULL);
}

/* From here to execve(2) we are a copy of a process with many threads: only async-signal-safe
 * calls. */

static void reset_signals(uint64_t ignored)
{
	const struct sigaction default_action = { .sa_handler = SIG_DFL };
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t none;
	int number;

	for (number = 1; number < NSIG; number++)
		sigaction(number, ignored & bit_of(number) ? &ignore : &default_action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void write_process_id(char *text)
{
	char digits[PROCESS_ID_SIZE];
	pid_t rest = getpid();
	size_t count = 0;

	do {
		digits[count++] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	while (count > 0)
		*text++ = digits[--count];
	*text = '\0';
}

/* Tries the paths as execvp(3) does. Returns only with an error: why it did not go. */
static int execute(const struct program *program)
{
	const char *const *path;
	int error = ENOENT;

	for (path = program->paths; *path; path++) {
		execve(*path, program->arguments, program->environment);
		if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
			return errno;
		/* That one of them may not be run is the better reason. */
		if (error != EACCES)
			error = errno;
	}
	return error;
}

static _Noreturn void become_program(const struct program *program, int report)
{
	int error = 0;
	size_t i;

	write_process_id(program->process_id);
	/* They are all above the numbers that are wanted, so none is in the way of another. */
	for (i = 0; i < program->descriptor_count && error == 0; i++)
		if (dup2(program->descriptors[i], FIRST_DESCRIPTOR + (int)i) < 0)
			error = errno;
	if (error == 0) {
		reset_signals(program->ignored_signals);
		error = execute(program);
	}
	/* Nobody is left to hear of it if this fails, too. */
	_exit(write(report, &error, sizeof(error)) < 0 ? 126 : 127);
}

/* Here we are ourselves again. */

static void close_all(const int *descriptors, size_t count)
{
	while (count > 0)
		close(descriptors[--count]);
}

/* Replaces the descriptors by copies above the numbers that the program is to find them at. */
static int move_away(int *descriptors, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		int copy = fcntl(descriptors[i], F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR + (int)count);

		if (copy < 0) {
			int error = -errno;

			close_all(descriptors, i);
			return error;
		}
		descriptors[i] = copy;
	}
	return 0;
}

/* 0 once the program runs, or execve's errno. */
static int read_report(int report)
{
	int error = 0;
	ssize_t count;

	do {
		count = read(report, &error, sizeof(error));
	} while (count < 0 && errno == EINTR);
	return error;
}

/* A pipe of which the program's end is out of the way, as its descriptors are. */
static int make_report(int report[2], size_t descriptor_count)
{
	int low, error = 0;

	if (pipe2(report, O_CLOEXEC) != 0)
		return -errno;
	low = report[1];
	report[1] = fcntl(low, F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR + (int)descriptor_count);
	if (report[1] < 0) {
		error = -errno;
		close(report[0]);
	}
	close(low);
	return error;
}

static int fork_program(const struct program *program)
{
	sigset_t all, before;
	int report[2], error = make_report(report, program->descriptor_count);
	pid_t child;

	if (error != 0)
		return error;
	/* No handler of ours may run in the child. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	child = fork();
	if (child == 0)
		become_program(program, report[1]);
	error = child < 0 ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);

	close(report[1]);
	if (error == 0) {
		error = read_report(report[0]);
		if (error == 0)
			program_number = child;
		else
			waitpid(child, NULL, 0);
	}
	close(report[0]);
	return error;
}

int program_start(const struct program *program)
{
	int process, error = move_away(program->descriptors, program->descriptor_count);

	if (error != 0)
		return error;
	take_signals(program->ignored_signals);
	error = fork_program(program);
	close_all(program->descriptors, program->descriptor_count);
	if (error != 0)
		return error;

	/* It can't be another process yet: nobody has waited for this one. */
	process = (int)syscall(SYS_pidfd_open, program_number, 0);
	if (process < 0) {
		error = -errno;
		kill(program_number, SIGKILL);
		waitpid(program_number, NULL, 0);
		return error;
	}
	__atomic_store_n(&program_process, process, __ATOMIC_SEQ_CST);
	pass_waiting_signals();
	return 0;
}

int program_wait(void)
{
	int status;

	while (waitpid(program_number, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
