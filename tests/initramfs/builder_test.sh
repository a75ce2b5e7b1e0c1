#!/bin/bash
# muster-mkinitramfs: what it builds, that it builds the same again, and what it says to wrong arguments.
#
#   builder_test.sh BUILDER BIN MUSTERD
#
# Works with a module tree of four tiny modules and stand-ins for mdadm, lvm and musterd, so it needs no kernel package.
set -u
export LC_ALL=C
builder=$(readlink -f "$1")
bin=$(readlink -f "$2")
musterd=$(readlink -f "$3")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

ok() { passed=$((passed + 1)); }
bad() {
	failed=$((failed + 1))
	echo "FAIL $*"
}
check() {  # WHAT COMMAND ..
	local what=$1
	shift
	if "$@" >"$work/check.out" 2>&1; then ok; else
		bad "$what"
		sed 's/^/     /' "$work/check.out"
	fi
}

# ---------------------------------------------------------------- what it builds from

mkdir -p "$work/bin" "$work/root/sbin" "$work/root/etc/modprobe.d" "$work/root/lib/modprobe.d" "$work/rules"
for name in muster-init muster-modprobe muster-modindex muster-mkcpio muster-unpack; do
	ln -s "$(readlink -f "$bin/$name")" "$work/bin/$name"
done
for file in "$bin"/no-lib*; do
	ln -s "$(readlink -f "$file")" "$work/bin/${file##*/}"
done
printf '#!/bin/sh\necho musterd\n' >"$work/bin/musterd"
printf '#!/bin/sh\necho muster\n' >"$work/bin/muster"
chmod 755 "$work/bin/musterd" "$work/bin/muster"
cp "$(readlink -f /bin/true)" "$work/root/sbin/mdadm"
cp "$(readlink -f /bin/true)" "$work/root/sbin/lvm"
echo 'KERNEL=="sd*", HANDLER+="probe"' >"$work/rules/50-probe.rules"
echo 'options useful size=7' >"$work/root/etc/modprobe.d/same.conf"
echo 'options useful size=1' >"$work/root/lib/modprobe.d/same.conf"

module() {  # PATH SOURCE
	mkdir -p "$(dirname "$work/tree/lib/modules/9.9/kernel/$1")"
	echo "$2" | gcc -x c -c -o "$work/tree/lib/modules/9.9/kernel/$1" - || exit 1
}
info='__attribute__((section(".modinfo"),used)) static const char'
module drivers/md/base.ko "$info l[]=\"license=GPL\"; __attribute__((section(\"__ksymtab_strings\"),used)) static const char s[]=\"base_symbol\"; int base_symbol;"
module drivers/md/useful.ko "$info a[]=\"alias=md-level-77\"; $info b[]=\"alias=block-major-9-*\"; $info c[]=\"softdep=pre: helper\"; extern int base_symbol; int f(void){return base_symbol;}"
module lib/helper.ko "$info l[]=\"license=GPL\";"
module drivers/net/card.ko "$info a[]=\"alias=pci:v00008086d0000100Esv*sd*bc*sc*i*\";"
touch "$work"/tree/lib/modules/9.9/modules.{order,builtin,builtin.modinfo}
depmod -b "$work/tree" 9.9 || exit 1
tree=$work/tree/lib/modules/9.9

build() { "$builder" --bin "$work/bin" --root "$work/root" --rules "$work/rules" "$@"; }
unpack() {  # IMAGE FOLDER
	mkdir -p "$2" && zstd -qdcf "$1" | (cd "$2" && cpio -idm --quiet --no-absolute-filenames 2>/dev/null)
}

# ---------------------------------------------------------------- the image

echo 'iso-prefix x' >"$work/mondo-restore.cfg"
mkdir -p "$work/folder/deep"
echo in >"$work/folder/deep/file"
ln -s deep/file "$work/folder/link"
check "builds" build --modules "$tree" --output "$work/a.img" --include "$work/mondo-restore.cfg:/tmp/mondo-restore.cfg" \
	--include "$work/folder:/opt/folder" --include "$work/mondo-restore.cfg:/opt/"
