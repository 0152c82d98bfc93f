# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# What the builders of guest images share: kernel packages, and an initramfs of busybox, modules
# of that kernel, programs of this machine with the shared libraries they load, and the command
# agent init (see bed.py, class Guest). To be sourced after lib.sh.
#
#	kernel_fetch DIRECTORY PACKAGE-NAMING-FUNCTION
#	initramfs_begin DIRECTORY KERNEL-TREE
#	initramfs_module NAME...
#	initramfs_program NAME...
#	initramfs_file FILE...
#	initramfs_end INITRD

# kernel_fetch DIR PACKAGES: download into DIR what the command PACKAGES prints the names of,
# asked again after the package lists were refreshed where that does not work at once.
kernel_fetch()
{
	local dir=$1 names=$2 packages

	rm -rf "$dir"
	mkdir -p "$dir"
	download()
	{
		mapfile -t packages < <($names)
		[ ${#packages[@]} -gt 0 ] && (cd "$dir" &&
			apt-get download -qq -o APT::Sandbox::User=root "${packages[@]}")
	}
	if ! download 2>/dev/null; then
		apt-get update -qq || true
		download || die "cannot download ${packages[*]:-the kernel: $names finds none}"
	fi
}

# initramfs_begin DIR TREE: an initramfs with busybox, to be made in DIR; TREE is an unpacked
# linux-image package.
initramfs_begin()
{
	local applet

	tree=$2
	moddir=$(echo "$tree"/lib/modules/* "$tree"/usr/lib/modules/*)
	moddir=$(printf '%s\n' $moddir | grep -v '\*' | head -n 1)
	release=${moddir##*/}
	[ -s "$moddir/modules.dep" ] || depmod -b "${moddir%/lib/modules/*}" "$release"
	root=$(mktemp -d "$1/root.XXXXXX")
	on_exit rm -rf "$root" "$root.initrd"
	chmod 755 "$root"
	mkdir -p "$root"/{bin,dev,etc,proc,run,sys,tmp,root,modules}
	cp "$(command -v busybox)" "$root/bin/busybox"
	for applet in $("$root/bin/busybox" --list); do
		[ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"
	done
	cp "$ROOT/devtools/guest/init" "$root/init"
	chmod 755 "$root/init"
	number=100
}

# initramfs_module_file FILE: a module, under a name that says after which others it is loaded.
initramfs_module_file()
{
	local name

	name=$(basename "$1" .xz)
	! ls "$root"/modules/*-"$name" > /dev/null 2>&1 || return 0
	number=$((number + 1))
	case $1 in
	*.xz) xz -dc "$1" > "$root/modules/$number-$name" ;;
	*) cp "$1" "$root/modules/$number-$name" ;;
	esac
}

# initramfs_module NAME...: of the kernel's modules, with those they need.
initramfs_module()
{
	local module verb file

	for module; do
		while read -r verb file _; do
			[ "$verb" != insmod ] || initramfs_module_file "$file"
		done < <(modprobe -d "${moddir%/lib/modules/*}" -S "$release" \
			--show-depends "$module")
	done
}

# to the same place below the root, once; links stay links, for what is found under two names
# must still be one file
_initramfs_copy()
{
	local file=$1 target

	while [ ! -e "$root$file" ] && [ ! -L "$root$file" ]; do
		mkdir -p "$root$(dirname "$file")"
		cp -P "$file" "$root$file"
		[ -L "$file" ] || return 0
		target=$(readlink "$file")
		case $target in
		/*) file=$target ;;
		*) file=$(dirname "$file")/$target ;;
		esac
	done
}

# initramfs_file FILE...: files of this machine at their own path, and the libraries they load.
initramfs_file()
{
	local file library

	for file; do
		_initramfs_copy "$file"
		for library in $(ldd "$file" 2>/dev/null | grep -o '/[^ ]*'); do
			_initramfs_copy "$library"
		done
	done
}

# initramfs_program NAME...: programs of this machine's PATH, to /bin.
initramfs_program()
{
	local program file library

	for program; do
		file=$(command -v "$program") || die "no program $program"
		rm -f "$root/bin/$program"
		cp -L "$file" "$root/bin/$program"
		for library in $(ldd "$file" | grep -o '/[^ ]*'); do
			_initramfs_copy "$library"
		done
	done
}

# initramfs_end INITRD: make it of that, and put the kernel and the names of all files beside it, as
# vmlinux and files. Neither is compressed: that costs each guest seconds.
initramfs_end()
{
	if [ -e /etc/ld.so.conf ]; then
		cp -r /etc/ld.so.conf /etc/ld.so.conf.d "$root/etc/"
		ldconfig -r "$root" 2> /dev/null || true
	fi
	(cd "$root" && find . ! -type d -printf '/%P\n') > "$(dirname "$1")/files"
	(cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) > "$root.initrd"
	"$ROOT/devtools/guest/vmlinux" "$tree"/boot/vmlinuz-* "$(dirname "$1")/vmlinux"
	mv "$root.initrd" "$1"
}
