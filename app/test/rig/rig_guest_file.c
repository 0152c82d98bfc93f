/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_guest_file.h"

#include "rig_guest.h"

int
file_of(uint64_t size)
{
	int fd = memfd_create("mem", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

int
try_map(int fd, uint64_t offset, uint64_t size)
{
	struct virtq_map *map = NULL;
	uint8_t *host = NULL;
	int ret = virtq_mem_map_new(NULL, fd, offset, size, &map, &host);

	if (ret == 0) {
		/* First and last byte are there, to be read and to be written. */
		host[0] = 1;
		host[size - 1] = 2;
		virtq_mem_map_put(map);
	} else {
		assert_null(map);
		assert_null(host);
	}
	return ret;
}
