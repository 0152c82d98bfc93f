# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Trees of other Debian releases, and what runs in them. Sourced after lib.sh, by root.
#
# They come from the archives of the machine's apt, and are kept in .cache/debian-SUITE:
#
#	base	the smallest that debootstrap makes
#	build	with DPDK as well, and with what the scripts that run in it install and leave
#
# A test that is to find nothing but a bare Debian enters a copy of base that ends with it.

# debian_archive: where the machine's own packages are from.
debian_archive()
{
	local uri

	uri=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' 'Component: main' \
		'Identifier: Packages' | head -n 1)
	[ -n "$uri" ] || die "apt knows no archive of Debian"
	echo "$uri"
}

# debian_suite RELEASE: the Debian that has this release of DPDK; nothing where none has.
debian_suite()
{
	case $1 in
	22.11) echo bookworm ;;
	24.11) echo trixie ;;
	25.11) echo sid ;;
	esac
}

# _no_services TREE: what is installed there starts no service, and stops none.
_no_services()
{
	rm -f "$1/usr/sbin/policy-rc.d"		# may be a link to a file out here
	printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
	chmod 755 "$1/usr/sbin/policy-rc.d"
}
export -f _no_services

# debian_enter TREE [--copy DIR] [--bind ro|rw FROM TO]... COMMAND...: run it there, in name spaces
# of its own: what is mounted and what runs ends with it. With --copy it runs in a copy of the
# tree, which ends with it as well; DIR is an empty directory. The machine's FROM is TO there.
debian_enter()
{
	# shellcheck disable=SC2016	# for the inner shell to expand
	unshare --mount --pid --fork --kill-child bash -euc '
		tree=${1%/}
		shift
		if [ "$1" = --copy ]; then
			mount -t tmpfs tmpfs "$2"
			mkdir "$2/upper" "$2/work" "$2/tree"
			mount -t overlay overlay "$2/tree" \
				-o "lowerdir=${tree:-/},upperdir=$2/upper,workdir=$2/work"
			tree=$2/tree
			_no_services "$tree"
			shift 2
		fi
		while [ "$1" = --bind ]; do
			mkdir -p "$tree$4"
			mount --bind -o "$2" "$3" "$tree$4"
			shift 4
		done
		mount -t proc proc "$tree/proc"
		mount --rbind /sys "$tree/sys"
		mount --rbind /dev "$tree/dev"
		mount -t tmpfs tmpfs "$tree/run"
		# Not as the first process of the name space, which timeout(1) refuses to be.
		status=0
		env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
			DEBIAN_FRONTEND=noninteractive PATIENCE="${PATIENCE:-1}" \
			STEPS_SINCE="$STEPS_SINCE" chroot "$tree" "$@" || status=$?
		exit $status' bash "$@"
}
export -f debian_enter	# run_inside calls it from another shell

# run_inside PID_FILE COMMAND...: in a process group of its own, which end_inside ends.
run_inside()
{
	local status=0

	# shellcheck disable=SC2016	# for the inner shell to expand
	setsid --wait bash -c 'echo $$ >"$1"; shift; "$@"' bash "$@" </dev/null || status=$?
	: >"$1"
	return $status
}

# end_inside PID_FILE: on_exit, since the signal that ends a script may be for the script alone. The
# file comes from mktemp: one that is kept might name the process of somebody else.
end_inside()
{
	local pid

	pid=$(cat "$1")
	rm -f "$1"
	[ -n "$pid" ] && kill -TERM -- "-$pid" 2>/dev/null || return 0
	for _ in {1..100}; do
		kill -0 -- "-$pid" 2>/dev/null || return 0
		sleep 0.1
	done
	kill -KILL -- "-$pid"
}

# debian_base SUITE
debian_base()
{
	local place=$ROOT/.cache/debian-$1 uri

	[ ! -d "$place/base" ] || return 0
	uri=$(debian_archive)
	need_packages debootstrap util-linux
	step "installing Debian's $1"
	mkdir -p "$place"
	rm -rf --one-file-system "$place/base.new"
	# It mounts /proc and /sys there, and leaves them if it is interrupted.
	unshare --mount debootstrap --variant=minbase "$1" "$place/base.new" "$uri" \
		>"$place/base.log" 2>&1 ||
		die "debootstrap: $(tail -n 1 "$place/base.log"), see $place/base.log"
	# What is installed there waits for no disk.
	echo force-unsafe-io >"$place/base.new/etc/dpkg/dpkg.cfg.d/unsafe-io"
	_no_services "$place/base.new"
	mv "$place/base.new" "$place/base"
}

# debian_build SUITE
debian_build()
{
	local place=$ROOT/.cache/debian-$1 log=$ROOT/.cache/debian-$1/build.log

	[ ! -d "$place/build" ] || return 0
	debian_base "$1"
	step "installing DPDK in Debian's $1"
	rm -rf --one-file-system "$place/build.new"
	cp -a "$place/base" "$place/build.new"
	debian_enter "$place/build.new" apt-get -qq install -y --no-install-recommends \
		python3 dpdk dpdk-dev libdpdk-dev >"$log" 2>&1 ||
		die "apt-get: $(grep '^E:' "$log" | tail -n 1), see $log"
	mv "$place/build.new" "$place/build"
}

# copy_tree DIR: this tree as it is, without what is built; files that are the same stay.
copy_tree()
{
	local old

	mkdir -p "$1"
	old=$(cd "$1" && find . -type f -not -path './build*' -not -path './.cache/*' | sort)
	git ls-files -z --cached --others --exclude-standard |
		tar -c --null --ignore-failed-read -T - 2>/dev/null | tar -x -C "$1"
	comm -23 <(echo "$old") <(git ls-files --cached --others --exclude-standard |
		sed 's,^,./,' | sort) | (cd "$1" && xargs -r -d '\n' rm -f)
}
