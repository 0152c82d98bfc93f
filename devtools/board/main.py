# SPDX-License-Identifier: BSD-3-Clause
"""Runs cases of DPDK's test plans: main.py [--peers] [--table FILE] [--list] [PLAN[/CASE]]..."""

import argparse
import csv
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
for _folder in ("../guest", "../system"):
    sys.path.insert(0, os.path.join(HERE, _folder))

import bed  # noqa: E402
import case as board  # noqa: E402
import plans  # noqa: E402

TABLE = os.path.join(bed.ROOT, "doc/guides/prog_guide/dts.csv")
HEADINGS = ["Plan", "Case", "What it asks", "Stands in", "net_vring", "DPDK's drivers"]
PASSED, FAILED, IMPOSSIBLE = "passed", "failed", "not possible here"


class Table:
    """The table of the guide: what came out the last time each case was run."""

    def __init__(self, path):
        self.path, self.rows = path, {}
        if os.path.exists(path):
            with open(path, newline="") as file:
                for row in list(csv.reader(file))[1:]:
                    self.rows[row[0], row[1]] = row

    def put(self, plan, case, peers, verdict):
        old = self.rows.get((plan, str(case.number)), [""] * len(HEADINGS))
        row = [plan, str(case.number), case.asks, case.stands_in] + old[4:]
        row[5 if peers else 4] = verdict
        if case.impossible:
            row[4:] = [verdict] * 2
        self.rows[plan, str(case.number)] = row
        self.write()

    def write(self):
        order = [(plan.name, str(case.number)) for plan in plans.PLANS for case in plan.cases]
        with open(self.path + ".new", "w", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(HEADINGS)
            out.writerows(self.rows[key] for key in order if key in self.rows)
        os.rename(self.path + ".new", self.path)


def chosen(filters):
    """The plans with those of their cases that the filters select."""
    found, unused = [], set(filters)
    for plan in plans.PLANS:
        cases = []
        for case in plan.cases:
            names = {plan.name, "%s/%s" % (plan.name, case.number)} & set(filters)
            unused -= names
            if names or not filters:
                cases.append(case)
        if cases:
            found.append((plan.name, cases))
    if unused:
        sys.exit("no case '%s'; plans are %s" % (
            min(unused), ", ".join(plan.name for plan in plans.PLANS)))
    return found


def one_case(case, peers):
    """The verdict of a case, and why."""
    if case.impossible:
        return IMPOSSIBLE, case.impossible
    try:
        case.run(peers)
    except Exception as error:  # pylint: disable=broad-except
        reason = str(error) if isinstance(error, bed.Failure) else repr(error)
        return FAILED, " ".join(reason.split())
    return PASSED, ""


def run_plan(name, cases, peers, table):
    """How many cases of a plan got which verdict."""
    count = dict.fromkeys((PASSED, FAILED, IMPOSSIBLE), 0)
    for case in cases:
        began = time.monotonic()
        verdict, why = one_case(case, peers)
        count[verdict] += 1
        print("%s dts/%s/%s%s (%.0f s)" % (
            {PASSED: "ok", FAILED: "not ok", IMPOSSIBLE: "not possible here:"}[verdict], name,
            case.number, why and " - " + why, time.monotonic() - began), flush=True)
        table.put(name, case, peers, "%s: %s" % (verdict, why) if case.impossible else verdict)
        if verdict == FAILED:
            bed.stop_all()
    board.finish(cases)
    return count


def main():
    parser = argparse.ArgumentParser(prog="devtools/dts")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--table", default=TABLE)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("filters", nargs="*", metavar="PLAN[/CASE]")
    arguments = parser.parse_args()
    selected = chosen(arguments.filters)
    if arguments.list:
        for name, cases in selected:
            for case in cases:
                print("%s/%s\t%s" % (name, case.number, case.asks))
        return 0
    total, table = {}, Table(arguments.table)
    for name, cases in selected:
        for verdict, count in run_plan(name, cases, arguments.peers, table).items():
            total[verdict] = total.get(verdict, 0) + count
    print("%d passed, %d failed, %d not possible here" % (
        total[PASSED], total[FAILED], total[IMPOSSIBLE]))
    return 1 if total[FAILED] else 0


sys.exit(main())
