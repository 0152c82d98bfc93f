# SPDX-License-Identifier: BSD-3-Clause
"""Runs the groups of system cases: main.py [FILTER]

FILTER selects the groups whose name contains it, or else, in all groups, the cases whose name
contains it; GROUP/PART selects cases of a group. Cases that need the same set-up share one, so a
filter that is not the name of a group may set up what it then makes no use of.
"""

import os
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../guest"))

import bed  # noqa: E402
import bell  # noqa: E402
import bother  # noqa: E402
import devargs  # noqa: E402
import docs  # noqa: E402
import front  # noqa: E402
import guests  # noqa: E402
import kill  # noqa: E402
import l2relay  # noqa: E402
import matrix  # noqa: E402
import ovs  # noqa: E402
import perf  # noqa: E402
import probe  # noqa: E402
import surface  # noqa: E402
import tap  # noqa: E402
import vdpa  # noqa: E402

GROUPS = {
    "matrix": matrix.run,
    "front": front.run,
    "fe-bell": bell.run,
    "fe-vdpa": vdpa.run,
    "fe-kill": kill.run,
    "probe": probe.run,
    "perf": perf.run,
    "l2relay": l2relay.run,
    "tap": tap.run,
    "agent": guests.agent,
    "guests-qemu7": guests.run7,
    "guests-qemu10": guests.run10,
    "queues-qemu10": guests.queues10,
    "queues-qemu7": guests.queues7,
    "restart-qemu10": guests.restart,
    "restart-qemu7": guests.restart7,
    "bother": bother.run,
    "remap": guests.remap,
    "ovs": ovs.run,
    "devargs": devargs.run,
    "docs": docs.run,
    "surface": surface.run,
}
# the status that says that no case has FILTER in its name
NO_CASE = 5
LOGS = os.path.join(bed.ROOT, "build/system-logs")


class Report:
    """Runs cases and prints one line for each."""

    def __init__(self, group, part):
        self.group, self.part = group, part
        self.failed = self.count = 0

    def case(self, name, function, *args, **options):
        """Run one case; True when it passed."""
        if self.part not in name:
            return True
        began = time.monotonic()
        reason = None
        try:
            function(*args, **options)
        except bed.Failure as failure:
            reason = str(failure)
        except Exception as error:  # pylint: disable=broad-except
            reason = "%s: %s" % (type(error).__name__, error)
        self.count += 1
        full = "%s/%s" % (self.group, name)
        if reason is None:
            print("ok " + full, flush=True)
        else:
            self.failed += 1
            print("not ok %s - %s" % (full, " ".join(reason.split())), flush=True)
            keep_logs(full)
        if os.environ.get("TIMES"):
            print("# %.1f s" % (time.monotonic() - began), flush=True)
        return reason is None


def keep_logs(name):
    """Put aside what the processes of a failed case said."""
    target = os.path.join(LOGS, name.replace("/", "."))
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    for file in os.listdir(bed.RUN):
        if file.endswith((".log", ".console")):
            shutil.copy(os.path.join(bed.RUN, file), target)


def main():
    group_part, _, case_part = (sys.argv[1] if len(sys.argv) > 1 else "").partition("/")
    chosen = [name for name in GROUPS if group_part in name]
    if not chosen:
        chosen, case_part = list(GROUPS), group_part
    failed = count = 0
    for name in chosen:
        report = Report(name, case_part)
        began = time.monotonic()
        try:
            GROUPS[name](report)
        except Exception as error:  # pylint: disable=broad-except
            report.failed += 1
            reason = str(error) if isinstance(error, bed.Failure) else repr(error)
            print("not ok %s - %s" % (name, " ".join(reason.split())), flush=True)
            keep_logs(name)
        finally:
            bed.stop_all()
        failed += report.failed
        count += report.count
        if os.environ.get("TIMES"):
            print("# group %s: %.1f s" % (name, time.monotonic() - began), flush=True)
    if not count and not failed:
        print("no system case has '%s' in its name; groups are %s" % (
            " ".join(sys.argv[1:]), ", ".join(GROUPS)), file=sys.stderr)
        sys.exit(NO_CASE)
    sys.exit(1 if failed else 0)


main()