unpack "$work/a.img" "$work/a"
own=$work/a/usr/lib/muster

check "init leads to muster-init" test "$(readlink "$work/a/init")" = /usr/lib/muster/bin/muster-init
for name in musterd muster muster-init muster-modprobe muster-unpack mdadm lvm modprobe busybox; do
	check "program $name" test -x "$own/bin/$name"
done
check "a file is included" grep -qx 'iso-prefix x' "$work/a/tmp/mondo-restore.cfg"
check "a file is included below a folder" grep -qx 'iso-prefix x' "$work/a/opt/mondo-restore.cfg"
check "a folder is included" grep -qx in "$work/a/opt/folder/link"
check "mondorestore sees a ramdisk" test -e "$work/a/THIS-IS-A-RAMDISK"
check "mount /mnt/cdrom works" grep -q '^/dev/cdrom /mnt/cdrom ' "$work/a/etc/fstab"
check "terminfo" test -f "$work/a/lib/terminfo/v/vt102"
check "rules" test -f "$own/rules.d/50-probe.rules"
check "lvm knows that there is no udevd" grep -q 'udev_sync = 0' "$work/a/etc/lvm/lvm.conf"
check "modprobe.d of etc wins" grep -qx 'options useful size=7' "$own/modprobe.d/same.conf"
check "busybox has its names" test "$(readlink "$work/a/bin/sh")" = /usr/lib/muster/bin/busybox
check "busybox is not mdev here" test ! -e "$work/a/bin/mdev"
check "a console to start with" sh -c "zstd -qdc '$work/a.img' | cpio -itv 2>/dev/null | grep -q 'crw-------.* 5,   1 .*dev/console'"

# No program of ours may find a loader or a library outside of /usr/lib/muster.
for file in "$own"/bin/*; do
	interpreter=$(patchelf --print-interpreter "$file" 2>/dev/null) || continue
	check "loader of ${file##*/}" test "$interpreter" = /usr/lib/muster/lib/ld-linux-x86-64.so.2
	check "rpath of ${file##*/}" test "$(patchelf --print-rpath "$file")" = /usr/lib/muster/lib
done
for file in "$own"/lib/* "$own"/bin/*; do
	for name in $(patchelf --print-needed "$file" 2>/dev/null); do
		check "${file##*/} finds $name" test -e "$own/lib/$name"
	done
	case $(patchelf --print-rpath "$file" 2>/dev/null) in
	'' | /usr/lib/muster/lib) ok ;;
	*) bad "${file##*/} looks for libraries elsewhere" ;;
	esac
done
# the loader of the image alone must be able to start them
check "unpacked program starts" "$own/lib/ld-linux-x86-64.so.2" --library-path "$own/lib" "$own/bin/mdadm"

# ---------------------------------------------------------------- one file, several names

for name in muster-modprobe muster-unpack; do
	check "$name is muster-init's file" test "$(readlink "$own/bin/$name")" = muster-init
done
check "musterd and muster are two files here" test ! -L "$own/bin/musterd" -a ! -L "$own/bin/muster"
check "what is in only one place is a file" test ! -L "$own/bin/muster-init"
cp -rL "$work/bin" "$work/copies"
cp "$work/copies/musterd" "$work/copies/muster"
check "also of copies" "$builder" --bin "$work/copies" --root "$work/root" --rules "$work/rules" --no-modules --compress none \
	--output "$work/copies.img"
