//! The file of `--env-file`: its size, and what its variables grow to, are bounded before any is set.

use std::{
    io::{self, Read},
    path::Path,
};

/// A file of variables that is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvFileError {
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The parser's own words quote the faulty line, which may hold a secret.
    #[error("a line is not of the form NAME=value (near character {0})")]
    Line(usize),
    #[error("a line is not of the form NAME=value")]
    Malformed,
    #[error("it is longer than {LARGEST} bytes")]
    TooLong,
    /// Variables may stand in the values of others, and so double with each line.
    #[error("the value of {0} is longer than {LONGEST_VALUE} bytes, or names more than {MOST_REFERENCES} variables")]
    TooLongValue(String),
}

/// Reads a file of variables.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, EnvFileError> {
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// Makes sure that all lines can be read, and that no value is out of proportion.
pub(crate) fn check(text: &[u8]) -> Result<usize, EnvFileError> {
    if text.len() as u64 > LARGEST {
        return Err(EnvFileError::TooLong);
    }
    // A value is made before it can be looked at: what it is made of is counted first.
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if line.iter().filter(|byte| **byte == b'$').count() > MOST_REFERENCES {
            return Err(EnvFileError::TooLongValue(format!("line {}", number + 1)));
        }
    }
    let mut count = 0;
    for variable in dotenvy::from_read_iter(text) {
        let (name, value) = variable.map_err(fault)?;
        if value.len() > LONGEST_VALUE {
            return Err(EnvFileError::TooLongValue(format!("`{name}`")));
        }
        count += 1;
    }
    Ok(count)
}

pub(crate) fn fault(error: dotenvy::Error) -> EnvFileError {
    match error {
        dotenvy::Error::Io(error) => EnvFileError::Io(error),
        dotenvy::Error::LineParse(_, at) => EnvFileError::Line(at),
        _ => EnvFileError::Malformed,
    }
}

const LARGEST: u64 = 64 * 1024;
const LONGEST_VALUE: usize = 16 * 1024;
const MOST_REFERENCES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_double_with_each_line_are_refused_before_they_are_large() {
        let mut text = "A0=0123456789abcdef\n".to_owned();
        for line in 1..60 {
            text.push_str(&format!("A{line}=${{A{}}}${{A{}}}\n", line - 1, line - 1));
        }
        let error = check(text.as_bytes()).expect_err("2^63 bytes");
        assert!(
            matches!(&error, EnvFileError::TooLongValue(name) if name == "`A11`"),
            "{error}"
        );
        let wide = format!("A={}\nB={}\n", "x".repeat(16_000), "$A".repeat(65));
        assert!(matches!(check(wide.as_bytes()), Err(EnvFileError::TooLongValue(name)) if name == "line 2"));
    }

    #[test]
    fn usual_files_are_read_and_a_faulty_line_is_not_quoted() {
        let usual = "# comment\nVAULT=0x33\nexport LOG_LEVEL='debug'\n\nURLS=\"http://a,http://${VAULT}\"\n";
        assert_eq!(check(usual.as_bytes()).expect("a usual file"), 3);
        let error = check(b"TOKEN secret\n").expect_err("no equals sign");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(matches!(check(&[b'a'; 70_000]), Err(EnvFileError::TooLong)));
    }
}
