#!/usr/bin/env bash
# Usage: boot.sh --results DIR [OPTION]... -- COMMAND ARGS...
#
# Boots a kernel in an emulated machine, runs COMMAND in it as root and ends with its status. The kernel is the unmodified
# one of the distribution unless BAR_BROKER_VM_KERNEL names another (kernel.sh): `debug`, for one.
#   --results DIR        is /results in the guest, made if need be; DIR/console.log is the kernel's log, DIR/output.log what
#                        COMMAND printed (and this script's standard output), DIR/ivshmem.bin the memory behind
#                        ivshmem's BAR 2, DIR/verdict how it ended, DIR/boot-seconds the guest's clock at COMMAND's start
#   --payload DIR        its content is laid over the guest's /; repeatable, later ones win
#   --module FILE        a kernel module to load after VFIO's; repeatable, in order
#   --env NAME=VALUE     for COMMAND; repeatable
#   --ivshmem FILE       what the memory behind ivshmem's BAR 2 has in it at the start: 64 MiB (zeros)
#   --timeout SECONDS    for everything (300); times BAR_BROKER_VM_SLOWNESS
#   --memory MIB         (2048)
#   --cpus N             (1) More than one runs on as many of this machine's: see README.md
#   --cpu MODEL          qemu's -cpu (max)
#   --root-port          ivshmem behind a PCIe root port: it can then be reset and unplugged
#                        (in the guest: vm-monitor device_del ivshmem; and back, once a boot each, with
#                        vm-monitor device_add ivshmem-plain,id=ivshmem,memdev=bar2-again,bus=port1, the same with bar2-third,
#                        and with bar2-small, the first MiB of the same memory)
# In the guest BAR_BROKER_VM_IVSHMEM, _EDU and _NVME name the functions, bound to vfio-pci; BAR_BROKER_VM_SLOWNESS is what to
# multiply a test's own time limits by: 1, and more in the debug kernel.
#
# Exit status: COMMAND's, or
#   120  bad usage, or this machine lacks something    121  the kernel's log has a WARNING, BUG, Oops, ... (wins over COMMAND's)
#   122  the guest ended without a word (panic, reset)  123  the guest could not be brought up (module, device)
#   124  timeout
# shellcheck source-path=SCRIPTDIR disable=SC2054,SC2317
set -Eeuo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=../lib/packages.sh
. "$here/../lib/packages.sh"
# shellcheck source=report.sh
. "$here/report.sh"

readonly USAGE_ERROR=120 KERNEL_REPORT=121 NO_WORD=122 SETUP_FAILED=123 TIMED_OUT=124
# Of the functions under test; the machine's own devices go behind them.
readonly IVSHMEM_SLOT=04 EDU_SLOT=05 NVME_SLOT=06 ROOT_PORT_SLOT=07
# The debug kernel takes about so many times as long as the others.
readonly DEBUG_SLOWNESS=8
readonly IVSHMEM_BYTES=$((64 << 20))

# Whatever fails here outside the guest must not look like COMMAND's own status.
trap 'exit "$USAGE_ERROR"' ERR

die() {
    echo "boot.sh: $*" >&2
    exit "$USAGE_ERROR"
}

