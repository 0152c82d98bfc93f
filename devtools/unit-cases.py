#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Usage: devtools/unit-cases.py CONFIGURATION TESTLOG_JSON

Prints the test cases in the log of "meson test" as "ok" and "not ok" lines. A program that
fails without a case that failed (a crash, a leak, no answer) counts as a case of its own.
"""

import json
import re
import sys

CASE = re.compile(r'^(not ok|ok) \d+ -? ?(.*)$', re.M)


def report(program, test):
    failed = False
    for verdict, case in CASE.findall(test['stdout']):
        if 'SKIP' in case.upper():
            verdict = 'not ok'
        failed |= verdict != 'ok'
        print(verdict, f'{program}/{case}', end=' - failed\n' if verdict != 'ok' else '\n')
    if test['result'] != 'OK':
        for line in (test['stdout'] + test.get('stderr', '')).splitlines()[-60:]:
            print('#', line)
        if not failed:
            print(f'not ok {program} - {test["result"]}, status {test["returncode"]}')


configuration, log = sys.argv[1:]
with open(log) as lines:
    for line in lines:
        entry = json.loads(line)
        report(f'{configuration}/{entry["name"]}', entry)
