//! A mnemonic among the arguments: taken out before anything copies it, and wiped where other users see it.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, OpenOptions},
    io,
    os::unix::fs::FileExt,
    sync::{Mutex, PoisonError},
};

use sw_keys::SecretString;
use zeroize::Zeroizing;

/// The words of `--mnemonic`, until the command asks for them.
static MNEMONIC: Mutex<Option<SecretString>> = Mutex::new(None);

/// The arguments of this process. Of `--mnemonic` only the flag is left: its words are for [`take_mnemonic`], and are no
/// longer in the list of processes.
pub(crate) fn args() -> Vec<OsString> {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    let starts: Vec<usize> = (0..=args.len())
        .map(|end| args.iter().take(end).map(|arg| arg.len() + 1).sum())
        .collect();
    let hide = |first: usize, end: usize| {
        let offset = |at: usize| starts.get(at).copied().unwrap_or_default();
        // Without it they are seen as long as the process lives, of which the person is warned anyway.
        let _ = wipe(offset(first), offset(end).saturating_sub(1));
    };
    for misplaced in replace_misplaced(&mut args) {
        hide(misplaced, misplaced + 1);
    }
    if let Some(words) = extract(&mut args) {
        hide(words.first, words.end);
        *MNEMONIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(words.text);
    }
    args
}

/// The words that stood behind `--mnemonic`, once.
pub(crate) fn take_mnemonic() -> Option<SecretString> {
    MNEMONIC.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// What was taken out: the arguments from `first` to before `end`.
struct Words {
    text: SecretString,
    first: usize,
    end: usize,
}

/// Takes the words out. Those that were not quoted, so that each is an argument, belong to the phrase as well.
fn extract(args: &mut Vec<OsString>) -> Option<Words> {
    let end_of_flags = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    let is_flag = |arg: &OsString| arg == FLAG || arg.as_encoded_bytes().starts_with(FLAG_AND_VALUE.as_bytes());
    let flag = args.iter().take(end_of_flags).position(is_flag)?;
    let first = if args.get(flag)? == FLAG { flag + 1 } else { flag };
    let more = args.iter().skip(flag + 1);
    let end = flag + 1 + more.take_while(|arg| !arg.as_encoded_bytes().starts_with(b"-")).count();
    if first == end {
        return None;
    }
    let left = if first == flag { FLAG_AND_VALUE } else { "" };
    let taken: Vec<OsString> = args
        .splice(first..end, [OsString::from(format!("{left}{TAKEN}"))])
        .collect();
    let mut text = Zeroizing::new(String::with_capacity(taken.iter().map(|arg| 3 * arg.len() + 1).sum()));
    for arg in taken {
        let bytes = Zeroizing::new(arg.into_encoded_bytes());
        let arg = bytes.strip_prefix(FLAG_AND_VALUE.as_bytes()).unwrap_or(&bytes);
        text.push_str(str::from_utf8(arg).unwrap_or("\u{fffd}"));
        text.push(' ');
    }
    let text = SecretString::from(text.trim());
    Some(Words { text, first, end })
}

/// Replaces the phrases that another flag was given, or none: an error would repeat them.
fn replace_misplaced(args: &mut [OsString]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut behind_flag = false;
    for (at, arg) in args.iter_mut().enumerate() {
        let is_misplaced = !behind_flag && !arg.as_encoded_bytes().starts_with(FLAG_AND_VALUE.as_bytes());
        behind_flag = arg == FLAG;
        if is_misplaced && is_phrase(arg) {
            let flag = arg.to_str().and_then(|text| text.strip_prefix("--")?.split_once('='));
            let left = flag.map_or_else(String::new, |(name, _)| format!("--{name}="));
            drop(Zeroizing::new(
                std::mem::replace(arg, format!("{left}{MISPLACED}").into()).into_encoded_bytes(),
            ));
            found.push(at);
        }
    }
    found
}

/// No name, address or number has twelve words.
pub(crate) fn is_phrase(text: &OsStr) -> bool {
    text == MISPLACED || text.to_string_lossy().split_whitespace().count() >= 12
}

/// Overwrites a part of what `/proc/<pid>/cmdline` shows.
fn wipe(start: usize, end: usize) -> io::Result<()> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let all_start: Option<u64> = after_name
        .split_whitespace()
        .nth(ARG_START)
        .and_then(|field| field.parse().ok());
    let all_start = all_start.filter(|at| *at > 0).ok_or(io::ErrorKind::Unsupported)?;
    let memory = OpenOptions::new().write(true).open("/proc/self/mem")?;
    memory.write_all_at(&vec![0; end.saturating_sub(start)], all_start + start as u64)
}

const FLAG: &str = "--mnemonic";
const FLAG_AND_VALUE: &str = "--mnemonic=";
const TAKEN: &str = "(taken)";
const MISPLACED: &str = "(a mnemonic)";
/// proc(5): `arg_start` is field 48 of `stat`, and the first one after the name is field 3.
const ARG_START: usize = 48 - 3;

#[cfg(test)]
mod tests {
    use sw_keys::ExposeSecret;

    use super::*;

    fn taken(line: &[&str]) -> (String, Option<String>) {
        let mut args: Vec<OsString> = line.iter().map(OsString::from).collect();
        let words = extract(&mut args);
        let left = args.join(" ".as_ref()).into_string().expect("text");
        (left, words.map(|words| words.text.expose_secret().to_owned()))
    }

    #[test]
    fn the_words_are_taken_out_however_they_are_given() {
        let words = || Some("legal winner thank".to_owned());
        for (line, left) in [
            (
                &["x", "--mnemonic", "legal winner thank", "-v"][..],
                "x --mnemonic (taken) -v",
            ),
            (&["x", "--mnemonic=legal winner thank", "-v"], "x --mnemonic=(taken) -v"),
            (&["x", "--mnemonic", "legal", "winner", "thank"], "x --mnemonic (taken)"),
            (
                &["x", "--mnemonic=legal", "winner", "thank", "--count=1"],
                "x --mnemonic=(taken) --count=1",
            ),
        ] {
            assert_eq!(taken(line), (left.to_owned(), words()));
        }
    }

    #[test]
    fn a_phrase_that_another_flag_was_given_is_not_repeated() {
        let phrase = "a b c d e f g h i j k l";
        let given = [
            "x".to_owned(),
            phrase.to_owned(),
            format!("--vault={phrase}"),
            FLAG.to_owned(),
            phrase.to_owned(),
        ];
        let mut args: Vec<OsString> = given.iter().map(OsString::from).collect();
        assert_eq!(replace_misplaced(&mut args), [1, 2]);
        assert_eq!(args, ["x", MISPLACED, "--vault=(a mnemonic)", FLAG, phrase]);
    }

    #[test]
    fn other_arguments_stay() {
        for line in [
            &["x", "--mnemonic"][..],
            &["x", "--mnemonic", "--vault", "y"],
            &["x", "--mnemonic-file", "words.txt"],
            &["x", "--", "--mnemonic", "legal"],
        ] {
            assert_eq!(taken(line), (line.join(" "), None));
        }
    }
}
