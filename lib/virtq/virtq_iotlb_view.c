/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtq_iotlb_view.h"

#include <stdlib.h>
#include <string.h>

#include "virtq_notify.h"

/* In the low bits of a slot's word. */
#define SLOT_WRITE 0x1ull
#define SLOT_STATE 0xeull
#define SLOT_NOTED 0x2ull	/* missed by a burst */
#define SLOT_ASKED 0x4ull	/* the front-end was asked */
#define SLOT_KNOWN 0x6ull	/* it said */
#define SLOT_FAILED 0x8ull	/* it did not */
#define SLOT_TAKEN 0xaull	/* somebody is about to write it */
/* In the tag of a page in the cache. */
#define PAGE_BITS 52
#define GENERATIONS ((1u << (64 - PAGE_BITS)) - 1)
/* Slots in which a page can be. */
#define PROBES 16

struct virtq_iotlb_view *
virtq_iotlb_view_new(struct virtq_iotlb *iotlb, int missfd, bool packed)
{
	struct virtq_iotlb_view *view = calloc(1, sizeof(*view));

	if (view == NULL)
		return NULL;
	view->iotlb = virtq_iotlb_get(iotlb);
	view->missfd = missfd;
	view->packed = packed;
	view->generation = __atomic_load_n(&iotlb->generation, __ATOMIC_ACQUIRE);
	return view;
}

void
virtq_iotlb_view_free(struct virtq_iotlb_view *view)
{
	if (view == NULL)
		return;
	virtq_iotlb_put(view->iotlb);
	free(view);
}

static uint64_t
slot_load(const struct virtq_iotlb_slot *slot)
{
	return __atomic_load_n(&slot->word, __ATOMIC_ACQUIRE);
}

