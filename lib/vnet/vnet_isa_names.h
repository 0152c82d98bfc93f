/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Included before all else wherever a source is compiled for an ISA level: each
 * function that others call gets the suffix VNET_ISA, since it exists once for each level. A
 * name that is missing here is defined twice, and linking fails.
 */
#ifndef VNET_ISA_NAMES_H
#define VNET_ISA_NAMES_H

#define VNET_ISA_PASTE(name, level) name ## _ ## level
#define VNET_ISA_EXPAND(name, level) VNET_ISA_PASTE(name, level)
#define VNET_ISA_NAME(name) VNET_ISA_EXPAND(name, VNET_ISA)

#define vnet_isa_ops VNET_ISA_NAME(vnet_isa_ops)
#define vnet_dev_rx_select VNET_ISA_NAME(vnet_dev_rx_select)
#define vnet_dev_tx_select VNET_ISA_NAME(vnet_dev_tx_select)
#define vnet_drv_rx_select VNET_ISA_NAME(vnet_drv_rx_select)
#define vnet_drv_tx_select VNET_ISA_NAME(vnet_drv_tx_select)
#define vnet_drv_frame_is_mapped VNET_ISA_NAME(vnet_drv_frame_is_mapped)
#define vnet_drv_frame_any VNET_ISA_NAME(vnet_drv_frame_any)
#define vnet_cut_burst VNET_ISA_NAME(vnet_cut_burst)
#define vnet_offload_is_cut VNET_ISA_NAME(vnet_offload_is_cut)
#define vnet_drv_rx_fill VNET_ISA_NAME(vnet_drv_rx_fill)
#define vnet_drv_tx_clean VNET_ISA_NAME(vnet_drv_tx_clean)
#define vnet_offload_hdr_ok VNET_ISA_NAME(vnet_offload_hdr_ok)
#define vnet_offload_rx VNET_ISA_NAME(vnet_offload_rx)
#define vnet_offload_tx VNET_ISA_NAME(vnet_offload_tx)
#define vnet_offload_segment VNET_ISA_NAME(vnet_offload_segment)

#endif /* VNET_ISA_NAMES_H */
