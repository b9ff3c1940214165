namespace BarBroker.Tests.Client;

/// <summary>A C program that meets bus errors of every kind with the native library loaded. Its first argument says which.</summary>
internal static class SignalScenarios
{
    public const string Source = """
        #include <dlfcn.h>
        #include <errno.h>
        #include <pthread.h>
        #include <signal.h>
        #include <stdint.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/mman.h>
        #include <sys/resource.h>
        #include <sys/syscall.h>
        #include <unistd.h>

        #define CHECK(condition) do { if (!(condition)) { printf("line %d: %s\n", __LINE__, #condition); exit(1); } } while (0)

        static volatile uint32_t *memory, *foreign;
        static int (*init)(void);
        static int (*read32)(const volatile void *, uint32_t *);
        static int (*write32)(volatile void *, uint32_t);

        static void *load(const char *path)
        {
                void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

                if (!library)
                        printf("%s\n", dlerror());
                CHECK(library);
                init = dlsym(library, "bb_mmio_init");
                read32 = dlsym(library, "bb_mmio_read32");
                write32 = dlsym(library, "bb_mmio_write32");
                CHECK(init && read32 && write32);
                return library;
        }

        static volatile uint32_t *map_nothing(void)
        {
                int fd = memfd_create("test", MFD_CLOEXEC);
                void *address = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

                CHECK(address != MAP_FAILED);
                return address;
        }

        static void check_own_fault(void)
        {
                uint32_t value = 0x5555, good = 1;

                errno = 77;
                CHECK(read32(memory, &value) == -EFAULT && value == 0x5555);
                CHECK(write32(memory, 1) == -EFAULT);
                CHECK(read32(&good, &value) == 0 && value == 1);
                CHECK(errno == 77);
        }

        static void *fault_often(void *unused)
        {
                for (int i = 0; i < 5000; i++)
                        check_own_fault();
                return unused;
        }

        static void plain_handler(int signal_number)
        {
                _exit(signal_number == SIGBUS ? 40 : 1);
        }

        static void info_handler(int signal_number, siginfo_t *info, void *context)
        {
                if (signal_number != SIGBUS || !context)
                        _exit(1);
                if (info->si_code == BUS_ADRERR && info->si_addr == foreign)
                        _exit(41);
                if (info->si_code == SI_QUEUE && info->si_value.sival_int == 1234 && info->si_pid == getpid())
                        _exit(42);
                _exit(2);
        }

        static void send_with_value(void)
        {
                CHECK(sigqueue(getpid(), SIGBUS, (union sigval){ .sival_int = 1234 }) == 0);
        }

        /* As the kernel tells a process with PR_MCE_KILL_EARLY of a page that it has not run into yet. */
        static void send_memory_failure(void)
        {
                siginfo_t info = { .si_signo = SIGBUS, .si_code = BUS_MCEERR_AO };

                info.si_addr = (void *)foreign;
                CHECK(syscall(SYS_rt_tgsigqueueinfo, getpid(), (pid_t)syscall(SYS_gettid), SIGBUS, &info) == 0);
        }

        int main(int argc, char **argv)
        {
                const struct rlimit no_core = { 0, 0 };
                const char *scenario = argv[1];
                struct sigaction action = { .sa_handler = SIG_DFL };

                CHECK(argc == 4);
                setrlimit(RLIMIT_CORE, &no_core);
                memory = map_nothing();
                foreign = map_nothing();

                if (strstr(scenario, "-ignored"))
                        action.sa_handler = SIG_IGN;
                if (strstr(scenario, "-handler"))
                        action.sa_handler = plain_handler;
                if (strstr(scenario, "-siginfo")) {
                        action.sa_sigaction = info_handler;
                        action.sa_flags = SA_SIGINFO;
                }
                CHECK(sigaction(SIGBUS, &action, NULL) == 0);

                void *library = load(argv[2]);
                CHECK(init() == 0 && init() == 0);
                check_own_fault();

                if (strncmp(scenario, "foreign-fault", 13) == 0) {
                        *foreign = 1;
                        return 3;
                }
                if (strcmp(scenario, "own-fault-many-threads") == 0) {
                        pthread_t threads[8];

                        for (int i = 0; i < 8; i++)
                                CHECK(pthread_create(&threads[i], NULL, fault_often, NULL) == 0);
                        for (int i = 0; i < 8; i++)
                                pthread_join(threads[i], NULL);
                }
                if (strncmp(scenario, "sent", 4) == 0) {
                        send_with_value();
                        check_own_fault();
                        return strcmp(scenario, "sent-ignored") == 0 ? 0 : 3;
                }
                if (strncmp(scenario, "memory-failure", 14) == 0) {
                        send_memory_failure();
                        check_own_fault();
                        return strcmp(scenario, "memory-failure-ignored") == 0 ? 0 : 3;
                }
                if (strcmp(scenario, "second-copy") == 0) {
                        load(argv[3]);
                        CHECK(init() == -EEXIST && init() == -EEXIST);
                        load(argv[2]);
                        CHECK(init() == 0);
                        check_own_fault();
                }
                if (strcmp(scenario, "closed-and-opened") == 0) {
                        int (*old_read32)(const volatile void *, uint32_t *) = read32;

                        dlclose(library);
                        load(argv[2]);
                        CHECK(read32 == old_read32);
                        CHECK(init() == 0);
                        check_own_fault();
                }
                return 0;
        }
        """;
}
