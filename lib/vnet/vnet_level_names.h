/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Included before all else wherever a source is compiled for an instruction-set level: each
 * function that others call gets the suffix VNET_LEVEL, since it exists once for each level. A
 * name that is missing here is defined twice, and linking fails.
 */
#ifndef VNET_LEVEL_NAMES_H
#define VNET_LEVEL_NAMES_H

#define VNET_LEVEL_PASTE(name, level) name ## _ ## level
#define VNET_LEVEL_EXPAND(name, level) VNET_LEVEL_PASTE(name, level)
#define VNET_LEVEL_NAME(name) VNET_LEVEL_EXPAND(name, VNET_LEVEL)

#define vnet_level_ops VNET_LEVEL_NAME(vnet_level_ops)
#define vnet_dev_rx_select VNET_LEVEL_NAME(vnet_dev_rx_select)
#define vnet_dev_tx_select VNET_LEVEL_NAME(vnet_dev_tx_select)
#define vnet_drv_rx_select VNET_LEVEL_NAME(vnet_drv_rx_select)
#define vnet_drv_tx_select VNET_LEVEL_NAME(vnet_drv_tx_select)
#define vnet_drv_reaches VNET_LEVEL_NAME(vnet_drv_reaches)
#define vnet_drv_frame_any VNET_LEVEL_NAME(vnet_drv_frame_any)
#define vnet_drv_rx_fill VNET_LEVEL_NAME(vnet_drv_rx_fill)
#define vnet_drv_drain VNET_LEVEL_NAME(vnet_drv_drain)
#define vnet_drv_tx_clean VNET_LEVEL_NAME(vnet_drv_tx_clean)
#define vnet_rx_hdr_ok VNET_LEVEL_NAME(vnet_rx_hdr_ok)
#define vnet_rx_offload VNET_LEVEL_NAME(vnet_rx_offload)
#define vnet_tx_offload VNET_LEVEL_NAME(vnet_tx_offload)
#define vnet_tx_segment VNET_LEVEL_NAME(vnet_tx_segment)

#endif /* VNET_LEVEL_NAMES_H */
