# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Shell functions shared by the scripts of this directory.
#
# Usage, at the top of a bash script:
#	set -euo pipefail
#	. "$(dirname "$0")/lib.sh"
#
# Sets ROOT, the top of the source tree, and an EXIT trap that undoes, in reverse order,
# what was registered by on_exit. INT, TERM and HUP end the script through the same trap.
# With -h or --help among its arguments the script prints the comment at its head, and ends.

# shellcheck disable=SC2034	# used by the scripts
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PASSED=0
FAILED=0
WORD=
MATCHED=
_NO_CASE=5	# status of a program where no case has WORD in its name
_cleanups=()
_CALLED_IN=$PWD
export STEPS_SINCE=${STEPS_SINCE:-$EPOCHSECONDS}

for _arg; do
	case $_arg in
	-h | --help)
		awk 'NR > 3 && !/^#/ { exit } NR > 3 { sub(/^# ?/, ""); print }' "$0"
		exit 0
		;;
	esac
done

# step TEXT...: name what happens next, with the seconds since the outermost script began.
step()
{
	printf '[%4ds] %s\n' $((EPOCHSECONDS - STEPS_SINCE)) "$*"
}

# die TEXT...: say in one line what is wrong, and end.
die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# on_exit COMMAND [ARG]...: run COMMAND when the script ends, whichever way; last one first.
on_exit()
{
	[ "$BASHPID" = "$$" ] || die "on_exit $1: called from a subshell, which has no trap"
	_cleanups+=("$(printf '%q ' "$@")")
}

