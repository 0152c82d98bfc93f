/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether the kernel alone serves a file that a peer gave. Where a process does (FUSE), each look
 * at the file and each page fault would wait for it for as long as it likes.
 */
#ifndef VIRTQ_MEM_KIND_H
#define VIRTQ_MEM_KIND_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The mount that was looked up last, so that each file of a peer does not cost a look at all that
 * the system has mounted. Zero at first. One block device has one file system, whoever mounts it.
 */
struct virtq_mem_kind_last {
	uint64_t mount;		/* its id in the file's mount namespace */
	uint32_t major, minor;	/* of the block device; major 0: nothing was looked up */
	bool local;
};

/*
 * True for files that live in memory (memfd, tmpfs, hugetlbfs), and for those of file systems on
 * local disks that this process can see among its mounts. The file's server is asked nothing.
 * Without a descriptor to look at the mounts it is false, and *last does not change. NULL is
 * allowed.
 */
bool virtq_mem_kind_is_local(int fd, struct virtq_mem_kind_last *last);
/* The file cannot become shorter, whoever has it open: memfd_create(2), F_SEAL_SHRINK. */
bool virtq_mem_kind_is_sealed(int fd);

#endif /* VIRTQ_MEM_KIND_H */
