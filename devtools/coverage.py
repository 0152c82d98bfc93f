#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Usage: devtools/coverage.py BUILD_DIRECTORY [--by-test [PROGRAM]...]

What devtools/coverage does after the build. A unit is a test program, or one case of it.
"""

import collections
import concurrent.futures
import fnmatch
import json
import os
import shutil
import subprocess
import sys
import threading

TIMEOUT = 900   # seconds of a unit; what is counted is slow
SOURCES = ('lib/', 'drivers/')
# No kind of branch is excluded: C throws nothing, and without optimization no line without code
# has a branch.
GCOVR = ['gcovr'] + [word for folder in SOURCES for word in ('--filter', folder)]

Unit = collections.namedtuple('Unit', 'name command environment')
# gcov writes into the directory of the build, under names that do not depend on who runs it.
gcov_lock = threading.Lock()


def output_of(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def gcovr(*arguments):
    subprocess.run([*GCOVR, '--json', *arguments], check=True)


def cases_of(command):
    """A fuzz target has none."""
    listed = subprocess.run([*command, '--list'], stdout=subprocess.PIPE, text=True)
    return listed.stdout.splitlines() if listed.returncode == 0 else []


def units_of(build, by_case):
    for test in json.loads(output_of('meson', 'introspect', '--tests', build)):
        name, command, environment = test['name'], test['cmd'], {**os.environ, **test['env']}
        split = any(fnmatch.fnmatch(name, pattern) for pattern in by_case)
        cases = cases_of(command) if split else []
        for case in cases:
            yield Unit(f'{name}:{case.replace("/", ":")}', [*command, case], environment)
        if not cases:
            yield Unit(name, command, environment)


def read_counts(build, directory, json_file):
    """Beside each of the program's files gcov wants the compiler's."""
    for folder, _, files in os.walk(directory):
        for name in files:
            if name.endswith('.gcda'):
                notes = os.path.join(folder, name[:-len('da')] + 'no')
                os.symlink(os.path.abspath(os.path.join(build, os.path.relpath(notes, directory))),
                           notes)
    with gcov_lock:
        gcovr(json_file, '--object-directory', build, directory)
    shutil.rmtree(directory)


def run(build, out, unit):
    """Returns what was wrong, if anything."""
    directory = os.path.join(out, unit.name)
    os.mkdir(directory)
    environment = {**unit.environment, 'GCOV_PREFIX': os.path.abspath(directory),
                   'GCOV_PREFIX_STRIP': str(os.path.abspath(build).count('/'))}
    wrong = None
    with open(directory + '.log', 'wb') as log:
        try:
            status = subprocess.run(unit.command, env=environment, stdin=subprocess.DEVNULL,
                                    stdout=log, stderr=log, timeout=TIMEOUT).returncode
            if status != 0:
                wrong = f'ended with status {status}'
        except subprocess.TimeoutExpired:
            wrong = f'did not end in {TIMEOUT} s'
    read_counts(build, directory, directory + '.json')
    return wrong and f'{unit.name} {wrong}, see {directory}.log'


def read_nothing(build, json_file):
    """What there is to cover, in the objects that the build knows: others may lie about."""
    directory = json_file[:-len('.json')]
    with open(os.path.join(build, 'compile_commands.json')) as commands:
        objects = [entry['output'] for entry in json.load(commands)
                   if entry['output'].startswith(SOURCES)]
    for name in objects:
        notes = os.path.join(directory, name[:-len('o')] + 'gcno')
        os.makedirs(os.path.dirname(notes), exist_ok=True)
        os.symlink(os.path.abspath(os.path.join(build, os.path.relpath(notes, directory))), notes)
    gcovr(json_file, '--object-directory', build, directory)
    shutil.rmtree(directory)


def lines_and_branches(json_file):
    """Yields the file, what a line or branch is known by in it, is it a branch, its count."""
    with open(json_file) as text:
        files = json.load(text)['files']
    for entry in files:
        for line in entry['lines']:
            if line['gcovr/noncode'] or line.get('gcovr/excluded'):
                continue
            yield entry['file'], line['line_number'], False, line['count']
            for number, branch in enumerate(line['branches']):
                yield entry['file'], (line['line_number'], number), True, branch['count']


def without_loss(covered, times):
    """Those that can go together, the smallest first; not the largest such set there is."""
    times = collections.Counter(times)
    for name, items in sorted(covered.items(), key=lambda row: len(row[1])):
        if all(times[item] > 1 for item in items):
            times.subtract(items)
            yield name


def print_by_test(out, units):
    covered = {unit.name: {(file, where, branch)
                           for file, where, branch, count
                           in lines_and_branches(os.path.join(out, unit.name + '.json')) if count}
               for unit in units}
    times = collections.Counter(item for items in covered.values() for item in items)
    rows = []
    for name, items in covered.items():
        own = [item for item in items if times[item] == 1]
        own_branches = sum(item[2] for item in own)
        branches = sum(item[2] for item in items)
        rows.append((len(own) - own_branches, own_branches, len(items) - branches, branches, name))
    print(f'{"lines":>8} {"branches":>8} {"lines of":>8} {"branches of":>11}')
    print(f'{"":>8} {"":>8} {"its own":>8} {"its own":>11}  test')
    for own, own_branches, lines, branches, name in sorted(rows):
        print(f'{lines:8} {branches:8} {own:8} {own_branches:11}  {name}')
    print('covered without these as well:', *without_loss(covered, times), '\n')


def share(part, whole):
    return f'{part} of {whole} ({100 * part / max(whole, 1):.1f} %)'


def print_by_folder(json_file):
    found = collections.defaultdict(lambda: [0, 0, 0, 0])
    for file, _, branch, count in lines_and_branches(json_file):
        for numbers in found[os.path.dirname(file)], found[None]:
            numbers[2 * branch] += count > 0
            numbers[2 * branch + 1] += 1
    total = found.pop(None)
    print(f'{"lines":<26} {"branches":<26} folder')
    for folder, numbers in sorted(found.items()):
        print(f'{share(*numbers[:2]):<26} {share(*numbers[2:]):<26} {folder}')
    print('lines:', share(*total[:2]))
    print('branches:', share(*total[2:]))


def main(build, by_test=None, *by_case):
    out = os.path.join(build, 'coverage')
    shutil.rmtree(out, ignore_errors=True)
    os.mkdir(out)
    units = list(units_of(build, by_case))
    wrong = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [pool.submit(run, build, out, unit) for unit in units]
        for done, future in enumerate(concurrent.futures.as_completed(runs), 1):
            wrong += [future.result()] if future.result() else []
            if sys.stderr.isatty():
                print(f'\r{done} of {len(units)} tests', end='', file=sys.stderr)
    read_nothing(build, os.path.join(out, 'none.json'))
    total = os.path.join(out, 'total.json')
    gcovr(total, '--add-tracefile', os.path.join(out, '*.json'))
    if by_test:
        print_by_test(out, units)
    print_by_folder(total)
    for text in wrong:
        print('coverage:', text, file=sys.stderr)
    return 1 if wrong else 0


sys.exit(main(*sys.argv[1:]))
