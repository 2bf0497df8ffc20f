//! Public tools as processes that answer a line of JSON with a line of JSON, installed on demand in exact versions.

use std::{
    ffi::OsStr,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, OnceLock},
    time::Duration,
};

use serde_json::{Value, json};
use sw_devnet::{
    process,
    toolchain::{self, Toolchain},
};

/// A long-lived process; it ends when its standard input does, with this one.
pub struct Tools {
    pub name: &'static str,
    program: PathBuf,
    script: PathBuf,
    running: Mutex<Option<Running>>,
}

struct Running {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// `ethstaker-deposit`, `mnemonic`, `eth-account` and `eth-keyfile` of PyPI.
pub fn python() -> &'static Tools {
    static PYTHON: OnceLock<Tools> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let program = python_with_packages();
        Tools::new("PyPI", program, Path::new(DIRECTORY).join("tools.py"))
    })
}

/// `@chainsafe/bls-keystore`, `bls-keygen`, `bip39`, `ethers` and `@openzeppelin/merkle-tree` of npm.
pub fn node() -> &'static Tools {
    static NODE: OnceLock<Tools> = OnceLock::new();
    NODE.get_or_init(|| {
        let lock = include_str!("package-lock.json");
        let tools = block_on(Toolchain::prepare_with(&cache(), include_str!("package.json"), lock));
        let script = tools.and_then(|tools| tools.script("tools.mjs", include_str!("tools.mjs")));
        Tools::new("npm", "node".into(), script.unwrap())
    })
}

/// Both, for what every tool must agree on.
pub fn both() -> [&'static Tools; 2] {
    [python(), node()]
}

impl Tools {
    fn new(name: &'static str, program: PathBuf, script: PathBuf) -> Self {
        let running = Mutex::new(None);
        Self {
            name,
            program,
            script,
            running,
        }
    }

    /// The answer to a request that must succeed.
    pub fn ask(&self, call: &str, arguments: Value) -> Value {
        self.try_ask(call, arguments)
            .unwrap_or_else(|refusal| panic!("{} {call}: {refusal}", self.name))
    }

    /// The text that answers a request that must succeed.
    pub fn text(&self, call: &str, arguments: Value) -> String {
        sw_testkit::text(&self.ask(call, arguments)).to_owned()
    }

    /// The answer, or how the tool refused.
    pub fn try_ask(&self, call: &str, mut arguments: Value) -> Result<Value, String> {
        arguments["call"] = json!(call);
        let mut answer = self.answer(&arguments);
        match answer.get("error") {
            None => Ok(answer["ok"].take()),
            Some(_) => Err(sw_testkit::text(&answer["trace"]).to_owned()),
        }
    }

    /// Asks again when the process died: Node.js was seen to die of a signal once in some hundred runs.
    fn answer(&self, request: &Value) -> Value {
        let mut running = self.running.lock().unwrap();
        let mut ended = Vec::new();
        while ended.len() < ATTEMPTS {
            let process = running.get_or_insert_with(|| self.start());
            let mut line = String::new();
            let asked = writeln!(process.requests, "{request}").and_then(|()| process.answers.read_line(&mut line));
            match asked {
                Ok(length) if length > 0 => return serde_json::from_str(&line).unwrap(),
                _ => ended.push(process.child.wait()),
            }
            *running = None;
        }
        panic!("the tools of {} end without an answer: {ended:?}", self.name);
    }

    fn start(&self) -> Running {
        let mut child = Command::new(&self.program)
            .arg(&self.script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Running {
            requests: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }
}

/// The Python of a virtual environment that has the packages of `requirements.txt`, made once for however many ask.
fn python_with_packages() -> PathBuf {
    let run = |program: &Path, arguments: &[&OsStr]| {
        let program = program.to_str().unwrap();
        block_on(process::run(program, arguments, &cache(), Vec::new(), INSTALLATION)).unwrap_or_else(|error| {
            panic!("{error}\nThe tests of interoperation need python3 3.11 or newer with venv (Debian: python3-venv).")
        })
    };
    fs::create_dir_all(cache()).unwrap();
    let version = run(Path::new("python3"), &[OsStr::new("--version")]);
    let mut hasher = DefaultHasher::new();
    (version, include_str!("requirements.txt")).hash(&mut hasher);
    let environment = cache().join(format!("python-{:016x}", hasher.finish()));
    let (python, complete) = (environment.join("bin/python"), environment.join("complete"));

    let lock = File::create(environment.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !complete.is_file() {
        let make = ["-m", "venv", "--clear"].map(OsStr::new);
        run(Path::new("python3"), &[&make[..], &[environment.as_os_str()]].concat());
        let requirements = Path::new(DIRECTORY).join("requirements.txt");
        let install = [
            "-m",
            "pip",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
            "install",
        ]
        .map(OsStr::new);
        let which = ["--require-hashes", "--only-binary", ":all:", "--requirement"].map(OsStr::new);
        run(
            &python,
            &[&install[..], &which[..], &[requirements.as_os_str()]].concat(),
        );
        File::create(complete).unwrap();
    }
    python
}

fn cache() -> PathBuf {
    toolchain::default_cache().with_file_name("interop")
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(work)
}

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop");
const ATTEMPTS: usize = 3;
const INSTALLATION: Duration = Duration::from_secs(300);
