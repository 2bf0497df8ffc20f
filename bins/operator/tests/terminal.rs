//! A person at a terminal: nothing secret is echoed, and the terminal is left as it was.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::{path::Path, process::Command, time::Duration};

use expectrl::{ControlCode, Eof, Expect, Session, process::unix::WaitStatus, session::OsSession};

const VAULT: &str = "0x3320ad928c20187602a2b2c04eeaa813fa899468";
const PHRASE: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

/// Runs the operator as a shell script's `"$@"`, on a terminal that echoes what is typed.
fn script(script: &str, arguments: &[&str], data_dir: &Path, variables: &[(&str, &str)]) -> OsSession {
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            &format!("stty echo; {script}"),
            "sh",
            env!("CARGO_BIN_EXE_operator"),
        ])
        .args(arguments);
    for name in [
        "NO_COLOR",
        "FORCE_COLOR",
        "NETWORK_CONFIG",
        "MNEMONIC_FILE",
        "POOL_SIZE",
    ] {
        command.env_remove(name);
    }
    command
        .env("DATA_DIR", data_dir)
        .env("TERM", "xterm")
        .envs(variables.iter().copied());
    let mut session = Session::spawn(command).expect("a terminal");
    session.set_expect_timeout(Some(Duration::from_secs(60)));
    session
}

fn operator(arguments: &[&str], data_dir: &Path) -> OsSession {
    script("\"$@\"", arguments, data_dir, &[])
}

/// What is on the terminal up to and including `needle`.
fn until(session: &mut OsSession, needle: &str) -> String {
    let found = session
        .expect(needle)
        .unwrap_or_else(|error| panic!("no `{needle}`: {error}"));
    String::from_utf8_lossy(found.as_bytes()).into_owned()
}

fn end(mut session: OsSession) -> (String, i32) {
    let rest = session.expect(Eof).expect("an end");
    let text = String::from_utf8_lossy(rest.as_bytes()).into_owned();
    match session.get_process().wait().expect("an exit code") {
        WaitStatus::Exited(_, code) => (text, code),
        other => panic!("{other:?}"),
    }
}

