//! Running other programs.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use serde_json::{Map, Value};

use crate::Failure;

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// `cargo`, in the root of the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Runs a command that must succeed, its output shown.
pub(crate) fn succeed(command: &mut Command) -> Result<(), Failure> {
    let status = command.status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?} ended with {status}").into())
    }
}

/// Runs a command that must succeed, and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(format!(
        "{command:?} ended with {}:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    )
    .into())
}

/// Runs tests that print what they counted behind `prefix`, one JSON object a line; their standard error is shown.
pub(crate) fn counted(command: &mut Command, prefix: &str) -> Result<(ExitStatus, Vec<Map<String, Value>>), Failure> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut counts = Vec::new();
    if let Some(output) = child.stderr.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            if let Some(count) = line.strip_prefix(prefix) {
                counts.push(serde_json::from_str(count)?);
            }
            writeln!(std::io::stderr(), "{line}")?;
        }
    }
    Ok((child.wait()?, counts))
}

/// Builds the operator as it is shipped, and returns the path of the binary.
pub(crate) fn build_operator() -> Result<PathBuf, Failure> {
    eprintln!("building the operator as it is shipped (minutes the first time)");
    succeed(&mut cargo(&["build", "--quiet", "--release", "--package", "operator"]))?;
    Ok(target_directory()?.join("release/operator"))
}

/// Where cargo builds.
pub(crate) fn target_directory() -> Result<PathBuf, Failure> {
    let metadata = metadata()?;
    Ok(metadata
        .get("target_directory")
        .and_then(serde_json::Value::as_str)
        .ok_or("no target directory")?
        .into())
}

/// What cargo knows of the workspace's own packages.
pub(crate) fn metadata() -> Result<serde_json::Value, Failure> {
    let text = output(&mut cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    Ok(serde_json::from_str(&text)?)
}
