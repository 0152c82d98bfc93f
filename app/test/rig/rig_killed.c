/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_killed.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static uint8_t *
ring_of(const struct killed *k)
{
	return guest_ptr(&k->t->g, k->t->r.desc_gpa);
}

/* All three parts, in one piece of memory. */
static size_t
ring_bytes(const struct killed *k)
{
	const struct rd *r = &k->t->r;

	return r->used_gpa - r->desc_gpa + (r->packed ? 4 : 6 + 8ul * r->size);
}

static size_t
driver_bytes(const struct rd *r, size_t one)
{
	return r->size * one;
}

void
killed_open(struct killed *k, struct guest_ring *t, size_t kept_bytes)
{
	*k = (struct killed){ .t = t, .kept_bytes = kept_bytes };
	k->kept = mmap(NULL, kept_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(k->kept, MAP_FAILED);
	k->driver.free_id = malloc(driver_bytes(&t->r, sizeof(t->r.free_id[0])));
	k->driver.chain = malloc(driver_bytes(&t->r, sizeof(t->r.chain[0])));
}

static void
forget_states(struct killed *k)
{
	for (uint32_t i = 0; i < k->n; i++) {
		free(k->state[i].ring);
		free(k->state[i].kept);
	}
	k->n = 0;
}

void
killed_close(struct killed *k)
{
	forget_states(k);
	free(k->driver.free_id);
	free(k->driver.chain);
	munmap(k->kept, k->kept_bytes);
}

/* All of a driver but its own arrays. */
static void
copy_driver(struct rd *to, const struct rd *from)
{
	const struct rd had = *to;

	*to = *from;
	to->free_id = had.free_id;
	to->chain = had.chain;
	memcpy(to->free_id, from->free_id, driver_bytes(from, sizeof(from->free_id[0])));
	memcpy(to->chain, from->chain, driver_bytes(from, sizeof(from->chain[0])));
}

static uint8_t *
copy_of(const uint8_t *from, size_t bytes)
{
	uint8_t *to = malloc(bytes);

	memcpy(to, from, bytes);
	return to;
}

static void
note_state(struct killed *k)
{
	if (k->n > 0 && memcmp(k->state[k->n - 1].ring, ring_of(k), ring_bytes(k)) == 0 &&
	    memcmp(k->state[k->n - 1].kept, k->kept, k->kept_bytes) == 0)
		return;
	assert_true(k->n < KILLED_STATES);
	k->state[k->n].ring = copy_of(ring_of(k), ring_bytes(k));
	k->state[k->n++].kept = copy_of(k->kept, k->kept_bytes);
}

static void
do_in_child(struct killed *k, void (*fn)(struct guest_ring *t, const void *arg), const void *arg)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	fn(k->t, arg);
	_exit(0);
}

void
killed_run(struct killed *k, void (*fn)(struct guest_ring *t, const void *arg), const void *arg)
{
	pid_t child;
	int status;

	forget_states(k);
	copy_driver(&k->driver, &k->t->r);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		do_in_child(k, fn, arg);
	for (;;) {
		assert_int_equal(waitpid(child, &status, 0), child);
		if (!WIFSTOPPED(status))
			break;
		note_state(k);
		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) < 0)
			fail();
	}
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void
killed_restore(struct killed *k, uint32_t i)
{
	copy_driver(&k->t->r, &k->driver);
	memcpy(ring_of(k), k->state[i].ring, ring_bytes(k));
	memcpy(k->kept, k->state[i].kept, k->kept_bytes);
}

void
killed_fill(struct guest_ring *t, uint32_t pieces, bool write, uint64_t *x, uint64_t *cookie)
{
	for (;;) {
		const uint32_t k = 1 + rd_random(x) % pieces;
		struct rd_sg sg[8];

		for (uint32_t i = 0; i < k; i++)
			sg[i] = guest_ring_piece(t, (uint32_t)(*cookie + i), 8);
		if (rd_add(&t->r, sg, k, RD_DIRECT, write, *cookie) < 0)
			break;
		++*cookie;
	}
	rd_publish(&t->r);
}
