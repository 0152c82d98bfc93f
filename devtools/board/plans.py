# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's test plans for vhost and virtio, in the order of the board."""

import bonding
import container
import counted
import exceptional
import interrupt_plans
import kernel_vms
import loopback
import moving
import pvp_user
import pvp_vm
import reconnect
import vm2vm_pmd
import vm2vm_user

ORDER = (
    "loopback_multi_paths_port_restart", "loopback_multi_queues",
    "loopback_virtio_user_server_mode", "perf_virtio_user_loopback", "pvp_diff_qemu_version",
    "pvp_multi_paths_performance", "pvp_multi_paths_vhost_single_core_performance",
    "pvp_multi_paths_virtio_single_core_performance", "pvp_qemu_multi_paths_port_restart",
    "pvp_virtio_user_multi_queues_port_restart", "pvp_share_lib", "pvp_vhost_user_reconnect",
    "pvp_virtio_bonding", "pvp_virtio_user_2M_hugepages", "pvp_virtio_user_4k_pages",
    "vhost_1024_ethports", "vhost_multi_queue_qemu", "vhost_pmd_xstats", "vhost_qemu_mtu",
    "vhost_user_interrupt", "vhost_event_idx_interrupt", "vhost_virtio_user_interrupt",
    "vhost_virtio_user_interrupt_with_power_monitor", "vhost_virtio_pmd_interrupt",
    "virtio_event_idx_interrupt", "vhost_user_live_migration", "virtio_pvp_regression",
    "virtio_smoke", "virtio_user_as_exceptional_path", "virtio_user_for_container_networking",
    "vm2vm_virtio_net_perf", "vm2vm_virtio_pmd", "vm2vm_virtio_user",
)
PLANS = sorted(
    loopback.PLANS + pvp_user.PLANS + [counted.PORTS, counted.XSTATS, pvp_user.SMOKE] +
    vm2vm_user.PLANS + interrupt_plans.PLANS + exceptional.PLANS + container.PLANS +
    pvp_vm.PLANS + bonding.PLANS + pvp_vm.QUEUES + vm2vm_pmd.PLANS +
    reconnect.PLANS + kernel_vms.MTU + moving.PLANS + kernel_vms.VM2VM,
    key=lambda plan: ORDER.index(plan.name))
