//! Flags, environment and vault directory turned into values that are checked once.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::Read,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use clap::{builder::TypedValueParser, error::ErrorKind};
use sw_spec::{Address, Network, NetworkSpec, ParseNetworkError, ParseUrlError, RedactedUrl};
use sw_vault_dir::{VaultConfig, VaultDir};

use crate::{
    env_file,
    error::{CliError, Kind},
    ui::{Question, Ui},
};

/// The vault a command is about, and where its files are.
#[derive(Debug, clap::Args)]
pub(crate) struct VaultArgs {
    /// Address of the vault; asked for when missing.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    pub(crate) vault: Option<Address>,
    #[command(flatten)]
    pub(crate) data_dir: DataDirArgs,
}

/// Where the files of all vaults are.
#[derive(Debug, clap::Args)]
pub(crate) struct DataDirArgs {
    /// Directory in which each vault has its own directory [default: ~/.stakewise].
    #[arg(long, env = "DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// The network, by name or by file.
#[derive(Debug, clap::Args)]
pub(crate) struct NetworkArgs {
    /// Network of the vault: mainnet, hoodi or gnosis; asked for when missing [default: mainnet].
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<Network>,
    /// File that describes a network of your own, as `operator network show` prints one.
    #[arg(long, env = "NETWORK_CONFIG", value_name = "FILE")]
    pub(crate) network_config: Option<PathBuf>,
}

/// A network, and the text of the file it was read from.
#[derive(Debug)]
pub(crate) struct ChosenNetwork {
    pub(crate) spec: NetworkSpec,
    pub(crate) file: Option<String>,
}

impl VaultArgs {
    /// The vault's directory, asking for the vault if need be.
    pub(crate) fn resolve(&self, question: &str, ui: &Ui) -> Result<(Address, VaultDir), CliError> {
        let data_dir = self.data_dir.existing()?;
        let question = Question {
            text: question,
            flag: "`--vault`",
            default: None,
        };
        let vault = ui.answer(self.vault, question, parse_address)?;
        Ok((vault, VaultDir::new(&data_dir, vault)))
    }
}

impl DataDirArgs {
    /// The directory, absolute, whether it exists or not.
    pub(crate) fn resolve(&self) -> Result<PathBuf, CliError> {
        let data_dir = match &self.data_dir {
            Some(data_dir) => data_dir.clone(),
            None => std::env::home_dir()
                .filter(|home| !home.as_os_str().is_empty())
                .ok_or_else(|| {
                    CliError::new(Kind::Usage, "this user has no home directory")
                        .hint("name the data directory with `--data-dir` or DATA_DIR")
                })?
                .join(".stakewise"),
        };
        std::path::absolute(&data_dir)
            .map_err(|error| CliError::caused_by(Kind::Usage, "the data directory cannot be named", &error))
    }

    /// The directory, which must exist.
    pub(crate) fn existing(&self) -> Result<PathBuf, CliError> {
        let data_dir = self.resolve()?;
        if data_dir.is_dir() {
            return Ok(data_dir);
        }
        Err(CliError::new(
            Kind::Usage,
            format_args!("there is no data directory `{}`", data_dir.display()),
        )
        .hint("run `operator init` first, or name the right directory with `--data-dir`"))
    }
}

impl NetworkArgs {
    /// The network named by a flag or a file, or else by an answer.
    pub(crate) fn resolve(&self, ui: &Ui) -> Result<ChosenNetwork, CliError> {
        only_one(self.network, self.network_config.as_deref())?;
        if let Some(path) = &self.network_config {
            let text = read_text(path)?;
            return Ok(ChosenNetwork {
                spec: parse_network(&text, path)?,
                file: Some(text),
            });
        }
        let question = Question {
            default: Some(Network::Mainnet.name()),
            ..NETWORK
        };
        let network = ui.answer(self.network, question, str::parse::<Network>)?;
        Ok(ChosenNetwork {
            spec: network.spec(),
            file: None,
        })
    }

