/* SPDX-License-Identifier: BSD-3-Clause */

/* Holds the place of the library's first source. */
typedef int virtq_is_empty;