static bool
slot_change(struct virtq_iotlb_slot *slot, uint64_t from, uint64_t to)
{
	return __atomic_compare_exchange_n(&slot->word, &from, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

static uint64_t
key_of(uint64_t iova, bool write)
{
	return (iova & ~(VIRTQ_IOTLB_PAGE - 1)) | (write ? SLOT_WRITE : 0);
}

static uint32_t
slot_at(uint64_t key, uint32_t i)
{
	const uint64_t number = key / VIRTQ_IOTLB_PAGE;

	return (uint32_t)((number * 0x9e3779b97f4a7c15ull >> 40) + i) % VIRTQ_IOTLB_SLOTS;
}

/*
 * The slot of a page, with its word, or -1. A burst and the control thread may have noted a page at
 * once, in a slot each.
 */
static int
find_slot(const struct virtq_iotlb_view *view, uint64_t key, uint64_t *word)
{
	for (uint32_t i = 0; i < PROBES; i++) {
		const uint32_t at = slot_at(key, i);

		*word = slot_load(&view->slot[at]);
		if (*word != 0 && (*word & ~SLOT_STATE) == key)
			return (int)at;
	}
	return -1;
}

/* A slot for a page that has none. With `force`, that of a page that is known. False: none. */
static bool
take_slot(struct virtq_iotlb_view *view, uint64_t word, uint32_t pos, uint64_t now_ns, bool force)
{
	for (uint32_t pass = 0; pass <= force; pass++) {
		for (uint32_t i = 0; i < PROBES; i++) {
			struct virtq_iotlb_slot *slot = &view->slot[slot_at(word, i)];
			const uint64_t w = slot_load(slot);

			if ((pass == 0 ? w != 0 : (w & SLOT_STATE) != SLOT_KNOWN) ||
			    !slot_change(slot, w, SLOT_TAKEN))
				continue;
			slot->asked_ns = now_ns;
			__atomic_store_n(&slot->pos, pos, __ATOMIC_RELAXED);
			__atomic_store_n(&slot->word, word, __ATOMIC_SEQ_CST);
			return true;
		}
	}
	return false;
}

/* Whether the chain at `pos` was completed before the one at `now` became the next. */
static bool
is_behind(const struct virtq_iotlb_view *view, uint32_t pos, uint32_t now)
{
	if (!view->packed)
		return (int16_t)(pos - now) < 0;
	return pos >> 16 == now >> 16 ? (uint16_t)pos < (uint16_t)now :
					(uint16_t)pos >= (uint16_t)now;
}

static void
forget_behind(struct virtq_iotlb_view *view, uint32_t now)
{
	view->nslots = 0;
	for (uint32_t i = 0; i < VIRTQ_IOTLB_SLOTS; i++) {
		struct virtq_iotlb_slot *slot = &view->slot[i];
		const uint64_t w = slot_load(slot);

		view->nslots += w != 0;
		if ((w & SLOT_STATE) == SLOT_KNOWN &&
		    is_behind(view, __atomic_load_n(&slot->pos, __ATOMIC_RELAXED), now))
			slot_change(slot, w, 0);
	}
}

bool
virtq_iotlb_view_begin(struct virtq_iotlb_view *view, uint32_t pos)
{
	const uint64_t generation = __atomic_load_n(&view->iotlb->generation, __ATOMIC_ACQUIRE);
	const bool moved = pos != view->stood && view->nslots > 0;

	__atomic_store_n(&view->stood, pos, __ATOMIC_RELAXED);
	if (moved || __atomic_load_n(&view->news, __ATOMIC_RELAXED) != 0) {
		/* Barrier E. Not a store, which later loads of the slots may overtake. */
		__atomic_exchange_n(&view->news, 0, __ATOMIC_ACQUIRE);
		forget_behind(view, pos);
	}
	if (generation == view->generation)
		return false;
	if (generation / GENERATIONS != view->generation / GENERATIONS)
		memset(view->page, 0, sizeof(view->page));
	view->generation = generation;
	return true;
}

/* Pages of former generations have other tags. */
static uint64_t
page_tag(const struct virtq_iotlb_view *view, uint64_t number)
{
	return number | (view->generation % GENERATIONS + 1) << PAGE_BITS;
}

/* In a page that was asked for, and is known by now. */
static uint8_t *
find_asked(const struct virtq_iotlb_view *view, uint64_t iova, bool write)
{
	uint64_t word;
	const int i = find_slot(view, key_of(iova, write), &word);

	if (i < 0 || (word & SLOT_STATE) != SLOT_KNOWN)
		return NULL;
	return view->slot[i].host + iova % VIRTQ_IOTLB_PAGE;
}

uint8_t *
virtq_iotlb_view_find(struct virtq_iotlb_view *view, uint64_t iova, uint32_t len, bool write,
		      struct virtq_iotlb_range *range)
{
	const uint64_t number = iova / VIRTQ_IOTLB_PAGE, off = iova % VIRTQ_IOTLB_PAGE;
	struct virtq_iotlb_page *page = &view->page[number % VIRTQ_IOTLB_PAGES];
	const struct virtq_iotlb_range *r;
	uint8_t *host;

	range->iova = 1;
	range->last = 0;
	if (page->tag == page_tag(view, number) && len <= VIRTQ_IOTLB_PAGE - off)
		return page->host + off;
	r = virtq_iotlb_search(view->iotlb, iova, write);
	if (r == NULL)
		return len <= VIRTQ_IOTLB_PAGE - off ? find_asked(view, iova, write) : NULL;
	if (len > 0 && len - 1 > r->last - iova)
		return NULL;
	host = r->host + (iova - r->iova);
	if (r->last - r->iova >= VIRTQ_IOTLB_LARGE)
		*range = *r;
	else if (r->iova <= iova - off && r->last - (iova - off) >= VIRTQ_IOTLB_PAGE - 1)
		*page = (struct virtq_iotlb_page){page_tag(view, number), host - off};
	return host;
}

uint8_t *
virtq_iotlb_view_piece(struct virtq_iotlb_view *view, uint64_t iova, uint64_t *len, bool write)
{
	const uint64_t left = VIRTQ_IOTLB_PAGE - iova % VIRTQ_IOTLB_PAGE;
	uint8_t *host = virtq_iotlb_find(view->iotlb, iova, len, write);

	if (host != NULL)
		return host;
	host = find_asked(view, iova, write);
	if (host != NULL && *len > left)
		*len = left;
	return host;
}

bool
virtq_iotlb_view_miss(struct virtq_iotlb_view *view, uint64_t iova, bool write)
{
	const uint64_t key = key_of(iova, write);
	uint64_t word;
	const int i = find_slot(view, key, &word);

	if (i >= 0 && (word & SLOT_STATE) == SLOT_FAILED) {
		slot_change(&view->slot[i], word, 0);
		return false;
	}
	/* Barrier E: it is noted before. */
	if (i < 0 && take_slot(view, key | SLOT_NOTED, view->stood, 0, true) &&
	    __atomic_exchange_n(&view->signalled, 1, __ATOMIC_SEQ_CST) == 0)
		virtq_notify(view->missfd);
	return true;
}

bool
virtq_iotlb_view_read(const struct virtq_iotlb_view *view, uint64_t iova, void *to, uint32_t len)
{
	uint64_t there = len;
	const uint8_t *host = virtq_iotlb_find(view->iotlb, iova, &there, false);

	if (host == NULL)
		host = find_asked(view, iova, false);
	if (host == NULL || there < len || len > VIRTQ_IOTLB_PAGE - iova % VIRTQ_IOTLB_PAGE)
		return false;
	memcpy(to, host, len);
	return true;
}

void
virtq_iotlb_view_look(struct virtq_iotlb_view *view)
{
	/* Barrier E: what is noted is looked at afterwards. */
	__atomic_store_n(&view->signalled, 0, __ATOMIC_SEQ_CST);
}

bool
virtq_iotlb_view_next_miss(struct virtq_iotlb_view *view, uint32_t *i, uint64_t *iova, bool *write)
{
	for (; *i < VIRTQ_IOTLB_SLOTS; (*i)++) {
		const uint64_t w = __atomic_load_n(&view->slot[*i].word, __ATOMIC_SEQ_CST);

		if ((w & SLOT_STATE) != SLOT_NOTED)
			continue;
		*iova = w & ~(VIRTQ_IOTLB_PAGE - 1);
		*write = w & SLOT_WRITE;
		return true;
	}
	return false;
}

void
virtq_iotlb_view_asked(struct virtq_iotlb_view *view, uint32_t i, uint64_t now_ns)
{
	const uint64_t w = slot_load(&view->slot[i]);

	view->slot[i].asked_ns = now_ns;
	slot_change(&view->slot[i], w, (w & ~SLOT_STATE) | SLOT_ASKED);
}

bool
virtq_iotlb_view_expect(struct virtq_iotlb_view *view, uint64_t iova, bool write, uint32_t pos,
			uint64_t now_ns)
{
	const uint64_t key = key_of(iova, write);
	uint64_t word;
	int i;

	if (virtq_iotlb_search(view->iotlb, iova, write) != NULL)
		return false;
	i = find_slot(view, key, &word);
	if (i < 0)
		return take_slot(view, key | SLOT_ASKED, pos, now_ns, false);
	/* A page that serves several chains serves until the last of them is completed. */
	if (is_behind(view, view->slot[i].pos, pos))
		__atomic_store_n(&view->slot[i].pos, pos, __ATOMIC_RELAXED);
	return false;
}

/* The slot's page, whose word this is, is at `host`. */
static void
answer_slot(struct virtq_iotlb_view *view, struct virtq_iotlb_slot *slot, uint64_t word,
	    uint8_t *host, uint8_t perm)
{
	const uint8_t needed = word & SLOT_WRITE ? VIRTQ_IOTLB_WRITE : VIRTQ_IOTLB_READ;

	if ((word & SLOT_STATE) == SLOT_KNOWN || !(perm & needed))
		return;
	slot->host = host;
	slot_change(slot, word, (word & ~SLOT_STATE) | SLOT_KNOWN);
	__atomic_store_n(&view->news, 1, __ATOMIC_SEQ_CST); /* Barrier E */
}

/* The page was asked for, with or without `write`. */
static bool
answer_page(struct virtq_iotlb_view *view, uint64_t page, uint8_t *host, bool write, uint8_t perm)
{
	const uint64_t key = key_of(page, write);
	bool asked = false;

	for (uint32_t i = 0; i < PROBES; i++) {
		struct virtq_iotlb_slot *slot = &view->slot[slot_at(key, i)];
		const uint64_t w = slot_load(slot);

		if (w == 0 || (w & ~SLOT_STATE) != key)
			continue;
		asked = true;
		answer_slot(view, slot, w, host, perm);
	}
	return asked;
}

/* The same for a range of many pages. */
static bool
answer_slots(struct virtq_iotlb_view *view, uint64_t iova, uint64_t last, uint8_t *host,
	     uint8_t perm)
{
	bool asked = false;

	for (uint32_t i = 0; i < VIRTQ_IOTLB_SLOTS; i++) {
		struct virtq_iotlb_slot *slot = &view->slot[i];
		const uint64_t w = slot_load(slot), page = w & ~(VIRTQ_IOTLB_PAGE - 1);

		if (w == 0 || (w & SLOT_STATE) == SLOT_TAKEN || page < iova || page > last ||
		    last - page < VIRTQ_IOTLB_PAGE - 1)
			continue;
		asked = true;
		answer_slot(view, slot, w, host + (page - iova), perm);
	}
	return asked;
}

bool
virtq_iotlb_view_answer(struct virtq_iotlb_view *view, uint64_t iova, uint64_t last, uint8_t *host,
			uint8_t perm)
{
	uint64_t page = (iova + VIRTQ_IOTLB_PAGE - 1) & ~(VIRTQ_IOTLB_PAGE - 1);
	bool asked = false;

	/* Whichever looks at fewer of them. */
	if ((last - iova) / VIRTQ_IOTLB_PAGE >= VIRTQ_IOTLB_SLOTS / (2 * PROBES))
		return answer_slots(view, iova, last, host, perm);
	for (; page >= iova && page <= last && last - page >= VIRTQ_IOTLB_PAGE - 1;
	     page += VIRTQ_IOTLB_PAGE) {
		asked |= answer_page(view, page, host + (page - iova), false, perm);
		asked |= answer_page(view, page, host + (page - iova), true, perm);
	}
	return asked;
}

static void
fail_page(struct virtq_iotlb_view *view, uint64_t key)
{
	for (uint32_t i = 0; i < PROBES; i++) {
		struct virtq_iotlb_slot *slot = &view->slot[slot_at(key, i)];
		const uint64_t w = slot_load(slot);

		if (w != 0 && (w & ~SLOT_STATE) == key && (w & SLOT_STATE) != SLOT_KNOWN)
			slot_change(slot, w, key | SLOT_FAILED);
	}
}

void
virtq_iotlb_view_fail(struct virtq_iotlb_view *view, uint64_t iova)
{
	fail_page(view, key_of(iova, false));
	fail_page(view, key_of(iova, true));
}

static bool
drop_slot(struct virtq_iotlb_slot *slot, uint64_t word)
{
	if (word == 0 || (word & SLOT_STATE) != SLOT_KNOWN)
		return false;
	slot_change(slot, word, 0);
	return true;
}

bool
virtq_iotlb_view_drop(struct virtq_iotlb_view *view, uint64_t iova, uint64_t last)
{
	bool dropped = false;

	for (uint32_t i = 0; i < VIRTQ_IOTLB_SLOTS; i++) {
		const uint64_t w = slot_load(&view->slot[i]), page = w & ~(VIRTQ_IOTLB_PAGE - 1);

		if (page <= last && page + (VIRTQ_IOTLB_PAGE - 1) >= iova)
			dropped |= drop_slot(&view->slot[i], w);
	}
	return dropped;
}

bool
virtq_iotlb_view_expire(struct virtq_iotlb_view *view, uint64_t old_ns, uint32_t *again)
{
	bool waits = false;

	for (uint32_t i = 0; i < VIRTQ_IOTLB_SLOTS; i++) {
		struct virtq_iotlb_slot *slot = &view->slot[i];
		const uint64_t w = slot_load(slot), state = w & SLOT_STATE;

		if (state == SLOT_ASKED && slot->asked_ns < old_ns && again == NULL)
			slot_change(slot, w, (w & ~SLOT_STATE) | SLOT_FAILED);
		else if (state == SLOT_ASKED && slot->asked_ns < old_ns && *again > 0)
			*again -= slot_change(slot, w, (w & ~SLOT_STATE) | SLOT_NOTED);
		else if (state == SLOT_FAILED && slot->asked_ns + VIRTQ_IOTLB_FAILED_NS < old_ns)
			slot_change(slot, w, 0);
		waits |= state == SLOT_NOTED ||
			 (state == SLOT_ASKED && (again != NULL || slot->asked_ns >= old_ns));
	}
	return waits;
}
