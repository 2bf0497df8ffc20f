//! What a run does to the disk, and faults in the middle of it: strace.

use std::path::{Path, PathBuf};

/// Calls that change what is on a disk, or make it last.
const TOUCHING: &str = "?open,openat,?creat,?mkdir,mkdirat,write,pwrite64,?writev,fsync,fdatasync,?rename,renameat,renameat2,\
    ?link,linkat,?unlink,unlinkat,?rmdir,truncate,ftruncate,?chmod,fchmod,fchmodat,?symlink,symlinkat,fallocate,copy_file_range";

/// A call of the first thread, as strace saw it.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// How many calls of this name the thread had made, this one included.
    pub(crate) number: u32,
    pub(crate) arguments: String,
    pub(crate) result: String,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown: String = self.arguments.chars().take(200).collect();
        write!(f, "{} #{} ({shown}) = {}", self.name, self.number, self.result)
    }
}

impl Call {
    /// The permissions asked for, if any are.
    pub(crate) fn mode(&self) -> Option<u32> {
        let last = self.arguments.rsplit(", ").next()?;
        let digits = last.starts_with('0') && last.len() > 1;
        u32::from_str_radix(last, 8).ok().filter(|_| digits)
    }

    pub(crate) fn creates(&self) -> bool {
        self.name.starts_with("mkdir") || self.arguments.contains("O_CREAT")
    }

    /// The file that is meant: that of the descriptor, or the first that is named.
    pub(crate) fn path(&self) -> PathBuf {
        self.paths().into_iter().next().unwrap_or_default()
    }

    /// The files that are named, each from the descriptor before it when it is relative.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        let mut dir = PathBuf::new();
        for argument in split(&self.arguments) {
            if let Some(text) = argument.strip_prefix('"') {
                if self.name == "write" || self.name == "pwrite64" {
                    break;
                }
                paths.push(dir.join(text.trim_end_matches('"')));
            } else if let Some((_, path)) = argument.split_once('<') {
                dir = path.trim_end_matches('>').into();
                let is_operand = ["write", "pwrite64", "fsync", "fdatasync", "ftruncate", "fchmod"];
                if is_operand.contains(&self.name.as_str()) {
                    paths.push(dir.clone());
                }
            }
        }
        paths
    }

    /// What is written.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let text = split(&self.arguments).into_iter().nth(1).unwrap_or_default();
        let text = text.trim_start_matches('"').trim_end_matches('"');
        unescape(text).into_bytes()
    }

    fn touches(&self, dir: &Path) -> bool {
        let opens_to_read = self.name.starts_with("open")
            && !["O_CREAT", "O_WRONLY", "O_RDWR"]
                .iter()
                .any(|flag| self.arguments.contains(flag));
        !opens_to_read && self.paths().iter().any(|path| path.starts_with(dir))
    }
}

/// Something that strace does to a run.
pub(crate) struct Fault(Vec<String>);

impl Fault {
    /// Nothing; every call is written to a log.
    pub(crate) fn none(log: &Path) -> Self {
        let log = log.to_str().unwrap();
        let trace = format!("trace={TOUCHING}");
        Self(
            ["-f", "-y", "-s", "1000000", "-o", log, "-e", &trace]
                .map(str::to_owned)
                .to_vec(),
        )
    }

    /// SIGKILL before the call.
    pub(crate) fn kill(call: &Call) -> Self {
        Self::inject(call, "signal=SIGKILL")
    }

    /// The call fails, and does nothing.
    pub(crate) fn error(call: &Call, reason: &str) -> Self {
        Self::inject(call, &format!("error={reason}"))
    }

    fn inject(call: &Call, what: &str) -> Self {
        let Call { name, number, .. } = call;
        let (trace, inject) = (format!("trace={name}"), format!("inject={name}:{what}:when={number}"));
        Self(
            ["-f", "-o", "/dev/null", "-e", &trace, "-e", &inject]
                .map(str::to_owned)
                .to_vec(),
        )
    }

