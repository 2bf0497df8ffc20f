//! What is said and written by every command and its failures.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Output},
};

use crate::{
    planted::{MISTYPED, PHRASE, Planted},
    vault::{VAULT, Vault, files_below},
};

const KEYSTORE_PASSWORD: &str = "planted-password-of-the-keystores";
const WALLET_PASSWORD: &str = "planted-password-of-the-wallet";

fn planted() -> Planted {
    let mut planted = Planted::words();
    planted.add("keystore password", KEYSTORE_PASSWORD);
    planted.add("wallet password", WALLET_PASSWORD);
    for part in ["user", "password", "path", "query"] {
        planted.add(part, format!("planted-endpoint-{part}"));
    }
    planted.add("variable", "planted-variable");
    planted
}

fn look_at(planted: &mut Planted, name: &str, output: &Output) {
    planted.look(&format!("{name}: standard output"), &output.stdout);
    planted.look(&format!("{name}: standard error"), &output.stderr);
}

/// Passwords are in their own files, and secrets in no other.
fn look_at_files(planted: &mut Planted, vault: &Vault) {
    for path in files_below(vault.dir.path())
        .into_iter()
        .chain(files_below(vault.temporary.path()))
    {
        let content = fs::read(&path).unwrap();
        let at_home: &[&str] = match path.strip_prefix(vault.path("")).ok().and_then(|path| path.to_str()) {
            Some("keystores/password.txt") => &["keystore password"],
            Some("wallet/password.txt") => &["wallet password"],
            _ => &[],
        };
        planted.look_except(&path.display().to_string(), &content, at_home);
    }
}

fn with_passwords() -> Vault {
    let vault = Vault::new();
    for (dir, password) in [("keystores", KEYSTORE_PASSWORD), ("wallet", WALLET_PASSWORD)] {
        fs::create_dir(vault.path(dir)).unwrap();
        fs::write(vault.path(dir).join("password.txt"), password).unwrap();
    }
    vault
}

/// A node that nobody answers for.
const NODE: &str = "http://planted-endpoint-user:planted-endpoint-password@127.0.0.1:1/planted-endpoint-path?key=planted-endpoint-query";

fn recover<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let nodes = ["--execution-endpoints", NODE, "--consensus-endpoints", NODE];
    [&["recover", "-v", "--vault", VAULT][..], &nodes, more].concat()
}

fn deposit_data<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["deposit-data", "verify", "-v", "--vault", VAULT][..], more].concat()
}

