/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that are guest memory, and whether they can be mapped. */
#ifndef RIG_GUEST_FILE_H
#define RIG_GUEST_FILE_H

#include <stdint.h>

#define PAGE 4096ul

/* A memfd that can be sealed; the caller's. */
int file_of(uint64_t size);
/* Map, write the first and the last byte, and let go of it. What virtq_mem_map_new() says. */
int try_map(int fd, uint64_t offset, uint64_t size);

#endif /* RIG_GUEST_FILE_H */
