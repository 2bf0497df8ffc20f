//! What the devnet is made with: Node.js of this machine, and npm packages of exact versions installed on demand.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};

use crate::process::{ProcessError, run};

/// Something the devnet is made with that is missing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolchainError {
    /// Node.js or npm is not there.
    #[error("`{program}` is not installed; the devnet needs Node.js 20 or newer with npm (nodejs.org)")]
    Missing {
        /// The program.
        program: &'static str,
    },
    /// Node.js is too old for the pinned packages.
    #[error("Node.js {found} is too old for the devnet, which needs version 20 or newer (nodejs.org)")]
    NodeTooOld {
        /// What `node --version` said.
        found: String,
    },
    /// The packages could not be installed.
    #[error("cannot install npm packages; is the npm registry reachable?")]
    Install(#[source] ProcessError),
    /// A program of the toolchain could not be run.
    #[error("cannot run the devnet's tools")]
    Run(#[source] ProcessError),
    /// There is no pinned execution node for this platform.
    #[error("npm has no anvil for {os} {arch}: install Foundry's anvil 1.7 and put it on the PATH")]
    NoAnvil {
        /// The operating system.
        os: &'static str,
        /// The processor.
        arch: &'static str,
    },
    /// A file of the cache cannot be read or written.
    #[error("cannot use the devnet's cache at `{}`", .path.display())]
    Cache {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The installed tools.
#[derive(Debug, Clone)]
pub struct Toolchain {
    cache: PathBuf,
    packages: PathBuf,
}

impl Toolchain {
    /// Installs what is missing under `cache`, once for however many processes ask at the same time.
    ///
    /// # Errors
    ///
    /// Node.js is missing or old, npm fails, or the cache cannot be written.
    pub async fn prepare(cache: &Path) -> Result<Self, ToolchainError> {
        Self::prepare_with(cache, PACKAGE_JSON, PACKAGE_LOCK).await
    }

    /// Like [`Toolchain::prepare`], with the packages of another `package.json` and `package-lock.json` than the devnet's.
    ///
    /// # Errors
    ///
    /// As [`Toolchain::prepare`].
    pub async fn prepare_with(cache: &Path, package_json: &str, package_lock: &str) -> Result<Self, ToolchainError> {
        let digest = hash([package_json, package_lock]);
        let packages = cache.join(format!("npm-{digest}"));
        let toolchain = Self {
            cache: cache.to_owned(),
            packages,
        };
        check_node(cache).await?;
        if toolchain.packages.is_dir() {
            return Ok(toolchain);
        }
        let _lock = lock(&cache.join(format!("npm-{digest}.lock"))).await?;
        if !toolchain.packages.is_dir() {
            let files = [("package.json", package_json), ("package-lock.json", package_lock)];
            toolchain
                .install(&cache.join(format!("npm-{digest}.partial")), files)
                .await?;
        }
        Ok(toolchain)
    }

    /// The directory that holds `node_modules`: a script anywhere below it finds the packages.
    pub fn packages(&self) -> &Path {
        &self.packages
    }

    /// The directory for what is made once and used again.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The native anvil: the pinned one where npm has one, else the one on the `PATH`.
    ///
    /// # Errors
    ///
    /// There is neither.
    pub fn anvil(&self) -> Result<PathBuf, ToolchainError> {
        let pinned = self
            .packages
            .join("node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");
        let on_path = || {
            std::env::split_paths(&std::env::var_os("PATH")?)
                .map(|dir| dir.join("anvil"))
                .find(|path| path.is_file())
        };
        Some(pinned)
            .filter(|path| path.is_file())
            .or_else(on_path)
            .ok_or(ToolchainError::NoAnvil {
                os: std::env::consts::OS,
                arch: std::env::consts::ARCH,
            })
    }

    /// Runs a Node.js program below [`Toolchain::packages`] with `input`, and returns what it printed.
    ///
    /// # Errors
    ///
    /// It fails, or does not end in two minutes.
    pub async fn run_script(&self, name: &str, script: &str, input: Vec<u8>) -> Result<Vec<u8>, ToolchainError> {
        let path = self.script(name, script)?;
        run_node(&[path.as_os_str()], &self.packages, input)
            .await
            .map_err(ToolchainError::Run)
    }

    /// Puts a Node.js program where it finds the packages, and returns its path.
    ///
    /// # Errors
    ///
    /// The cache cannot be written.
    pub fn script(&self, name: &str, script: &str) -> Result<PathBuf, ToolchainError> {
        Ok(self.scripts(&[(name, script)])?.join(name))
    }

    /// Puts the files of a Node.js program where they find each other and the packages, and returns their directory.
    ///
    /// # Errors
    ///
    /// The cache cannot be written.
    pub fn scripts(&self, files: &[(&str, &str)]) -> Result<PathBuf, ToolchainError> {
        let directory = self
            .packages
            .join(format!("scripts-{}", hash(files.iter().map(|(_, script)| *script))));
        create_dir(&directory)?;
        for (name, script) in files {
            let path = directory.join(name);
            if !path.is_file() {
                replace(&path, script.as_bytes())?;
            }
        }
        Ok(directory)
    }

    async fn install(&self, partial: &Path, files: [(&str, &str); 2]) -> Result<(), ToolchainError> {
        if partial.exists() {
            fs::remove_dir_all(partial).map_err(cache_error(partial))?;
        }
        create_dir(partial)?;
        for (name, content) in files {
            let path = partial.join(name);
            fs::write(&path, content).map_err(cache_error(&path))?;
        }
        tracing::info!("installing npm packages");
        let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"].map(OsStr::new);
        run("npm", &arguments, partial, Vec::new(), INSTALL_TIMEOUT)
            .await
            .map_err(|error| match error {
                ProcessError::Start { .. } => ToolchainError::Missing { program: "npm" },
                error => ToolchainError::Install(error),
            })?;
        fs::rename(partial, &self.packages).map_err(cache_error(&self.packages))
    }
}

/// `<target directory>/devnet` of the build this program belongs to, where a clean build leaves nothing behind.
///
/// Cargo marks its target directory with a `CACHEDIR.TAG`; a program that was moved elsewhere takes the workspace's.
pub fn default_cache() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let target = program
        .ancestors()
        .skip(1)
        .find(|directory| directory.join("CACHEDIR.TAG").is_file());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    target.map_or(workspace, Path::to_owned).join("devnet")
}

/// Holds a lock among processes until the file is dropped or the process ends.
pub(crate) async fn lock(path: &Path) -> Result<File, ToolchainError> {
    if let Some(directory) = path.parent() {
        create_dir(directory)?;
    }
    let wait = {
        let path = path.to_owned();
        move || {
            let file = File::create(path)?;
            file.lock()?;
            Ok(file)
        }
    };
    let locked = tokio::task::spawn_blocking(wait).await;
    locked
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        .map_err(cache_error(path))
}

/// Writes a file so that a reader finds all of it or none.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), ToolchainError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(cache_error(directory))?;
    std::io::Write::write_all(&mut file, content).map_err(cache_error(path))?;
    file.persist(path)
        .map_err(|error| error.error)
        .map_err(cache_error(path))?;
    Ok(())
}

/// A short name for texts: another text, another name.
pub(crate) fn hash<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    }
    hex::encode(hasher.finalize()).chars().take(16).collect()
}

