/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device that is killed while it returns chains: a process does so step by step, and after each
 * of its instructions another device takes over from what there is then.
 */
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "rig_guest_ring.h"
#include "virtq_saved.h"

#define MAX_STATES 400

/* Memory as a killed process leaves it. */
struct left {
	uint8_t *ring;
	struct virtq_saved saved;
};

static struct virtq_saved *saved;	/* shared with the process that is killed */
static struct left left[MAX_STATES];
static uint32_t nleft;

struct scene {
	uint16_t size, start;
	uint32_t pieces;	/* of a chain at most; 1: all have one */
	uint16_t n;		/* chains that are pushed */
	bool write, in_order;
};

static size_t
ring_bytes(const struct guest_ring *t)
{
	return t->r.size * sizeof(t->r.pdesc[0]);
}

static void
note_state(const struct guest_ring *t)
{
	struct left *l = &left[nleft];

	if (nleft > 0 && memcmp(l[-1].ring, t->r.pdesc, ring_bytes(t)) == 0 &&
	    memcmp(&l[-1].saved, saved, sizeof(*saved)) == 0)
		return;
	assert_true(nleft < MAX_STATES);
	l->ring = malloc(ring_bytes(t));
	memcpy(l->ring, t->r.pdesc, ring_bytes(t));
	l->saved = *saved;
	nleft++;
}

static void
push_in_child(struct guest_ring *t, const struct virtq_chain *c, const struct scene *s)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	virtq_dev_complete(t->d.vq, t->d.ring, c, s->n, true, s->write, s->in_order);
	_exit(0);
}

/* Push, and note each state of memory on the way. */
static void
push_step_by_step(struct guest_ring *t, const struct virtq_chain *c, const struct scene *s)
{
	const pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		push_in_child(t, c, s);
	nleft = 0;
	for (;;) {
		assert_int_equal(waitpid(child, &status, 0), child);
		if (!WIFSTOPPED(status))
			break;
		note_state(t);
		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) < 0)
			fail();
	}
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static uint16_t
fetch_all(struct guest_ring *t, bool write)
{
	uint16_t n, all = 0;

	while ((n = guest_ring_round(t, VIRTQ_FETCH_MAX, write, 0)) > 0)
		all += n;
	return all;
}

/* Chains of the ring, as many as there is room for. */
static void
fill_ring(struct guest_ring *t, const struct scene *s, uint64_t *x, uint64_t *cookie)
{
	for (;;) {
		const uint32_t k = 1 + rd_random(x) % s->pieces;
		struct rd_sg sg[8];

		for (uint32_t i = 0; i < k; i++)
			sg[i] = guest_ring_piece(t, (uint32_t)(*cookie + i), 8);
		if (rd_add(&t->r, sg, k, RD_DIRECT, s->write, *cookie) < 0)
			break;
		++*cookie;
	}
	rd_publish(&t->r);
}

/* All that the device has comes back once, and the ring goes on for a lap or two. */
static void
carry_on(struct guest_ring *t, const struct scene *s, uint64_t cookie)
{
	uint64_t due = cookie - rd_pending(&t->r), x = 7;

	for (int lap = 0; lap < 3; lap++) {
		uint32_t n;

		fetch_all(t, s->write);
		while ((n = rd_pop(&t->r, t->done)) > 0)
			for (uint32_t i = 0; i < n; i++)
				assert_int_equal(t->done[i].cookie, due++);
		assert_int_equal(rd_pending(&t->r), 0);
		assert_int_equal(due, cookie);
		fill_ring(t, s, &x, &cookie);
	}
	assert_int_equal(t->r.bad, 0);
}

/* The driver as it was before the push, and what the killed device has left. */
static void
take_over(struct guest_ring *t, const struct rd *driver, const struct left *l,
	  const struct scene *s, uint64_t cookie)
{
	struct rd r = t->r;
	uint32_t base = 0;

	memcpy(r.free_id, driver->free_id, r.size * sizeof(r.free_id[0]));
	memcpy(r.chain, driver->chain, r.size * sizeof(r.chain[0]));
	t->r = *driver;
	t->r.free_id = r.free_id;
	t->r.chain = r.chain;
	memcpy(t->r.pdesc, l->ring, ring_bytes(t));
	t->d.vq->saved = NULL;
	if (!virtq_saved_place(&l->saved, t->d.ring, &base))
		fail_msg("no place of %u of %u states", (unsigned int)(l - left), nleft);
	assert_int_equal(virtq_dev_set_base(t->d.vq, t->d.ring, base), 0);
	carry_on(t, s, cookie);
}

