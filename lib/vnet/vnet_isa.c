/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnet_isa.h"

#include <rte_vect.h>

#include "vnet_isa_x86.h"

#ifndef VNET_ISA_BASE_NAME
#define VNET_ISA_BASE_NAME "baseline"
#endif

extern const struct vnet_isa_ops_table vnet_isa_ops_base;
#ifdef VNET_ISA_V3
extern const struct vnet_isa_ops_table vnet_isa_ops_v3;
#endif

/* From the lowest, which every processor has that DPDK runs on, to the highest. */
static const struct {
	struct vnet_isa level;
	bool (*has)(void);
} levels[] = {
	{.level = {VNET_ISA_BASE_NAME, 0, &vnet_isa_ops_base}},
#ifdef VNET_ISA_V3
	{.level = {"x86-64-v3", 256, &vnet_isa_ops_v3}, .has = vnet_isa_x86_has_v3},
#endif
};

const struct vnet_isa *
vnet_isa_at(unsigned int i)
{
	for (unsigned int k = 0; k < RTE_DIM(levels); k++)
		if ((levels[k].has == NULL || levels[k].has()) && i-- == 0)
			return &levels[k].level;
	return NULL;
}

const struct vnet_isa *
vnet_isa_for(uint16_t bits)
{
	const struct vnet_isa *best = vnet_isa_at(0), *level;

	for (unsigned int i = 1; (level = vnet_isa_at(i)) != NULL; i++)
		if (level->bits <= bits)
			best = level;
	return best;
}

const struct vnet_isa *
vnet_isa(void)
{
	static const struct vnet_isa *chosen;
	const struct vnet_isa *level = __atomic_load_n(&chosen, __ATOMIC_RELAXED);

	if (level == NULL) {
		level = vnet_isa_for(rte_vect_get_max_simd_bitwidth());
		__atomic_store_n(&chosen, level, __ATOMIC_RELAXED);
	}
	return level;
}

vnet_rx_burst
vnet_dev_rx_select(const struct virtq_ring *ring, uint32_t flags, const char **name)
{
	return vnet_isa()->ops->dev_rx_select(ring, flags, name);
}

vnet_tx_burst
vnet_dev_tx_select(const struct virtq_ring *ring, const char **name)
{
	return vnet_isa()->ops->dev_tx_select(ring, name);
}

vnet_rx_burst
vnet_drv_rx_select(const struct virtq_ring *ring, uint32_t flags, const char **name)
{
	return vnet_isa()->ops->drv_rx_select(ring, flags, name);
}

vnet_tx_burst
vnet_drv_tx_select(const struct virtq_ring *ring, const char **name)
{
	return vnet_isa()->ops->drv_tx_select(ring, name);
}

uint16_t
vnet_cut_burst(struct vnet_rxq *rxq, struct vnet_cut *cut, struct rte_mbuf **pkts, uint16_t fresh,
	       uint16_t n)
{
	return vnet_isa()->ops->cut_burst(rxq, cut, pkts, fresh, n);
}

uint16_t
vnet_drv_rx_fill(struct vnet_rxq *rxq, struct virtq_drv *drv, const struct virtq_ring *ring)
{
	return vnet_isa()->ops->drv_rx_fill(rxq, drv, ring);
}

uint16_t
vnet_drv_tx_clean(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_ring *ring,
		  uint16_t n)
{
	return vnet_isa()->ops->drv_tx_clean(txq, drv, ring, n);
}
