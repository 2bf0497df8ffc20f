use std::str::FromStr;

use sw_key_ops::{InitializeError, check_unused, initialize, same_phrase};
use sw_keys::{Language, Mnemonic};
use sw_vault_dir::{LockError, VaultDir};

use crate::{
    config::{DataDirArgs, NetworkArgs, parse_address},
    error::{CliError, Kind},
    host,
    ui::{Question, Ui},
};

/// Create the mnemonic and the configuration of a vault.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Asks, in this order: network, vault, language, and the mnemonic again.\n\n\
Examples:\n  \
  operator init\n  \
  operator init --network hoodi --vault 0x3320... --language english\n  \
  operator init --no-verify --vault 0x3320... > mnemonic.txt")]
pub(crate) struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    /// Address of the vault; asked for when missing.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    vault: Option<sw_spec::Address>,
    /// Language of the mnemonic: chinese_simplified, chinese_traditional, czech, english, italian, korean, portuguese
    /// or spanish; asked for when missing [default: english].
    #[arg(long, value_name = "LANGUAGE", value_parser = Language::from_str)]
    language: Option<Language>,
    /// Do not have the mnemonic typed again: print it alone, and nothing else, to standard output.
    #[arg(long)]
    no_verify: bool,
    #[command(flatten)]
    data_dir: DataDirArgs,
}

pub(crate) fn run(args: Args, ui: &Ui) -> Result<(), CliError> {
    if !args.no_verify && ui.talks_into_a_file() {
        return Err(CliError::new(
            Kind::Usage,
            "the mnemonic would be shown in a file: standard error is not a terminal",
        )
        .hint("run `operator init` without redirecting standard error, or with `--no-verify`"));
    }
    let data_dir = args.data_dir.resolve()?;
    let network = args.network.resolve(ui)?;
    let question = Question {
        text: "Enter your vault address",
        flag: "`--vault`",
        default: None,
    };
    let vault = ui.answer(args.vault, question, parse_address)?;
    let directory = VaultDir::new(&data_dir, vault);
    check_unused(&directory, network.file.as_deref()).map_err(|error| refused(error, &directory))?;
    let names = Language::ALL.map(|language| language.to_string()).join(", ");
    let question = Question {
        text: &format!("Choose your mnemonic language ({names})"),
        flag: "`--language`",
        default: Some("english"),
    };
    let language = ui.answer(args.language, question, Language::from_str)?;
    let mnemonic = Mnemonic::generate(language, &mut host::randomness());

    if args.no_verify {
        ui.secret_result(mnemonic.expose_phrase())?;
    } else {
        have_it_written_down(&mnemonic, ui)?;
    }
    initialize(&directory, &network.spec.name, network.file.as_deref(), &mnemonic)
        .map_err(|error| refused(error, &directory))?;
    if args.no_verify {
        return Ok(());
    }
    let vault = ui.strong(vault);
    ui.result(format_args!("Successfully initialized configuration for vault {vault}"))
}

/// Nothing is written before the person has shown that they have the words.
fn have_it_written_down(mnemonic: &Mnemonic, ui: &Ui) -> Result<(), CliError> {
    let text = format!(
        "This is your seed phrase. Write it down and store it safely, it is the ONLY way to recover your validator keys.\n\n{}\n",
        mnemonic.expose_phrase()
    );
    let question = Question {
        text: "Please type your mnemonic (separated by spaces) to confirm you have written it down\n",
        flag: "`--no-verify`",
        default: None,
    };
    loop {
        ui.show_until_key(&text, "Press any key when you have written down your mnemonic.")?;
        if ui.phrase(question, |typed| Ok::<_, &str>(same_phrase(mnemonic, typed)))? {
            ui.say("done.");
            return Ok(());
        }
        ui.say("That is not the seed phrase. It is shown once more.");
    }
}

fn refused(error: InitializeError, directory: &VaultDir) -> CliError {
    match &error {
        InitializeError::AlreadyThere(_) => {
            let hint = if directory.config().exists() {
                "its keys may be in use; to start anew choose another `--data-dir`, or move the directory away"
            } else {
                "it holds no config.json; when nothing in it is needed, remove it and run `operator init` again"
            };
            CliError::from_error(Kind::Unsafe, &error).hint(hint)
        }
        InitializeError::Locked(LockError::Held { .. }) => {
            CliError::from_error(Kind::Unsafe, &error).hint("wait for the other command to end, then look what it did")
        }
        _ => CliError::from_error(Kind::Failed, &error)
            .hint("the data directory must be writable; `--data-dir` names another"),
    }
}
