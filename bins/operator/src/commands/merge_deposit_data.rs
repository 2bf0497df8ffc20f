use std::{
    fs,
    path::{Path, PathBuf},
};

use sw_deposit_data::{DepositDataFile, MergeConflict, MergeError, Place, merge, merge_conflicts};
use sw_vault_dir::{Overwrite, WriteError, write_private};

use crate::{
    deposit_data::read_bytes,
    error::{CliError, Kind},
    ui::Ui,
};

/// Merge the deposit data of several operators of one vault into one file.
///
/// Takes the first entry of each file in the order given, then the second of each, and so on, so that all of them get
/// validators. Entries are copied as they stand. Files that do not go together are refused: with a validator twice, or
/// made for different vaults or networks.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:\n  \
  operator merge-deposit-data -d ours.json -d theirs.json -m merged.json\n  \
  operator deposit-data verify --vault 0x3320... --deposit-data-file merged.json")]
pub(crate) struct Args {
    /// A file to merge; at least two.
    #[arg(short, long, value_name = "FILE", required = true)]
    deposit_data_files: Vec<PathBuf>,
    /// File to write, which must not exist.
    #[arg(short = 'm', long, value_name = "FILE")]
    output_file: PathBuf,
    /// Do not look into the entries: merge whatever stands in the files.
    #[arg(long)]
    no_verify: bool,
}

pub(crate) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let paths = &args.deposit_data_files;
    if paths.len() < 2 {
        return Err(
            CliError::new(Kind::Usage, "there is one file to merge, and it takes two")
                .hint("name each with its own `--deposit-data-files` (`-d`)"),
        );
    }
    // A link that leads nowhere is there as well.
    if fs::symlink_metadata(&args.output_file).is_ok() {
        let path = args.output_file.clone();
        return Err(not_written(&WriteError::Exists { path }));
    }
    if let Some(directory) = args.output_file.parent().filter(|parent| !is_directory(parent)) {
        return Err(CliError::new(
            Kind::Usage,
            format_args!("there is no directory `{}`", directory.display()),
        )
        .hint("name a file in a directory that exists with `--output-file`"));
    }
    let files = paths.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    if !args.no_verify {
        check(paths, &files)?;
    }
    let merged = merge(&files).map_err(|error| not_merged(paths, &error))?;
    write_private(&args.output_file, merged.as_bytes(), Overwrite::Refuse).map_err(|error| not_written(&error))?;
    ui.result(format_args!(
        "Merged deposit data saved to {}",
        ui.strong(args.output_file.display())
    ))
}

/// The parent of a bare file name is written as an empty path.
fn is_directory(parent: &Path) -> bool {
    parent.as_os_str().is_empty() || parent.is_dir()
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    read_bytes(path).map_err(|error| {
        CliError::caused_by(
            Kind::Usage,
            format_args!("cannot read the deposit data `{}`", path.display()),
            &error,
        )
        .hint("name files that exist with `--deposit-data-files`")
    })
}

fn check(paths: &[PathBuf], files: &[Vec<u8>]) -> Result<(), CliError> {
    let parsed = paths.iter().zip(files).map(|(path, bytes)| {
        DepositDataFile::parse(bytes).map_err(|error| {
            CliError::caused_by(
                Kind::Failed,
                format_args!("cannot use the deposit data `{}`", path.display()),
                &error,
            )
            .hint("name files that `operator create-keys` made; `--no-verify` merges lists of anything")
        })
    });
    let conflicts = merge_conflicts(&parsed.collect::<Result<Vec<_>, _>>()?);
    if conflicts.is_empty() {
        return Ok(());
    }
    let error = CliError::new(Kind::Failed, "the files do not go together");
    let lines = conflicts
        .iter()
        .take(MOST_CONFLICTS)
        .map(|conflict| line(paths, conflict));
    let mut error = lines.fold(error, CliError::cause);
    let more = conflicts.len().saturating_sub(MOST_CONFLICTS);
    if more > 0 {
        error = error.cause(format_args!("{more} more of the kind"));
    }
    Err(error.hint("leave out what does not belong; `--no-verify` merges without comparing"))
}

fn line(paths: &[PathBuf], conflict: &MergeConflict) -> String {
    let place = |place: Place| {
        let path = paths.get(place.file).map(|path| path.display().to_string());
        format!("entry {} of `{}`", place.entry, path.unwrap_or_default())
    };
    format!(
        "{} and {}: {}",
        place(conflict.first),
        place(conflict.second),
        conflict.clash
    )
}

fn not_merged(paths: &[PathBuf], error: &MergeError) -> CliError {
    match error {
        MergeError::NotAList { file, source } => {
            let path = paths.get(*file).map(|path| path.display().to_string());
            let message = format!("`{}` is not a list of deposits", path.unwrap_or_default());
            CliError::caused_by(Kind::Failed, message, source)
                .hint("name files that `operator create-keys` made with `--deposit-data-files`")
        }
        error => CliError::from_error(Kind::Failed, error),
    }
}

fn not_written(error: &WriteError) -> CliError {
    let kind = match error {
        WriteError::Exists { .. } | WriteError::Symlink { .. } | WriteError::NotAFile { .. } => Kind::Usage,
        _ => Kind::Failed,
    };
    CliError::from_error(kind, error).hint("name a new file with `--output-file`")
}

const MOST_CONFLICTS: usize = 10;