    pub(crate) fn options(&self) -> &[String] {
        &self.0
    }
}

/// The calls of a log that touch what is below a directory, all by the thread that a fault will hit.
pub(crate) fn parse(log: &str, dir: &Path) -> Vec<Call> {
    let first = log.split(' ').next().unwrap_or_default().to_owned();
    let mut counts = std::collections::HashMap::<String, u32>::new();
    let mut calls = Vec::new();
    for (thread, line) in whole_lines(log) {
        let Some((name, rest)) = line.split_once('(') else {
            continue;
        };
        if name.starts_with('+') || name.starts_with('-') {
            continue;
        }
        let (arguments, result) = rest.rsplit_once(" = ").unwrap_or((rest, ""));
        let mut call = Call {
            name: name.to_owned(),
            number: 0,
            arguments: arguments.trim_end().trim_end_matches(')').to_owned(),
            result: result.to_owned(),
        };
        if thread == first {
            let count = counts.entry(call.name.clone()).or_default();
            *count += 1;
            call.number = *count;
        }
        if call.touches(dir) {
            assert_eq!(thread, first, "another thread writes: {call:?}");
            calls.push(call);
        }
    }
    calls
}

/// The lines of each thread, whole: what another thread does in the middle of a call, if only to end, cuts its line in two.
fn whole_lines(log: &str) -> Vec<(&str, String)> {
    let mut begun = std::collections::HashMap::<&str, &str>::new();
    let mut whole = Vec::new();
    for line in log.lines() {
        let Some((thread, line)) = line.split_once(' ') else {
            continue;
        };
        let line = line.trim_start();
        if let Some(beginning) = line.strip_suffix("<unfinished ...>") {
            begun.insert(thread, beginning.trim_end());
        } else if line.starts_with("<... ") {
            let (_, end) = line.split_once(" resumed>").unwrap();
            let beginning = begun.remove(thread).unwrap();
            whole.push((thread, format!("{beginning}{end}")));
        } else {
            whole.push((thread, line.to_owned()));
        }
    }
    whole
}

/// Splits arguments at the commas outside of texts.
fn split(arguments: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut in_text, mut escaped) = (0, false, false);
    for (position, character) in arguments.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => in_text = !in_text,
            ',' if !in_text => {
                parts.push(arguments[start..position].trim());
                start = position + 1;
            }
            _ => {}
        }
    }
    parts.push(arguments[start..].trim());
    parts
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next().unwrap() {
                'n' => '\n',
                same @ ('"' | '\\') => same,
                other => panic!("`\\{other}` in what is written"),
            },
            plain => plain,
        });
    }
    plain
}

#[test]
fn a_call_that_another_thread_cuts_in_two_is_one_call() {
    let log = "\
1 openat(AT_FDCWD</x>, \"/v/.lock\", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 3</v/.lock>
1 mkdir(\"/v/new\", 0700 <unfinished ...>
2 +++ exited with 0 +++
1 <... mkdir resumed>)                    = 0
1 fsync(3</v/.lock> <unfinished ...>
3 --- SIGURG {si_signo=SIGURG} ---
1 <... fsync resumed>)     = -1 EIO (Input/output error)
1 mkdir(\"/v/newer\", 0700) = 0
";
    let calls = parse(log, Path::new("/v"));
    let shown: Vec<String> = calls.iter().map(|call| format!("{call:?}")).collect();
    assert_eq!(
        shown,
        [
            "openat #1 (AT_FDCWD</x>, \"/v/.lock\", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 3</v/.lock>",
            "mkdir #1 (\"/v/new\", 0700) = 0",
            "fsync #1 (3</v/.lock>) = -1 EIO (Input/output error)",
            "mkdir #2 (\"/v/newer\", 0700) = 0",
        ]
    );
    assert_eq!(calls[1].mode(), Some(0o700));
}
