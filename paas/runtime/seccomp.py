"""The system calls that a container may make: what Docker's default profile allows a process without
capabilities, made stricter (no io_uring, no userfaultfd, no foreign architectures, four socket families; no
aio either, whose requests the kernel counts for the whole machine, so that one container could have them all).

Calls that we refuse answer EPERM; calls that nobody here has heard of answer ENOSYS, so that a newer libc
falls back instead of failing. Names unknown to the host's libseccomp are left out.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from errno import EAFNOSUPPORT, ENOSYS, EPERM, EPROTONOSUPPORT
from functools import cache

import pyseccomp
from pyseccomp import ALLOW, EQ, ERRNO, MASKED_EQ, NE

# The section that a runtime reads which does not know PROGRAM_ANNOTATION: a container that dies at once.
KILL_ALL = {"defaultAction": "SCMP_ACT_KILL_PROCESS"}
PROGRAM_ANNOTATION = "run.oci.seccomp_bpf_data"  # crun(1)
FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
AF_NETLINK, AF_MAX = 16, 46
UNKNOWN = -1  # __NR_SCMP_ERROR, seccomp_syscall_resolve_name(3)
NETLINK_ROUTE = 0
# NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET (clone(2)).
CLONE_NAMESPACES = (
    0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000,
)  # fmt: skip
# PER_LINUX, PER_LINUX32, UNAME26 with either, and "tell me" (personality(2)).
PERSONALITIES = (0x0, 0x8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF)

ALLOWED = """
accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod chown clock_adjtime
clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3
epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old
eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fanotify_mark
fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork
fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake
futimesat getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid
getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit get_robust_list getrusage getsid
getsockname getsockopt get_thread_area gettid gettimeofday getuid getxattr inotify_add_watch inotify_init
inotify_init1 inotify_rm_watch ioctl ioprio_get ioprio_set
kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr
link linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise map_shadow_stack
membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect
mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv
msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause
pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv
preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 ptrace pwrite64 pwritev
pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr
rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask
rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_getaffinity sched_getattr
sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval
sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget
semop semtimedop sendfile sendmmsg sendmsg sendto setfsgid setfsuid setgid setgroups setitimer setpgid
setpriority setregid setresgid setresuid setreuid setrlimit set_robust_list setsid setsockopt
set_thread_area set_tid_address setuid setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd
signalfd4 socketpair splice stat statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo tee
tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create
timerfd_gettime timerfd_settime times tkill truncate ugetrlimit umask uname unlink unlinkat utime utimensat
utimes vfork vmsplice wait4 waitid waitpid write writev
"""

REFUSED = """
acct add_key bpf chroot clock_settime create_module delete_module fanotify_init finit_module fsconfig fsmount
fsopen fspick get_kernel_syms get_mempolicy init_module io_uring_enter io_uring_register io_uring_setup ioperm
iopl kcmp kexec_file_load kexec_load keyctl listmount lookup_dcookie lsm_get_self_attr lsm_list_modules
lsm_set_self_attr mbind migrate_pages mount mount_setattr move_mount move_pages nfsservctl open_by_handle_at
open_tree perf_event_open pidfd_getfd pivot_root process_madvise query_module quotactl quotactl_fd reboot
request_key set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday statmount stime
swapoff swapon _sysctl sysfs syslog umount umount2 unshare uselib userfaultfd ustat vhangup vm86 vm86old
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a call answers whose arguments meet all of `when`: (index, comparison, value[, second value])."""

    action: int
    name: str
    when: tuple[tuple[int, ...], ...] = ()


def rules() -> Iterator[Rule]:
    """All of them. What none is for answers ENOSYS: so does clone3, whose flags are behind a pointer that a
    filter cannot read, and libc falls back to clone."""
    yield from (Rule(ALLOW, name) for name in ALLOWED.split())
    yield from (Rule(ERRNO(EPERM), name) for name in REFUSED.split())
    yield from (Rule(ALLOW, "personality", ((0, EQ, persona),)) for persona in PERSONALITIES)
    yield from _clone()
    yield from _sockets()


def _clone() -> Iterator[Rule]:
    """clone without a flag for a new namespace; with any of them EPERM."""
    yield Rule(ALLOW, "clone", ((0, MASKED_EQ, sum(CLONE_NAMESPACES), 0),))
    yield from (Rule(ERRNO(EPERM), "clone", ((0, MASKED_EQ, flag, flag),)) for flag in CLONE_NAMESPACES)


def _sockets() -> Iterator[Rule]:
    """Unix and IP sockets, and of netlink what getifaddrs needs; the rest looks unsupported, not forbidden:
    programs then go on without (useradd gives up when audit's netlink answers EPERM).
    """
    for family in set(range(AF_MAX)) - {AF_NETLINK}:
        yield Rule(ALLOW if family in FAMILIES else ERRNO(EAFNOSUPPORT), "socket", ((0, EQ, family),))
    netlink = (0, EQ, AF_NETLINK)
    yield Rule(ALLOW, "socket", (netlink, (2, EQ, NETLINK_ROUTE)))
    yield Rule(ERRNO(EPROTONOSUPPORT), "socket", (netlink, (2, NE, NETLINK_ROUTE)))


@cache
def program() -> str:
    """The rules as a classic BPF program (seccomp(2)) in base64, made once: crun takes 5 ms for that at each
    launch. Foreign architectures are killed.
    """
    made = pyseccomp.SyscallFilter(ERRNO(ENOSYS))
    made.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    made.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, 2)  # a binary tree
    for rule in rules():
        number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, rule.name)
        if number != UNKNOWN:
            made.add_rule(rule.action, number, *(pyseccomp.Arg(*condition) for condition in rule.when))
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return base64.b64encode(file.read()).decode()
