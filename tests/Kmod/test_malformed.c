// SPDX-License-Identifier: GPL-2.0
/* Descriptors and addresses that can't be right, and what refused calls leave behind: nothing. */
#define _GNU_SOURCE
#include "check.h"
#include "leaks.h"
#include "vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/types.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static struct vfio vfio;
static int session;
static struct export export;

static void prepare(void)
{
	vfio_open_ivshmem(&vfio);
	session = session_open();
	export_prepare(&export, &vfio, 42, 3, 1, 0);
}

/* -- other exporters' DMABUFs ---------------------------------------------- */

/* include/uapi/linux/udmabuf.h */
struct udmabuf_create {
	__u32 memfd, flags;
	__u64 offset, size;
};

#define UDMABUF_CREATE _IOW('u', 0x42, struct udmabuf_create)

/* include/uapi/linux/dma-heap.h */
struct dma_heap_allocation {
	__u64 len;
	__u32 fd, fd_flags;
	__u64 heap_flags;
};

#define DMA_HEAP_ALLOCATE _IOWR('H', 0x0, struct dma_heap_allocation)

/* A process's own memory as a DMABUF: the pages can be whatever it likes. */
static int udmabuf(void)
{
	struct udmabuf_create create = { .size = PAGE };
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);

	if (device < 0)
		return -1;
	create.memfd = (__u32)CHECK_OK(memfd_create("memory", MFD_ALLOW_SEALING));
	CHECK_OK(ftruncate((int)create.memfd, PAGE));
	CHECK_OK(fcntl((int)create.memfd, F_ADD_SEALS, F_SEAL_SHRINK));
	return CHECK_OK(ioctl(device, UDMABUF_CREATE, &create));
}

static int heap_buffer(void)
{
	struct dma_heap_allocation allocation = { .len = PAGE, .fd_flags = O_RDWR | O_CLOEXEC };
	int heap = open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC);

	if (heap < 0)
		return -1;
	CHECK_OK(ioctl(heap, DMA_HEAP_ALLOCATE, &allocation));
	return (int)allocation.fd;
}

TEST(export_refuses_another_exporters_dmabuf_whatever_it_calls_itself)
{
	const struct {
		const char *name;
		int (*make)(void);
	} makers[] = { { "udmabuf", udmabuf }, { "a DMA heap", heap_buffer } };
	int tried = 0;

	prepare();
	for (unsigned int i = 0; i < sizeof(makers) / sizeof(*makers); i++) {
		int foreign = makers[i].make();

		if (foreign < 0) {
			figure("skipped: this kernel has no %s", makers[i].name);
			continue;
		}
		tried++;
		export.request.dmabuf_fd = foreign;
		CHECK_ERRNO(export_call(session, &export), EINVAL);
		/* The name that a process can set isn't the one that counts. */
		CHECK_OK(ioctl(foreign, DMA_BUF_SET_NAME_B, "vfio_pci_core"));
		CHECK_ERRNO(export_call(session, &export), EINVAL);
	}
	CHECK(tried);
	CHECK_EQ(lease_info(session).exports, 0);
}

TEST(export_refuses_every_other_functions_dmabuf_in_every_combination)
{
	struct vfio functions[3] = { 0 };
	const int count = 3;

	vfio_open_ivshmem(&functions[0]);
	vfio_open(&functions[1], "EDU", 0);
	vfio_open(&functions[2], "NVME", 0);
	session = session_open();
	for (int claimed = 0; claimed < count; claimed++) {
		for (int real = 0; real < count; real++) {
			export_prepare(&export, &functions[claimed], 1, 0, 1, 0);
			export_finish(&export);
			export.request.dmabuf_fd =
				vfio_dmabuf(&functions[real], functions[real].bar, 0, PAGE);
			if (claimed == real) {
				CHECK_OK(close(CHECK_OK(export_call(session, &export))));
				CHECK_EQ(lease_revoke_one(session, 1), 1);
			} else {
				CHECK_ERRNO(export_call(session, &export), EINVAL);
			}
			export_finish(&export);
		}
	}
}

TEST(export_refuses_the_dmabuf_of_a_device_that_was_closed)
{
	struct vfio again = { 0 };

	prepare();
	vfio_close(&vfio);
	CHECK_ERRNO(export_call(session, &export), EAGAIN);
	/* Opened again, it's another's. */
	vfio_open_ivshmem(&again);
	CHECK_ERRNO(export_call(session, &export), EAGAIN);
	CHECK_EQ(lease_info(session).exports, 0);
}

/* -- addresses ------------------------------------------------------------- */

