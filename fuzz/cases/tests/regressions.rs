//! Every input that is kept, run as a test: the seeds, and what once broke something.

#![expect(
    clippy::unwrap_used,
    reason = "helper functions are not test code in Clippy's eyes"
)]

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use onerouter_fuzz_cases::{TARGETS, run};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn names(folder: &Path) -> BTreeSet<String> {
    let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    files(folder).into_iter().map(stem).collect()
}

#[test]
fn every_kept_input_passes_its_target() {
    let mut failed = Vec::new();
    for (target, _) in TARGETS {
        let seeds = files(&folder("corpus").join(target));
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for file in seeds
            .into_iter()
            .chain(files(&folder("crashes").join(target)))
        {
            let input = fs::read(&file).unwrap();
            if catch_unwind(|| run(target, &input)).is_err() {
                failed.push(file);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn every_target_has_a_program_and_a_corpus_and_no_other_has() {
    let known: BTreeSet<String> = TARGETS.map(|(name, _)| name.to_owned()).into();
    assert_eq!(names(&folder("fuzz_targets")), known);
    assert_eq!(names(&folder("corpus")), known);
    assert!(names(&folder("crashes")).is_subset(&known));
}
