//! What this process asks of the machine it runs on.

use std::{fs, num::NonZeroUsize, path::Path, thread};

use getrandom::SysRng;
use rand_core::UnwrapErr;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Keeps the memory of this process out of core dumps and away from other processes of the user.
///
/// A sandbox that forbids either is no reason to stop.
pub(crate) fn keep_memory_private() {
    let _ = setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    );
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// The operating system's generator of randomness.
pub(crate) fn randomness() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// The processors this process may use.
pub(crate) fn processors() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// The bytes of memory that can be taken without swapping or being killed, when the system tells.
///
/// Sources: proc(5) `MemAvailable`; cgroups(7); the kernel's cgroup-v2.rst and cgroup-v1/memory.rst.
pub(crate) fn available_memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| mem_available(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    machine
        .into_iter()
        .chain(left_in_groups(&groups, Path::new("/sys/fs/cgroup")))
        .min()
}

/// What is left to this process's group and to those that it is in: a service has its limit in a group below the root, and a
/// container sees its own group as the root, whatever name the list has for it.
fn left_in_groups(groups: &str, mounted: &Path) -> Option<u64> {
    let left = groups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (root, version) = match controllers {
            "" => (mounted.to_owned(), &VERSION_2),
            _ if controllers.split(',').any(|name| name == "memory") => (mounted.join("memory"), &VERSION_1),
            _ => return None,
        };
        let group = root.join(path.trim_start_matches('/'));
        let above = group.ancestors().take_while(|above| above.starts_with(&root));
        above.filter_map(|group| version.left(group)).min()
    });
    left.min()
}

/// The files of a group.
struct GroupFiles {
    most: &'static str,
    used: &'static str,
    /// In `memory.stat`: copies of files that are given up when memory is short, which count as used.
    cached: &'static str,
}

const VERSION_2: GroupFiles = GroupFiles {
    most: "memory.max",
    used: "memory.current",
    cached: "inactive_file",
};
const VERSION_1: GroupFiles = GroupFiles {
    most: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cached: "total_inactive_file",
};

impl GroupFiles {
    fn left(&self, group: &Path) -> Option<u64> {
        let (most, used) = (number(&group.join(self.most))?, number(&group.join(self.used))?);
        let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let cached = stat
            .lines()
            .find_map(|line| line.strip_prefix(self.cached)?.trim().parse().ok())
            .unwrap_or_default();
        Some(most.saturating_sub(used.saturating_sub(cached)))
    }
}

fn mem_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_in_bytes() {
        let meminfo = "MemTotal:       24689524 kB\nMemFree:         100 kB\nMemAvailable:   2048 kB\n";
        assert_eq!(mem_available(meminfo), Some(2048 * 1024));
        assert_eq!(mem_available("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn the_tightest_group_that_the_process_is_in_counts() {
        let mounted = tempfile::tempdir().expect("a directory");
        let group = |path: &str, files: &[(&str, &str)]| {
            let dir = mounted.path().join(path);
            fs::create_dir_all(&dir).expect("made");
            for (name, text) in files {
                fs::write(dir.join(name), text).expect("written");
            }
        };
        let left = |groups| left_in_groups(groups, mounted.path());
        let service = "0::/system.slice/operator.service\n";
        assert_eq!(left(service), None);
        group(
            "system.slice/operator.service",
            &[("memory.max", "max\n"), ("memory.current", "10\n")],
        );
        assert_eq!(left(service), None, "no limit");
        group("system.slice/operator.service", &[("memory.max", "500\n")]);
        assert_eq!(left(service), Some(490));
        let stat = ("memory.stat", "anon 1\nfile 400\ninactive_file 300\n");
        group(
            "system.slice",
            &[("memory.max", "450\n"), ("memory.current", "400\n"), stat],
        );
        assert_eq!(
            left(service),
            Some(350),
            "the slice is tighter, and gives up what it only caches"
        );
        group("", &[("memory.max", "60\n"), ("memory.current", "50\n")]);
        assert_eq!(left("0::/../not/seen/here\n"), Some(10), "a container's own");
        assert_eq!(left("0::/\n"), Some(10));

        let old = "5:cpu,memory:/docker/ab\n3:memory_of:/elsewhere\n1:name=systemd:/\n";
        group(
            "memory",
            &[
                ("memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory.usage_in_bytes", "12\n"),
            ],
        );
        assert_eq!(left(old), Some(9_223_372_036_854_771_700));
        group(
            "memory/docker/ab",
            &[
                ("memory.limit_in_bytes", "1000\n"),
                ("memory.usage_in_bytes", "900\n"),
                ("memory.stat", "inactive_file 1\ntotal_inactive_file 300\n"),
            ],
        );
        assert_eq!(left(old), Some(400));
    }
}
