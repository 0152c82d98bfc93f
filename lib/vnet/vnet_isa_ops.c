/* SPDX-License-Identifier: BSD-3-Clause */
/* The functions of one level; compiled for each, as they are. */
#include "vnet_isa_ops.h"

extern const struct vnet_isa_ops_table vnet_isa_ops;

const struct vnet_isa_ops_table vnet_isa_ops = {
	.dev_rx_select = vnet_dev_rx_select,
	.dev_tx_select = vnet_dev_tx_select,
	.drv_rx_select = vnet_drv_rx_select,
	.drv_tx_select = vnet_drv_tx_select,
	.cut_burst = vnet_cut_burst,
	.drv_rx_fill = vnet_drv_rx_fill,
	.drv_tx_clean = vnet_drv_tx_clean,
};