_run_cleanups()
{
	local status=$? i

	trap - EXIT
	trap '' INT TERM HUP
	set +e
	for ((i = ${#_cleanups[@]} - 1; i >= 0; i--)); do
		eval "${_cleanups[i]}"
	done
	exit "$status"
}

trap _run_cleanups EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# absolute PATH: as the caller of the script means it, who may be elsewhere.
absolute()
{
	(cd "$_CALLED_IN" && realpath -m -- "$1")
}

# need_root: end unless the script runs as root.
need_root()
{
	[ "$(id -u)" = 0 ] || die "must run as root"
}

# need_trusted_path: end where EAL would not load the plugin from the clone.
need_trusted_path()
{
	local dir=$ROOT

	while [ "$dir" != / ]; do
		[ -z "$(find "$dir" -maxdepth 0 -perm -002)" ] ||
			die "everyone may write in $dir, and EAL loads no plugin from below it:" \
				"clone elsewhere"
		dir=$(dirname "$dir")
	done
}

# missing_packages NAME...: print those that are not installed.
missing_packages()
{
	local name have

	have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
	for name; do
		grep -qx "installed $name" <<<"$have" || echo "$name"
	done
}

_apt()
{
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 \
		-o Dpkg::Use-Pty=0 "$@" </dev/null
}

# need_packages NAME...: install what is missing of the distribution's packages.
# The package lists are refreshed only where they do not lead to the packages.
need_packages()
{
	local log lacking

	command -v dpkg-query >/dev/null ||
		die "packages are installed by apt, which this machine lacks; needed: $*"
	mapfile -t lacking < <(missing_packages "$@")
	[ ${#lacking[@]} -gt 0 ] || return 0
	[ "$(id -u)" = 0 ] || die "must run as root to install: ${lacking[*]}"
	step "installing ${lacking[*]}"
	log=$(mktemp)
	if ! _apt install -y --no-install-recommends "${lacking[@]}" >"$log" 2>&1; then
		if ! { _apt update && _apt install -y --no-install-recommends "${lacking[@]}"; } \
			>"$log" 2>&1; then
			set -- "$(grep '^E:' "$log" | tail -n 1)"
			rm -f "$log"
			die "cannot install ${lacking[*]}: ${1:-apt-get failed}"
		fi
	fi
	rm -f "$log"
}

_HUGE=/sys/kernel/mm/hugepages/hugepages-2048kB

_hugepages_release()
{
	echo $(($(cat $_HUGE/nr_hugepages) - $1)) >$_HUGE/nr_hugepages
}

_hugetlbfs_release()
{
	umount /dev/hugepages 2>/dev/null || true	# where another process uses it by now
}

# hugepages_reserve N [beside]: see to it that N hugepages of 2 MiB are free, and that hugetlbfs is
# mounted. At exit as many are given back as were added: the former number, and right as
# well where two scripts overlap. "beside": those that are free are for another script that runs.
hugepages_reserve()
{
	local before after free

	[ -d $_HUGE ] || die "this machine has no hugepages of 2 MiB"
	free=$(cat $_HUGE/free_hugepages)
	[ "${2-}" != beside ] || free=0
	before=$(cat $_HUGE/nr_hugepages)
	if [ "$free" -lt "$1" ]; then
		need_root
		step "reserving $(($1 - free)) hugepages"
		sync
		echo 3 >/proc/sys/vm/drop_caches 2>/dev/null || true
		echo 1 >/proc/sys/vm/compact_memory 2>/dev/null || true
		echo $((before + $1 - free)) >$_HUGE/nr_hugepages
		after=$(cat $_HUGE/nr_hugepages)
		on_exit _hugepages_release $((after - before))
		[ $((free + after - before)) -ge "$1" ] ||
			die "only $((free + after - before)) of $1 hugepages of 2 MiB to be had:" \
				"not enough free memory"
	fi
	if ! grep -q ' hugetlbfs ' /proc/mounts; then
		need_root
		mkdir -p /dev/hugepages
		mount -t hugetlbfs -o pagesize=2M nodev /dev/hugepages
		on_exit _hugetlbfs_release
	fi
}

# ok NAME: count a test case that passed.
ok()
{
	PASSED=$((PASSED + 1))
	printf 'ok %s\n' "$1"
}

# not_ok NAME REASON...: count a test case that failed, and say why.
not_ok()
{
	local name=$1

	shift
	FAILED=$((FAILED + 1))
	printf 'not ok %s - %s\n' "$name" "$*"
}

# try NAME COMMAND [ARG]...: one test case that is a command. Of its output the steps are shown,
# and the end if it fails.
try()
{
	local name=$1 log

	shift
	log=$(mktemp)
	if "$@" 2>&1 | tee "$log" | sed -un '/^\[ *[0-9]*s\] /p'; then
		ok "$name"
	else
		tail -n 40 "$log" | sed 's/^/# /'
		not_ok "$name" "$(basename "$1") failed, see above"
	fi
	rm -f "$log"
}

# counted NAME COMMAND [ARG]...: many test cases, which COMMAND reports as it goes in lines
# "ok CASE" and "not ok CASE - REASON". All its output is shown but the totals. Where the script has
# set WORD, which the names of the cases are to contain, none may do so, and MATCHED becomes 1 if
# one does.
counted()
{
	local name=$1 cases=$((PASSED + FAILED)) failed=$FAILED status=0 line

	shift
	while IFS= read -r line; do
		case $line in
		"ok "*) PASSED=$((PASSED + 1)) ;;
		"not ok "*) FAILED=$((FAILED + 1)) ;;
		"# "*": left out: "*) MATCHED=1 ;;
		esac
		[[ $line =~ ^[0-9]+\ passed,\ [0-9]+\ failed$ ]] || printf '%s\n' "$line"
	done < <("$@" 2>&1)
	wait $! || status=$?
	[ "$cases" -eq $((PASSED + FAILED)) ] || MATCHED=1
	if [ "$status" -eq $_NO_CASE ] && [ -n "$WORD" ]; then
		:	# it may be elsewhere
	elif [ "$status" -ne 0 ] && [ "$FAILED" -eq "$failed" ]; then
		not_ok "$name" "ended with status $status"
	elif [ "$cases" -eq $((PASSED + FAILED)) ] && [ -z "$WORD" ]; then
		not_ok "$name" "ran no case"
	fi
}

# install_driver DIR: what "meson install" makes of build/, below DIR. "ninja uninstall" goes by the
# log of the last one, which stays that of the machine.
install_driver()
{
	local log=build/meson-logs/install-log.txt status=0

	rm -f "$log.kept"
	[ ! -e "$log" ] || mv "$log" "$log.kept"
	DESTDIR=$1 meson install -C build --no-rebuild --quiet --tags driver || status=$?
	rm -f "$log"
	[ ! -e "$log.kept" ] || mv "$log.kept" "$log"
	return $status
}

# totals: the last line of a test script. Its status is what the script should end with.
totals()
{
	printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
	[ "$FAILED" -eq 0 ]
}
