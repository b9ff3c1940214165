// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include "check.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A case that hangs is a case that failed. Emulated machines are slow. */
#define CASE_SECONDS 120

static struct test_case *first, **last = &first;

/* Volatile, or the compiler would think that nobody looks at it between two stores. */
static __thread sigjmp_buf *volatile guard;

void test_register(struct test_case *test)
{
	*last = test;
	last = &test->next;
}

void figure(const char *format, ...)
{
	va_list arguments;

	printf("figure: ");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
}

static void on_sigbus(int signal)
{
	(void)signal;
	if (guard)
		siglongjmp(*guard, 1);
	static const char message[] = "  SIGBUS where none is expected\n";

	(void)!write(STDOUT_FILENO, message, sizeof(message) - 1);
	_exit(1);
}

bool peek(const volatile uint32_t *address, uint32_t *value)
{
	sigjmp_buf here;

	if (sigsetjmp(here, 1)) {
		guard = NULL;
		return false;
	}
	guard = &here;
	*value = *address;
	guard = NULL;
	return true;
}

bool poke(volatile uint32_t *address, uint32_t value)
{
	sigjmp_buf here;

	if (sigsetjmp(here, 1)) {
		guard = NULL;
		return false;
	}
	guard = &here;
	*address = value;
	guard = NULL;
	return true;
}

int in_child(void (*run)(void *), void *argument)
{
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	CHECK_OK(child);
	if (!child) {
		alarm(CASE_SECONDS * slowness());
		run(argument);
		fflush(stdout);
		_exit(0);
	}
	CHECK_OK(waitpid(child, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void run_case(void *test)
{
	((struct test_case *)test)->run();
}

/* A case that failed leaves processes, which would keep the devices from those after it. */
static void end_what_is_left(void)
{
	char path[64];
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	for (;;) {
		FILE *children = fopen(path, "re");

		CHECK(children);
		if (fscanf(children, "%d", &pid) != 1)
			pid = 0;
		fclose(children);
		if (!pid)
			return;
		/* Its own children become ours. */
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_sigbus };
	int passed = 0, failed = 0;

	sigaction(SIGBUS, &action, NULL);
	CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	for (struct test_case *test = first; test; test = test->next) {
		uint64_t start = now_ns();
		int status;

		if (argc > 1 && !strstr(test->name, argv[1]))
			continue;
		status = in_child(run_case, test);
		end_what_is_left();
		if (status < 0)
			printf("  killed by signal %d (%s)\n", -status, strsignal(-status));

		passed += status == 0;
		failed += status != 0;
		printf("%-6s %s (%.3f s)\n", status ? "FAIL" : "ok", test->name,
		       (double)(now_ns() - start) / 1e9);
		fflush(stdout);
	}

	printf("%d passed, %d failed\n", passed, failed);
	return failed || !passed;
}
