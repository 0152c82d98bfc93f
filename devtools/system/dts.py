# SPDX-License-Identifier: BSD-3-Clause
"""Of each of DPDK's test plans a case or more: devtools/dts runs all of them."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../board"))

import case as board  # noqa: E402
import plans  # noqa: E402


def run(report):
    for plan in plans.PLANS:
        daily = [case for case in plan.cases if case.number in plan.daily]
        for case in daily:
            report.case("%s-%s" % (plan.name, case.number), case.run)
        board.finish(daily)
