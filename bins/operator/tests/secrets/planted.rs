//! Secrets that can be told from all else, and the search for them.

/// A phrase of words that no message of the operator has.
pub(crate) const PHRASE: &str =
    "walnut zebra trumpet squirrel lobster mosquito kangaroo velvet pelican cactus hazard avocado";
/// The same words in an order whose checksum is wrong.
pub(crate) const MISTYPED: &str =
    "zebra walnut trumpet squirrel lobster mosquito kangaroo velvet pelican cactus hazard avocado";
pub(crate) const ENTROPY: [u8; 16] = [
    0xf6, 0xdf, 0xf3, 0xa6, 0x69, 0xd8, 0x33, 0x20, 0x1e, 0x67, 0x90, 0xa2, 0x44, 0x01, 0xa7, 0x87,
];

/// Named byte strings that are to be found nowhere.
pub(crate) struct Planted {
    secrets: Vec<(String, Vec<u8>)>,
    looked: usize,
    found: Vec<String>,
}

impl Planted {
    /// The phrase, as any three of its words that follow each other.
    pub(crate) fn new() -> Self {
        let words: Vec<&str> = PHRASE.split(' ').collect();
        let windows = words
            .windows(3)
            .map(|three| (three.join(" "), three.join(" ").into_bytes()));
        Self {
            secrets: windows.collect(),
            looked: 0,
            found: Vec::new(),
        }
    }

    /// The phrase, as every single word of it.
    pub(crate) fn words() -> Self {
        let words = PHRASE
            .split(' ')
            .map(|word| (word.to_owned(), word.as_bytes().to_vec()));
        Self {
            secrets: words.collect(),
            looked: 0,
            found: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, name: &str, secret: impl AsRef<[u8]>) {
        assert!(secret.as_ref().len() >= 8, "{name} could be found by chance");
        self.secrets.push((name.to_owned(), secret.as_ref().to_vec()));
    }

    pub(crate) fn look(&mut self, place: &str, bytes: &[u8]) {
        self.look_except(place, bytes, &[]);
    }

    /// Looks for all secrets but those that belong there.
    pub(crate) fn look_except(&mut self, place: &str, bytes: &[u8], at_home: &[&str]) {
        for (name, secret) in &self.secrets {
            if at_home.contains(&name.as_str()) {
                continue;
            }
            self.looked += 1;
            if bytes.windows(secret.len()).any(|window| window == secret) {
                let said = String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned();
                self.found.push(format!("{name} in {place}:\n{said}"));
            }
        }
    }

    /// How often was looked for a secret; none was found.
    pub(crate) fn none_found(&self) -> usize {
        assert!(
            self.found.is_empty(),
            "{} found:\n{}",
            self.found.len(),
            self.found.join("\n")
        );
        self.looked
    }
}
