/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "virtq_mem_kind.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Of Linux 5.8; the field is there since glibc 2.33. */
#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000u
#endif

/* What a line of /proc/self/mountinfo is compared with. proc(5). */
struct mount {
	bool has_id;
	uint64_t id;
	unsigned int major, minor;	/* of the device; major 0: none */
};

static bool
is_local(const char *type)
{
	static const char *const local[] = {
		"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "bcachefs", "zfs",
		"tmpfs", "ramfs", "devtmpfs", "hugetlbfs",
	};

	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		if (strcmp(type, local[i]) == 0)
			return true;
	return false;
}

/*
 * The same mount; or one of the same block device, if the file was opened in another mount
 * namespace (a container). Device numbers without a block device behind them are not unique enough.
 */
static bool
is_mount_of(const char *line, const struct mount *m)
{
	unsigned int major, minor;
	unsigned long id;

	if (sscanf(line, "%lu %*u %u:%u", &id, &major, &minor) != 3)
		return false;
	return (m->has_id && id == m->id) ||
	       (m->major != 0 && major == m->major && minor == m->minor);
}

/*
 * Of the first of these lines that matches; all mounts of a device have one type. False: they
 * cannot be read to the end.
 */
static bool
find_local(FILE *mounts, const struct mount *m, bool *local)
{
	char *line = NULL, type[32];
	bool found = false;
	size_t size = 0;

	*local = false;
	while (!found && getline(&line, &size, mounts) >= 0) {
		const char *rest = strstr(line, " - ");

		if (rest == NULL || !is_mount_of(line, m))
			continue;
		found = true;
		*local = sscanf(rest, " - %31s", type) == 1 && is_local(type);
	}
	free(line);
	return found || feof(mounts);
}

/* What the process's mounts say. False: nothing, for want of a descriptor or of memory. */
static bool
look_up(const struct mount *m, bool *local)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	bool known;

	if (mounts == NULL)
		return false;
	known = find_local(mounts, m, local);
	fclose(mounts);
	return known;
}

bool
virtq_mem_kind_is_local(int fd, struct virtq_mem_kind_last *last)
{
	struct statx st;
	struct mount m;
	bool local;

	/* Only files that live in memory know seals. */
	if (fcntl(fd, F_GET_SEALS) >= 0)
		return true;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MNT_ID, &st) < 0 ||
	    !S_ISREG(st.stx_mode))
		return false;
	m = (struct mount){
		.has_id = st.stx_mask & STATX_MNT_ID,
		.id = st.stx_mnt_id,
		.major = st.stx_dev_major,
		.minor = st.stx_dev_minor,
	};
	if (last != NULL && m.major != 0 && last->mount == m.id && last->major == m.major &&
	    last->minor == m.minor)
		return last->local;
	/* What is not known now may be the next time. */
	if (!look_up(&m, &local))
		return false;
	if (last != NULL && m.major != 0)
		*last = (struct virtq_mem_kind_last){
			.mount = m.id,
			.major = m.major,
			.minor = m.minor,
			.local = local,
		};
	return local;
}

bool
virtq_mem_kind_is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & F_SEAL_SHRINK);
}
