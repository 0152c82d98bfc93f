/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rx interrupts. Rings and their descriptors come and go, and the application has one descriptor a
 * queue as long as the port is configured. That is one of epoll, which contains what the peer
 * notifies for each ring of the queue, and an eventfd of the port's own. No thread is in between.
 * Nobody reads from it, so that no peer, who shares the descriptors in it, can make anybody wait.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_interrupts.h>

#include "virtq_notify.h"
#include "vring_intr.h"
#include "vring_log.h"
#include "vring_rxtx.h"

struct intr_queue {
	int epfd;		/* the application's */
	int wakefd;		/* eventfd of the port's own */
	uint32_t asked;		/* atomic: the application sleeps, or is about to */
	uint32_t deaf;		/* atomic: to a ring whose descriptor could not be added */
};

struct vring_intr {
	struct rte_intr_handle *handle;
	int watched[VRING_MAX_PAIRS];	/* control: of the receiving ring of each pair, or -1 */
	uint16_t n;			/* receive queues */
	struct intr_queue queue[];
};

static bool
watch_fd(int epfd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void
wake_queue(const struct intr_queue *q)
{
	const uint64_t one = 1;

	if (write(q->wakefd, &one, sizeof(one)) < 0)
		return; /* it was woken so often that the counter is full */
}

static int
open_queue(struct intr_queue *q)
{
	q->epfd = epoll_create1(EPOLL_CLOEXEC);
	q->wakefd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (q->epfd < 0 || q->wakefd < 0 || !watch_fd(q->epfd, q->wakefd))
		return -errno;
	return 0;
}

/* What EAL has to know of them. No bytes are to be read from the descriptors. */
static int
fill_handle(struct vring_intr *intr, struct rte_intr_handle *handle)
{
	if (rte_intr_type_set(handle, RTE_INTR_HANDLE_VDEV) != 0 ||
	    rte_intr_efd_counter_size_set(handle, 0) != 0 ||
	    rte_intr_vec_list_alloc(handle, NULL, intr->n) != 0 ||
	    rte_intr_nb_efd_set(handle, intr->n) != 0 ||
	    rte_intr_max_intr_set(handle, intr->n + 1) != 0)
		return -rte_errno;
	for (uint16_t i = 0; i < intr->n; i++)
		if (rte_intr_vec_list_index_set(handle, i, RTE_INTR_VEC_RXTX_OFFSET + i) != 0 ||
		    rte_intr_efds_index_set(handle, i, intr->queue[i].epfd) != 0)
			return -rte_errno;
	return 0;
}

static int
open_intr(struct vring_intr *intr)
{
	int rc = 0;

	for (uint16_t i = 0; i < intr->n; i++)
		intr->queue[i].epfd = intr->queue[i].wakefd = -1;
	for (uint16_t i = 0; i < intr->n && rc == 0; i++)
		rc = open_queue(&intr->queue[i]);
	if (rc != 0)
		return rc;
	intr->handle = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
	return intr->handle == NULL ? -rte_errno : fill_handle(intr, intr->handle);
}

static void
free_intr(struct vring_intr *intr)
{
	if (intr == NULL)
		return;
	if (intr->handle != NULL) {
		rte_intr_free_epoll_fd(intr->handle);
		rte_intr_vec_list_free(intr->handle);
		rte_intr_instance_free(intr->handle);
	}
	for (uint16_t i = 0; i < intr->n; i++) {
		if (intr->queue[i].epfd >= 0)
			close(intr->queue[i].epfd);
		if (intr->queue[i].wakefd >= 0)
			close(intr->queue[i].wakefd);
	}
	free(intr);
}

void
vring_intr_close(struct vring_port *port)
{
	port->dev->intr_handle = NULL;
	free_intr(port->intr);
	port->intr = NULL;
}

int
vring_intr_configure(struct vring_port *port)
{
	const struct rte_eth_dev_data *data = port->dev->data;
	const uint16_t n = data->dev_conf.intr_conf.rxq ? data->nb_rx_queues : 0;
	struct vring_intr *intr;
	int rc;

	if (n == (port->intr == NULL ? 0 : port->intr->n))
		return 0;
	vring_intr_close(port);
	if (n == 0)
		return 0;
	intr = calloc(1, sizeof(*intr) + n * sizeof(intr->queue[0]));
	if (intr == NULL)
		return -ENOMEM;
	intr->n = n;
	memset(intr->watched, -1, sizeof(intr->watched));
	rc = open_intr(intr);
	if (rc != 0) {
		VRING_LOG(ERR, port->name, "no descriptors for the interrupts of %u rx queues: %s",
			  n, rte_strerror(-rc));
		free_intr(intr);
		return rc;
	}
	port->intr = intr;
	port->dev->intr_handle = intr->handle;
	return 0;
}

/* What the rings of a published set are notified by. */
static void
collect_fds(const struct vring_poll_set *set, int want[VRING_MAX_PAIRS])
{
	for (unsigned int i = 0; set != NULL && i < set->n; i++)
		if (set->entry[i].ring != NULL)
			want[set->entry[i].ring->qid / 2] = set->entry[i].ring->wakefd;
}

/* Wait for this descriptor of pair j (-1: none) instead of the former. False: it cannot be. */
static bool
watch_instead(struct vring_intr *intr, unsigned int j, int fd)
{
	const int epfd = intr->queue[j % intr->n].epfd;

	if (intr->watched[j] == fd)
		return true;
	if (intr->watched[j] >= 0)
		epoll_ctl(epfd, EPOLL_CTL_DEL, intr->watched[j], NULL);
	intr->watched[j] = fd >= 0 && watch_fd(epfd, fd) ? fd : -1;
	return intr->watched[j] == fd;
}

void
vring_intr_follow(struct vring_port *port)
{
	const struct rte_eth_dev_data *data = port->dev->data;
	struct vring_intr *intr = port->intr;
	int want[VRING_MAX_PAIRS];

	if (intr == NULL)
		return;
	memset(want, -1, sizeof(want));
	for (uint16_t i = 0; i < intr->n; i++)
		if (data->rx_queues[i] != NULL)
			collect_fds(((struct vring_rxq *)data->rx_queues[i])->q.published, want);
	for (uint16_t i = 0; i < intr->n; i++) {
		struct intr_queue *q = &intr->queue[i];
		bool deaf = false;

		for (unsigned int j = i; j < port->vring_pairs; j += intr->n)
			if (!watch_instead(intr, j, want[j]))
				deaf = true;
		__atomic_store_n(&q->deaf, deaf, __ATOMIC_RELAXED);
		/* Barrier F: who asks sees that the queue is deaf, or we that it has asked. */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(&q->asked, __ATOMIC_RELAXED))
			wake_queue(q);
	}
}

/*
 * Asking comes before looking at the rings that are published: whoever publishes others looks
 * afterwards whether somebody has asked.
 */
int
vring_intr_rx_enable(struct rte_eth_dev *dev, uint16_t id)
{
	const struct vring_port *port = dev->data->dev_private;
	struct intr_queue *q;

	if (port->intr == NULL)
		return -ENOTSUP;
	q = &port->intr->queue[id];
	virtq_notify_take(q->wakefd);
	__atomic_store_n(&q->asked, 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* Barrier F */
	if (!vring_rxtx_rx_wake(dev->data->rx_queues[id], true) ||
	    __atomic_load_n(&q->deaf, __ATOMIC_RELAXED))
		wake_queue(q);
	return 0;
}

int
vring_intr_rx_disable(struct rte_eth_dev *dev, uint16_t id)
{
	const struct vring_port *port = dev->data->dev_private;

	if (port->intr == NULL)
		return -ENOTSUP;
	__atomic_store_n(&port->intr->queue[id].asked, 0, __ATOMIC_RELAXED);
	vring_rxtx_rx_wake(dev->data->rx_queues[id], false);
	return 0;
}
