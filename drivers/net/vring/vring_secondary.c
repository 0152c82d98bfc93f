/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_string_fns.h>

#include "vring_dump.h"
#include "vring_queue.h"
#include "vring_registry.h"
#include "vring_regs.h"
#include "vring_rxtx.h"
#include "vring_secondary.h"

#define CHANNEL "net_vring"
#define WAIT_S 5

enum what {
	WHAT_PRIV,
	WHAT_RX_DESCS,
	WHAT_TX_DESCS,
	WHAT_REGS,
	WHAT_RX_MODE,
	WHAT_TX_MODE,
	WHAT_RX_COUNT,
	WHAT_TX_COUNT,
	WHAT_RX_STATUS,
	WHAT_TX_STATUS,
};

struct question {
	uint32_t what;
	uint16_t port_id;
	uint16_t queue, offset, num;	/* of this queue these descriptors, or the one at offset */
	uint32_t words;			/* registers that are expected */
};

struct answer {
	int32_t rc;			/* 0: the file is what was asked for */
};

static_assert(sizeof(struct question) <= RTE_MP_MAX_PARAM_LEN, "goes with one message");

static int
write_regs(struct rte_eth_dev *dev, uint32_t words, FILE *f)
{
	uint32_t *word;
	int rc;

	/* A port has fewer vrings than that, and the other process no right to our memory. */
	if (words > VRING_REGS_PORT_WORDS + VRING_MAX_QIDS * VRING_REGS_RING_WORDS)
		return -EINVAL;
	word = calloc(words, sizeof(*word));
	if (word == NULL)
		return -ENOMEM;
	rc = vring_regs_read(dev, word, words);
	if (rc == 0 && fwrite(word, sizeof(*word), words, f) != words)
		rc = -EIO;
	free(word);
	return rc;
}

static int
write_mode(struct rte_eth_dev *dev, const struct question *q, FILE *f)
{
	const bool tx = q->what == WHAT_TX_MODE;
	struct rte_eth_burst_mode mode = { .flags = 0 };
	int rc = -EINVAL;

	if (!tx && q->queue < dev->data->nb_rx_queues)
		rc = vring_queue_rx_burst_mode_get(dev, q->queue, &mode);
	else if (tx && q->queue < dev->data->nb_tx_queues)
		rc = vring_queue_tx_burst_mode_get(dev, q->queue, &mode);
	return rc != 0 || fwrite(&mode, sizeof(mode), 1, f) == 1 ? rc : -EIO;
}

/* What ethdev has a number for, which may be an error. */
static int
write_number(const struct rte_eth_dev_data *data, const struct question *q, FILE *f)
{
	void *rxq = q->queue < data->nb_rx_queues ? data->rx_queues[q->queue] : NULL;
	void *txq = q->queue < data->nb_tx_queues ? data->tx_queues[q->queue] : NULL;
	int32_t number;

	switch (q->what) {
	case WHAT_RX_COUNT:
		number = (int32_t)vring_rxtx_rx_queue_count(rxq);
		break;
	case WHAT_TX_COUNT:
		number = vring_rxtx_tx_queue_count(txq);
		break;
	case WHAT_RX_STATUS:
		number = vring_rxtx_rx_descriptor_status(rxq, q->offset);
		break;
	default:
		number = vring_rxtx_tx_descriptor_status(txq, q->offset);
	}
	return fwrite(&number, sizeof(number), 1, f) == 1 ? 0 : -EIO;
}

/* A question, and where its answer is written. */
struct asked {
	const struct question *q;
	FILE *f;
	const struct vring_port *port;
};

/* There no queue is being removed. */
static int
queue_in_ctrl(void *arg)
{
	const struct asked *asked = arg;
	struct rte_eth_dev *dev = asked->port->dev;

	if (asked->q->what == WHAT_RX_MODE || asked->q->what == WHAT_TX_MODE)
		return write_mode(dev, asked->q, asked->f);
	return write_number(dev->data, asked->q, asked->f);
}

