//! The secret that some execution nodes want to see a token of.

use std::{ffi::OsStr, path::PathBuf};

use clap::{builder::TypedValueParser, error::ErrorKind};
use sw_chain_client::{InvalidJwtSecret, JwtSecret};
use sw_keys::ExposeSecret;
use sw_vault_dir::read_secret_file;

use crate::error::{CliError, Kind};

/// How execution nodes that ask who is there are answered.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct JwtArgs {
    /// JWT secret of the execution nodes, in hexadecimal. All of them get tokens made with it. Other users may see it in the
    /// list of processes: prefer the file.
    #[arg(long, env = "EXECUTION_JWT_SECRET", value_name = "HEX", value_parser = SecretParser, hide_env_values = true)]
    execution_jwt_secret: Option<JwtSecret>,
    /// File of the JWT secret of the execution nodes, such as their jwt.hex.
    #[arg(
        long,
        env = "EXECUTION_JWT_SECRET_FILE",
        value_name = "FILE",
        conflicts_with = "execution_jwt_secret"
    )]
    execution_jwt_secret_file: Option<PathBuf>,
}

impl JwtArgs {
    /// The secret, if there is one.
    pub(crate) fn resolve(self) -> Result<Option<JwtSecret>, CliError> {
        let Some(path) = self.execution_jwt_secret_file else {
            return Ok(self.execution_jwt_secret);
        };
        // A message about the file would repeat the secret.
        if path.to_str().is_some_and(looks_like_a_secret) {
            let message =
                "`--execution-jwt-secret-file` was given a secret itself, not the name of a file that holds it";
            return Err(CliError::new(Kind::Usage, message).hint("name the node's jwt.hex"));
        }
        let unusable = |error: &(dyn std::error::Error + 'static)| {
            CliError::caused_by(
                Kind::Usage,
                format_args!("cannot use the JWT secret in `{}`", path.display()),
                error,
            )
            .hint("name the node's jwt.hex with `--execution-jwt-secret-file`")
        };
        let text = read_secret_file(&path).map_err(|error| unusable(&error))?;
        let secret = text.expose_secret().parse();
        secret.map(Some).map_err(|error: InvalidJwtSecret| unusable(&error))
    }
}

/// Also one with a digit too few or too many.
fn looks_like_a_secret(text: &str) -> bool {
    let digits = text.trim().trim_start_matches("0x");
    digits.len() >= 48 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Reads a secret; one that cannot be read is not repeated.
#[derive(Debug, Clone, Copy)]
struct SecretParser;

impl TypedValueParser for SecretParser {
    type Value = JwtSecret;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<JwtSecret, clap::Error> {
        let parsed = value.to_str().ok_or(InvalidJwtSecret).and_then(str::parse);
        parsed.map_err(|error| {
            let arg = arg.map(ToString::to_string).unwrap_or_default();
            let message = format!("invalid value for '{arg}': {error}");
            command.clone().error(ErrorKind::ValueValidation, message)
        })
    }
}
