/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fuzz target without libFuzzer: tries the files that it is given, or else inputs that are random
 * and the same in every run. With FUZZ_LIBFUZZER the loop is libFuzzer's.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

#define LARGEST 1024	/* bytes of a random input */

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	/* There is no test to go on with: stop where it is wrong. */
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	fuzz_setup();
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = { data, size };

	fuzz_one(&f);
	return 0;
}

#ifndef FUZZ_LIBFUZZER
static int
try_file(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *file = fopen(path, "rb");
	size_t n;

	if (file == NULL) {
		perror(path);
		return 1;
	}
	n = fread(data, 1, sizeof(data), file);
	fclose(file);
	printf("%s: %zu bytes\n", path, n);
	return LLVMFuzzerTestOneInput(data, n);
}

/* A copy that ends where the input ends, so that reading on is noticed. */
static void
try_random(uint64_t *x)
{
	size_t size;
	uint8_t *data;

	*x = *x * 6364136223846793005ul + 1442695040888963407ul;
	size = (*x >> 33) % LARGEST;
	data = malloc(size + 1);
	for (size_t i = 0; i < size; i++) {
		*x = *x * 6364136223846793005ul + 1442695040888963407ul;
		data[i] = (uint8_t)(*x >> 40);
	}
	LLVMFuzzerTestOneInput(data, size);
	free(data);
}

int
main(int argc, char **argv)
{
	uint64_t x = 1;
	int ret = 0;

	LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		ret |= try_file(argv[i]);
	if (argc > 1)
		return ret;
	printf("1..1\n");
	for (unsigned int i = 0; i < fuzz_inputs; i++)
		try_random(&x);
	printf("ok 1 - %u_inputs\n", fuzz_inputs);
	return 0;
}
#endif