results='' timeout=300 memory=2048 cpus=1 cpu=max root_port='' ivshmem_image=''
payloads=() modules=() environment=()
while (($#)); do
    case $1 in
        --results | --payload | --module | --env | --ivshmem | --timeout | --memory | --cpus | --cpu)
            (($# > 1)) || die "$1 needs a value" ;;&
        --results) results=$2; shift ;;
        --payload) [[ -d $2 ]] || die "--payload: no directory '$2'"; payloads+=("$2"); shift ;;
        --module) [[ -f $2 ]] || die "--module: no file '$2'"; modules+=("$2"); shift ;;
        --env) [[ $2 =~ ^[A-Za-z_][A-Za-z0-9_]*= ]] || die "--env: '$2' is not NAME=VALUE"; environment+=("$2"); shift ;;
        --ivshmem)
            [[ $(stat -Lc %s "$2" 2>/dev/null) == "$IVSHMEM_BYTES" ]] || die "--ivshmem: '$2' is no file of 64 MiB"
            ivshmem_image=$2
            shift
            ;;
        --timeout) timeout=$2; shift ;;
        --memory) memory=$2; shift ;;
        --cpus) cpus=$2; shift ;;
        --cpu) cpu=$2; shift ;;
        --root-port) root_port=yes ;;
        --) shift; break ;;
        -h | --help) sed -n '2,/^# shellcheck/{/^# shellcheck/d;s/^# \{0,1\}//p}' "$0"; exit ;;
        *) die "unknown argument '$1'; --help lists what there is" ;;
    esac
    shift
