# shellcheck shell=bash
# What in a kernel's log means that something is wrong. Sourced.

# A report is told by how the kernel starts one. The words alone also occur in banners ("lockdep", "WARNING" in mitigation
# notes), hence the anchors.
readonly KERNEL_REPORTS='^(\[ *[0-9]+\.[0-9]+\](\[ *[TC][0-9]+\])? )?(WARNING: |BUG: |Oops|kernel BUG at |KASAN|KCSAN|UBSAN: |INFO: (possible |task .* blocked |rcu_|trying to register )|rcu: INFO: |refcount_t: |list_(add|del) corruption|=+\[ cut here|-+\[ cut here|Kernel panic |Call Trace:|watchdog: BUG)'

# kernel_reports FILE: prints the lines of a kernel log that begin a report; none if all is well.
kernel_reports() {
    tr -d '\r' <"$1" | grep -aE "$KERNEL_REPORTS" | head -n 20 || true
}
