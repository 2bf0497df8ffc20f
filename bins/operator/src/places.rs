//! Files and directories that must be there before they are needed.

use std::path::{Path, PathBuf};

use crate::error::{CliError, Kind};

/// Something that must be there at the start, and not only when it is first needed.
pub(crate) struct Place {
    pub(crate) what: &'static str,
    pub(crate) flag: &'static str,
}

impl Place {
    /// The path that was given, or the one where `command` puts it.
    pub(crate) fn find(&self, given: Option<PathBuf>, otherwise: PathBuf, command: &str) -> Result<PathBuf, CliError> {
        match given {
            Some(path) => self.given(path),
            None if otherwise.exists() => Ok(otherwise),
            None => Err(self.missing(Kind::Failed, &otherwise).hint(format_args!(
                "run `operator {command}` first, or name the right place with `{}`",
                self.flag
            ))),
        }
    }

    pub(crate) fn given(&self, path: PathBuf) -> Result<PathBuf, CliError> {
        if path.exists() {
            return Ok(path);
        }
        let hint = format!("name the right place with `{}`", self.flag);
        Err(self.missing(Kind::Usage, &path).hint(hint))
    }

    fn missing(&self, kind: Kind, path: &Path) -> CliError {
        CliError::new(kind, format_args!("there is no {} at `{}`", self.what, path.display()))
    }
}