    /// The same for a vault that may have been set up before: the network it was set up for is offered first, of
    /// whatever kind it is.
    pub(crate) fn resolve_for(
        &self,
        directory: &VaultDir,
        present: Option<&VaultConfig>,
        ui: &Ui,
    ) -> Result<ChosenNetwork, CliError> {
        let (None, None, Some(config)) = (self.network, &self.network_config, present) else {
            return self.resolve(ui);
        };
        let question = Question {
            default: Some(&config.network),
            ..NETWORK
        };
        let parse = |text: &str| match text {
            text if text == config.network => Ok(None),
            text => text.parse::<Network>().map(Some),
        };
        Ok(ChosenNetwork {
            spec: match ui.answer(None, question, parse)? {
                Some(network) => network.spec(),
                None => vault_network(directory, config)?,
            },
            file: None,
        })
    }
}

const NETWORK: Question<'_> = Question {
    text: "Enter the network name (mainnet, hoodi, gnosis)",
    flag: "`--network`",
    default: None,
};

/// Refuses two networks: the file may come from a variable that was exported for another vault.
pub(crate) fn only_one(network: Option<Network>, file: Option<&Path>) -> Result<(), CliError> {
    let (Some(network), Some(file)) = (network, file) else {
        return Ok(());
    };
    let file = file.display();
    Err(CliError::new(
        Kind::Usage,
        format_args!("two networks are named: {network}, and that of the file `{file}`"),
    )
    .hint("leave out `--network` or `--network-config`; the variables NETWORK_CONFIG and, for `start`, NETWORK count as well"))
}

/// The configuration of a vault that was set up, and its network.
pub(crate) fn load_vault(vault: &VaultDir) -> Result<(VaultConfig, NetworkSpec), CliError> {
    let config = VaultConfig::load(vault).map_err(|error| {
        CliError::from_error(Kind::Failed, &error)
            .hint("run `operator init` for this vault first, or name the right place with `--vault` and `--data-dir`")
    })?;
    let network = vault_network(vault, &config)?;
    Ok((config, network))
}

/// Names the passwords and the wallet that others may read: their owner may not know.
pub(crate) fn warn_of_loose_secrets(vault: &VaultDir, ui: &Ui) {
    for path in vault.loose_secrets() {
        ui.warn(format_args!(
            "`{}` is open to other users of this machine: close it with `chmod 600`",
            path.display()
        ));
    }
}

/// The network that a vault's configuration names: a built-in one, or that of the file kept beside it.
pub(crate) fn vault_network(vault: &VaultDir, config: &VaultConfig) -> Result<NetworkSpec, CliError> {
    let unusable = |error: &ParseNetworkError| {
        CliError::caused_by(
            Kind::Failed,
            format_args!("cannot use `{}`", vault.config().display()),
            error,
        )
    };
    match config.network.parse::<Network>() {
        Ok(network) => Ok(network.spec()),
        Err(error @ ParseNetworkError::Retired(_)) => {
            Err(unusable(&error).hint("set up a vault on another network with `operator init`"))
        }
        Err(error) => {
            let path = vault.network_file();
            if !path.exists() {
                return Err(
                    unusable(&error).hint(format_args!("put the file that describes it at `{}`", path.display()))
                );
            }
            let spec = network_from_path(&path)?;
            if spec.name.as_str() == config.network {
                return Ok(spec);
            }
            Err(CliError::new(
                Kind::Failed,
                format_args!(
                    "`{}` describes `{}`, but the vault is on `{}`",
                    path.display(),
                    spec.name,
                    config.network
                ),
            ))
        }
    }
}

/// The network that a file describes.
pub(crate) fn network_from_path(path: &Path) -> Result<NetworkSpec, CliError> {
    parse_network(&read_text(path)?, path)
}

fn parse_network(text: &str, path: &Path) -> Result<NetworkSpec, CliError> {
    NetworkSpec::from_toml(text).map_err(|error| {
        CliError::caused_by(Kind::Failed, format_args!("cannot use `{}`", path.display()), &error)
            .hint(NETWORK_FILE_HINT)
    })
}

fn read_text(path: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(LARGEST_TEXT).read_to_string(&mut text))
        .map_err(|error| {
            CliError::caused_by(
                Kind::Failed,
                format_args!("cannot read the network file `{}`", path.display()),
                &error,
            )
            .hint(NETWORK_FILE_HINT)
        })?;
    Ok(text)
}

const NETWORK_FILE_HINT: &str = "`operator network show hoodi` prints an example to start from";
const LARGEST_TEXT: u64 = 1 << 20;

