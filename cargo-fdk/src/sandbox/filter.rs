//! The system calls that a function is refused, after Docker's default profile.
//!
//! That one lists what is allowed, this one what is not: a function of today's runs, and one of tomorrow's too.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// What no function needs: mounts, namespaces, other processes' memory, keys that all of a user's processes share, the
/// machine's clock and modules, and what the kernel had to be mended for most often.
const REFUSED: [libc::c_long; 44] = [
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];
/// The namespaces that `clone` makes.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];
/// Set in the numbers of calls of the x32 ABI, which some kernels of x86-64 still have.
const X32: i64 = 0x4000_0000;

/// Whether there is one for this CPU.
pub(super) fn exists() -> bool {
    !programs().is_empty()
}

/// The filter, compiled once, in parts; none where it cannot be compiled for this CPU.
pub(super) fn programs() -> &'static [BpfProgram] {
    static PROGRAMS: OnceLock<Vec<BpfProgram>> = OnceLock::new();
    PROGRAMS.get_or_init(|| compile().unwrap_or_default())
}

fn compile() -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    let mut refused: Vec<(i64, Vec<SeccompRule>)> = REFUSED.map(|call| (call, vec![])).into();
    let namespaces = NAMESPACES.map(|flag| {
        let flag = u64::from(flag.cast_unsigned());
        rule(0, SeccompCmpOp::MaskedEq(flag), flag)
    });
    refused.push((libc::SYS_clone, namespaces.into_iter().collect::<Result<_, _>>()?));
    // Its flags are out of a filter's sight: the C library then takes `clone`.
    let unknown = vec![(libc::SYS_clone3, vec![])];
    [(refused, libc::EPERM), (unknown, libc::ENOSYS)]
        .into_iter()
        .map(|(calls, error)| {
            let calls: BTreeMap<_, _> = calls
                .into_iter()
                .flat_map(|(call, rules)| [(call, rules.clone()), (call | X32, rules)])
                .collect();
            let answer = SeccompAction::Errno(error.cast_unsigned());
            let arch = std::env::consts::ARCH.try_into()?;
            SeccompFilter::new(calls, SeccompAction::Allow, answer, arch)?.try_into()
        })
        .collect()
}

fn rule(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?])
}
