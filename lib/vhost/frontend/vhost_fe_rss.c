/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost_fe_rss.h"

#include "vhost_fe_session.h"

/* Those that carry packets: a device may have fewer than the session. */
static uint16_t
usable_queues(const struct vhost_fe *fe, uint16_t queues)
{
	const uint16_t pairs = fe->limits.max_pairs < fe->pairs ? fe->limits.max_pairs : fe->pairs;

	return queues < pairs ? queues : pairs;
}

static bool
table_fits(const struct vhost_fe_rss *rss, uint16_t entries, uint16_t queues)
{
	if (rss->entries != entries)
		return false;
	for (uint16_t i = 0; i < entries; i++)
		if (rss->table[i] >= queues)
			return false;
	return true;
}

void
vhost_fe_rss_wished(const struct vhost_fe *fe, struct vhost_fe_rss *rss)
{
	*rss = fe->rss;
}

/* The wishes stay as they are, for a device that can do more. */
void
vhost_fe_rss_fit(const struct vhost_fe *fe, uint16_t queues, struct vhost_fe_rss *rss)
{
	const uint16_t usable = usable_queues(fe, queues);
	const uint16_t entries = fe->limits.rss_entries;

	*rss = fe->rss;
	rss->types &= fe->limits.rss_types;
	if (table_fits(rss, entries, usable))
		return;
	for (uint16_t i = 0; i < entries; i++)
		rss->table[i] = usable == 0 ? 0 : i % usable;
	rss->entries = entries;
}
