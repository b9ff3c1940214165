namespace BarBroker.Tests.Devices.Simulated;

/// <summary>
/// The source of a process that holds a lease's descriptor (its first argument) and tries everything to keep or widen it. It becomes another
/// user when it may. It prints NAME=ERRNO a line, 0 for a success, then <c>ready</c>; after a line on its standard input, what is left of its access.
/// </summary>
internal static class HostileHolder
{
    public const string Source =
        """
        #define _GNU_SOURCE
        #include <errno.h>
        #include <fcntl.h>
        #include <setjmp.h>
        #include <signal.h>
        #include <stdint.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <sys/mman.h>
        #include <sys/stat.h>
        #include <unistd.h>

        static sigjmp_buf escape;

        static void on_bus_error(int signal)
        {
            siglongjmp(escape, 1);
        }

        static void report(const char *name, int failed)
        {
            printf("%s=%d\n", name, failed ? errno : 0);
        }

        static void probe(const char *name, volatile uint32_t *word)
        {
            if (sigsetjmp(escape, 1))
                printf("%s=SIGBUS\n", name);
            else
                printf("%s=%x\n", name, *word);
        }

        int main(int argc, char **argv)
        {
            int lease = atoi(argv[1]);
            char path[64], line[16];
            struct stat status;
            void *mapping, *late;

            if (geteuid() == 0 && setuid(65534))
                return 2;
            signal(SIGBUS, on_bus_error);
            fstat(lease, &status);
            snprintf(path, sizeof(path), "/proc/self/fd/%d", lease);

            report("reopen-writable", open(path, O_RDWR) < 0);
            report("reopen", open(path, O_RDONLY) < 0);
            report("chmod", fchmod(lease, 0777));
            report("seal", fcntl(lease, F_ADD_SEALS, F_SEAL_SHRINK));
            report("grow", ftruncate(lease, status.st_size + 4096));
            report("write", pwrite(lease, "\x0c", 1, 0) != 1);
            report("map-writable", mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, lease, 0) == MAP_FAILED);
            mapping = mmap(NULL, status.st_size, PROT_READ, MAP_SHARED, lease, 0);
            report("map", mapping == MAP_FAILED);
            report("protect-writable", mprotect(mapping, 4096, PROT_READ | PROT_WRITE));
            probe("before", mapping);
            printf("ready\n");
            fflush(stdout);

            if (!fgets(line, sizeof(line), stdin))
                return 3;
            probe("after", mapping);
            report("regrow", ftruncate(lease, status.st_size));
            report("allocate", fallocate(lease, 0, 0, status.st_size));
            late = mmap(NULL, 4096, PROT_READ, MAP_SHARED, lease, 0);
            probe("late", late == MAP_FAILED ? mapping : late);
            probe("still", mapping);
            return 0;
        }
        """;
}