/* NULL's page, past the end, in the hole between halves, the kernel's, the very last. */
static const uint64_t bad_addresses[] = {
	8, 1ULL << 47, 1ULL << 62, 0xffff888000000000, 0xffffffff81000000, UINT64_MAX - 4095,
};

#define EACH_BAD(address)                                                                          \
	for (const uint64_t *address = bad_addresses;                                              \
	     address < bad_addresses + sizeof(bad_addresses) / sizeof(*bad_addresses); address++)

TEST(no_call_follows_an_address_that_is_not_the_callers)
{
	struct bar_lease_entry entry;
	struct bar_lease_range range;

	prepare();
	lease_export(session, &vfio, 7, 0, 1, 0);
	EACH_BAD(address)
	{
		struct bar_lease_list list = { .argsz = sizeof(list),
					       .nr_leases = 1,
					       .nr_ranges = 1,
					       .leases = (uintptr_t)&entry,
					       .ranges = *address };

		CHECK_ERRNO(ioctl(session, BAR_LEASE_GET_INFO, *address), EFAULT);
		CHECK_ERRNO(ioctl(session, BAR_LEASE_EXPORT, *address), EFAULT);
		CHECK_ERRNO(ioctl(session, BAR_LEASE_REVOKE, *address), EFAULT);
		CHECK_ERRNO(ioctl(session, BAR_LEASE_LIST, *address), EFAULT);
		CHECK_ERRNO(ioctl(session, BAR_LEASE_GET_FD, *address), EFAULT);
		CHECK_ERRNO(ioctl(session, BAR_LEASE_LIST, &list), EFAULT);
		list.leases = *address;
		list.ranges = (uintptr_t)&range;
		CHECK_ERRNO(ioctl(session, BAR_LEASE_LIST, &list), EFAULT);
		CHECK_ERRNO(lease_revoke(session, (const uint64_t *)*address, 1, NULL), EFAULT);
		export.request.ranges = *address;
		CHECK_ERRNO(export_call(session, &export), EFAULT);
	}
	CHECK_EQ(lease_info(session).leases_live, 1);
	CHECK_EQ(lease_info(session).exports, 1);
}

TEST(ids_and_arrays_need_no_alignment)
{
	char buffer[64] __attribute__((aligned(8)));
	uint64_t id = 42;

	prepare();
	memcpy(buffer + 1, &export.range, sizeof(export.range));
	export.request.ranges = (uintptr_t)buffer + 1;
	CHECK_OK(export_call(session, &export));
	memcpy(buffer + 3, &id, sizeof(id));
	CHECK_OK(lease_revoke(session, (const uint64_t *)(buffer + 3), 1, NULL));
	CHECK_EQ(lease_info(session).leases_live, 0);
}

TEST(list_refuses_memory_that_can_only_be_read)
{
	struct bar_lease_list *list =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct bar_lease_entry entry;
	struct bar_lease_range range;

	prepare();
	lease_export(session, &vfio, 7, 0, 1, 0);
	*list = (struct bar_lease_list){ .argsz = sizeof(*list),
					 .nr_leases = 1,
					 .nr_ranges = 1,
					 .leases = (uintptr_t)&entry,
					 .ranges = (uintptr_t)&range };
	CHECK_OK(mprotect(list, PAGE, PROT_READ));
	CHECK_ERRNO(ioctl(session, BAR_LEASE_LIST, list), EFAULT);
	/* Too little room, and nowhere to say so. */
	CHECK_OK(mprotect(list, PAGE, PROT_READ | PROT_WRITE));
	list->nr_leases = 0;
	CHECK_OK(mprotect(list, PAGE, PROT_READ));
	CHECK_ERRNO(ioctl(session, BAR_LEASE_LIST, list), EFAULT);
}

TEST(list_with_more_room_than_there_can_be_writes_what_there_is)
{
	struct bar_lease_entry entries[2];
	struct bar_lease_range ranges[2];

	prepare();
	memset(entries, 0xaa, sizeof(entries));
	lease_export(session, &vfio, 7, 0, 1, 0);
	struct bar_lease_list list = { .argsz = sizeof(list),
				       .nr_leases = UINT32_MAX,
				       .nr_ranges = UINT32_MAX,
				       .leases = (uintptr_t)entries,
				       .ranges = (uintptr_t)ranges };

	CHECK_OK(ioctl(session, BAR_LEASE_LIST, &list));
	CHECK_EQ(list.nr_leases, 1);
	CHECK_EQ(list.nr_ranges, 1);
	CHECK_EQ(entries[0].lease_id, 7);
	CHECK_EQ(((unsigned char *)&entries[1])[0], 0xaa);
}

/* -- a 32-bit caller ------------------------------------------------------- */

