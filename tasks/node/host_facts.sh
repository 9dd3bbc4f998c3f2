# What is asked of a machine before its state can be planned, in one round trip. It may not have Python yet.
# Arguments, for a node of Kubernetes: the container runtime, and what its package may be called.
PATH=$PATH:/usr/local/bin:/usr/sbin:/sbin
section() { echo "=== $1"; }
# What a program says of its version. A kubelet takes a tenth of a second for that, so a machine of ours keeps it until
# its next start, for the very file that said it; a small one may be a script, which speaks for another file.
version_of() {
    file=$(stat -Lc '%n %i %s %z' "$(command -v "$1")" 2>/dev/null) kept=/run/kubev6-version-$1
    if [ -n "$file" ] && [ "$(sed -n 1p "$kept" 2>/dev/null)" = "$file" ]; then
        sed 1d "$kept"
        return
    fi
    said=$("$1" --version 2>/dev/null) || return
    echo "$said"
    set -- $file
    [ -s /var/lib/kubev6/record.json ] && [ "$3" -gt 1000000 ] && printf '%s\n' "$file" "$said" >"$kept.new" &&
        mv "$kept.new" "$kept"
    return 0
}
section clock
date +%s
section release
cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release
echo  # whose last line may have no end
section resolvers
# systemd-resolved's stub answers on the machine's own loopback only for itself, so the list behind it is read instead.
grep -qs 'nameserver 127.0.0.53' /etc/resolv.conf && file=/run/systemd/resolve/resolv.conf
cat "${file:-/etc/resolv.conf}"
echo
section writers
# What writes resolv.conf, or /etc/hosts, whatever is in it.
for program in dhcpcd rdnssd; do command -v "$program" >/dev/null && echo "$program"; done
for file in /lib/resolvconf/libc /usr/lib/resolvconf/libc /usr/libexec/resolvconf/libc; do
    [ -e "$file" ] && echo openresolv && break
done
if [ -d /etc/cloud/cloud.cfg.d ] && [ ! -e /etc/cloud/cloud-init.disabled ]; then
    echo cloud-init
    grep -Eqs '^manage_etc_hosts:[[:space:]]*["'"'"']?([Tt]rue|template|localhost)' \
        /var/lib/cloud/instance/cloud-config.txt && echo user-data