/// A text that is not the address of a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    /// Not 20 bytes of hexadecimal text.
    #[error("not an Ethereum address: expected 0x and 40 hexadecimal digits")]
    Malformed,
    /// The upper and lower case letters do not fit the digits (EIP-55).
    #[error("the address is mistyped: its checksum, the case of its letters, is wrong")]
    Checksum,
}

/// Reads an address in any one case, or in mixed case with a right EIP-55 checksum; `0x` may be missing.
pub(crate) fn parse_address(text: &str) -> Result<Address, AddressError> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text);
    if digits.len() != 40 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(AddressError::Malformed);
    }
    let address: Address = digits.parse().map_err(|_| AddressError::Malformed)?;
    let one_case =
        !digits.bytes().any(|byte| byte.is_ascii_lowercase()) || !digits.bytes().any(|byte| byte.is_ascii_uppercase());
    let checksummed = address.to_checksum(None);
    if one_case || checksummed.strip_prefix("0x") == Some(digits) {
        Ok(address)
    } else {
        Err(AddressError::Checksum)
    }
}

/// Reads a node's URL; one that cannot be read is not repeated, since it may hold a token or a password.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndpointParser;

impl TypedValueParser for EndpointParser {
    type Value = RedactedUrl;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<RedactedUrl, clap::Error> {
        let parsed = value.to_str().ok_or(ParseUrlError).and_then(str::parse);
        parsed.map_err(|error| {
            let arg = arg.map(ToString::to_string).unwrap_or_default();
            let message = format!("invalid value for '{arg}': {error}");
            command.clone().error(ErrorKind::ValueValidation, message)
        })
    }
}

/// The value of a variable that is a second name of one that clap knows: the original has two for some flags, and clap
/// takes one for each.
pub(crate) fn second_name(variable: &str) -> Option<OsString> {
    std::env::var_os(variable).filter(|value| !value.is_empty())
}

/// What later versions of the original call `POOL_SIZE`.
pub(crate) fn concurrency() -> Result<Option<NonZeroUsize>, CliError> {
    let Some(value) = second_name("CONCURRENCY") else {
        return Ok(None);
    };
    let parsed = value.to_str().and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or_else(|| {
        CliError::new(Kind::Usage, format_args!("CONCURRENCY is `{}`", value.display()))
            .hint("set it to a number of threads, 1 or more, or unset it")
    })
}

/// Adds the variables of `--env-file` to the environment. Comes first of all: defaults are read from there.
pub(crate) fn load_env_file(args: &[OsString]) -> Result<(), CliError> {
    let mut args = args.iter().take_while(|arg| *arg != "--");
    let path = args.find_map(|arg| {
        arg.to_str()
            .and_then(|arg| arg.strip_prefix("--env-file="))
            .map(OsString::from)
            .or_else(|| (arg == "--env-file").then_some(OsString::new()))
    });
    let Some(path) = path.and_then(|path| {
        if path.is_empty() {
            args.next().cloned()
        } else {
            Some(path)
        }
    }) else {
        return Ok(());
    };
    let text = env_file::read(Path::new(&path));
    let loaded = text.and_then(|text| {
        env_file::check(&text)?;
        dotenvy::from_read(text.as_slice()).map_err(env_file::fault)
    });
    loaded.map_err(|error| {
        CliError::new(
            Kind::Usage,
            format_args!("cannot read the environment file `{}`", Path::new(&path).display()),
        )
        .cause(error.to_string())
        .hint("`--env-file` names a file of NAME=value lines")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_one_case_or_with_its_checksum() {
        let right = "0x3320ad928c20187602a2B2C04EeAa813fA899468";
        let digits = &right[2..];
        let address = parse_address(right).expect("checksummed");
        for text in [
            digits.to_owned(),
            right.to_lowercase(),
            digits.to_uppercase(),
            format!("0X{digits}"),
        ] {
            assert_eq!(parse_address(&text), Ok(address), "{text}");
        }
        assert_eq!(
            parse_address(&right.replace("B2C0", "b2C0")),
            Err(AddressError::Checksum)
        );
        for text in [
            "",
            "0x",
            "0x3320",
            &format!("{right}00"),
            &right.replace('3', "g"),
            "0x0x20ad928c20187602a2B2C04EeAa813fA899468",
        ] {
            assert_eq!(parse_address(text), Err(AddressError::Malformed), "{text}");
        }
    }
}