static int
write_answer(struct vring_port *port, void *arg)
{
	struct asked *asked = arg;
	const struct question *q = asked->q;

	asked->port = port;
	switch (q->what) {
	case WHAT_PRIV:
		return vring_dump_priv(port->dev, asked->f);
	case WHAT_RX_DESCS:
		return vring_dump_rx_descs(port->dev, q->queue, q->offset, q->num, asked->f);
	case WHAT_TX_DESCS:
		return vring_dump_tx_descs(port->dev, q->queue, q->offset, q->num, asked->f);
	case WHAT_REGS:
		return write_regs(port->dev, q->words, asked->f);
	case WHAT_RX_MODE:
	case WHAT_TX_MODE:
	case WHAT_RX_COUNT:
	case WHAT_TX_COUNT:
	case WHAT_RX_STATUS:
	case WHAT_TX_STATUS:
		return evloop_call(port->loop, queue_in_ctrl, asked);
	default:
		return -EINVAL;
	}
}

static int
answer_to_file(const struct question *q, int fd)
{
	const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct asked asked = { q, copy < 0 ? NULL : fdopen(copy, "w"), NULL };
	int rc;

	if (asked.f == NULL) {
		if (copy >= 0)
			close(copy);
		return -ENOMEM;
	}
	rc = vring_registry_ask(q->port_id, write_answer, &asked);
	if (fclose(asked.f) != 0 && rc == 0)
		rc = -ENOMEM;
	return rc;
}

/* In EAL's thread for messages. */
static int
answer_question(const struct rte_mp_msg *msg, const void *peer)
{
	struct rte_mp_msg reply = { .len_param = sizeof(struct answer) };
	struct answer answer = { .rc = -EINVAL };
	struct question q;
	int fd = memfd_create("vring", MFD_CLOEXEC), rc;

	if (fd < 0) {
		answer.rc = -errno;
	} else if (msg->len_param == sizeof(q)) {
		memcpy(&q, msg->param, sizeof(q));
		answer.rc = answer_to_file(&q, fd);
		reply.num_fds = 1;
		reply.fds[0] = fd;
	}
	rte_strscpy(reply.name, CHANNEL, sizeof(reply.name));
	memcpy(reply.param, &answer, sizeof(answer));
	rc = rte_mp_reply(&reply, peer);
	if (fd >= 0)
		close(fd);
	return rc;
}

void
vring_secondary_serve(void)
{
	/* Without the channel there are no secondary processes; once is enough. */
	(void)rte_mp_action_register(CHANNEL, answer_question);
}

/* The file of an answer, or -errno. */
static int
file_of_answer(const struct rte_mp_msg *reply)
{
	struct answer answer;

	if (reply->len_param != sizeof(answer))
		return -EPROTO;
	memcpy(&answer, reply->param, sizeof(answer));
	if (answer.rc == 0 && reply->num_fds == 1)
		return reply->fds[0];
	for (int i = 0; i < reply->num_fds; i++)
		close(reply->fds[i]);
	return answer.rc != 0 ? answer.rc : -EPROTO;
}

/* A file to read the answer from, or -errno. */
static int
ask_primary(const struct rte_eth_dev *dev, struct question q)
{
	const struct timespec wait = { .tv_sec = WAIT_S };
	struct rte_mp_msg msg = { .len_param = sizeof(q) };
	struct rte_mp_reply replies;
	int rc = -EAGAIN;

	q.port_id = dev->data->port_id;
	rte_strscpy(msg.name, CHANNEL, sizeof(msg.name));
	memcpy(msg.param, &q, sizeof(q));
	if (rte_mp_request_sync(&msg, &replies, &wait) != 0)
		return -EAGAIN;
	if (replies.nb_received == 1)
		rc = file_of_answer(&replies.msgs[0]);
	free(replies.msgs);
	return rc;
}

static int
ask_for_text(const struct rte_eth_dev *dev, struct question q, FILE *f)
{
	int fd = ask_primary(dev, q), rc = 0;
	char text[4096];
	off_t at = 0;
	ssize_t n;

	if (fd < 0)
		return fd;
	while (rc == 0 && (n = pread(fd, text, sizeof(text), at)) > 0) {
		at += n;
		if (fwrite(text, 1, (size_t)n, f) != (size_t)n)
			rc = -EIO;
	}
	close(fd);
	return rc;
}

int
vring_secondary_dump_priv(struct rte_eth_dev *dev, FILE *f)
{
	return ask_for_text(dev, (struct question){ .what = WHAT_PRIV }, f);
}