fi
section units
units="NetworkManager systemd-networkd systemd-resolved networking network firewalld"
# One question for all, and a second one only for those that there are: each takes a while.
shown=$(timeout -k 2 30 systemctl show -p LoadState -p ActiveState $units 2>/dev/null)
[ $? != 124 ] || { echo '`systemctl show` has not answered for 30 s, so systemd or D-Bus hangs there' >&2; exit 1; }
echo "$shown" | while IFS== read -r key value; do
    case $key in
    LoadState) there=$value ;;
    ActiveState)
        unit=${units%% *} units=${units#* }
        [ "$there" = not-found ] || echo "$unit $value $(systemctl is-enabled "$unit" 2>/dev/null)"
        ;;
    esac
done
# Of each file a line with its path, and its lines behind a space. What goes before another of its name comes first.
show() {
    for file; do
        { [ -f "$file" ] || [ -L "$file" ]; } && echo "$file" && sed -nE "$SHOWN" "$file" 2>/dev/null
        echo  # whose last line may have no end
    done
}
SHOWN='s/^/ /p'
section netplan
command -v netplan
# Some values are passwords.
SHOWN='s/((password|psk|key|private|shared|pin|input|output)["'\'']?[[:space:]]*:[[:space:]]+)("[^"]*"|'\''[^'\'']*'\''|[^],}{["'\''#[:space:]][^],}]*)/\1x/g; s/^/ /p'
show /run/netplan/*.yaml /etc/netplan/*.yaml /usr/lib/netplan/*.yaml
SHOWN='s/^/ /p'
section networkd
for directory in /etc /run /usr/local/lib /usr/lib; do
    show "$directory"/systemd/network/*.network "$directory"/systemd/network/*.network.d/*.conf
done
section renames
SHOWN='/^[[:space:]]*\[(Match|Link)\]|^[[:space:]]*(OriginalName|MACAddress|PermanentMACAddress|Driver|Type|Kind|Path|Property|Host|Virtualization|KernelCommandLine|KernelVersion|Credential|Architecture|Firmware|NamePolicy|Name)[[:space:]]*=/s/^/ /p'
for directory in /etc /run /usr/local/lib /usr/lib; do
    show "$directory"/systemd/network/*.link "$directory"/systemd/network/*.link.d/*.conf
done
section ifupdown
# A file says which others are read, and those may say more (interfaces(5)). In a shell of its own for each.
interfaces() (
    case $1 in */*) ;; *) set -- "./$1" ;; esac
    cd "${1%/*}" 2>/dev/null && file=$PWD/${1##*/} && [ -f "$file" ] || exit 0
    case " $above " in *" $file "*) exit 0 ;; esac
    above="$above $file"
    echo "$file"
    # A comment ends with its line, and blanks at the end of a line, such as a carriage return, are of no account.
    lines=$(sed -E '/^# BEGIN kubev6$/,/^# END kubev6$/d; /^[[:space:]]*(#|$)/d
        :a; /\\$/{N; s/\\\n/ /; ta}; s/[[:space:]]+$//' "$file")
    words='iface|mapping|auto|allow-[^[:space:]]*|rename|source|source-directory|accept_ra|(bond[-_])?slaves|bond[-_]master|bridge[-_]ports'
    echo "$lines" | sed -nE "s/^[[:space:]]*(($words)[[:space:]].*)/ \1/p"
    for each in $(echo "$lines" | sed -nE "s/^[[:space:]]*source[[:space:]]+//; T; s/[\"']//g; p"); do interfaces "$each"; done
    for each in $(echo "$lines" | sed -nE 's|^[[:space:]]*source-directory[[:space:]]+(.*[^/])/*$|\1/*|p'); do
        case ${each##*/} in *[!A-Za-z0-9_-]*) ;; *) interfaces "$each" ;; esac
    done
)
interfaces /etc/network/interfaces
section network-scripts
SHOWN='/^[[:space:]]*(export[[:space:]]+)?(DEVICE|HWADDR|MACADDR|ONBOOT|AUTOCONNECT_PRIORITY|TYPE|DEVICETYPE|VLAN|VLAN_ID|PHYSDEV|REORDER_HDR|GVRP|MVRP|BONDING_MASTER|BONDING_OPTS|STP|DELAY|BRIDGING_OPTS|TEAM_CONFIG|MTU|ETHTOOL_OPTS|DNS[0-9]+|PEERDNS|RESOLV_MODS)=/s/^/ /p'
for file in /etc/sysconfig/network-scripts/ifcfg-*; do
    case $file in *~ | *.bak | *.old | *.orig | *.rpm*) ;; *) show "$file" ;; esac
done
section networkmanager
SHOWN='/^[[:space:]]*(\[|(type|interface-name|autoconnect|autoconnect-priority|mac-address|driver|path|kernel-command-line)[[:space:]]*=)/s/^/ /p'
for directory in /etc /run /usr/lib; do
    show "$directory"/NetworkManager/system-connections/*
done
# Whatever keeps it off an interface: its own configuration, a script, a rule of udev's.
section unmanaged
timeout -k 2 10 nmcli -t -f DEVICE,STATE device 2>/dev/null | sed -n 's/:unmanaged$//p'
section interfaces
ip -o -d link
section drivers
for driver in /sys/class/net/*/device/driver; do
    [ -e "$driver" ] && name=${driver%/device/driver} && echo "${name##*/} $(basename "$(readlink -f "$driver")")"
