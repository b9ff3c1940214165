/* SPDX-License-Identifier: GPL-2.0 */
/* What others pay while a holder of a lease descriptor does its worst. */
#ifndef BAR_LEASE_HOSTILE_H
#define BAR_LEASE_HOSTILE_H

#include "vfio.h"

/*
 * Revokes leases of other clients, one after the other, and suspends the device
 * a few times. Prints what that took and fails when it was more than a client
 * may cost others: 10 ms for a revoke, 50 ms for a suspend. The median counts:
 * on the one emulated processor, which the hostile processes keep busy as well,
 * what is above it is the scheduler's doing.
 */
void check_others(const char *situation, struct vfio *vfio, int session);
/* The same for revokes of leases of the first pages of the device, which the hostile have as well. */
void check_sharers(const char *situation, struct vfio *vfio, int session);
/* What suspends took, in nanoseconds, against the same limit; sorts them. */
void check_suspend_times(const char *situation, uint64_t *took, int count);

/* Pages that others lease in these, as another holder; whoever is hostile has others. */
#define OTHERS_FIRST 8000
#define OTHERS_IDS   (1ULL << 40)

void send_descriptor(int socket, int descriptor);
int receive_descriptor(int socket);

#endif /* BAR_LEASE_HOSTILE_H */