int
vring_secondary_dump_rx_descs(const struct rte_eth_dev *dev, uint16_t id, uint16_t offset,
			      uint16_t num, FILE *f)
{
	const struct question q = { .what = WHAT_RX_DESCS, .queue = id, .offset = offset,
				    .num = num };

	return ask_for_text(dev, q, f);
}

int
vring_secondary_dump_tx_descs(const struct rte_eth_dev *dev, uint16_t id, uint16_t offset,
			      uint16_t num, FILE *f)
{
	const struct question q = { .what = WHAT_TX_DESCS, .queue = id, .offset = offset,
				    .num = num };

	return ask_for_text(dev, q, f);
}

/* An answer of so many bytes. */
static int
ask_for_bytes(const struct rte_eth_dev *dev, struct question q, void *to, size_t size)
{
	int fd = ask_primary(dev, q), rc;

	if (fd < 0)
		return fd;
	rc = pread(fd, to, size, 0) == (ssize_t)size ? 0 : -EPROTO;
	close(fd);
	return rc;
}

static int
regs_of_primary(struct rte_eth_dev *dev, uint32_t *word, uint32_t count)
{
	const struct question q = { .what = WHAT_REGS, .words = count };

	return ask_for_bytes(dev, q, word, count * sizeof(*word));
}

int
vring_secondary_get_reg(struct rte_eth_dev *dev, struct rte_dev_reg_info *info)
{
	return vring_regs_get_by(dev, info, regs_of_primary);
}

int
vring_secondary_rx_mode(struct rte_eth_dev *dev, uint16_t id, struct rte_eth_burst_mode *mode)
{
	const struct question q = { .what = WHAT_RX_MODE, .queue = id };

	return ask_for_bytes(dev, q, mode, sizeof(*mode));
}

int
vring_secondary_tx_mode(struct rte_eth_dev *dev, uint16_t id, struct rte_eth_burst_mode *mode)
{
	const struct question q = { .what = WHAT_TX_MODE, .queue = id };

	return ask_for_bytes(dev, q, mode, sizeof(*mode));
}

/* The port of a queue, which ethdev does not name. The queue is in memory of both processes. */
static const struct rte_eth_dev *
dev_of_queue(const struct vring_queue *q)
{
	uint16_t id;

	RTE_ETH_FOREACH_DEV(id)
		if (rte_eth_devices[id].data->dev_private == q->port)
			return &rte_eth_devices[id];
	return NULL;
}

static int
ask_for_number(const struct vring_queue *queue, enum what what, uint16_t offset)
{
	const struct rte_eth_dev *dev = queue == NULL ? NULL : dev_of_queue(queue);
	struct question q = { .what = what, .offset = offset };
	int32_t number = 0;
	int rc;

	if (dev == NULL)
		return -EINVAL;
	q.queue = queue->id;
	rc = ask_for_bytes(dev, q, &number, sizeof(number));
	return rc != 0 ? rc : number;
}

static vring_compat_count
rx_count_of_primary(void *rxq)
{
	const struct vring_rxq *q = rxq;

	return q == NULL ? 0 : (vring_compat_count)ask_for_number(&q->q, WHAT_RX_COUNT, 0);
}

static int
tx_count_of_primary(void *txq)
{
	const struct vring_txq *q = txq;

	return q == NULL ? 0 : ask_for_number(&q->q, WHAT_TX_COUNT, 0);
}

static int
rx_status_of_primary(void *rxq, uint16_t offset)
{
	const struct vring_rxq *q = rxq;

	return ask_for_number(q == NULL ? NULL : &q->q, WHAT_RX_STATUS, offset);
}

static int
tx_status_of_primary(void *txq, uint16_t offset)
{
	const struct vring_txq *q = txq;

	return ask_for_number(q == NULL ? NULL : &q->q, WHAT_TX_STATUS, offset);
}

void
vring_secondary_queue_ops(struct rte_eth_dev *dev)
{
	dev->rx_pkt_burst = rte_eth_pkt_burst_dummy;
	dev->tx_pkt_burst = rte_eth_pkt_burst_dummy;
	dev->tx_pkt_prepare = vring_rxtx_tx_prepare;
	dev->rx_queue_count = rx_count_of_primary;
	vring_compat_set_tx_count(dev, tx_count_of_primary);
	dev->rx_descriptor_status = rx_status_of_primary;
	dev->tx_descriptor_status = tx_status_of_primary;
}
