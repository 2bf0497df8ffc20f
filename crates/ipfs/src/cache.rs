//! Fetched content on disk, as CAR files that are verified again whenever they are read.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, BufWriter, Read, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use cid::Cid;

use crate::{
    CarError, ContentError, Limits, VerifiedBytes,
    assembly::{Assembly, Progress},
    block::{Blocks, WrongBlock, is_verifiable},
    car::{CarReader, car_block_prefix, car_header},
};

/// Why a file of the cache is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Car(#[from] CarError),
    #[error("a block that is not `{0}`")]
    WrongBlock(Cid),
    #[error("the block `{0}` is missing")]
    MissingBlock(Cid),
    #[error("longer than {0} bytes")]
    TooLong(usize),
    #[error("{0}")]
    Content(#[from] ContentError),
}

/// A directory of CAR files named by their roots.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    dir: PathBuf,
}

impl Cache {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The file of a root. Version 1 in base32 is the same on a file system that ignores case.
    pub(crate) fn path(&self, cid: &Cid) -> PathBuf {
        self.dir.join(format!("{}.car", cid.into_v1().unwrap_or(*cid)))
    }

    /// Reads and verifies content; `None` when there is none.
    pub(crate) fn load(&self, cid: Cid, limits: Limits) -> Result<Option<VerifiedBytes>, CacheError> {
        let mut file = match File::open(self.path(&cid)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let (mut reader, mut blocks) = (CarReader::default(), Blocks::default());
        let (mut piece, mut read) = (vec![0; 64 * 1024], 0usize);
        loop {
            let length = file.read(&mut piece)?;
            read = read.saturating_add(length);
            if length == 0 {
                break;
            }
            if read > limits.wire_bytes() {
                return Err(CacheError::TooLong(limits.wire_bytes()));
            }
            reader.push(piece.get(..length).unwrap_or_default());
            while let Some((cid, block)) = reader.next_block()? {
                if is_verifiable(&cid) {
                    blocks
                        .insert(&cid, block)
                        .map_err(|WrongBlock| CacheError::WrongBlock(cid))?;
                }
            }
        }
        reader.finish()?;
        let mut assembly = Assembly::new(cid, limits);
        match assembly.advance(&blocks)? {
            Progress::Complete => Ok(Some(VerifiedBytes::new(cid, assembly.into_parts().0))),
            Progress::Needs(missing) => Err(CacheError::MissingBlock(missing)),
        }
    }

    /// Writes content: into a temporary file first, so that a file with its name is whole.
    pub(crate) fn store(&self, root: &Cid, blocks: &Blocks, used: &[Cid]) -> Result<(), CacheError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let private = fs::Permissions::from_mode(0o600);
        let file = tempfile::Builder::new()
            .prefix(".")
            .suffix(".tmp")
            .permissions(private)
            .tempfile_in(&self.dir)?;
        let mut writer = BufWriter::new(file);
        writer.write_all(&car_header(root))?;
        for cid in used {
            let block = blocks.get(cid).ok_or(CacheError::MissingBlock(*cid))?;
            writer.write_all(&car_block_prefix(cid, block))?;
            writer.write_all(block)?;
        }
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(self.path(root)).map_err(|error| error.error)?;
        File::open(&self.dir)?.sync_all()?;
        self.remove_oldest()
    }

    /// A rewards file is fetched at every harvest and never again.
    fn remove_oldest(&self) -> Result<(), CacheError> {
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let path = entry.path();
            if is_content(&path) {
                files.push((entry.metadata()?.modified()?, path));
            }
        }
        files.sort();
        let surplus = files.len().saturating_sub(MAX_FILES);
        for (_, path) in files.iter().take(surplus) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

fn is_content(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "car")
}

/// Some weeks of rewards files, configs and the validators dump.
const MAX_FILES: usize = 64;
