//! What a person types and what they see: each file of `tests/cmd` is one command with its answers.

#[test]
fn every_command_says_what_its_transcript_says() {
    let cases = trycmd::TestCases::new();
    cases.case("tests/cmd/*.toml");
    // A change of the wording is written down with `TRYCMD=overwrite cargo test -p operator --test transcripts`.
    cases.run();
}