unpack "$work/copies.img" "$work/copies.d"
check "a copy of muster-init is a link" test "$(readlink "$work/copies.d/usr/lib/muster/bin/muster-unpack")" = muster-init
check "a copy of musterd is a link" test "$(readlink "$work/copies.d/usr/lib/muster/bin/muster")" = musterd
says() {  # STATUS TEXT COMMAND ..
	local status=$1 text=$2 output got
	shift 2
	output=$("$@" 2>&1)
	got=$?
	[ $got = "$status" ] || { echo "status $got, not $status: $output" && return 1; }
	case $output in *"$text"*) ;; *) echo "wanted '$text', got '$output'" && return 1 ;; esac
}
check "called muster-init" says 2 "muster-init: I am the first process" "$own/bin/muster-init"
check "called init" says 2 "muster-init: I am the first process" bash -c "exec -a /init '$own/bin/muster-init'"
check "called muster-modprobe" says 1 "" "$own/bin/muster-modprobe"
check "called muster-unpack" says 2 "muster-unpack: say extract or tools" "$own/bin/muster-unpack"
ln -s "$own/bin/muster-init" "$work/muster-else"
check "called otherwise" says 2 "muster-else: I am muster-init, muster-modprobe and muster-unpack" "$work/muster-else"
check "called musterd" says 0 "Usage: musterd [OPTIONS]" "$musterd" --help
ln -s "$musterd" "$work/muster"
check "called muster" says 0 "Usage: muster [OPTIONS] SUBCOMMAND" "$work/muster" --help
ln -s "$musterd" "$work/mustered"
check "called neither" says 2 "mustered: I am musterd and muster" "$work/mustered" --help

# ---------------------------------------------------------------- what stands in for large libraries

loader() { "$own/lib/ld-linux-x86-64.so.2" --library-path "$own/lib" "$@"; }
check "the stand-in for libcrypto" test "$(stat -c %s "$own/lib/libcrypto.so.3")" -lt 65536
check "modprobe starts with it" loader "$own/bin/modprobe" --version
ln -s "$own/bin/modprobe" "$work/modinfo"
# A module with something behind it that says of itself that it is a signature (struct module_signature: PKCS#7, 64 bytes).
{
	cat "$tree/kernel/drivers/md/useful.ko"
	head -c 64 /dev/zero
	printf '\0\0\2\0\0\0\0\0\0\0\0\100~Module signature appended~\n'
} >"$work/signed.ko"
check "modinfo of a signed module" says 0 md-level-77 loader --argv0 modinfo "$own/bin/modprobe" "$work/signed.ko"
check "lists all of its fields" test \
	"$(loader --argv0 modinfo "$own/bin/modprobe" -F alias "$work/signed.ko" | tr '\n' ' ')" = "md-level-77 block-major-9-* "

# A lvm that wants more of libcrypto than the stand-in has, or the same of another version, gets the real one.
for kind in "more EVP_sha256 OPENSSL_3.0.0" "newer BN_free OPENSSL_3.9.9" "enough BN_free OPENSSL_3.0.0"; do
	read -r name function version <<<"$kind"
	mkdir -p "$work/$name/sbin" "$work/$name/lib"
	cp "$work/root/sbin/mdadm" "$work/$name/sbin/"
	echo "$version { global: *; };" >"$work/version"
	echo "void $function(void){} char large[100000]={1};" | gcc -x c -shared -fPIC -Wl,--version-script="$work/version" \
		-Wl,-soname,libcrypto.so.3 -o "$work/$name/lib/libcrypto.so.3" - || exit 1
	echo "void $function(void); int main(void){$function();}" |
		gcc -x c -o "$work/$name/sbin/lvm" - -x none "$work/$name/lib/libcrypto.so.3" || exit 1
	output=$("$builder" --bin "$work/bin" --root "$work/$name" --rules "$work/rules" --no-modules --compress none \
		--output "$work/$name.img" 2>&1)
	[ $? = 0 ] || bad "$name: not built: $output"
	unpack "$work/$name.img" "$work/$name.d"
	chosen=real
	[ "$(stat -c %s "$work/$name.d/usr/lib/muster/lib/libcrypto.so.3")" -gt 65536 ] || chosen=stand-in
	case $name in
	enough) check "$name: stand-in" test "$chosen:$output" = stand-in: ;;
	*) check "$name: the real one, and why" test "$chosen:$output" = "real:muster-mkinitramfs: all of libcrypto.so.3 goes into \
the image, our stand-in is not enough for: lvm ($function@$version)" ;;
	esac
