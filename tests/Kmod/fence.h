/* SPDX-License-Identifier: GPL-2.0 */
/* A fence that its owner doesn't signal, as any user of a graphics driver can have one. */
#ifndef BAR_LEASE_FENCE_H
#define BAR_LEASE_FENCE_H

/*
 * A sync file of such a fence, or -1 when this kernel has no driver that gives
 * one. It stays unsignalled until the process ends, or for 10 s at least.
 */
int unsignalled_sync_file(void);

/* DMA_BUF_IOCTL_IMPORT_SYNC_FILE, for reading and writing: 0, or -1 and errno. */
int import_sync_file(int dmabuf, int sync_file);

#endif /* BAR_LEASE_FENCE_H */
