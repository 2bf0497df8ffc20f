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
    // Whoever runs the tests in the background has them ignore signals, which a child would inherit.
    let mut command = Command::new("env");
    command
        .args([
            "--default-signal",
            "sh",
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
    session.set_expect_timeout(Some(Duration::from_secs(120)));
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

/// What an emulated terminal shows, and keeps of what scrolled away.
fn screen(output: &[u8]) -> String {
    let mut emulator = vt100::Parser::new(24, 80, 1000);
    emulator.process(output);
    let mut seen = emulator.screen().contents();
    emulator.screen_mut().set_scrollback(1000);
    for back in (0..=emulator.screen().scrollback()).rev() {
        emulator.screen_mut().set_scrollback(back);
        seen.push_str(&emulator.screen().contents());
    }
    // A terminal keeps its other screen when it is left: it is looked at, too.
    emulator.process(b"\x1b[?47h");
    seen + &emulator.screen().contents()
}

fn signal(name: &str, process: &str) {
    let status = Command::new("kill").args([name, process]).status().expect("kill");
    assert!(status.success());
}

const INIT: [&str; 7] = [
    "init",
    "--network",
    "mainnet",
    "--vault",
    VAULT,
    "--language",
    "english",
];

#[test]
fn no_word_stays_on_the_screen_or_above_it_however_the_showing_ends() {
    let ends = [
        ("key", 0),
        ("ctrl-c", 130),
        ("-INT", 2),
        ("-TERM", 15),
        ("-HUP", 1),
        ("-QUIT", 3),
    ];
    for (end_by, expected) in ends {
        let data_dir = tempfile::tempdir().expect("a directory");
        // Lines enough to scroll, so that there is something above the screen.
        let mut session = script("seq 40; exec \"$@\"", &INIT, data_dir.path(), &[]);
        let mut output = until(&mut session, "written down your mnemonic.").into_bytes();
        let shown = String::from_utf8_lossy(&output).into_owned();
        let line = shown.lines().find(|line| line.split_whitespace().count() == 24);
        let words: Vec<&str> = line.expect("24 words").split_whitespace().collect();
        assert!(screen(&output).contains(&words[..6].join(" ")), "the words are shown");
        match end_by {
            "key" => session.send("x").expect("typed"),
            "ctrl-c" => session.send(ControlCode::EndOfText).expect("typed"),
            name => signal(name, &session.get_process().pid().to_string()),
        }
        if end_by == "key" {
            output.extend(until(&mut session, "\r\n: ").into_bytes());
            session.send_line(words.join(" ")).expect("typed");
        }
        output.extend(session.expect(Eof).expect("an end").as_bytes());
        let code = match session.get_process().wait().expect("a status") {
            WaitStatus::Exited(_, code) => code,
            WaitStatus::Signaled(_, signal, _) => signal as i32,
            other => panic!("{other:?}"),
        };
        assert_eq!(code, expected, "{end_by}");
        let left = screen(&output);
        assert!(left.contains("40"), "{left}");
        let pairs = words.windows(2).map(|pair| pair.join(" "));
        assert_eq!(pairs.filter(|pair| left.contains(pair)).count(), 0, "{end_by}: {left}");
    }
}

#[test]
fn a_signal_at_the_question_puts_the_terminal_back() {
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let data_dir = initialized();
        let mut session = script(
            "stty -g; sh -c 'echo id $$; exec \"$@\"' sh \"$@\"; echo code $?; stty -g",
            &["create-wallet", "--vault", VAULT],
            data_dir.path(),
            &[],
        );
        let before = until(&mut session, "Enter the mnemonic for generating the wallet: ");
        let id = before.lines().find_map(|line| line.strip_prefix("id "));
        session.send("legal winner").expect("typed");
        until(&mut session, "[2 words]");
        signal(name, id.expect("an id").trim());
        let (rest, _) = end(session);
        let settings = before.lines().next().expect("the settings");
        let lines: Vec<_> = rest.lines().collect();
        assert!(lines.ends_with(&[&format!("code {code}"), settings]), "{rest}");
        assert!(!rest.contains("winner"), "{rest}");
    }
}

#[test]
fn words_nobody_looks_at_are_hidden_and_come_back_with_a_key() {
    let data_dir = tempfile::tempdir().expect("a directory");
    let mut session = script("\"$@\"", &INIT, data_dir.path(), &[("MNEMONIC_HIDE_AFTER", "1")]);
    let mut output = until(&mut session, "see them again.").into_bytes();
    let shown = String::from_utf8_lossy(&output).into_owned();
    let line = shown.lines().find(|line| line.split_whitespace().count() == 24);
    let beginning: Vec<&str> = line.expect("24 words").split_whitespace().take(3).collect();
    assert!(!screen(&output).contains(&beginning.join(" ")));
    session.send("x").expect("typed");
    output.extend(until(&mut session, "written down your mnemonic.").into_bytes());
    assert!(screen(&output).contains(&beginning.join(" ")));
    session.send(ControlCode::EndOfText).expect("typed");
    assert_eq!(end(session).1, 130);
}

#[test]
fn a_phrase_is_typed_word_by_word_and_leaves_nothing() {
    let data_dir = initialized();
    let mut session = operator(&["create-wallet", "--vault", VAULT], data_dir.path());
    let mut output = until(&mut session, "Enter the mnemonic for generating the wallet: ").into_bytes();
    session.send("legal wi\t").expect("typed");
    output.extend(until(&mut session, "Word 2: wi").into_bytes());
    session.send("nn ").expect("typed");
    output.extend(until(&mut session, "Word 3: ").into_bytes());
    assert!(!screen(&output).contains("winn"), "an accepted word is masked");
    session.send("thax").expect("typed");
    output.extend(until(&mut session, "Word 3: thax").into_bytes());
    assert!(screen(&output).contains("No such word."), "{}", screen(&output));
    // A bracketed paste, a word on each line.
    session.send("\x7fnk ").expect("typed");
    let rest: Vec<&str> = PHRASE.split(' ').skip(3).collect();
    session
        .send(format!("\x1b[200~{}\n\x1b[201~", rest.join("\n")))
        .expect("typed");
    output.extend(until(&mut session, "Enter: done.").into_bytes());
    session.send_line("").expect("typed");
    output.extend(session.expect(Eof).expect("an end").as_bytes());
    let left = screen(&output);
    assert!(left.contains("0x58A57ed9d8d624cBD12e2C467D34787555bB1b25"), "{left}");
    assert_eq!(
        PHRASE.split(' ').filter(|word| left.contains(word)).count(),
        0,
        "{left}"
    );
}

#[test]
fn a_phrase_pasted_over_several_lines_is_taken_whole_and_never_echoed() {
    let data_dir = initialized();
    let mut session = operator(&["create-wallet", "--vault", VAULT], data_dir.path());
    until(&mut session, "Enter the mnemonic for generating the wallet: ");
    session
        .send(format!("{}\n", PHRASE.replace(' ', "\r\n")))
        .expect("typed");
    let (rest, code) = end(session);
    assert_eq!(code, 0, "{rest}");
    assert!(!rest.contains("error:"), "{rest}");
    assert!(!PHRASE.split(' ').any(|word| rest.contains(word)), "{rest}");
}

#[test]
fn what_is_pasted_behind_the_phrase_does_not_get_to_the_shell() {
    let data_dir = initialized();
    let mut session = script(
        "\"$@\"; echo done; read -r line; echo \"line: $line\"",
        &["create-wallet", "--vault", VAULT],
        data_dir.path(),
        &[],
    );
    until(&mut session, "Enter the mnemonic for generating the wallet: ");
    session.send(PHRASE).expect("typed");
    until(&mut session, "[12 words, valid]");
    session.send("\nzebra\n").expect("typed");
    let said = until(&mut session, "done\r\n");
    session.send_line("typed later").expect("typed");
    let (rest, code) = end(session);
    assert_eq!(code, 0, "{rest}");
    assert!(rest.contains("line: typed later"), "{rest}");
    assert!(!said.contains("zebra") && !rest.contains("zebra"), "{said}{rest}");
}

#[test]
fn a_bar_on_a_narrow_terminal_stays_on_its_line() {
    let data_dir = initialized();
    let mut session = script(
        "stty cols 40; \"$@\"",
        &["create-keys", "--vault", VAULT, "--count", "100"],
        data_dir.path(),
        &[],
    );
    until(&mut session, "validator keys: ");
    session.send_line(PHRASE).expect("typed");
    let (rest, code) = end(session);
    assert_eq!(code, 0, "{rest}");
    assert!(rest.contains("100/100"), "{rest}");
    let bars = rest
        .split(['\r', '\n'])
        .filter(|line| line.trim_end().ends_with("/100"));
    for bar in bars {
        assert!(bar.len() < 40, "{bar}");
    }
}