done

# Of what the real libraries needed, only what somebody else needs stays.
mkdir -p "$work/prune/sbin" "$work/prune/lib"
cp "$work/root/sbin/mdadm" "$work/prune/sbin/"
echo 'void inner(void){}' | gcc -x c -shared -fPIC -Wl,-soname,libinner.so.1 -o "$work/prune/lib/libinner.so.1" - || exit 1
echo 'LIBSELINUX_1.0 { global: *; };' >"$work/version"
echo 'void inner(void); int is_selinux_enabled(void){inner();return 1;}' | gcc -x c -shared -fPIC -Wl,--version-script="$work/version" \
	-Wl,-soname,libselinux.so.1 -o "$work/prune/lib/libselinux.so.1" - -x none "$work/prune/lib/libinner.so.1" || exit 1
echo 'int is_selinux_enabled(void); int main(void){return is_selinux_enabled();}' | gcc -x c -o "$work/prune/sbin/lvm" - \
	-x none "$work/prune/lib/libselinux.so.1" -Wl,-rpath-link,"$work/prune/lib" || exit 1
check "builds with a stand-in for libselinux" "$builder" --bin "$work/bin" --root "$work/prune" --rules "$work/rules" --no-modules \
	--compress none --output "$work/prune.img"
unpack "$work/prune.img" "$work/prune.d"
check "it is in" test -e "$work/prune.d/usr/lib/muster/lib/libselinux.so.1"
check "and not what the real one needed" test ! -e "$work/prune.d/usr/lib/muster/lib/libinner.so.1"
check "what lvm asks it" says 0 "" "$work/prune.d/usr/lib/muster/lib/ld-linux-x86-64.so.2" \
	--library-path "$work/prune.d/usr/lib/muster/lib" "$work/prune.d/usr/lib/muster/bin/lvm"

# ---------------------------------------------------------------- thin and cache tools

mkdir -p "$work/thin/sbin"
cp "$work/root/sbin/"* "$work/thin/sbin/"
cp "$(readlink -f /bin/true)" "$work/thin/sbin/pdata_tools"
thin() { "$builder" --bin "$work/bin" --root "$work/thin" --rules "$work/rules" --no-modules --compress none "$@"; }
check "with thin tools" thin --output "$work/with.img"
unpack "$work/with.img" "$work/with.d"
for name in thin_check cache_check; do
	check "$name" test "$(readlink "$work/with.d/usr/lib/muster/bin/$name")" = pdata_tools
	check "lvm knows $name" grep -q "${name}_executable = \"/usr/lib/muster/bin/$name\"" "$work/with.d/etc/lvm/lvm.conf"
done
check "without" thin --without-thin --output "$work/without.img"
unpack "$work/without.img" "$work/without.d"
for name in thin_check cache_check; do
	check "no $name" test ! -e "$work/without.d/usr/lib/muster/bin/$name" -a ! -L "$work/without.d/sbin/$name"
	check "lvm calls no $name" grep -q "${name}_executable = \"\"" "$work/without.d/etc/lvm/lvm.conf"
done
check "nor pdata_tools" test ! -e "$work/without.d/usr/lib/muster/bin/pdata_tools"

# ---------------------------------------------------------------- drivers

