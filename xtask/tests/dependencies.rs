//! The dependency notes against the workspace.

use std::collections::HashSet;
use std::fs;

#[test]
fn every_dependency_of_the_workspace_has_a_line_in_the_notes() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let workspace: toml::Table = fs::read_to_string(format!("{root}/Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let dependencies = workspace["workspace"]["dependencies"].as_table().unwrap();
    let notes = fs::read_to_string(format!("{root}/docs/dependencies.md")).unwrap();
    let words: HashSet<&str> = notes
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')
        .collect();

    let missing: Vec<&String> = dependencies
        .iter()
        .filter(|(name, value)| value.get("path").is_none() && !words.contains(name.as_str()))
        .map(|(name, _)| name)
        .collect();
    assert!(
        missing.is_empty(),
        "not in docs/dependencies.md: {missing:?}"
    );
}
