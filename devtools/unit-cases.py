#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Usage: devtools/unit-cases.py CONFIGURATION TESTLOG_JSON [CANNOT]

Prints the test cases in the log of "meson test" as "ok" and "not ok" lines. A program that
fails without a case that failed (a crash, a leak, no answer) counts as a case of its own.
CANNOT: cases that the machine cannot run, a line "PROGRAM/CASE" each. Where the program is in the
log they have to fail, and are not counted then.
"""

import json
import re
import sys

CASE = re.compile(r'^(not ok|ok) \d+ -? ?(.*)$', re.M)


def report(program, test, cannot):
    failed = excused = 0
    missing = {name for name in cannot if name.startswith(f'{test["name"]}/')}
    for verdict, case in CASE.findall(test['stdout']):
        name = f'{test["name"]}/{case.split(" ")[0]}'
        if name in cannot:
            missing.discard(name)
            excused += verdict != 'ok'
            if verdict == 'ok':
                print(f'not ok {program}/{case} - passes, and is listed as one that cannot')
            continue
        if 'SKIP' in case.upper():
            verdict = 'not ok'
        failed += verdict != 'ok'
        print(verdict, f'{program}/{case}', end=' - failed\n' if verdict != 'ok' else '\n')
    for name in sorted(missing):
        print(f'not ok {program}/{name.split("/")[1]} - listed as one that cannot, and not there')
    # A program that comes to its end has the number of cases that failed as its status.
    if test['result'] != 'OK' and (failed or not excused or test['returncode'] != excused):
        for line in (test['stdout'] + test.get('stderr', '')).splitlines()[-60:]:
            print('#', line)
        if not failed:
            print(f'not ok {program} - {test["result"]}, status {test["returncode"]}')


configuration, log = sys.argv[1:3]
listed = set('\n'.join(sys.argv[3:]).splitlines())
with open(log) as lines:
    for line in lines:
        entry = json.loads(line)
        report(f'{configuration}/{entry["name"]}', entry, listed)
