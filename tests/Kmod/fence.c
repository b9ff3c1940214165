// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include "fence.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/types.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The software timeline for tests, drivers/dma-buf/sw_sync.c. */
struct sw_sync_create_fence_data {
	__u32 value;
	char name[32];
	__s32 fence;
};

#define SW_SYNC_PATH		 "/sys/kernel/debug/sync/sw_sync"
#define SW_SYNC_IOC_CREATE_FENCE _IOWR('W', 0, struct sw_sync_create_fence_data)

/* A virtual graphics device, include/uapi/drm/{drm,drm_mode,vgem_drm}.h. */
struct drm_mode_create_dumb {
	__u32 height, width, bpp, flags;
	__u32 handle, pitch;
	__u64 size;
};

struct drm_vgem_fence_attach {
	__u32 handle, flags, out_fence, pad;
};

struct drm_prime_handle {
	__u32 handle, flags;
	__s32 fd;
};

#define DRM_VGEM_FENCE_WRITE	    1
#define DRM_IOCTL_MODE_CREATE_DUMB  _IOWR('d', 0xb2, struct drm_mode_create_dumb)
#define DRM_IOCTL_VGEM_FENCE_ATTACH _IOWR('d', 0x41, struct drm_vgem_fence_attach)
#define DRM_IOCTL_PRIME_TO_FD	    _IOWR('d', 0x2d, struct drm_prime_handle)

/* Newer than many machines' headers: include/uapi/linux/dma-buf.h of Linux 6.0. */
struct sync_file_of_dmabuf {
	__u32 flags;
	__s32 fd;
};

#define EXPORT_SYNC_FILE _IOWR(DMA_BUF_BASE, 2, struct sync_file_of_dmabuf)
#define IMPORT_SYNC_FILE _IOW(DMA_BUF_BASE, 3, struct sync_file_of_dmabuf)

static int of_timeline(void)
{
	struct sw_sync_create_fence_data data = { .value = 1, .name = "never" };
	int timeline = open(SW_SYNC_PATH, O_RDWR | O_CLOEXEC);

	if (timeline < 0)
		return -1;
	CHECK_OK(ioctl(timeline, SW_SYNC_IOC_CREATE_FENCE, &data));
	return data.fence;
}

/* The fence of a buffer that is said to be drawn into; signalled by the driver after 10 s. */
static int of_graphics(void)
{
	struct drm_mode_create_dumb dumb = { .height = 64, .width = 64, .bpp = 32 };
	struct drm_vgem_fence_attach attach = { .flags = DRM_VGEM_FENCE_WRITE };
	struct drm_prime_handle prime = { .flags = O_CLOEXEC };
	struct sync_file_of_dmabuf sync = { .flags = DMA_BUF_SYNC_RW };
	int card = open("/dev/dri/card0", O_RDWR | O_CLOEXEC);

	if (card < 0)
		return -1;
	CHECK_OK(ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &dumb));
	attach.handle = prime.handle = dumb.handle;
	CHECK_OK(ioctl(card, DRM_IOCTL_VGEM_FENCE_ATTACH, &attach));
	CHECK_OK(ioctl(card, DRM_IOCTL_PRIME_TO_FD, &prime));
	CHECK_OK(ioctl(prime.fd, EXPORT_SYNC_FILE, &sync));
	CHECK_OK(close(prime.fd));
	/* The device stays open: its end would signal the fence. */
	return sync.fd;
}

int unsignalled_sync_file(void)
{
	int file = of_timeline();

	return file < 0 ? of_graphics() : file;
}

int import_sync_file(int dmabuf, int sync_file)
{
	struct sync_file_of_dmabuf sync = { .flags = DMA_BUF_SYNC_RW, .fd = sync_file };

	return ioctl(dmabuf, IMPORT_SYNC_FILE, &sync);
}