index=$own/modules/9.9/muster.index
check "the usual set" grep -q '^f useful kernel/drivers/md/useful.ko size=7$' "$index"
check "with what it depends on, soft dependencies included" grep -qx 'm useful ?helper,base,=useful' "$index"
check "found by the kernel's name for it" grep -qx 'a md_level_77 ?helper,base,=useful' "$index"
check "found by a pattern" grep -qx 'p block_major_9_\* ?helper,base,=useful' "$index"
check "not a network card" test ! -e "$own/modules/9.9/kernel/drivers/net/card.ko"
check "depmod's indexes for the daemon" test -s "$own/modules/9.9/modules.alias.bin"
check "for kmod's programs" test "$(readlink "$work/a/lib/modules/9.9")" = /usr/lib/muster/modules/9.9

check "all drivers" build --modules "$tree" --compress none --output "$work/b.img" --driver all
unpack "$work/b.img" "$work/b"
check "all has the network card" test -e "$work/b/usr/lib/muster/modules/9.9/kernel/drivers/net/card.ko"
check "one more driver" build --modules "$tree" --compress none --output "$work/c.img" --driver card
unpack "$work/c.img" "$work/c"
check "the driver, and the usual set" test -e "$work/c/usr/lib/muster/modules/9.9/kernel/drivers/net/card.ko" -a \
	-e "$work/c/usr/lib/muster/modules/9.9/kernel/drivers/md/useful.ko"
check "only what is named" build --modules "$tree" --compress none --output "$work/d.img" --driver none --driver base
unpack "$work/d.img" "$work/d"
check "nothing else" test "$(find "$work/d/usr/lib/muster/modules" -name '*.ko' | wc -l)" = 1
check "without modules" build --no-modules --compress none --output "$work/e.img"
unpack "$work/e.img" "$work/e"
check "no module tree, no name for one" test ! -e "$work/e/usr/lib/muster/modules" -a ! -e "$work/e/lib/modules"

# compressed modules are unpacked
cp -r "$work/tree" "$work/packed"
packed=$work/packed/lib/modules/9.9
find "$packed" -name '*.ko' -exec zstd -q --rm {} +
depmod -b "$work/packed" 9.9
check "compressed modules" build --modules "$packed" --compress none --output "$work/f.img"
unpack "$work/f.img" "$work/f"
check "are the same modules" cmp "$work/a/usr/lib/muster/modules/9.9/kernel/drivers/md/useful.ko" \
	"$work/f/usr/lib/muster/modules/9.9/kernel/drivers/md/useful.ko"

# ---------------------------------------------------------------- the same again

mkdir "$work/elsewhere"
(
	umask 077
	cd "$work/elsewhere" && TMPDIR=$work/elsewhere TZ=Asia/Tokyo build --modules "$tree" --output again.img \
		--include "$work/mondo-restore.cfg:/tmp/mondo-restore.cfg" --include "$work/folder:/opt/folder" \
		--include "$work/mondo-restore.cfg:/opt/"
)
check "byte for byte the same, elsewhere and later" cmp "$work/a.img" "$work/elsewhere/again.img"
check "no temporary folder stays" test -z "$(find "$work/elsewhere" -mindepth 1 ! -name again.img)"
check "--compress gzip" build --no-modules --output "$work/x.img" --compress gzip
check "--compress gzip again" build --no-modules --output "$work/y.img" --compress gzip
check "--compress gzip is the same" cmp "$work/x.img" "$work/y.img"
check "--compress gzip is gzip" gzip -t "$work/x.img"

# ---------------------------------------------------------------- wrong arguments