done
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
section firewalld-zones
grep -HosE '<interface[[:space:]][^>]*>' /etc/firewalld/zones/*.xml | grep -v '/kubev6\.xml:'
section ufw
grep -hsE '^(ENABLED|IPV6|DEFAULT_[A-Z]+_POLICY)=' /etc/ufw/ufw.conf /etc/default/ufw
grep -hs '^-A' /etc/ufw/user6.rules /lib/ufw/user6.rules
section ip6tables
ip6tables-save -t filter 2>/dev/null
# The older tables, where they are in use beside; asking for them would load them.
[ ! -s /proc/net/ip6_tables_names ] || ip6tables-legacy-save -t filter 2>/dev/null
section iptables-rules
iptables-save -t filter 2>/dev/null
[ ! -s /proc/net/ip_tables_names ] || iptables-legacy-save -t filter 2>/dev/null
section nft
nft list ruleset 2>/dev/null
section jool
tool=$(command -v jool) && echo "JOOL_TOOL=$tool" && echo "JOOL_VERSION=$("$tool" --version </dev/null 2>/dev/null)"
module=$(cat /sys/module/jool/version 2>/dev/null || modinfo -F version jool 2>/dev/null)
echo "JOOL_MODULE=$module"
section registry-certificate
sed -n '/^-----BEGIN CERTIFICATE/,/^-----END CERTIFICATE/p' /etc/kubev6/registry.pem 2>/dev/null
section swaps
cat /proc/swaps 2>/dev/null
section kernel
echo "RELEASE=$(uname -r)"
echo "PROCESSOR=$(uname -m)"
sed -n 's/^MemTotal: */MEMORY=/p' /proc/meminfo
[ -e /sys/fs/cgroup/cgroup.controllers ] && echo CGROUP=2
[ -e /proc/sys/net/ipv6/conf/all/forwarding ] && echo IPV6=yes
section without-ipv6
grep -ls 1 /proc/sys/net/ipv6/conf/*/disable_ipv6
section ipv6-off
off='(ipv6\.disable(_ipv6)?|sysctl[./]net[./]ipv6[./]conf[./](all|default)[./]disable_ipv6)=1'
grep -oE "$off" /proc/cmdline | sed "s|$| on the kernel's command line|"
grep -oHnsE "^[^#]*$off" /etc/default/grub /etc/default/grub.d/*.cfg /etc/kernel/cmdline
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
needs ip_vs /proc/sys/net/ipv4/vs
for module in ip_vs_rr ip_vs_wrr ip_vs_sh; do needs "$module" "/sys/module/$module"; done
# Where the module is and not the device, a container was not given it.
[ -e /dev/net/tun ] || { [ ! -e /sys/module/tun ] && modprobe -n -q tun 2>/dev/null; } || echo tun
section python
command -v python3
section identity
# The boot alone would be that of every container of one host.
echo "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null) $(readlink /proc/self/ns/net)"
section record
cat /var/lib/kubev6/record.json 2>/dev/null
echo
section kubernetes
cd /etc/kubernetes 2>/dev/null && {
    for file in kubelet bootstrap-kubelet admin; do
        sed -n "s|^ *server: |server |p; s|^ *certificate-authority-data: |authority |p" $file.conf 2>/dev/null
    done
    echo "authority $(sed -n '/^-----BEGIN/,/^-----END/p' pki/ca.crt 2>/dev/null | base64 | tr -d '\n')"
    for pod in etcd kube-apiserver kube-controller-manager kube-scheduler; do
        sed -n "s|^ *image: *|image $pod |p" manifests/$pod.yaml 2>/dev/null
    done
    [ -e manifests/kube-apiserver.yaml ] || [ -e pki/ca.key ] && echo control-plane
    sed -n "s|^ *- --service-cluster-ip-range=|services |p" manifests/kube-apiserver.yaml 2>/dev/null
    [ -s kubelet.conf ] && echo "node $(version_of kubelet)"
    # What a member goes by until it leaves, whatever a later deploy says.
    sed -n 's|.*--node-ip=\([0-9a-fA-F:.]*\).*|address \1|p' /var/lib/kubelet/kubeadm-flags.env 2>/dev/null
    sed -n 's|^clusterDomain: *|domain |p' /var/lib/kubelet/config.yaml 2>/dev/null
    # By the files that host-local keeps for our bridge's network, which are called after the addresses.
    ls /var/lib/cni/networks/mynet 2>/dev/null | sed -n 's/^[0-9a-f:]*:[0-9a-f:]*$/pod &/p'
    for file in /etc/cni/net.d/*.conf /etc/cni/net.d/*.conflist; do
        [ -e "$file" ] && echo "cni ${file##*/}"
    done
}
[ $# -gt 0 ] || exit 0
section runtime
# What is installed goes before what would be.
if ! version_of "$1"; then
    shift
    section packages
    # For each package a line with its name, and one with its version.
    apt-cache policy "$@" 2>/dev/null | sed -n 's/^\([^ ].*\):$/\1/p; s/^ *Candidate: *//p'
    timeout 20 yum -q -C info "$@" 2>/dev/null | sed -n 's/^\(Name\|Version\) *: *//p'
fi
section iptables
iptables --version 2>/dev/null
section kubelet
grep KUBELET_KUBEADM_ARGS /var/lib/kubelet/kubeadm-flags.env 2>/dev/null || true