static void
play(const struct scene *s)
{
	const uint64_t features = F_V1 | F_PACKED | (s->in_order ? F_IN_ORDER : 0);
	struct virtq_chain c[VIRTQ_FETCH_MAX];
	uint64_t x = s->start + s->n, cookie = 0;
	struct guest_ring t;
	struct rd driver;

	guest_ring_open_at(&t, s->size, features, s->start, true);
	virtq_saved_begin(saved, t.d.vq, t.d.ring);
	t.d.vq->saved = saved;
	fill_ring(&t, s, &x, &cookie);
	assert_true(guest_ring_fetch(&t, c, s->n, s->write) == s->n);
	for (uint16_t i = 0; i < s->n; i++)
		c[i].written = 0;
	driver = t.r;
	driver.free_id = malloc(t.r.size * sizeof(driver.free_id[0]));
	driver.chain = malloc(t.r.size * sizeof(driver.chain[0]));
	memcpy(driver.free_id, t.r.free_id, t.r.size * sizeof(driver.free_id[0]));
	memcpy(driver.chain, t.r.chain, t.r.size * sizeof(driver.chain[0]));
	push_step_by_step(&t, c, s);
	/* Before, after, and what lies between. */
	assert_true(nleft >= (s->in_order ? 4u : s->n + 3u));
	for (uint32_t i = 0; i < nleft; i++) {
		take_over(&t, &driver, &left[i], s, cookie);
		free(left[i].ring);
	}
	free(driver.free_id);
	free(driver.chain);
	guest_ring_close(&t);
}

static void
chains_of_one_entry(void **state)
{
	static const struct scene scenes[] = {
		{ 16, 0, 1, 1, true, false }, { 16, 0, 1, 8, true, false },
		{ 16, 12, 1, 8, false, false }, { 17, 16, 1, 17, true, false },
	};

	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		play(&scenes[i]);
}

static void
chains_of_several(void **state)
{
	static const struct scene scenes[] = {
		{ 32, 0, 4, 6, true, false }, { 32, 29, 3, 8, false, false },
		{ 19, 18, 4, 4, true, false },
	};

	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		play(&scenes[i]);
}

static void
chains_in_order(void **state)
{
	static const struct scene scenes[] = {
		{ 16, 0, 1, 8, false, true }, { 16, 12, 1, 8, false, true },
	};

	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		play(&scenes[i]);
}

/* A file may hold anything: the ring is not touched then, and its position not changed. */
static void
what_cannot_be_is_not_taken(void **state)
{
	struct guest_ring t;
	struct virtq_saved s;
	uint8_t before[16 * 16];
	uint32_t base = 5;
	uint64_t x = 3;

	guest_ring_open(&t, 16, F_V1 | F_PACKED);
	for (int i = 0; i < 16; i++)
		guest_ring_offer(&t, true, (uint64_t)i);
	guest_ring_round(&t, 5, true, 1);
	memcpy(before, t.r.pdesc, sizeof(before));
	virtq_saved_begin(&s, t.d.vq, t.d.ring);
	assert_true(virtq_saved_place(&s, t.d.ring, &base));
	assert_int_equal(base, virtq_dev_get_base(t.d.vq, true));
	s.size = 15;
	assert_false(virtq_saved_place(&s, t.d.ring, &base));
	virtq_saved_begin(&s, t.d.vq, t.d.ring);
	s.pos = 16 | VIRTQ_SAVED_VALID;
	assert_false(virtq_saved_place(&s, t.d.ring, &base));
	virtq_saved_forget(&s);
	assert_false(virtq_saved_place(&s, t.d.ring, &base));
	/* Where the device has been already. */
	virtq_saved_begin(&s, t.d.vq, t.d.ring);
	s.pos = s.next = 2 | 1 << 15 | VIRTQ_SAVED_VALID;
	assert_false(virtq_saved_place(&s, t.d.ring, &base));
	for (int i = 0; i < 100000; i++) {
		uint8_t any[sizeof(s)];

		for (size_t k = 0; k < sizeof(any); k++)
			any[k] = (uint8_t)rd_random(&x);
		memcpy(&s, any, sizeof(s));
		if (i % 2) { /* sound, but for a ring that stands elsewhere */
			s.pos = rd_random(&x) % 16 | rd_random(&x) % 2 << 15 | VIRTQ_SAVED_VALID;
			s.next = s.pos;
			s.size = 16;
		}
		if (virtq_saved_place(&s, t.d.ring, &base))
			assert_true((base & 0x7fff) < 16);
	}
	assert_memory_equal(before, t.r.pdesc, sizeof(before));
	guest_ring_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains_of_one_entry),
		cmocka_unit_test(chains_of_several),
		cmocka_unit_test(chains_in_order),
		cmocka_unit_test(what_cannot_be_is_not_taken),
	};

	saved = mmap(NULL, GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (saved == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
