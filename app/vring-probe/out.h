/* SPDX-License-Identifier: BSD-3-Clause */
/* What the program says: lines for people, or one JSON object. */
#ifndef PROBE_OUT_H
#define PROBE_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Keys are words with spaces; in JSON these are underscores. */
void out_begin(bool json);
void out_text(const char *key, const char *value);
void out_number(const char *key, uint64_t value);
void out_hex(const char *key, uint64_t value);
/* A word of features: its value and the names of its bits. */
void out_bits(const char *key, uint64_t bits,
	      const char *(*name)(unsigned int bit, char *buf, size_t size));
/* n numbers. */
void out_numbers(const char *key, const uint32_t *value, uint32_t n);
void out_end(void);

#endif /* PROBE_OUT_H */