fn initialized() -> tempfile::TempDir {
    let data_dir = tempfile::tempdir().expect("a directory");
    let vault = data_dir.path().join(VAULT);
    std::fs::create_dir(&vault).expect("made");
    let key = "0x90d317fa6a570715d34556f27f5b390a9c6b3deab4ef0092b45214e553f2302724d22324eeae418ba8b358cb108125ec";
    let config = format!(r#"{{"network": "mainnet", "mnemonic_next_index": 0, "first_public_key": "{key}"}}"#);
    std::fs::write(vault.join("config.json"), config).expect("written");
    data_dir
}

#[test]
fn a_vault_is_initialized_when_the_words_shown_were_typed_again() {
    let data_dir = tempfile::tempdir().expect("a directory");
    let mut session = operator(&["init"], data_dir.path());
    until(
        &mut session,
        "Enter the network name (mainnet, hoodi, gnosis) [mainnet]: ",
    );
    session.send_line("hoodi").expect("typed");
    until(&mut session, "Enter your vault address: ");
    session.send_line(VAULT).expect("typed");
    until(&mut session, "[english]: ");
    session.send_line("").expect("typed");

    until(&mut session, "\x1b[?1049h");
    let shown = until(&mut session, "Press any key");
    let words = shown
        .lines()
        .find(|line| line.split_whitespace().count() == 24)
        .expect("24 words")
        .trim()
        .to_owned();
    until(&mut session, "mnemonic.");
    session.send("x").expect("typed");
    until(&mut session, "\x1b[?1049l");

    until(&mut session, "\r\n: ");
    session.send_line("not the words").expect("typed");
    let again = until(&mut session, "Press any key");
    assert!(
        again.contains("not the seed phrase") && again.contains(&words),
        "{again}"
    );
    session.send("\r").expect("typed");
    until(&mut session, "\r\n: ");
    assert!(
        !data_dir.path().join(VAULT).exists(),
        "nothing is written before the words were repeated"
    );

    // Four letters of each word, in capitals, are enough.
    let short: Vec<String> = words.split(' ').map(|word| word.chars().take(4).collect()).collect();
    session.send_line(short.join("  ").to_uppercase()).expect("typed");
    let (rest, code) = end(session);
    assert_eq!(code, 0, "{rest}");
    assert!(rest.contains("done."), "{rest}");
    assert!(rest.contains("Successfully initialized configuration for vault \x1b[1;32m0x3320ad928c20187602a2B2C04EeAa813fA899468\x1b[0m"), "{rest}");
    assert!(
        !rest.contains(&short[0].to_uppercase()),
        "typed words are not echoed: {rest}"
    );
    assert!(data_dir.path().join(VAULT).join("config.json").exists());
}

#[test]
fn the_words_leave_the_screen_when_the_person_gives_up() {
    let data_dir = tempfile::tempdir().expect("a directory");
    let arguments = [
        "init",
        "--network",
        "mainnet",
        "--vault",
        VAULT,
        "--language",
        "english",
    ];
    let mut session = operator(&arguments, data_dir.path());
    until(&mut session, "Press any key when you have written down your mnemonic.");
    session.send(ControlCode::EndOfText).expect("typed");
    let (rest, code) = end(session);
    assert_eq!(code, 130);
    assert!(rest.starts_with("\x1b[H\x1b[J\x1b[?2004l\x1b[?1049l"), "{rest}");
    assert!(!data_dir.path().join(VAULT).exists());
}

#[test]
fn the_mnemonic_is_hidden_and_bars_count_to_the_end() {
    let data_dir = initialized();
    let mut session = operator(&["create-keys"], data_dir.path());
    until(&mut session, "Enter the vault address: ");
    session.send_line(VAULT).expect("typed");
    until(&mut session, "Enter the number of the validator keys to generate: ");
    session.send_line("3").expect("typed");
    until(&mut session, "Enter the mnemonic for generating the validator keys: ");
    session.send_line(PHRASE).expect("typed");
    let (rest, code) = end(session);
    assert_eq!(code, 0, "{rest}");
    assert!(!rest.contains("winner"), "{rest}");
    for bar in [
        "Creating validator keys:",
        "Generating deposit data JSON",
        "Exporting validator keystores",
    ] {
        assert!(rest.contains(&format!("{bar} [{}] 3/3\r\n", "#".repeat(36))), "{rest}");
    }
    assert!(rest.contains("Generated \x1b[1;32m3\x1b[0m keys"), "{rest}");
}

#[test]
fn giving_up_at_a_hidden_question_puts_the_terminal_back() {
    let data_dir = initialized();
    let arguments = ["create-wallet", "--vault", VAULT];
    let mut session = script(
        "stty -g; \"$@\"; echo code $?; stty -g",
        &arguments,
        data_dir.path(),
        &[],
    );
    let before = until(&mut session, "Enter the mnemonic for generating the wallet: ");
    session.send("legal winner").expect("typed");
    session.send(ControlCode::EndOfText).expect("typed");
    let (rest, _) = end(session);
    let before = before.lines().next().expect("the settings");
    assert!(before.contains(':'), "{before}");
    let lines: Vec<_> = rest.lines().collect();
    assert!(lines.ends_with(&["code 130", before]), "{rest}");
    assert!(!rest.contains("winner"), "{rest}");
    assert!(!data_dir.path().join(VAULT).join("wallet").exists());
}

#[test]
fn no_color_leaves_results_plain_on_a_terminal() {
    let data_dir = initialized();
    let arguments = ["create-keys", "--vault", VAULT, "--count", "1"];
    let mut session = script("\"$@\"", &arguments, data_dir.path(), &[("NO_COLOR", "1")]);
    until(&mut session, "validator keys: ");
    session.send_line(PHRASE).expect("typed");
    let (rest, code) = end(session);
    assert_eq!(code, 0, "{rest}");
    assert!(!rest.contains('\x1b'), "{rest}");
}
