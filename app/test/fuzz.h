/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For fuzz targets: an input is read as choices, from the first byte on; what is read behind its
 * end is 0. A target is what libFuzzer calls with inputs that it makes up (devtools/fuzz), and
 * fuzz_main.c with a fixed number of random ones. A wrong result ends the program by way of
 * cmocka's assertions.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct fuzz {
	const uint8_t *at;
	size_t left;
};

/* What each target has: called once, and for each input. */
void fuzz_setup(void);
void fuzz_one(struct fuzz *f);

/* Inputs that a run without libFuzzer tries; about a second. */
extern const unsigned int fuzz_inputs;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void
fuzz_bytes(struct fuzz *f, void *out, size_t n)
{
	size_t have = n < f->left ? n : f->left;

	memset(out, 0, n);
	memcpy(out, f->at, have);
	f->at += have;
	f->left -= have;
}

static inline uint8_t
fuzz_u8(struct fuzz *f)
{
	uint8_t v;

	fuzz_bytes(f, &v, sizeof(v));
	return v;
}

static inline uint16_t
fuzz_u16(struct fuzz *f)
{
	uint16_t v;

	fuzz_bytes(f, &v, sizeof(v));
	return v;
}

static inline uint32_t
fuzz_u32(struct fuzz *f)
{
	uint32_t v;

	fuzz_bytes(f, &v, sizeof(v));
	return v;
}

static inline uint64_t
fuzz_u64(struct fuzz *f)
{
	uint64_t v;

	fuzz_bytes(f, &v, sizeof(v));
	return v;
}

/* 0..n - 1, n <= 256. */
static inline uint32_t
fuzz_pick(struct fuzz *f, uint32_t n)
{
	return fuzz_u8(f) % n;
}

/* True once in 16 times. */
static inline bool
fuzz_rarely(struct fuzz *f)
{
	return fuzz_u8(f) >= 240;
}

#endif /* FUZZ_H */
