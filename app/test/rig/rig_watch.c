/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_watch.h"

#include "rig_guest_net.h"

#include <stdio.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_log.h>

static FILE *said;

void
watch_log(void)
{
	said = tmpfile();
	assert_non_null(said);
	rte_log_set_global_level(RTE_LOG_NOTICE);
	assert_int_equal(rte_openlog_stream(said), 0);
}

void
watch_log_end(void)
{
	rte_openlog_stream(NULL);
	rte_log_set_global_level(RTE_LOG_ERR);
	if (said != NULL)
		fclose(said);
	said = NULL;
}

unsigned int
heard(const char *what)
{
	static char text[65536];
	ssize_t n = pread(fileno(said), text, sizeof(text) - 1, 0);
	unsigned int times = 0;

	assert_true(n >= 0);
	text[n] = '\0';
	for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
		times++;
	return times;
}

uint64_t
watch_xstat(uint16_t id, const char *name)
{
	uint64_t key, value;

	assert_int_equal(rte_eth_xstats_get_id_by_name(id, name, &key), 0);
	assert_int_equal(rte_eth_xstats_get_by_id(id, &key, &value, 1), 1);
	return value;
}
