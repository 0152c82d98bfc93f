/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_peer.h"

int
bench_setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	pair_setup((void **)&b->p);
	mock_setup((void **)&b->m);
	b->m->queue_num = RIG_PAIRS;
	*state = b;
	return 0;
}

void
bench_leave(struct bench *b)
{
	if (b->p->fe != NULL)
		vhost_fe_close(b->p->fe);
	vhost_fe_free(b->p->fe);
	b->p->fe = NULL;
	wait_for_closing();
}

int
bench_teardown(void **state)
{
	struct bench *b = *state;
	void *p = b->p, *m = b->m;
	int rc;

	bench_leave(b);
	unlink(b->p->rig->path);
	rc = mock_teardown(&m);
	free(b);
	return pair_teardown(&p) != 0 ? -1 : rc;
}

void
bench_start(struct bench *b)
{
	mock_listen(b->m, b->p->rig->path);
	pair_open(b->p, false);
	step_until(b->p->loop, &b->p->ups, 1);
	vhost_fe_start(b->p->fe);
}

void
bench_until_running(struct bench *b, bool running)
{
	for (int i = 0; i < 500 && (b->p->ring[0] != NULL) != running; i++)
		evloop_step(b->p->loop, 10);
	assert_true((b->p->ring[0] != NULL) == running);
}

uint64_t
ms_since(uint64_t start)
{
	return (evloop_now_ns() - start) / 1000000;
}
