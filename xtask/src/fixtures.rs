//! Test vectors: each is documented, each is used, and what a public tool can remake is remade and compared.

use std::{path::Path, process::Command};

use sw_devnet::toolchain::Toolchain;

use crate::{
    Failure,
    shell::{output, root, target_directory},
};

/// Remakes every tree of the file with OpenZeppelin's own package, and says how many are equal.
const REMAKE_TREES: &str = r#"
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
const [, file, modules] = process.argv;
const { StandardMerkleTree } = createRequire(modules)("@openzeppelin/merkle-tree");
const trees = JSON.parse(readFileSync(file));
for (const tree of trees) {
  const made = StandardMerkleTree.of(tree.leaves, ["bytes", "uint256"]);
  const same = made.root === tree.root
    && tree.leaves.every((leaf, i) => JSON.stringify(made.getProof(leaf)) === JSON.stringify(tree.proofs[i]));
  if (!same) throw new Error(`tree of ${tree.leaves.length} leaves differs`);
}
console.log(trees.length);
"#;

pub(crate) fn run() -> Result<(), Failure> {
    let directory = root().join("fixtures");
    let documented = std::fs::read_to_string(directory.join("README.md"))?;
    let sources = test_sources(&root())?;
    let mut count = 0;
    for entry in std::fs::read_dir(&directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name == "README.md" {
            continue;
        }
        if !documented.contains(&format!("`{name}`")) {
            return Err(format!("fixtures/{name} is not described in fixtures/README.md").into());
        }
        if !sources.contains(&name) {
            return Err(format!("fixtures/{name} is used by no test").into());
        }
        count += 1;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let toolchain = runtime.block_on(Toolchain::prepare(&target_directory()?.join("devnet")))?;
    let trees = output(
        Command::new("node")
            .args(["--input-type=module", "--eval", REMAKE_TREES])
            .arg(directory.join("oz_vectors_1_50.json"))
            .arg(toolchain.packages().join("package.json")),
    )?;
    println!(
        "fixtures: {count} files, each documented and used; {} trees remade and equal",
        trees.trim()
    );
    Ok(())
}

/// The text of all Rust sources: a fixture's name must appear in it.
fn test_sources(directory: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            text.push_str(&test_sources(&path)?);
        } else if name.ends_with(".rs") {
            text.push_str(&std::fs::read_to_string(&path)?);
        }
    }
    Ok(text)
}
