/* SPDX-License-Identifier: BSD-3-Clause */
#include "out.h"

#include <inttypes.h>
#include <stdio.h>

static bool json;
static bool first;

void
out_begin(bool as_json)
{
	json = as_json;
	first = true;
	if (json)
		printf("{");
}

static void
quoted(const char *text)
{
	putchar('"');
	for (; *text != '\0'; text++) {
		const unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void
key_of(const char *key)
{
	if (!json) {
		printf("%s: ", key);
		return;
	}
	printf("%s\n  \"", first ? "" : ",");
	first = false;
	for (; *key != '\0'; key++)
		putchar(*key == ' ' || *key == '-' ? '_' : *key);
	printf("\": ");
}

static void
end_of_value(void)
{
	if (!json)
		putchar('\n');
}

void
out_text(const char *key, const char *value)
{
	key_of(key);
	if (json)
		quoted(value);
	else
		printf("%s", value);
	end_of_value();
}

void
out_number(const char *key, uint64_t value)
{
	key_of(key);
	printf("%" PRIu64, value);
	end_of_value();
}

void
out_hex(const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	out_text(key, text);
}

void
out_bits(const char *key, uint64_t bits,
	 const char *(*name)(unsigned int bit, char *buf, size_t size))
{
	const char *sep = "";
	char buf[24];

	out_hex(key, bits);
	if (json) {
		char names[64];

		snprintf(names, sizeof(names), "%s names", key);
		key_of(names);
		printf("[");
	}
	for (unsigned int bit = 0; bit < 64; bit++) {
		if (!(bits >> bit & 1))
			continue;
		if (json)
			printf("%s\n    \"%s\"", sep, name(bit, buf, sizeof(buf)));
		else
			printf("  %s\n", name(bit, buf, sizeof(buf)));
		sep = ",";
	}
	if (json)
		printf("]");
}

void
out_numbers(const char *key, const uint32_t *value, uint32_t n)
{
	key_of(key);
	if (json)
		printf("[");
	for (uint32_t i = 0; i < n; i++)
		printf("%s%u", i == 0 ? "" : json ? ", " : " ", value[i]);
	if (json)
		printf("]");
	end_of_value();
}

void
out_end(void)
{
	if (json)
		printf("\n}\n");
}