#ifdef __x86_64__
/* ioctl() as a 32-bit process has it: -errno or the result. */
static int ioctl32(int descriptor, unsigned int number, void *argument)
{
	int result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(54), "b"(descriptor), "c"(number), "d"((uint32_t)(uintptr_t)argument)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

TEST(a_32_bit_caller_gets_the_same_answers)
{
	struct {
		struct bar_lease_info info;
		struct bar_lease_export export;
		struct bar_lease_range range;
		struct bar_lease_revoke revoke;
		uint64_t id;
	} *low = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
		      -1, 0);

	prepare();
	low->info.argsz = sizeof(low->info);
	CHECK_EQ(ioctl32(session, BAR_LEASE_GET_INFO, &low->info), 0);
	CHECK_EQ(low->info.max_ids, BAR_LEASE_MAX_IDS);
	low->export = export.request;
	low->range = export.range;
	low->export.ranges = (uintptr_t)&low->range;
	CHECK(ioctl32(session, BAR_LEASE_EXPORT, &low->export) >= 0);
	CHECK_EQ(ioctl32(session, BAR_LEASE_EXPORT, &low->export), -EEXIST);
	CHECK_EQ(lease_state(session, 42), BAR_LEASE_STATE_LIVE);
	low->id = 42;
	low->revoke = (struct bar_lease_revoke){ .argsz = sizeof(low->revoke),
						 .nr_ids = 1,
						 .ids = (uintptr_t)&low->id };
	CHECK_EQ(ioctl32(session, BAR_LEASE_REVOKE, &low->revoke), 0);
	CHECK_EQ(low->revoke.nr_revoked, 1);
	low->revoke.ids |= 1ULL << 40;
	CHECK_EQ(ioctl32(session, BAR_LEASE_REVOKE, &low->revoke), -EFAULT);
}
#endif

/* -- nothing is left behind ------------------------------------------------ */

enum {
	/* As many of each as a single lost object per call would stand out among. */
	REFUSALS = 800,
	NOISE = REFUSALS / 2,
};

TEST(refused_exports_leave_nothing_behind_at_whichever_step_they_fail)
{
	struct bar_lease_export *unwritable =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct rlimit limit, full;
	struct holdings before;

	prepare();
	*unwritable = export.request;
	CHECK_OK(mprotect(unwritable, PAGE, PROT_READ));
	CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
	/* Whatever the first one allocates for good. */
	CHECK_ERRNO(ioctl(session, BAR_LEASE_EXPORT, unwritable), EFAULT);
	before = holdings_now();

	/* At the very end; when it is compared; when it has no descriptor to give; for its id. */
	for (int i = 0; i < REFUSALS; i++)
		CHECK_ERRNO(ioctl(session, BAR_LEASE_EXPORT, unwritable), EFAULT);
	check_holdings(&before, NOISE);

	export.range.offset += PAGE;
	for (int i = 0; i < REFUSALS; i++)
		CHECK_ERRNO(export_call(session, &export), EINVAL);
	export.range.offset -= PAGE;
	check_holdings(&before, NOISE);

	full = limit;
	full.rlim_cur = 0;
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &full));
	for (int i = 0; i < REFUSALS; i++)
		CHECK_ERRNO(export_call(session, &export), EMFILE);
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	check_holdings(&before, NOISE);

	int lease = CHECK_OK(export_call(session, &export));

	for (int i = 0; i < REFUSALS; i++)
		CHECK_ERRNO(export_call(session, &export), EEXIST);
	CHECK_OK(close(lease));
	CHECK_EQ(lease_revoke_one(session, 42), 1);
	check_holdings(&before, NOISE);
}

TEST(leases_that_have_ended_leave_nothing_behind)
{
	struct holdings before;

	prepare();
	CHECK_OK(close(lease_export(session, &vfio, 1, 0, 1, 0)));
	CHECK_EQ(lease_revoke_one(session, 1), 1);
	before = holdings_now();
	for (int i = 0; i < REFUSALS; i++) {
		int lease = lease_export(session, &vfio, 1, 0, 1, 0);
		volatile uint32_t *memory = lease_map(lease, 1, PROT_READ);

		memory[0];
		CHECK_EQ(lease_revoke_one(session, 1), 1);
		CHECK_OK(munmap((void *)memory, PAGE));
		CHECK_OK(close(lease));
	}
	check_holdings(&before, NOISE);
	for (int i = 0; i < REFUSALS / 8; i++) {
		int other = session_open();

		CHECK_OK(close(lease_export(other, &vfio, 1, 0, 1, 0)));
		CHECK_OK(close(other));
	}
	check_holdings(&before, NOISE);
}
