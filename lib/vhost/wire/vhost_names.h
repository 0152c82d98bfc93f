/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of features and requests as the specifications spell them, for people. */
#ifndef VHOST_NAMES_H
#define VHOST_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* Of bit 0..63 of a network device; "BIT_n", in buf (8 bytes are enough), for one without. */
const char *vhost_names_feature(unsigned int bit, char *buf, size_t size);
/* The same for vhost-user's protocol features, and for vhost-vdpa's back-end features. */
const char *vhost_names_protocol_feature(unsigned int bit, char *buf, size_t size);
const char *vhost_names_backend_feature(unsigned int bit, char *buf, size_t size);
/* Of a front-end's request: "GET_FEATURES", ... or "unknown". */
const char *vhost_names_request(uint32_t request);

#endif /* VHOST_NAMES_H */
