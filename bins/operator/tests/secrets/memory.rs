//! The memory of a process that has made keys, held where it is about to exit.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use sw_keys::Mnemonic;

use crate::{
    planted::{ENTROPY, PHRASE, Planted},
    vault::{VAULT, Vault},
};

/// Where the phrase comes from.
enum From {
    File,
    Pipe,
    Argument,
    Terminal,
}

/// Runs a command to its exit, under strace, and returns what its memory holds there.
fn memory_at_exit(vault: &Vault, arguments: &[&str], from: &From) -> Vec<(String, Vec<u8>)> {
    let phrase = vault.secret_file(PHRASE);
    let trace = tempfile::tempdir().unwrap();
    let log = trace.path().join("trace");
    assert!(Command::new("mkfifo").arg(&log).status().unwrap().success());
    let mut all = vec!["-f", "-o", log.to_str().unwrap(), "-e", "trace=exit_group"];
    all.extend([
        "-e",
        "inject=exit_group:delay_enter=600000000",
        env!("CARGO_BIN_EXE_operator"),
    ]);
    all.extend(arguments);
    match from {
        From::File => all.extend(["--mnemonic-file", phrase.path().to_str().unwrap()]),
        From::Argument => all.extend(["--mnemonic", PHRASE]),
        From::Pipe | From::Terminal => {}
    }
    let mut command = vault.command("strace", &all);
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let terminal = matches!(from, From::Terminal).then(|| on_a_terminal(&mut command));
    let mut strace = command.spawn().expect("the test needs strace");
    drop(command);
    // Each end of a pipe waits for the other to be opened.
    let mut calls = File::open(&log).unwrap();
    match (terminal, from) {
        (Some(mut terminal), _) => {
            wait_for(&mut terminal, "keys: ");
            terminal.write_all(format!("{PHRASE}\n").as_bytes()).unwrap();
            // What is said on the way must be taken, or the command waits.
            std::thread::spawn(move || std::io::copy(&mut terminal, &mut std::io::sink()));
        }
        (None, From::Pipe) => strace
            .stdin
            .take()
            .unwrap()
            .write_all(format!("{PHRASE}\n").as_bytes())
            .unwrap(),
        _ => drop(strace.stdin.take()),
    }
    let said = wait_for(&mut calls, "exit_group(0");
    let said = said.lines().last().unwrap();
    let process: u32 = said.split_whitespace().next().unwrap().parse().unwrap();
    let memory = writable_memory(process);
    for id in [process, strace.id()] {
        let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
    }
    strace.wait().unwrap();
    memory
}

fn writable_memory(process: u32) -> Vec<(String, Vec<u8>)> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps"));
    let memory = File::open(format!("/proc/{process}/mem"));
    let (Ok(maps), Ok(mut memory)) = (maps, memory) else {
        panic!("another process's memory is read by root only: run this test as root");
    };
    let mut found = Vec::new();
    for line in maps
        .lines()
        .filter(|line| line.split(' ').nth(1).unwrap().contains('w'))
    {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|at| u64::from_str_radix(at, 16).unwrap());
        memory.seek(SeekFrom::Start(start)).unwrap();
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        memory
            .read_exact(&mut bytes)
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        // Pages that were never written to hold nothing, and are most of it.
        let pages: Vec<&[u8]> = bytes.chunks(4096).collect();
        let written = pages.split(|page| *page == &[0; 4096][..page.len()]);
        found.extend(
            written
                .filter(|run| !run.is_empty())
                .map(|run| (line.to_owned(), run.concat())),
        );
    }
    found
}

fn on_a_terminal(command: &mut Command) -> File {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let other = || File::options().read(true).write(true).open(&name).unwrap();
    command.stdin(other()).stderr(other()).env("TERM", "xterm");
    File::from(terminal)
}

/// What is said up to and including `text`, which may not end a line.
fn wait_for(stream: &mut File, text: &str) -> String {
    let mut said = String::new();
    let mut byte = [0];
    // No more than that is taken: what follows is for others.
    while stream.read(&mut byte).unwrap() > 0 {
        said.push(char::from(byte[0]));
        if said.ends_with(text) {
            return said;
        }
    }
    panic!("no `{text}` in: {said}")
}

/// The memory of another process is root's: a user namespace makes anybody root of what is started in it.
fn as_root(test: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let status = Command::new("unshare")
        .arg("-r")
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "the memory of another process is read by root only: run this as root, or allow `unshare -r`"
    );
    false
}

/// A command that was told the phrase and still asks for something else needs to keep it.
fn a_waiting_process_holds_the_phrase() -> bool {
    let vault = Vault::new();
    let mut child = vault.spawn(&["create-keys", "--vault", VAULT, "--mnemonic", PHRASE]);
    let mut question = [0; 16];
    child.stderr.as_mut().unwrap().read_exact(&mut question).unwrap();
    let memory = writable_memory(child.id());
    drop(child.stdin.take());
    child.wait().unwrap();
    let phrase = PHRASE.as_bytes();
    memory
        .iter()
        .any(|(_, bytes)| bytes.windows(phrase.len()).any(|window| window == phrase))
}

#[test]
fn neither_the_phrase_nor_its_seed_stays_in_memory() {
    if !as_root("memory::neither_the_phrase_nor_its_seed_stays_in_memory") {
        return;
    }
    assert!(
        a_waiting_process_holds_the_phrase(),
        "the search must see what is there"
    );
    let seed = Mnemonic::parse(PHRASE).unwrap().to_seed();
    let mut planted = Planted::new();
    planted.add("the entropy", ENTROPY);
    planted.add("the first half of the seed", &seed.expose_bytes()[..32]);
    planted.add("the second half of the seed", &seed.expose_bytes()[32..]);
    let create_keys = ["create-keys", "--vault", VAULT, "--count", "2"];
    for (arguments, from) in [
        (&create_keys[..], From::File),
        (&create_keys, From::Pipe),
        (&create_keys, From::Argument),
        (&create_keys, From::Terminal),
        (&["create-wallet", "--vault", VAULT], From::File),
    ] {
        let memory = memory_at_exit(&Vault::new(), arguments, &from);
        assert!(
            memory.iter().any(|(map, _)| map.ends_with("[heap]"))
                && memory.iter().any(|(map, _)| map.ends_with("[stack]"))
        );
        for (map, bytes) in memory {
            planted.look(&map, &bytes);
        }
    }
    assert!(planted.none_found() > 500);
}