refused() {  # TEXT ARGUMENT ..
	local text=$1 output
	shift
	rm -f "$work/out/"*
	output=$("$builder" "$@" 2>&1) && bad "accepted: $*"
	case $output in
	*$'\n'*) bad "more than one line for: $*: $output" ;;
	"muster-mkinitramfs: "*"$text"*) ok ;;
	*) bad "for: $*: wanted '$text', got '$output'" ;;
	esac
	[ -z "$(ls "$work/out" 2>/dev/null)" ] || bad "left something behind: $*: $(ls "$work/out")"
}
mkdir "$work/out" "$work/empty" "$work/empty-bin"
o="--output $work/out/x.img"
base="--bin $work/bin --root $work/root --rules $work/rules"
mkdir -p "$work/undep/lib/modules/9.9"
refused "--output FILE is missing"
refused "--modules DIR is missing" $o
refused "unknown argument '--moduels'" --moduels x
refused "unknown argument 'x'" x
refused "--modules needs a value" $o --modules
refused "--driver needs a value" $o --driver=
refused "/nowhere: no such folder" $o --modules /nowhere
refused "no modules.dep in it; is it a folder lib/modules/VERSION?" $o --modules "$work/empty"
refused "make it with: depmod -b $work/undep 9.9" $o --modules "$work/undep/lib/modules/9.9"
refused "did you mean $work/tree/lib/modules/9.9?" $o --modules "$work/tree/lib/modules"
refused "did you mean $work/tree/lib/modules/9.9?" $o --modules "$work/tree"
refused "exclude each other" $o --no-modules --modules "$tree"
refused "exclude each other" $o --no-modules --driver x
refused "not a kernel version" $o --modules "$tree" --kernel-version ../x
refused "did you mean useful?" $base $o --modules "$tree" --driver usefull
refused "--driver xyzzyxyzzy: no such module" $base $o --modules "$tree" --driver xyzzyxyzzy
refused "must be SRC:DEST" $base $o --no-modules --include /etc/passwd
refused "must be SRC:DEST" $base $o --no-modules --include :/x
refused "absolute DEST" $base $o --no-modules --include /etc/passwd:etc/passwd
refused "must not contain .." $base $o --no-modules --include /etc/passwd:/a/../../b
refused "/nowhere does not exist" $base $o --no-modules --include /nowhere:/x
refused "/etc is a folder in the image" $base $o --no-modules --include /etc/passwd:/etc
refused "choose zstd, gzip or none" $o --no-modules --compress lzma
refused "--bin /nowhere: no such folder" $o --no-modules --bin /nowhere
refused "musterd is not in it" $o --no-modules --bin "$work/empty-bin" --rules "$work/rules"
refused "--root /nowhere: no such folder" $o --no-modules --root /nowhere
refused "--rules /nowhere: no such folder" $base $o --no-modules --rules /nowhere
refused "--config /nowhere: no such file" $base $o --no-modules --config /nowhere
refused "there is no folder" $base --no-modules --output "$work/nowhere/x.img"
refused "is a folder" $base --no-modules --output "$work/out"
cp -r "$work/bin" "$work/noexec" && chmod 644 "$work/noexec/musterd"
refused "musterd is not executable" $o --no-modules --bin "$work/noexec" --rules "$work/rules"
# a tool that is missing is named with its package
mkdir "$work/path"
for tool in bash readlink dirname basename cat mktemp rm; do ln -s "$(command -v $tool)" "$work/path/$tool"; done
output=$(PATH=$work/path "$BASH" "$builder" $base $o --no-modules 2>&1)
case $output in
*"is missing; it is in the package patchelf (apt-get install patchelf)"*) ok ;;
*) bad "missing tool: $output" ;;
esac
# a full disk leaves the old image as it was
echo old >"$work/out/keep.img"
broken=$work/broken-bin
cp -r "$work/bin" "$broken"
rm "$broken/muster-mkcpio"
printf '#!/bin/sh\necho partial\nexit 1\n' >"$broken/muster-mkcpio"
chmod +x "$broken/muster-mkcpio"
"$builder" --bin "$broken" --root "$work/root" --rules "$work/rules" --no-modules --output "$work/out/keep.img" 2>/dev/null &&
	bad "a failed packing counts as success"
check "the old image stays" grep -qx old "$work/out/keep.img"
check "no partial output" test "$(ls "$work/out")" = keep.img
check "--help has examples" sh -c "'$builder' --help | grep -q -- '--include mondo-restore.cfg:/tmp/mondo-restore.cfg'"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
