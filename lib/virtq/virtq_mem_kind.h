/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether the kernel alone serves a file that a peer gave. Where a process does (FUSE), each look
 * at the file and each page fault would wait for it for as long as it likes.
 */
#ifndef VIRTQ_MEM_KIND_H
#define VIRTQ_MEM_KIND_H

#include <stdbool.h>

/*
 * True for files that live in memory (memfd, tmpfs, hugetlbfs), and for those of file systems on
 * local disks that this process can see among its mounts. The file's server is asked nothing.
 */
bool virtq_mem_kind_is_local(int fd);

#endif /* VIRTQ_MEM_KIND_H */
