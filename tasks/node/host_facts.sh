# What is asked of a machine before its state can be planned, in one round trip. It may not have Python yet.
# Arguments, for a node of Kubernetes: the container runtime, and what its package may be called.
PATH=$PATH:/usr/local/bin:/usr/sbin:/sbin
section() { echo "=== $1"; }
section release
cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release
section resolvers
# systemd-resolved's stub answers on the machine's own loopback only for itself, so the list behind it is read instead.
grep -qs 'nameserver 127.0.0.53' /etc/resolv.conf && file=/run/systemd/resolve/resolv.conf
cat "${file:-/etc/resolv.conf}"
section units
units="NetworkManager systemd-networkd systemd-resolved networking network firewalld"
# One question for all, and a second one only for those that there are: each takes a while.
systemctl show -p LoadState -p ActiveState $units 2>/dev/null | while IFS== read -r key value; do
    case $key in
    LoadState) there=$value ;;
    ActiveState)
        unit=${units%% *} units=${units#* }
        [ "$there" = not-found ] || echo "$unit $value $(systemctl is-enabled "$unit" 2>/dev/null)"
        ;;
    esac
done
section netplan
command -v netplan
for file in /etc/netplan/*.yaml /run/netplan/*.yaml /usr/lib/netplan/*.yaml; do
    [ -f "$file" ] || continue
    echo "$file"
    # Keys alone: there are passwords in some values.
    sed -nE 's/^( +)"?([A-Za-z0-9._-]+)"?: *(\{.*|#.*)?$/\1\2/p; s/^( +)dhcp4: *"?(true|yes|on)"?.*/\1dhcp4/p' "$file"
done
section networkd
cd / && grep -HsE '^[[:space:]]*(Name|DHCP)[[:space:]]*=' etc/systemd/network/*.network run/systemd/network/*.network \
    usr/lib/systemd/network/*.network
section ifupdown
for file in /etc/network/interfaces /etc/network/interfaces.d/*; do
    [ -f "$file" ] && sed '/^# BEGIN kubev6$/,/^# END kubev6$/d' "$file" |
        sed -nE "s|^[[:space:]]*((iface\|source\|source-directory)[[:space:]].*)|$file \1|p"
done
section network-scripts
grep -HsE '^[[:space:]]*DEVICE=' /etc/sysconfig/network-scripts/ifcfg-*
section networkmanager
for directory in /etc /run /usr/lib; do
    grep -HsE '^interface-name=' "$directory"/NetworkManager/system-connections/*
done
section interfaces
ip -o link
section ssh
echo "$SSH_CONNECTION"
ip -o -4 addr
# By which route its other end is reached, if by one.
ip -o route get "${SSH_CONNECTION%% *}" 2>/dev/null | sed 's/^/route /'
section advertised
# Where the kernel listens: 1 and 2. What came by advertisements, and where an earlier run has made it listen.
grep -Hs '[12]' /proc/sys/net/ipv6/conf/*/accept_ra
ip -6 -o route show table all proto ra
ip -6 -o addr show dynamic
grep -hs accept_ra /etc/sysctl.d/*-kubev6.conf
section sysctl
# The names of all files: one that is empty, or a link to /dev/null, stands in the place of others.
for file in /etc/sysctl.d/*.conf /run/sysctl.d/*.conf /usr/local/lib/sysctl.d/*.conf /usr/lib/sysctl.d/*.conf \
    /lib/sysctl.d/*.conf /etc/sysctl.conf; do
    [ -e "$file" ] && echo "$file" && grep -nE '^[[:space:]]*-?[[:space:]]*net[./](ipv4|ipv6|bridge)[./]' "$file"
done
section jool
tool=$(command -v jool) && echo "JOOL_TOOL=$tool" && echo "JOOL_VERSION=$("$tool" --version </dev/null 2>/dev/null)"
module=$(cat /sys/module/jool/version 2>/dev/null || modinfo -F version jool 2>/dev/null)
echo "JOOL_MODULE=$module"
section swaps
cat /proc/swaps 2>/dev/null
section kernel
echo "PROCESSOR=$(uname -m)"
sed -n 's/^MemTotal: */MEMORY=/p' /proc/meminfo
[ -e /sys/fs/cgroup/cgroup.controllers ] && echo CGROUP=2
[ -e /proc/sys/net/ipv6/conf/all/forwarding ] && echo IPV6=yes
section without-ipv6
grep -ls 1 /proc/sys/net/ipv6/conf/*/disable_ipv6
section ipv6-off
grep -oE 'ipv6\.disable(_ipv6)?=1' /proc/cmdline | sed "s|$| on the kernel's command line|"
grep -oHnsE '^[^#]*ipv6\.disable(_ipv6)?=1' /etc/default/grub /etc/default/grub.d/*.cfg /etc/kernel/cmdline
# Options and the like are of a module, and of no use where it is built in.
grep -qs '/ipv6\.ko' "/lib/modules/$(uname -r)/modules.builtin" ||
    grep -HnsE '^[[:space:]]*(options[[:space:]]+ipv6[[:space:]].*disable(_ipv6)?=1|install[[:space:]]+ipv6[[:space:]])' \
        /etc/modprobe.d/*.conf /run/modprobe.d/*.conf /usr/local/lib/modprobe.d/*.conf /usr/lib/modprobe.d/*.conf \
        /lib/modprobe.d/*.conf
section lacking
needs() {
    # The second is where a module that is built in shows itself, when the machine has no list of those.
    [ -e "/sys/module/$1" ] || [ -e "$2" ] || grep -qsw "$1" /proc/filesystems ||
        grep -qs "/$1\.ko" "/lib/modules/$(uname -r)/modules.builtin" || modprobe -n -q "$1" 2>/dev/null || echo "$1"
}
needs br_netfilter /proc/sys/net/bridge
needs overlay /sys/module/overlay
# Where the module is and not the device, a container was not given it.
[ -e /dev/net/tun ] || { [ ! -e /sys/module/tun ] && modprobe -n -q tun 2>/dev/null; } || echo tun
[ $# -gt 0 ] || exit 0
section runtime
# What is installed goes before what would be.
if ! "$1" --version 2>/dev/null; then
    shift
    section packages
    # For each package a line with its name, and one with its version.
    apt-cache policy "$@" 2>/dev/null | sed -n 's/^\([^ ].*\):$/\1/p; s/^ *Candidate: *//p'
    yum -q -C info "$@" 2>/dev/null | sed -n 's/^\(Name\|Version\) *: *//p'
fi
section iptables
iptables --version 2>/dev/null
section kubelet
grep KUBELET_KUBEADM_ARGS /var/lib/kubelet/kubeadm-flags.env 2>/dev/null || true