done
[[ -n $results ]] || die "--results DIR is missing"
(($#)) || die "no COMMAND after --"
for value in "$timeout" "$memory" "$cpus"; do
    [[ $value =~ ^[1-9][0-9]*$ ]] || die "'$value' is not a positive number"
done
command=("$@")

# quoted TEXT: prints TEXT as a word of any shell (bash's %q needs bash to be read).
quoted() {
    local quote="'\\''"
    printf "'%s'" "${1//"'"/"$quote"}"
}

# write_run DIR: what this boot asks of the guest: DIR/etc/vm-run, and modules beside the initrd's own.
write_run() {
    local module name value i functions=() layers=() names='' ivshmem=0000:00:$IVSHMEM_SLOT.0
    # A root port's secondary bus is the first that firmware hands out.
    [[ -z $root_port ]] || ivshmem=0000:01:00.0
    functions=("$ivshmem" "0000:00:$EDU_SLOT.0" "0000:00:$NVME_SLOT.0")
    for ((i = ${#payloads[@]} - 1; i >= 0; i--)); do
        layers+=("payload$i")
    done
    mkdir -p "$1/etc" "$1/modules"
    {
        printf 'export BAR_BROKER_VM=1 BAR_BROKER_VM_IVSHMEM=%s BAR_BROKER_VM_EDU=%s BAR_BROKER_VM_NVME=%s\n' "${functions[@]}"
        printf 'export BAR_BROKER_VM_SLOWNESS=%d\n' "$slowness"
        for value in "${environment[@]}"; do
            printf 'export %s=%s\n' "${value%%=*}" "$(quoted "${value#*=}")"
        done
        for module in "${modules[@]}"; do
            name=$(basename "$module" .ko)
            names="${name//-/_} $names"
        done
        printf 'vm_functions="%s"\nvm_layers="%s"\nvm_modules="%s"\n' "${functions[*]}" "${layers[*]} base" "$names"
        printf 'vm_command() {\n'
        for value in "${command[@]}"; do
            printf ' %s' "$(quoted "$value")"
        done
        printf '\n}\n'
    } >"$1/etc/vm-run"
    i=500
    for module in "${modules[@]}"; do
        cp "$module" "$1/modules/$((i++))-$(basename "$module")"
    done
}

# make_initrd DIR BASE-INITRD: DIR/initrd, the guest's initramfs with what this boot asks of it.
make_initrd() {
    mkdir "$1/run"
    write_run "$1/run"
    { cat "$2" && cd "$1/run" && find . -mindepth 1 -print0 | cpio --quiet -0 -o -H newc -R 0:0; } >"$1/initrd"
}

# make_layers DIR: DIR/payloadN.erofs, for each payload. An image takes as long as a copy, is a snapshot, and needs no round
# trips to the host while the guest runs.
make_layers() {
    local i
    for i in "${!payloads[@]}"; do
        mkfs.erofs --quiet --all-root "$1/payload$i.erofs" "${payloads[i]}" >"$1/erofs.log" 2>&1 ||
            die "--payload ${payloads[i]}: $(cat "$1/erofs.log")"
    done
}

# qemu_arguments DIR KERNEL-DIR BASE: sets `arguments`.
qemu_arguments() {
    local layer thread=single bus=pcie.0,addr=0x$IVSHMEM_SLOT
    ((cpus == 1)) || thread=multi
    arguments=(
        -nodefaults -no-user-config -display none -no-reboot -M q35,kernel-irqchip=off -accel "tcg,thread=$thread"
        -cpu "$cpu" -smp "$cpus" -m "$memory"
        -device intel-iommu,intremap=on
        -kernel "$2/image" -initrd "$1/initrd"
        # An Oops ends the run; lock-ups end in the timeout, so a busy host can't fake one.
        -append "console=ttyS0 intel_iommu=on panic=-1 oops=panic nowatchdog random.trust_cpu=on"
        -serial "file:$results/console.log"
        -device virtio-serial-pci,addr=0x8
        -chardev "file,id=output,path=$results/output.log" -device virtserialport,chardev=output,name=output
        -chardev "file,id=status,path=$1/status" -device virtserialport,chardev=status,name=status
        # The guest's vm-monitor speaks to the machine's own monitor, so that a test can unplug what it tests.
        -chardev "socket,id=port,path=$1/monitor,server=on,wait=off" -device virtserialport,chardev=port,name=monitor
        -chardev "socket,id=monitor,path=$1/monitor" -mon chardev=monitor,mode=readline
        -fsdev "local,id=results,path=$results,security_model=none,multidevs=remap"
        -device virtio-9p-pci,fsdev=results,mount_tag=results,addr=0x9
    )
    for layer in "$3" "$1"/payload*.erofs; do
        [[ -e $layer ]] || continue
        arguments+=(
            -drive "if=none,id=$(basename "$layer" .erofs),format=raw,readonly=on,file=$layer"
            -device "virtio-blk-pci,drive=$(basename "$layer" .erofs),serial=$(basename "$layer" .erofs)"
        )
    done
    if [[ -n $root_port ]]; then
        arguments+=(-device "pcie-root-port,id=port1,bus=pcie.0,addr=0x$ROOT_PORT_SLOT,chassis=1,slot=1")
        bus=port1
    fi
    arguments+=(
        # The same memory again and again: qemu dies of a second ivshmem with a backend that one had before.
        -object "memory-backend-file,id=bar2,size=64M,mem-path=$results/ivshmem.bin,share=on"
        -object "memory-backend-file,id=bar2-again,size=64M,mem-path=$results/ivshmem.bin,share=on"
        -object "memory-backend-file,id=bar2-third,size=64M,mem-path=$results/ivshmem.bin,share=on"
        -object "memory-backend-file,id=bar2-small,size=1M,mem-path=$results/ivshmem.bin,share=on"
        -device "ivshmem-plain,id=ivshmem,memdev=bar2,bus=$bus"
        -device "edu,id=edu,addr=0x$EDU_SLOT"
        -drive "if=none,id=drive,format=raw,file=$1/drive,cache=unsafe"
        -device "nvme,id=nvme,drive=drive,serial=throw-away,addr=0x$NVME_SLOT"
    )
}

# run_machine DIR: runs the machine to its end or the timeout; copies COMMAND's output to standard output as it comes.
run_machine() {
    local follower
    # What an earlier run left would be taken for this one's.
    rm -f "$results"/{console.log,output.log,ivshmem.bin,verdict,kmemleak,kallsyms} "$1/monitor"
    [[ -z $ivshmem_image ]] || cp "$ivshmem_image" "$results/ivshmem.bin"
    : >"$results/output.log"
    : >"$results/console.log"
    : >"$1/status"
    machine_status=0
    # No machine outlives this script, however that ends.
    setpriv --pdeathsig TERM timeout --signal=KILL "$timeout" \
        setpriv --pdeathsig KILL "$qemu" "${arguments[@]}" </dev/null >"$1/qemu.log" 2>&1 &
    machine=$!
    tail --pid="$machine" -s 0.1 -n +1 -f "$results/output.log" &
    follower=$!
    # bash would report the kill of a timeout here; verdict does.
    wait "$machine" 2>/dev/null || machine_status=$?
    machine=''
    wait "$follower" || true
}

# emulator_bug: whether the machine died of a known fault of qemu's multi-threaded emulation, which is no fault of ours: sets
# `emulator_fault`. The second comes of a processor that accesses a BAR while another switches memory decode.
emulator_bug() {
    emulator_fault=''
    ((cpus > 1)) || return 1
    if grep -aq 'Oops: int3' "$results/console.log"; then
        emulator_fault="'Oops: int3'"
    elif grep -q 'iotlb_to_section: Assertion' "$scratch/qemu.log"; then
        emulator_fault='a failed assertion in iotlb_to_section()'
    fi
    [[ -n $emulator_fault ]]
}

# clean_up: at exit.
clean_up() {
    if [[ -n $machine ]]; then
        kill "$machine" 2>/dev/null || true
        wait "$machine" || true
    fi
    rm -rf "$scratch"
}

# verdict DIR: says how it ended, in DIR/verdict and on stderr unless all is well; sets `code`.
verdict() {
    local last reports text
    last=$(tail -n 1 "$1/status")
    reports=$(kernel_reports "$results/console.log" && sed -n 's/^finding //p' "$1/status")
    if [[ -n $reports ]]; then
        text="the kernel has something to report (console.log); COMMAND: ${last:-did not end}
$reports"
        code=$KERNEL_REPORT
    elif [[ $last =~ ^exit\ ([0-9]+)$ ]]; then
        text=$last
        code=${BASH_REMATCH[1]}
    elif [[ $last == setup* ]]; then
        text="the guest could not be brought up: ${last#setup }"
        code=$SETUP_FAILED
    elif ((machine_status == 137 && SECONDS >= timeout)); then
        text="timeout after $timeout s (${last:-not booted})"
        code=$TIMED_OUT
    elif ((machine_status)); then
        text="qemu failed ($machine_status): $(tail -n 5 "$1/qemu.log")"
        code=$USAGE_ERROR
    else
        text="the guest ended without a word (${last:-not booted}); the end of console.log:
$(tail -n 5 "$results/console.log")"
        code=$NO_WORD
    fi
    printf '%s\n' "$text" >"$results/verdict"
    [[ $text == exit* ]] || printf 'boot.sh: %s\n' "$text" >&2
    sed -n 's/^booted //p' "$1/status" >"$results/boot-seconds"
}

# In one piece, so that bash has read all of it when somebody changes this file during a run.
{
    need_packages cpio erofs-utils util-linux
    mkdir -p "$results"
    results=$(readlink -f "$results")
    [[ $results != *,* ]] || die "--results: qemu can't take a comma in '$results'"
    # Any user of the guest may leave results.
    chmod 1777 "$results"
    qemu=$("$here/qemu.sh")
    kernel=$("$here/kernel.sh")
    read -r _ _ kernel_dir <<<"$kernel"
    slowness=1
    if grep -qx CONFIG_KASAN=y "$kernel_dir/config"; then
        slowness=$DEBUG_SLOWNESS
    fi
    timeout=$((timeout * slowness))
    guest=$("$here/guest.sh")
    read -r initrd base <<<"$guest"
    scratch=$(mktemp -d)
    machine=''
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    truncate -s 64M "$scratch/drive"
    (make_initrd "$scratch" "$initrd")
    make_layers "$scratch"
    qemu_arguments "$scratch" "$kernel_dir" "$base"
    run_machine "$scratch"
    for try in 2 3; do
        emulator_bug || break
        echo "boot.sh: $emulator_fault, a fault of qemu's multi-threaded emulation; try $try of 3" >&2
        run_machine "$scratch"
    done
    verdict "$scratch"
    exit "$code"
}