#[test]
fn commands_and_their_failures_say_and_write_no_secret() {
    let mut planted = planted();
    let vault = with_passwords();
    let file = |content: &str| vault.secret_file(content);
    let (words, typo, broken) = (
        file(PHRASE),
        file(MISTYPED),
        file(&format!("A=1\nplanted-variable {PHRASE}")),
    );
    let (words, typo, broken) = (words.path(), typo.path(), broken.path());
    let [words, typo, broken] = [words, typo, broken].map(|path| path.to_str().unwrap());
    let keys = ["create-keys", "-v", "--vault", VAULT];
    let keys = |more: &[&'static str]| [&keys[..], &["--count", "1"], more].concat();
    let wallet = ["create-wallet", "-v", "--vault", VAULT];
    let listed = file(&format!(r#"["{PHRASE}"]"#));
    let listed = listed.path().to_str().unwrap();
    let line = format!("{PHRASE}\n");
    let twice = format!("{PHRASE}\n{PHRASE}\n");
    let one_off = format!("{VAULT}\n{PHRASE}\n1\n");
    let longer = format!("{PHRASE} avocado\n");
    // Arguments, answers, exit code.
    let cases: Vec<(Vec<&str>, &str, i32)> = vec![
        (keys(&[]), &line, 0),
        (keys(&["--mnemonic-file", "-"]), &line, 0),
        (keys(&["--mnemonic", PHRASE]), "", 0),
        (keys(&["--mnemonic", "walnut", "zebra", "trumpet"]), "", 4),
        (keys(&["--mnemonic", MISTYPED]), "", 4),
        (keys(&["--mnemonic-file", PHRASE]), "", 2),
        (keys(&["--mnemonic", PHRASE, "--mnemonic-file", "x"]), "", 2),
        ([&keys(&[])[..], &["--mnemonic-file", typo]].concat(), "", 4),
        (
            [&keys(&[])[..], &["--mnemonic-file", words, "--network-config", "x"]].concat(),
            "",
            2,
        ),
        (keys(&["--mnemonic-file", "-"]), &longer, 4),
        (keys(&[]), &longer, 2),
        (vec!["create-keys", "-v"], &one_off, 2),
        (vec!["create-keys", "-v", "--vault", VAULT], &line, 2),
        (vec!["create-keys", "-v", "--data-dir", "/proc/none"], &line, 2),
        ([&wallet[..], &["--mnemonic-file", words]].concat(), "", 0),
        ([&wallet[..], &["--mnemonic-file", words]].concat(), "", 6),
        ([&wallet[..], &["--mnemonic-file", typo]].concat(), "", 6),
        (vec!["get-validators-root", "-v", "--vault", VAULT], &line, 0),
        (vec!["get-validators-root", "-v"], &line, 2),
        (vec!["init", "-v", "--network", "hoodi", "--vault", VAULT], &line, 6),
        (vec!["init", "-v", "--network", "hoodi"], &line, 2),
        (vec!["init", "-v"], &line, 2),
        (vec!["init", "--language", PHRASE], "", 2),
        (vec!["create-keys", "--data-dir", PHRASE], "", 2),
        (vec!["create-keys", PHRASE], "", 2),
        (vec!["create-keys", "--env-file", broken], "", 2),
        (vec!["init", "--vault", VAULT, "--network-config", words], "", 1),
        (recover(&["--mnemonic", PHRASE, "--network", "mainnet"]), "", 1),
        (recover(&["--mnemonic-file", typo]), "", 4),
        (recover(&["--mnemonic-file", words, "--network-config", words]), "", 1),
        (vec!["recover", "-v", "--vault", VAULT], &twice, 2),
        (vec!["recover", "-v"], &one_off, 2),
        (vec!["keystores", "list", "-v"], &line, 2),
        (
            vec![
                "keystores",
                "verify",
                "-v",
                "--vault",
                VAULT,
                "--keystores-password-file",
                words,
            ],
            "",
            4,
        ),
        (
            vec!["merge-deposit-data", "-v", "-d", listed, "-d", words, "-m", "x"],
            "",
            1,
        ),
        (
            vec!["merge-deposit-data", "-d", words, "-d", words, "-m", "x", "--no-verify"],
            "",
            1,
        ),
        (deposit_data(&["--deposit-data-file", words]), "", 1),
        (deposit_data(&["--deposit-data-file", listed]), "", 1),
        (deposit_data(&["--execution-endpoints", NODE]), "", 1),
        (vec!["network", "show", "-v", "mainnet"], "", 0),
        (
            vec![
                "start",
                "--vault",
                VAULT,
                "--execution-endpoints",
                "planted-endpoint-user:planted-endpoint-password@x/planted-endpoint-path",
            ],
            "",
            2,
        ),
        (
            vec![
                "start",
                "--vault",
                VAULT,
                "--consensus-endpoints",
                "ftp://x/planted-endpoint-path",
            ],
            "",
            2,
        ),
        (
            vec!["start", "--vault", VAULT, "--hot-wallet-password-file", "/proc/none"],
            "",
            2,
        ),
        (
            [&["start", "--vault", VAULT, "--hot-wallet-password-file"][..], &[typo]].concat(),
            "",
            4,
        ),
    ];
    let count = cases.len();
    for (arguments, answers, code) in cases {
        let output = vault.run(&arguments, answers);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        look_at(&mut planted, &arguments.join(" "), &output);
    }
    look_at_files(&mut planted, &vault);
    // A password file that gives nothing is named, and its neighbours are not repeated.
    for content in ["", "\n"] {
        fs::write(vault.path("keystores/password.txt"), content).unwrap();
        look_at(&mut planted, "no password", &vault.run(&keys(&[]), &line));
    }
    let looked = planted.none_found();
    assert!(looked >= 40 * count, "{looked} of {count} commands");
}

#[test]
fn the_list_of_processes_does_not_show_the_phrase() {
    for arguments in [
        &["create-keys", "--vault", VAULT, "--mnemonic", PHRASE, "-v"][..],
        &["create-keys", "--vault", VAULT, &format!("--mnemonic={PHRASE}")],
        &[
            &["create-keys", "--vault", VAULT, "--mnemonic"][..],
            &PHRASE.split(' ').collect::<Vec<_>>(),
        ]
        .concat(),
    ] {
        let vault = Vault::new();
        let mut child = vault.spawn(arguments);
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut question = String::new();
        said.read_line(&mut question).unwrap();
        assert!(
            question.starts_with("Enter the number of the validator keys"),
            "{question}"
        );
        let mut planted = Planted::words();
        for (file, holds) in [("cmdline", "create-keys"), ("environ", "DATA_DIR")] {
            let shown = Command::new("cat")
                .arg(format!("/proc/{}/{file}", child.id()))
                .output()
                .unwrap()
                .stdout;
            // The environment of a process whose memory is private is shown to root only.
            assert!(file == "environ" || String::from_utf8_lossy(&shown).contains(holds));
            planted.look(file, &shown);
        }
        assert_eq!(planted.none_found(), 24);
        child.stdin.take().unwrap().write_all(b"1\n").unwrap();
        assert!(child.wait().unwrap().success());
    }
}

/// A node, or what is in front of one, that refuses everything and repeats what it was asked.
fn echoing_node() -> (String, std::sync::mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (told, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let mut head = String::new();
            for line in BufReader::new(&stream)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
            {
                head.push_str(&line);
            }
            // Told before it is answered: whoever has the answer in the log has been told.
            let _ = told.send(());
            let _ = write!(
                &stream,
                "HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{head}",
                head.len()
            );
        }
    });
    (address, asked)
}

#[test]
fn endpoints_are_redacted_in_logs_and_metrics() {
    let vault = with_passwords();
    let mut planted = planted();
    let line = format!("{PHRASE}\n");
    for command in [
        &["create-keys", "--vault", VAULT, "--count", "1"][..],
        &["create-wallet", "--vault", VAULT],
    ] {
        assert!(vault.run(command, &line).status.success());
    }
    for form in ["plain", "json"] {
        let (address, asked) = echoing_node();
        let secret = |scheme: &str| {
            format!(
                "{scheme}://planted-endpoint-user:planted-endpoint-password@{address}/planted-endpoint-path?key=planted-endpoint-query"
            )
        };
        let (node, unreachable) = (secret("http"), secret("http").replace(&address, "127.0.0.1:1"));
        let mut child = vault.spawn(&[
            "start",
            "-v",
            "--vault",
            VAULT,
            "--log-format",
            form,
            "--enable-metrics",
            "--metrics-port",
            "0",
            "--execution-endpoints",
            &format!("{unreachable},{node}"),
            "--consensus-endpoints",
            &node,
            "--ipfs-fetch-endpoints",
            &node,
        ]);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut log = String::new();
        let (mut metrics, mut is_asked) = (None, false);
        for line in &mut lines {
            log.push_str(&line);
            log.push('\n');
            if line.contains("metrics are served") {
                let at = line.split("127.0.0.1:").nth(1).unwrap();
                metrics = Some(at.chars().take_while(char::is_ascii_digit).collect::<String>());
            }
            // Both nodes were asked, and what came of it was said.
            is_asked |= asked.try_recv().is_ok();
            if metrics.is_some() && is_asked && log.contains("403") {
                break;
            }
        }
        let port: u16 = metrics.expect("metrics").parse().unwrap();
        let mut page = TcpStream::connect(("127.0.0.1", port)).unwrap();
        page.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut body = Vec::new();
        page.read_to_end(&mut body).unwrap();
        assert!(body.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&body));
        planted.look("metrics", &body);
        assert!(
            Command::new("kill")
                .args(["-TERM", &child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
        log.extend(lines.map(|line| line + "\n"));
        assert!(child.wait().unwrap().code().is_some());
        assert!(log.contains("127.0.0.1"), "{log}");
        planted.look(form, log.as_bytes());
    }
    look_at_files(&mut planted, &vault);
    planted.none_found();
}