pub(crate) fn cache_error(path: &Path) -> impl FnOnce(std::io::Error) -> ToolchainError {
    let path = path.to_owned();
    move |source| ToolchainError::Cache { path, source }
}

fn create_dir(path: &Path) -> Result<(), ToolchainError> {
    fs::create_dir_all(path).map_err(cache_error(path))
}

/// Runs Node.js to its end, again when a signal killed it: its just-in-time compiler was seen to die of an invalid
/// instruction once in some hundred runs, with the same input that it took a moment later.
async fn run_node(arguments: &[&OsStr], directory: &Path, input: Vec<u8>) -> Result<Vec<u8>, ProcessError> {
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        match run("node", arguments, directory, input.clone(), SCRIPT_TIMEOUT).await {
            Err(ProcessError::Failed { status, .. }) if left > 0 && status.signal().is_some() => {
                tracing::warn!(%status, "Node.js was killed by a signal; it is run again");
            }
            ended => return ended,
        }
    }
}

async fn check_node(cache: &Path) -> Result<(), ToolchainError> {
    create_dir(cache)?;
    let version = run_node(&[OsStr::new("--version")], cache, Vec::new()).await;
    let version = version.map_err(|error| match error {
        ProcessError::Start { .. } => ToolchainError::Missing { program: "node" },
        error => ToolchainError::Run(error),
    })?;
    let found = String::from_utf8_lossy(&version).trim().to_owned();
    let major = found
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= OLDEST_NODE => Ok(()),
        _ => Err(ToolchainError::NodeTooOld { found }),
    }
}

const PACKAGE_JSON: &str = include_str!("../npm/package.json");
const PACKAGE_LOCK: &str = include_str!("../npm/package-lock.json");
const ATTEMPTS: u32 = 3;
const OLDEST_NODE: u32 = 20;
const INSTALL_TIMEOUT: Duration = Duration::from_secs(300);
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(120);
