/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A peer may cut the file short behind memory that it shares. The next access raises SIGBUS in
 * whichever thread touches the page, and a size check beforehand cannot prevent it. The handler
 * here puts private zero pages where the file ended, marks the range and wakes its owner; the
 * access then goes on, and the control thread sends the peer away.
 */
#ifndef VIRTQ_SIGBUS_H
#define VIRTQ_SIGBUS_H

#include <stdbool.h>
#include <stdint.h>

struct virtq_sigbus_range {
	void *start;
	uint64_t length;	/* bytes, a multiple of unit */
	uint64_t unit;		/* page size of the mapping */
	int wakefd;		/* non-blocking eventfd, signalled with the first fault; -1: none */
	uint32_t entry;		/* virtq_sigbus.c's */
	void *keep;		/* atomic; NULL, or `unit` bytes of the file: to be unmapped */
	bool poisoned;		/* atomic; set by the handler */
};

/*
 * Install the handler before the first mapping does. `library`: an address in one that has a
 * handler of its own for moments, and puts ours back by itself (EAL, while it touches new
 * hugepages): what it has installed is never taken for the handler that was there before. Not in
 * such a moment.
 * 0 or -errno.
 */
int virtq_sigbus_begin(const void *library);
/*
 * Watch a mapping. The first call installs the handler, which passes every fault that is not
 * ours on to the one before it. -ENOSPC when 1,048,576 mappings are watched; -ENOMEM.
 */
int virtq_sigbus_add(struct virtq_sigbus_range *range);
/* When this returns, no handler looks at the range any more. */
void virtq_sigbus_remove(struct virtq_sigbus_range *range);

#endif /* VIRTQ_SIGBUS_H */
