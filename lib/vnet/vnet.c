/* SPDX-License-Identifier: BSD-3-Clause */

/* Holds the place of the library's first source. */
typedef int vnet_is_empty;
