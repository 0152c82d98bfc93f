#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
#
# Usage: devtools/orderings.py PREFIX plain|lse OBJDUMP FILE...
#
# Which instructions order memory in each function that has to, in archives and objects for arm64,
# compiled for any such processor (plain) or for those with atomic instructions (lse). An emulator
# on x86-64 cannot miss one, so look at them. Prints a line "ok PREFIX/FUNCTION" or "not ok
# PREFIX/FUNCTION - REASON" for each row below. A function that is not there fails.

import collections
import re
import subprocess
import sys

# Function, what it has to have, and what it must not. What is named twice is to be there twice.
# Those with `orderings` in their names are in app/test/orderings.c. The letter is that of a
# barrier in doc/guides/prog_guide/barriers.rst.
PROCESSOR, DEVICE = r"dmb\s+ish\b", r"dmb\s+osh\b"
STORES_FOR_DEVICE, LOADS_OF_DEVICE = r"dmb\s+oshst\b", r"dmb\s+oshld\b"
FOR_ANY_DEVICE = r"dmb\s+osh"
STORE8, STORE16 = r"stlrb\s+w", r"stlrh\s+w"
STORE32, STORE64 = r"stlr\s+w", r"stlr\s+x"
LOAD8, LOAD16 = r"ldarb\s+w", r"ldarh\s+w"
LOAD32, LOAD64 = r"ldar\s+w", r"ldar\s+x"
# Without atomic instructions they are functions of the compiler's.
EXCHANGE, EXCHANGE_FIRST = "exchange", "exchange, acquire"
EXCHANGES = {
    "plain": {EXCHANGE: r"<__aarch64_swp4_acq_rel>", EXCHANGE_FIRST: r"<__aarch64_swp4_acq>"},
    "lse": {EXCHANGE: r"swpal\s+w", EXCHANGE_FIRST: r"swpa\s+w"},
}
ROWS = [
    # A
    ("orderings_driver_publishes_split", [STORE16, STORES_FOR_DEVICE], []),
    ("orderings_driver_publishes_packed", [STORE16, STORES_FOR_DEVICE], []),
    ("orderings_driver_adds_packed", [STORE16, STORES_FOR_DEVICE], []),
    ("orderings_driver_puts_packed", [STORE64, STORES_FOR_DEVICE], []),
    ("virtq_drv_notify_device", [STORES_FOR_DEVICE], []),
    ("orderings_device_looks_split", [LOAD16], [FOR_ANY_DEVICE]),
    ("orderings_device_fetches_packed", [LOAD64], [FOR_ANY_DEVICE]),
    ("virtq_dev_ahead", 2 * [LOAD16], [FOR_ANY_DEVICE]),
    ("cvq_fetch_split", [LOAD16], [FOR_ANY_DEVICE]),
    ("cvq_fetch_packed", [LOAD64], [FOR_ANY_DEVICE]),
    # B
    ("orderings_device_uses_split", [STORE16], [FOR_ANY_DEVICE]),
    ("orderings_device_uses_packed", [STORE64], [FOR_ANY_DEVICE]),
    ("orderings_driver_takes_split", [LOAD16, LOADS_OF_DEVICE], []),
    ("orderings_driver_takes_packed", [LOAD64, LOADS_OF_DEVICE], []),
    ("orderings_driver_takes_many", [LOAD64, LOADS_OF_DEVICE], []),
    ("virtq_drv_sync_done", [LOAD16, LOAD64] + 2 * [LOADS_OF_DEVICE], []),
    ("virtq_dev_push_kept", [STORE64], [FOR_ANY_DEVICE]),
    ("virtq_saved_place", 2 * [STORE64], [FOR_ANY_DEVICE]),
    # C
    ("orderings_driver_kicks_split", [PROCESSOR, DEVICE], []),
    ("orderings_driver_kicks_packed", [PROCESSOR, DEVICE], []),
    ("orderings_device_calls_split", [PROCESSOR], [FOR_ANY_DEVICE]),
    ("orderings_device_calls_packed", [PROCESSOR], [FOR_ANY_DEVICE]),
    ("virtq_drv_calls_on", [PROCESSOR, DEVICE, STORE16, STORES_FOR_DEVICE], []),
    ("virtq_dev_kicks_on", [PROCESSOR, STORE16], [FOR_ANY_DEVICE]),
    # D
    ("virtq_dev_log_written", [PROCESSOR], []),
    ("virtq_dev_log_used", [PROCESSOR], []),
    ("virtq_dev_log_returned", [PROCESSOR], []),
    ("virtq_dev_log_events", [PROCESSOR], []),
    ("cvq_answer", [PROCESSOR], []),
    # E
    ("virtq_iotlb_view_miss", [EXCHANGE], []),
    ("virtq_iotlb_view_look", [STORE32], []),
    ("virtq_iotlb_view_next_miss", [LOAD64], []),
    ("virtq_iotlb_view_answer", [STORE32], []),
    ("virtq_iotlb_view_begin", [EXCHANGE_FIRST, LOAD64], []),
    # F
    ("vring_intr_rx_enable", [PROCESSOR], []),
    ("vring_intr_follow", [PROCESSOR], []),
    # G
    ("orderings_burst_enters", [PROCESSOR, LOAD64], []),
    ("orderings_burst_leaves", [STORE32], []),
    ("virtq_rcu_publish_many", [STORE64, PROCESSOR, LOAD32], []),
    # H
    ("virtq_caller_post", [EXCHANGE], []),
    ("virtq_caller_step", [EXCHANGE], []),
    # Zero-copy
    ("vnet_zc_buf_returned", [STORE8], []),
    ("orderings_device_collects", [LOAD8], []),
]


def functions(objdump, files):
    """The instructions of each function, by its name."""
    dump = subprocess.run([objdump, "-d", "--no-show-raw-insn", *files], check=True,
                          capture_output=True, text=True).stdout
    body = {}
    for part in re.split(r"^(?=[0-9a-f]+ <)", dump, flags=re.M):
        named = re.match(r"[0-9a-f]+ <([^>]+)>:\n", part)
        if named:
            body[named[1]] = part[named.end():]
    return body


def fault(body, wanted, unwanted, exchanges):
    """What is wrong with a function of these instructions, or None."""
    if body is None:
        return "no such function"
    for what, least in collections.Counter(wanted).items():
        pattern = exchanges.get(what, what)
        found = len(re.findall(pattern, body))
        if found < least:
            return f"has '{pattern}' {found} times, not {least}"
    for pattern in unwanted:
        if re.search(pattern, body):
            return f"has '{pattern}', which it need not"
    return None


def main():
    prefix, kind, objdump, *files = sys.argv[1:]
    body = functions(objdump, files)
    wrong = 0
    for name, wanted, unwanted in ROWS:
        why = fault(body.get(name), wanted, unwanted, EXCHANGES[kind])
        wrong += why is not None
        print(f"not ok {prefix}/{name} - {why}" if why else f"ok {prefix}/{name}")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
